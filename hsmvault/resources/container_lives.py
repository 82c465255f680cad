"""What the lives of vaults and pools have in common: they are found, listed, deleted, recovered and purged alike.

Every change compares the revision with the one that was read; whoever loses against another request begins again with
what that has left.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from hsmvault.clock import Clock, Identifiers
from hsmvault.errors import BadRequest, Conflict, MethodNotAllowed, NotFound
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.resources import retention
from hsmvault.resources.container_removal import begin_purge
from hsmvault.resources.locations import folded_location
from hsmvault.resources.vaults.refusals import group_not_found
from hsmvault.resources.vaults.rules import signed
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.store import containers, resource_groups, roles
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.management_operations import LongOperation

_ATTEMPTS: Final = 5  # guessed: that so many others come in between is no accident any more

Result = TypeVar("Result")


class Refusals(Protocol):
    """In the words of one kind of container; vaults/refusals.py and pools/refusals.py are that."""

    def not_found(self, name: str, group: str) -> NotFound: ...
    def deleted_not_found(self, name: str) -> NotFound: ...
    def name_taken(self, name: str) -> Conflict: ...
    def held_by_deleted(self) -> Conflict: ...
    def being_purged(self, name: str) -> Conflict: ...
    def changed_meanwhile(self, name: str) -> Conflict: ...
    def other_location(self, name: str, group: str, location: str, wanted: str) -> Conflict: ...
    def foreign_tenant(self, tenant_id: str, of_subscription: str) -> BadRequest: ...
    def purge_protected(self) -> MethodNotAllowed: ...


class Wanted(Protocol):
    """What a PUT says about a container that is there already; None is what it leaves out."""

    @property
    def location(self) -> str | None: ...

    @property
    def tenant_id(self) -> str | None: ...

    @property
    def recover(self) -> bool: ...


class ContainerLives:
    """Of one kind. Those in use are read; Vaults and Pools add how theirs are made and changed."""

    def __init__(
        self, database: Database, clock: Clock, identifiers: Identifiers, kind: ContainerKind, refusals: Refusals
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._kind = kind
        self._refusals = refusals

    async def get(self, place: Place) -> Container:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return await self._found(tx, place)

    async def of_group(self, subscription_id: str, group: str, after: str, most: int) -> list[Container]:
        """Those in use, by name in lower case, behind the name `after`. Raises NotFound for the resource group."""
        async with self._database.read() as tx:
            if await resource_groups.find(tx, subscription_id, group) is None:
                raise group_not_found(group)
            return await containers.of_group(tx, subscription_id.lower(), group, self._kind, after=after, most=most)

    async def of_subscription(self, subscription_id: str, after: str, most: int) -> list[Container]:
        """Those in use, by name in lower case, behind the name `after`."""
        async with self._database.read() as tx:
            return await containers.of_subscription(tx, subscription_id.lower(), self._kind, after=after, most=most)

    async def is_name_free(self, name: str) -> bool:
        """A name is in use in every subscription and tenant, and a deleted container holds it."""
        async with self._database.read() as tx:
            return await containers.find(tx, self._kind, name) is None

    async def _in_use(self, tx: Transaction, place: Place) -> Container | None:
        container = await containers.find(tx, self._kind, place.name)
        if container is None or container.deleted_at is not None or not place.holds(container):
            return None
        return container

    async def _found(self, tx: Transaction, place: Place) -> Container:
        container = await self._in_use(tx, place)
        if container is None:
            await _check_group(tx, place)
            raise self._refusals.not_found(place.name[:128], place.group)
        return container

    async def _at(self, place: Place) -> Container | None:
        """The one of this name that stands here, deleted or not; None when the name is free.

        Raises Conflict when it is elsewhere, NotFound for a resource group that is not there.
        """
        async with self._database.read() as tx:
            existing = await containers.find(tx, self._kind, place.name)
            if existing is None or place.holds(existing):
                return existing
            await _check_group(tx, place)
        is_ours = existing.deleted_at is not None and existing.tenant_id == place.tenant_id
        raise self._refusals.held_by_deleted() if is_ours else self._refusals.name_taken(place.name)

    def _check_location(self, existing: Container, wanted: Wanted, place: Place) -> None:
        """A PUT names a location; without one the container's own is meant. Raises Conflict."""
        location = wanted.location
        if location is not None and folded_location(location) != folded_location(existing.location):
            raise self._refusals.other_location(place.name, place.group, existing.location, location[:64])

    async def _recover(
        self, tx: Transaction, deleted: Container, wanted: Wanted, place: Place, actor: Actor
    ) -> Container:
        """As it was, whatever else the body says; the permissions of Azure RBAC are to be assigned anew.

        Raises Conflict, BadRequest, NotFound for the resource group, Conflicted.
        """
        if not wanted.recover:
            raise self._refusals.held_by_deleted()
        if deleted.purging:
            raise self._refusals.being_purged(place.name)
        self._check_location(deleted, wanted, place)
        tenant_id = wanted.tenant_id
        if tenant_id is not None and tenant_id.lower() != deleted.tenant_id:
            raise self._refusals.foreign_tenant(tenant_id[:64], deleted.tenant_id)
        recovered = signed(replace(deleted, deleted_at=None, purge_at=None), actor, int(self._clock.now()))
        if await resource_groups.find(tx, place.subscription_id, place.group) is None:
            raise group_not_found(place.group)
        await containers.update(tx, recovered)
        return replace(recovered, revision=recovered.revision + 1)

    async def _again(self, name: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Until nobody else was faster. Raises Conflict when somebody always is."""
        for _ in range(_ATTEMPTS):
            try:
                return await attempt()
            except Conflicted:
                continue
        raise self._refusals.changed_meanwhile(name)


class DeletedContainers:
    """Read, listed, and purged before their time. They are recovered by a PUT.

    A purge is a long-running operation: the call marks the container, from then on nobody recovers it, and the job
    (jobs/container_purge.py) removes everything in it and then the container itself.
    """

    def __init__(
        self, database: Database, clock: Clock, identifiers: Identifiers, kind: ContainerKind, refusals: Refusals
    ) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._kind = kind
        self._refusals = refusals

    async def get(self, subscription_id: str, location: str, name: str) -> Container:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return await self._found(tx, subscription_id, location, name)

    async def page(self, subscription_id: str, after: str, most: int) -> list[Container]:
        """By name in lower case, behind the name `after`."""
        async with self._database.read() as tx:
            return await containers.deleted(tx, subscription_id.lower(), self._kind, after=after, most=most)

    async def purge(self, subscription_id: str, location: str, name: str) -> LongOperation:
        """Begin it; whoever asks again while it goes on gets the same operation.

        Raises NotFound, MethodNotAllowed under purge protection, Conflict when it is being recovered.
        """
        try:
            async with self._database.write() as tx:
                container = await self._found(tx, subscription_id, location, name)
                if container.retention.purge_protection:
                    raise self._refusals.purge_protected()
                return await begin_purge(tx, container, self._identifiers, int(self._clock.now()))
        except Conflicted as error:
            raise self._refusals.changed_meanwhile(name) from error

    async def _found(self, tx: Transaction, subscription_id: str, location: str, name: str) -> Container:
        container = await containers.find(tx, self._kind, name)
        if (
            container is None
            or container.deleted_at is None
            or container.subscription_id.lower() != subscription_id.lower()
            or folded_location(container.location) != folded_location(location)
        ):
            raise self._refusals.deleted_not_found(name[:128])
        return container


async def delete_container(tx: Transaction, container: Container, now: int) -> None:
    """Soft, for vaults and pools alike. now: seconds since 1970 UTC, of the wall clock. Raises Conflicted."""
    purge_at = await retention.purge_at(tx, container.retention, now)
    await containers.update(tx, replace(container, deleted_at=now, purge_at=purge_at))
    await roles.delete_at(tx, container.resource_id)


async def _check_group(tx: Transaction, place: Place) -> None:
    """For what is not found: the resource group is named before what is missing in it. Raises NotFound."""
    if await resource_groups.find(tx, place.subscription_id, place.group) is None:
        raise group_not_found(place.group[:90])
