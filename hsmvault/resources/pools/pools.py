"""The life of managed HSM pools: create, change, read, list, delete.

A pool is made of a spare security world, which is claimed in the transaction that makes the pool: two pools never get
the same one, and a crash leaves both or neither. Every other change compares the pool's revision with the one that was
read; whoever loses against another request begins again with what that has left.

Nothing of this takes long, so that an operation is over when its first answer leaves; clients poll all the same, as
they do with the service.
"""

from dataclasses import dataclass, replace
from typing import Final

from hsmvault.clock import Clock, Identifiers
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.worlds import WorldState
from hsmvault.resources.container_lives import ContainerLives, delete_container
from hsmvault.resources.pools import refusals, rules
from hsmvault.resources.pools.settings import PoolSettings
from hsmvault.resources.vaults import refusals as vault_refusals
from hsmvault.resources.vaults.rules import signed
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.store import containers, management_operations, resource_groups, roles, worlds
from hsmvault.store.database import Database, Transaction
from hsmvault.store.management_operations import LongOperation, OperationStatus

_ADMINISTRATOR: Final = pool_roles.BY_NAME["Managed HSM Administrator"]


@dataclass(frozen=True, slots=True)
class PoolRules:
    """What the installation says about its pools. locations: where they can be, folded; the first is the usual one.
    subnets: ids of the configured subnets, in lower case."""

    locations: tuple[str, ...]
    subnets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChangedPool:
    """The pool as a request has left it. operation: None when nothing had to be done."""

    container: Container
    operation: LongOperation | None


class Pools(ContainerLives):
    def __init__(self, database: Database, clock: Clock, identifiers: Identifiers, given: PoolRules) -> None:
        super().__init__(database, clock, identifiers, ContainerKind.POOL, refusals)
        self._given = given

    async def put(self, place: Place, settings: PoolSettings, actor: Actor) -> ChangedPool:
        """Make a pool, change the one that is there, or recover a deleted one when the settings say so.

        Raises BadRequest, NotFound (the resource group), Conflict (the name is another pool's or a deleted one's, or
        there is no world left).
        """
        rules.check_name(place.name)
        return await self._again(place.name, lambda: self._put(place, settings, actor))

    async def patch(self, place: Place, settings: PoolSettings, actor: Actor) -> ChangedPool:
        """Change what the settings say. Raises NotFound, BadRequest, Conflict."""

        async def attempt() -> ChangedPool:
            async with self._database.read() as tx:
                container = await self._found(tx, place)
            wanted = rules.changed(container, settings, whole=False, subnets=self._given.subnets)
            return await self._write(container, wanted, actor)

        return await self._again(place.name, attempt)

    async def delete(self, place: Place) -> ChangedPool | None:
        """It is no host of the data plane from now on, and waits for its recovery or the end of its retention. What is
        assigned in its local RBAC comes back with it. None when there is no such pool. Raises Conflict.
        """

        async def attempt() -> ChangedPool | None:
            now = int(self._clock.now())
            async with self._database.write() as tx:
                container = await self._in_use(tx, place)
                if container is None:
                    return None
                await delete_container(tx, container, now)
                return ChangedPool(container, await self._done(tx, "delete", container))

        return await self._again(place.name, attempt)

    async def _put(self, place: Place, settings: PoolSettings, actor: Actor) -> ChangedPool:
        existing = await self._at(place)
        if existing is None:
            return await self._make(place, settings, actor)
        if existing.deleted_at is not None:
            async with self._database.write() as tx:
                recovered = await self._recover(tx, existing, settings, place, actor)
                return ChangedPool(recovered, await self._done(tx, "recover", recovered))
        if settings.recover:
            return ChangedPool(existing, None)  # an answer that was lost: the client asks once more
        self._check_location(existing, settings, place)
        wanted = rules.changed(existing, settings, whole=True, subnets=self._given.subnets)
        return await self._write(existing, wanted, actor)

    async def _make(self, place: Place, settings: PoolSettings, actor: Actor) -> ChangedPool:
        if settings.recover:
            raise refusals.deleted_not_found(place.name)
        given, now = self._given, int(self._clock.now())
        made = rules.made(
            place,
            settings,
            actor,
            now,
            id=self._identifiers.guid(),
            world_id="",
            locations=given.locations,
            subnets=given.subnets,
        )
        async with self._database.write() as tx:
            group = await resource_groups.find(tx, place.subscription_id, place.group)
            if group is None:
                raise vault_refusals.group_not_found(place.group)
            world = await worlds.spare(tx, made.location)
            if world is None:
                raise refusals.no_world(made.location)
            await worlds.move_world(tx, world, WorldState.SERVING)
            container = replace(made, resource_group=group.name, world_id=world.id)
            await containers.insert(tx, container)
            scope = local_roles.stored_scope(container.id, local_roles.ALL)
            for admin in container.properties.initial_admins:
                assignment = RoleAssignment(
                    self._identifiers.guid(), scope, _ADMINISTRATOR.id, admin, now, tenant_id=container.tenant_id
                )
                await roles.insert(tx, assignment)
            operation = await self._done(tx, "create", container)
        return ChangedPool(container, operation)

    async def _write(self, before: Container, wanted: Container, actor: Actor) -> ChangedPool:
        """A body that changes nothing changes nothing: neither the revision nor systemData."""
        if wanted == before:
            return ChangedPool(before, None)
        after = signed(wanted, actor, int(self._clock.now()))
        async with self._database.write() as tx:
            await containers.update(tx, after)
            operation = await self._done(tx, "update", after)
        return ChangedPool(replace(after, revision=after.revision + 1), operation)

    async def _done(self, tx: Transaction, kind: str, container: Container) -> LongOperation:
        """Committed with what it is about; whoever polls hears that it is over."""
        now = int(self._clock.now())
        operation = LongOperation(
            id=self._identifiers.guid(),
            tenant_id=container.tenant_id,
            subscription_id=container.subscription_id,
            kind=kind,
            container_id=container.id,
            target=container.resource_id,
            created=now,
            status=OperationStatus.SUCCEEDED,
            finished=now,
        )
        await management_operations.insert(tx, operation)
        return operation
