"""What the pipeline asks on every call, kept in memory and followed through the `changes` table.

An entry is dropped when its row changes anywhere; what was read while a change came in is used once and not kept.
"""

from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Generic, TypeVar

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
    def __init__(self, database: Database) -> None:
        async def load(key: tuple[ContainerKind, str]) -> Container | None:
            async with database.read() as tx:
                return await containers.find(tx, *key)

        # Names come from strangers' Host headers: few, so that they cannot fill the memory with misses.
        self._found: Followed[tuple[ContainerKind, str], Container | None] = Followed(load, most=16_384)

    async def find(self, kind: ContainerKind, name: str) -> Container | None:
        return await self._found.get((kind, name))

    def forget_all(self) -> None:
        self._found.forget_all()


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
