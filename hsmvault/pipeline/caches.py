"""What the pipeline asks on every call, kept in memory and followed through the `changes` table.

An entry is dropped when its row changes anywhere; what was read while a change came in is used once and not kept.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from hsmvault.custody.cache import SingleFlight
from hsmvault.errors import Damaged
from hsmvault.model import builtin_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.principals import PrincipalState
from hsmvault.model.roles import RoleDefinition
from hsmvault.model.subscriptions import ManagementGroup, Placement, Subscription, management_group_id
from hsmvault.store import containers, directory, management_groups, role_definitions, roles, subscriptions
from hsmvault.store.database import Database
from hsmvault.store.roles import AssignmentsByScope

_MOST_ENTRIES = 65_536
_MOST_ROLES: Final = 1_024  # custom ones, of some dozens of kilobytes at the most
_CHARACTERS_A_UNIT: Final = 512
_NOTHING: Final[dict[tuple[tuple[str, ...], str], AssignmentsByScope]] = {}

_log = logging.getLogger(__name__)

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
    """Role assignments by principal, and by the resource that somebody asked about: what is kept of a principal is what
    it has around the vaults that it uses, never all that it has.

    most: how much is kept, in entries; one with many assignments, or with long texts, counts as several. Resources are
    what callers name, there or not, and assignments have conditions that strangers write: neither must fill the memory.
    """

    def __init__(self, database: Database, *, most: int = _MOST_ENTRIES) -> None:
        self._database = database
        self._most = most
        self._of: dict[str, dict[tuple[tuple[str, ...], str], AssignmentsByScope]] = {}
        self._weights: dict[str, int] = {}
        self._weight = 0
        self._epoch = 0

    async def around(
        self, principal_ids: Collection[str], scopes: tuple[str, ...], below: str
    ) -> list[AssignmentsByScope]:
        """Of these principals, those at these folded scopes, and all below one of them; below: "" for none."""
        key = (scopes, below)
        found: list[AssignmentsByScope] = []
        missing: list[str] = []
        for principal in principal_ids:
            entry = self._of.get(principal, _NOTHING).get(key)
            if entry is None:
                missing.append(principal)
            else:
                found.append(entry)
        if missing:
            epoch = self._epoch
            async with self._database.read() as tx:
                loaded = await roles.around(tx, missing, scopes, below)
            if epoch == self._epoch:
                self._keep(key, loaded)
            found += loaded.values()
        return found

    def forget(self, principal_id: str) -> None:
        self._epoch += 1
        self._drop(principal_id)

    def forget_all(self) -> None:
        self._epoch += 1
        self._drop_all()

    def _keep(self, key: tuple[tuple[str, ...], str], loaded: Mapping[str, AssignmentsByScope]) -> None:
        """What is too much by itself is read anew each time."""
        names = sum(map(len, key[0])) // _CHARACTERS_A_UNIT
        weights = {principal: names + _weight_of(entry) for principal, entry in loaded.items()}
        total = sum(weights.values())
        if total > self._most:
            return
        if self._weight + total > self._most:
            self._drop_all()
        for principal, entry in loaded.items():
            kept = self._of.setdefault(principal, {})
            if key not in kept:  # else somebody read the same at the same time
                kept[key] = entry
                self._weights[principal] = self._weights.get(principal, 0) + weights[principal]
                self._weight += weights[principal]

    def _drop(self, principal_id: str) -> None:
        self._of.pop(principal_id, None)
        self._weight -= self._weights.pop(principal_id, 0)

    def _drop_all(self) -> None:
        self._of.clear()
        self._weights.clear()
        self._weight = 0


def _weight_of(entry: AssignmentsByScope) -> int:
    """1, and for each assignment 1 and its texts, in units."""
    return 1 + sum(
        1 + (len(one.condition) + len(one.description) + len(one.delegated_identity)) // _CHARACTERS_A_UNIT
        for assignments in entry.values()
        for one in assignments
    )


class RoleCache:
    """Role definitions: the built-in ones, and the custom ones of Azure RBAC by id."""

    def __init__(self, database: Database) -> None:
        async def load(role_id: str) -> RoleDefinition | None:
            try:
                async with database.read() as tx:
                    return await role_definitions.find(tx, role_id)
            except Damaged as error:
                _log.warning("a role that cannot be read gives nothing: %s", error.detail)
                return None

        self._found: Followed[str, RoleDefinition | None] = Followed(load, most=_MOST_ROLES)

    async def find(self, tenant_id: str, role_id: str) -> RoleDefinition | None:
        """None for a role that this tenant does not have, and for one that cannot be read."""
        built_in = builtin_roles.BY_ID.get(role_id)
        if built_in is not None:
            return built_in
        found = await self._found.get(role_id)
        return found if found is not None and found.tenant_id == tenant_id else None

    def forget(self, role_id: str) -> None:
        self._found.forget(role_id)

    def forget_all(self) -> None:
        self._found.forget_all()


class DirectoryCache:
    """The state of principals of the embedded directory. built_in: whether tenants know the public clients."""

    def __init__(self, database: Database, *, built_in: bool = True) -> None:
        async def load(key: tuple[str, str]) -> PrincipalState | None:
            async with database.read() as tx:
                return await directory.state(tx, *key)

        async def load_application(key: tuple[str, str]) -> PrincipalState | None:
            async with database.read() as tx:
                return await directory.application_state(tx, *key, built_in=built_in)

        self._states: Followed[tuple[str, str], PrincipalState | None] = Followed(load)
        self._applications: Followed[tuple[str, str], PrincipalState | None] = Followed(load_application)

    async def state(self, tenant_id: str, object_id: str) -> PrincipalState | None:
        return await self._states.get((tenant_id, object_id))

    async def application_state(self, tenant_id: str, application_id: str) -> PrincipalState | None:
        """Of an application that people act through."""
        return await self._applications.get((tenant_id, application_id))

    def forget_all(self) -> None:
        self._states.forget_all()
        self._applications.forget_all()


class SubscriptionCache:
    """Subscriptions by id, with the management groups above them."""

    def __init__(self, database: Database) -> None:
        async def load(subscription_id: str) -> Placement | None:
            async with database.read() as tx:
                found = await subscriptions.find(tx, subscription_id)
                if found is None:
                    return None
                groups = await management_groups.above(tx, found.tenant_id, found.management_group)
            return Placement(found, _ids_above(found.tenant_id, groups))

        async def load_groups(key: tuple[str, str]) -> tuple[str, ...]:
            tenant_id, name = key
            async with database.read() as tx:
                return _ids_above(tenant_id, await management_groups.above(tx, tenant_id, name))

        self._found: Followed[str, Placement | None] = Followed(load)
        self._groups: Followed[tuple[str, str], tuple[str, ...]] = Followed(load_groups)

    async def placement(self, subscription_id: str) -> Placement | None:
        """subscription_id: in any case."""
        return await self._found.get(subscription_id.lower())

    async def find(self, subscription_id: str) -> Subscription | None:
        """subscription_id: in any case."""
        found = await self.placement(subscription_id)
        return None if found is None else found.subscription

    async def management_groups(self, tenant_id: str, name: str) -> tuple[str, ...]:
        """ARM ids: of the management group of this name (in any case), the nearest above it, and so on to the tenant's
        root group; the last alone when there is no such group.
        """
        return await self._groups.get((tenant_id, name.lower()))

    def forget(self, subscription_id: str) -> None:
        """subscription_id: in lower case."""
        self._found.forget(subscription_id)

    def forget_all(self) -> None:
        """Also when a management group was made, moved or removed."""
        self._found.forget_all()
        self._groups.forget_all()


def _ids_above(tenant_id: str, groups: Sequence[ManagementGroup]) -> tuple[str, ...]:
    return (*(group.resource_id for group in groups), management_group_id(tenant_id))
