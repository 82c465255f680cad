"""What the pipeline asks on every call, kept in memory and followed through the `changes` table.

An entry is dropped when its row changes anywhere; what was read while a change came in is used once and not kept.
"""

from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Generic, TypeVar

from hsmvault.custody.cache import SingleFlight
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.principals import PrincipalState
from hsmvault.model.roles import RoleAssignment
from hsmvault.store import containers, directory, roles
from hsmvault.store.database import Database

_MOST_ENTRIES = 65_536

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Followed(Generic[Key, Value]):
    """A bounded map that loads what is missing, None included, and forgets when it is told."""

    def __init__(self, load: Callable[[Key], Awaitable[Value]], *, most: int = _MOST_ENTRIES) -> None:
        self._load = load
        self._most = most
        self._entries: dict[Key, Value] = {}
        self._epoch = 0

    async def get(self, key: Key) -> Value:
        try:
            return self._entries[key]
        except KeyError:
            pass
        epoch = self._epoch
        value = await self._load(key)
        if epoch == self._epoch:
            if len(self._entries) >= self._most:
                self._entries.clear()
            self._entries[key] = value
        return value

    def forget(self, key: Key) -> None:
        self._epoch += 1
        self._entries.pop(key, None)

    def forget_all(self) -> None:
        self._epoch += 1
        self._entries.clear()


class ContainerCache:
    """Containers by kind and name. Names come from strangers' Host headers, so the names of all containers are read at
    once and followed: a name that is none costs neither a look into the database nor a place in the memory.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: frozenset[tuple[ContainerKind, str]] | None = None
        self._reading: SingleFlight[int, frozenset[tuple[ContainerKind, str]]] = SingleFlight()
        self._epoch = 0

        async def load(key: tuple[ContainerKind, str]) -> Container | None:
            async with database.read() as tx:
                found = await containers.find(tx, *key)
            return None if found is None or found.deleted_at is not None else found  # deleted: no host of ours

        self._found: Followed[tuple[ContainerKind, str], Container | None] = Followed(load)

    async def find(self, kind: ContainerKind, name: str) -> Container | None:
        """name: in lower case."""
        names = self._names
        if names is None:
            names = await self._read_names()
        return await self._found.get((kind, name)) if (kind, name) in names else None

    def forget(self, name: str) -> None:
        """A container of this name was made or changed. Its name is not looked for in vain any more."""
        self._epoch += 1
        both = [(kind, name) for kind in ContainerKind]
        for key in both:
            self._found.forget(key)
        if self._names is not None:
            self._names |= frozenset(both)

    def forget_all(self) -> None:
        self._epoch += 1
        self._names = None
        self._found.forget_all()

    async def _read_names(self) -> frozenset[tuple[ContainerKind, str]]:
        """Once for all who ask at the same time; whoever asks after a change waits for a look that began after it."""
        epoch = self._epoch

        async def read() -> frozenset[tuple[ContainerKind, str]]:
            async with self._database.read() as tx:
                return await containers.all_names(tx)

        names = await self._reading.run(epoch, read)
        if epoch == self._epoch:
            self._names = names
        return names


class AssignmentCache:
    """Role assignments by principal."""

    def __init__(self, database: Database) -> None:
        async def load(principal_id: str) -> tuple[RoleAssignment, ...]:
            async with database.read() as tx:
                return tuple(await roles.assignments_of(tx, [principal_id]))

        self._of: Followed[str, tuple[RoleAssignment, ...]] = Followed(load)

    async def assignments_of(self, principal_ids: Collection[str]) -> list[RoleAssignment]:
        return [assignment for principal in principal_ids for assignment in await self._of.get(principal)]

    def forget(self, principal_id: str) -> None:
        self._of.forget(principal_id)

    def forget_all(self) -> None:
        self._of.forget_all()


class DirectoryCache:
    """The state of principals of the embedded directory."""

    def __init__(self, database: Database) -> None:
        async def load(key: tuple[str, str]) -> PrincipalState | None:
            async with database.read() as tx:
                return await directory.state(tx, *key)

        self._states: Followed[tuple[str, str], PrincipalState | None] = Followed(load)

    async def state(self, tenant_id: str, object_id: str) -> PrincipalState | None:
        return await self._states.get((tenant_id, object_id))

    def forget_all(self) -> None:
        self._states.forget_all()
