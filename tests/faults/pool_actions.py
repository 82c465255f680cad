"""What is done to a pool while the process is killed: it and its security world go together, whatever the step."""

from dataclasses import replace

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.jobs.container_purge import PurgeContainers
from hsmvault.model import local_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.resources.container_removal import ContainerRemoval
from hsmvault.resources.pools.deleted import DeletedPools
from hsmvault.resources.pools.pools import PoolRules, Pools
from hsmvault.resources.pools.settings import PoolSettings
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.store import containers, management_operations, resource_groups, roles, subscriptions, worlds
from tests.faults.actions import SOFT, Case, Setup, run
from tests.faults.observing import State, strays
from tests.faults.parts import NODE, VAULT, Parts

_PLACE = Place(VAULT.tenant_id, VAULT.subscription_id, "group", "South")
_ACTOR = Actor("somebody", "User")
_ADMINISTRATOR = "55555555-0000-0000-0000-000000000001"
_WANTED = PoolSettings(location="local", sku_family="B", sku="Standard_B1", initial_admins=(_ADMINISTRATOR,))
_FOLLOWING = {WorldState.RETIRED: WorldState.WIPED, WorldState.SERVING: WorldState.RETIRED}
_OPERATIONS = ("create", "update", "delete", "recover", "purge")


def _pools(parts: Parts) -> Pools:
    return Pools(parts.database, parts.clock, RandomIdentifiers(), PoolRules(("local",)))


async def create(parts: Parts, _: Setup) -> None:
    await _pools(parts).put(_PLACE, _WANTED, _ACTOR)


async def change(parts: Parts, _: Setup) -> None:
    await _pools(parts).patch(_PLACE, PoolSettings(tags={"a": "b"}, purge_protection=True), _ACTOR)


async def delete(parts: Parts, _: Setup) -> None:
    assert await _pools(parts).delete(_PLACE) is not None


async def recover(parts: Parts, _: Setup) -> None:
    await _pools(parts).put(_PLACE, PoolSettings(recover=True), _ACTOR)


async def ask_for_purge(parts: Parts, _: Setup) -> None:
    await DeletedPools(parts.database, parts.clock, RandomIdentifiers()).purge(VAULT.subscription_id, "local", "south")


async def purge_by_job(parts: Parts, _: Setup) -> None:
    async def retire(container: Container) -> None:
        """The steps of app/retirement.py that are in the database: each may have been taken before a crash."""
        for _ in _FOLLOWING:
            async with parts.database.write() as tx:
                row = await worlds.world_by_id(tx, container.world_id)
                assert row is not None
                if row.state in _FOLLOWING:
                    await worlds.move_world(tx, row, _FOLLOWING[row.state])

    intents = Intents(parts.database, NODE, parts.clock)
    removal = ContainerRemoval(parts.database, parts.custodians, intents, last={ContainerKind.POOL: retire})
    await run(PurgeContainers(parts.database, removal, parts.records, parts.clock, RandomIdentifiers()))


async def observe(parts: Parts, _: Container) -> State:
    """Whether the pool is there, and whether its world, its administrators and its operations are of the same moment.

    How far the world of a pool that is being purged has come is not looked at.
    """
    async with parts.database.read() as tx:
        found = await containers.find(tx, ContainerKind.POOL, "south")
        of_pools = [row for row in await worlds.worlds(tx) if row.name.startswith("spare")]
        held = [one for one in await roles.list_at(tx, "/local") if one.principal_id == _ADMINISTRATOR]
        operations = []
        if found is not None:
            for kind in _OPERATIONS:
                rows = await management_operations.of_container(tx, found.id, kind)
                operations += [f"{kind} {'ended' if one.finished else 'goes on'}" for one in rows]
    claimed = [row for row in of_pools if row.state is not WorldState.SPARE]
    if found is None:
        assert not held
        assert all(row.state in (WorldState.RETIRED, WorldState.WIPED) for row in claimed), "a world is lost"
        return State("absent", tuple(f"{row.name} {row.state.value}" for row in of_pools), "", 0, 0, 0, 0, 0)
    (world,) = [row for row in claimed if row.id == found.world_id]
    assert all(row.state is WorldState.WIPED for row in claimed if row is not world), "a world is lost"
    life = "purging" if found.purging else "deleted" if found.deleted_at is not None else "active"
    assert life == "purging" or world.state is WorldState.SERVING
    assert [one.scope for one in held] == [local_roles.stored_scope(found.id, local_roles.ALL)]
    assert operations.count("purge goes on") == (life == "purging")
    about = f"{dict(found.tags)} {found.retention.purge_protection}"
    return State(life, tuple(operations), about, 0, 0, await strays(parts), 0, 0)


async def require_usable(parts: Parts, setup: Setup, state: State) -> None:
    """To the end, the same request twice, and with the same name from the beginning in another world."""
    for life, act in (("absent", create), ("active", delete), ("deleted", recover), ("deleted", delete)):
        if state.life != life:
            continue
        await act(parts, setup)
        if act is not delete:
            await act(parts, setup)  # the answer was lost, and the client asks once more
        state = await observe(parts, setup.container)
    if state.life == "deleted" and "True" not in state.policy:
        await ask_for_purge(parts, setup)
        await ask_for_purge(parts, setup)
        state = await observe(parts, setup.container)
    if state.life == "purging":
        await purge_by_job(parts, setup)
        await create(parts, setup)
        assert (await observe(parts, setup.container)).life == "active"


async def _have_worlds(parts: Parts, _: Setup) -> None:
    async with parts.database.write() as tx:
        await subscriptions.insert(tx, Subscription(VAULT.subscription_id, VAULT.tenant_id, "test"))
        await resource_groups.insert(tx, ResourceGroup(VAULT.subscription_id, "group", "local"))
        row = WorldRow("spare-1", "spare-1", "Local", "test", b"", b"", "wrapped", 1, state=WorldState.SPARE)
        for name in ("spare-1", "spare-2"):
            await worlds.insert_world(tx, replace(row, id=name, name=name))


async def _made(parts: Parts, setup: Setup) -> None:
    await _have_worlds(parts, setup)
    await create(parts, setup)


async def _deleted(parts: Parts, setup: Setup) -> None:
    await _made(parts, setup)
    await delete(parts, setup)


async def _marked(parts: Parts, setup: Setup) -> None:
    await _deleted(parts, setup)
    await ask_for_purge(parts, setup)


POOL_CASES = {
    "pool: create": Case(_have_worlds, create, (SOFT,)),
    "pool: change": Case(_made, change, (SOFT,)),
    "pool: delete": Case(_made, delete, (SOFT,)),
    "pool: recover": Case(_deleted, recover, (SOFT,)),
    "pool: ask for its purge": Case(_deleted, ask_for_purge, (SOFT,)),
    "pool: purge by the job": Case(_marked, purge_by_job, (SOFT,), recorded="ManagedHsmPurge"),
}
