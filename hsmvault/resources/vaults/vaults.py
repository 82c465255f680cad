"""The life of vaults: create, change, read, list, delete.

Every change is one transaction, made of the vault as it is then: whoever comes second goes by what the first has left,
so that nothing of either is lost, and nothing is half done.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.model.containers import AccessPolicy, Container, ContainerKind
from hsmvault.resources.container_lives import ContainerLives, delete_container
from hsmvault.resources.vaults import access_policies, events, refusals, rules
from hsmvault.resources.vaults.access_policies import Change
from hsmvault.resources.vaults.settings import Actor, MaySwitch, Place, VaultSettings
from hsmvault.store import containers, resource_groups
from hsmvault.store.database import Conflicted, Database, Transaction

Alteration = Callable[[Container], Container]
"""What a request makes of a vault. Raises BadRequest."""


@dataclass(frozen=True, slots=True)
class VaultRules:
    """What the installation says about its vaults.

    world_id: security world of new ones. locations: where they can be, as folded_location() writes them; the
    first is the usual one. software_keys: whether they take keys outside the HSM. subnets: ids of the configured
    subnets, in lower case.
    """

    world_id: str
    locations: tuple[str, ...]
    software_keys: bool = True
    subnets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Put:
    """The vault after a PUT, and whether it was made by it."""

    container: Container
    is_new: bool


class Vaults(ContainerLives):
    def __init__(self, database: Database, clock: Clock, identifiers: Identifiers, given: VaultRules) -> None:
        super().__init__(database, clock, identifiers, ContainerKind.VAULT, refusals)
        self._given = given

    @property
    def rules(self) -> VaultRules:
        return self._given

    async def put(
        self, place: Place, settings: VaultSettings, actor: Actor, *, may_switch: MaySwitch, rbac: bool
    ) -> Put:
        """Make a vault, change the one that is there, or recover a deleted one when the settings say so.

        rbac: the permission model of a new vault whose settings name none. Raises BadRequest, NotFound (the resource
        group), Conflict (the name is another vault's, or a deleted one's).
        """
        rules.check_name(place.name)
        return await self._again(place.name, lambda: self._put(place, settings, actor, may_switch, rbac=rbac))

    async def patch(self, place: Place, settings: VaultSettings, actor: Actor, may_switch: MaySwitch) -> Container:
        """Change what the settings say. Raises NotFound, BadRequest, Conflict."""

        def change(container: Container) -> Container:
            return rules.changed(container, settings, whole=False, subnets=self._subnets)

        return await self._change(place, change, actor, may_switch)

    async def change_policies(
        self, place: Place, kind: Change, policies: Sequence[AccessPolicy], actor: Actor
    ) -> Container:
        """Add to access policies, replace them or take from them. Raises NotFound, BadRequest, Conflict."""

        def change(container: Container) -> Container:
            after = access_policies.changed(container.access_policies, kind, policies, container.tenant_id)
            return replace(container, access_policies=after)

        return await self._change(place, change, actor, _never)

    async def delete(self, place: Place) -> bool:
        """It is no host of the data plane from now on, and waits for its recovery or the end of its retention. Its role
        assignments, and those below it, are gone and do not come back. False when there is no such vault.

        Raises Conflict.
        """

        async def attempt() -> bool:
            now = int(self._clock.now())
            async with self._database.write() as tx:
                container = await self._in_use(tx, place)
                if container is None:
                    return False
                await delete_container(tx, container, now)
            return True

        return await self._again(place.name, attempt)

    @property
    def _subnets(self) -> Collection[str]:
        return self._given.subnets

    async def _put(
        self, place: Place, settings: VaultSettings, actor: Actor, may_switch: MaySwitch, *, rbac: bool
    ) -> Put:
        existing = await self._at(place)
        if existing is None:
            return await self._make(place, settings, actor, rbac=rbac)
        if existing.deleted_at is not None:
            async with self._database.write() as tx:
                return Put(await self._recover(tx, existing, settings, place, actor), is_new=False)
        if settings.recover:
            return Put(existing, is_new=False)  # an answer that was lost: the client asks once more
        self._check_location(existing, settings, place)

        def change(container: Container) -> Container:
            return rules.changed(container, settings, whole=True, subnets=self._subnets)

        return Put(await self._carry_out(existing, change, actor, may_switch), is_new=False)

    async def _make(self, place: Place, settings: VaultSettings, actor: Actor, *, rbac: bool) -> Put:
        if settings.recover:
            raise refusals.deleted_not_found(place.name)
        given, now = self._given, int(self._clock.now())
        container = rules.made(
            place,
            settings,
            actor,
            now,
            id=self._identifiers.guid(),
            world_id=given.world_id,
            software_keys=given.software_keys,
            rbac=rbac,
            locations=given.locations,
            subnets=given.subnets,
        )
        async with self._database.write() as tx:
            group = await resource_groups.find(tx, place.subscription_id, place.group)
            if group is None:
                raise refusals.group_not_found(place.group)
            container = replace(container, resource_group=group.name)
            await containers.insert(tx, container)
        return Put(container, is_new=True)

    async def _change(self, place: Place, change: Alteration, actor: Actor, may_switch: MaySwitch) -> Container:
        async def attempt() -> Container:
            async with self._database.read() as tx:
                container = await self._found(tx, place)
            return await self._carry_out(container, change, actor, may_switch)

        return await self._again(place.name, attempt)

    async def _carry_out(self, read: Container, change: Alteration, actor: Actor, may_switch: MaySwitch) -> Container:
        """On the vault as it is now, which may be newer than it was read. Raises BadRequest, and Conflicted when it has
        to be read again.

        Another permission model is what somebody has to be asked about, which takes its time: so that change is made of
        the vault as it was read, or not at all.
        """
        wanted = change(read)
        switches = wanted.authorization is not read.authorization
        if switches and not await may_switch():
            raise refusals.model_change()
        if wanted == read:
            return read
        async with self._database.write() as tx:
            if switches:
                return await self._write(tx, read, wanted, actor)
            found = await containers.by_id(tx, read.id)
            if found is None or found.deleted_at is not None:
                raise Conflicted("the vault was deleted meanwhile")
            wanted = change(found)
            if wanted.authorization is not found.authorization:
                raise Conflicted("the permission model was changed meanwhile")
            return await self._write(tx, found, wanted, actor)

    async def _write(self, tx: Transaction, before: Container, wanted: Container, actor: Actor) -> Container:
        """A body that changes nothing changes nothing: neither the revision nor systemData."""
        if wanted == before:
            return before
        now = int(self._clock.now())
        after = rules.signed(wanted, actor, now)
        await containers.update(tx, after)
        await events.announce(tx, before, after, self._identifiers, now)
        return replace(after, revision=after.revision + 1)


async def _never() -> bool:
    return False
