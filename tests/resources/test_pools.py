"""The life of pools below the wire: a claim is whole or not there, whatever happens in the middle of it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.resources.pools.pool_settings import ARM_KEYS, PoolSetting, SettingsOfPools
from hsmvault.resources.pools.pools import PoolRules, Pools
from hsmvault.resources.pools.settings import PoolSettings
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.store import containers, resource_groups, subscriptions, worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

TENANT = "22222222-0000-0000-0000-000000000001"
SUBSCRIPTION = "33333333-0000-0000-0000-000000000001"
PLACE = Place(TENANT, SUBSCRIPTION, "rg", "north")
WANTED = PoolSettings(
    location="local", sku_family="B", sku="standard_b1", initial_admins=("44444444-0000-0000-0000-00000000000A",)
)
SPARE = WorldRow(
    "w1",
    "pool-1",
    "Local",
    "token",
    b"w",
    b"m",
    "wrapped",
    0,
    state=WorldState.SPARE,
)
ACTOR = Actor("me", "Application")


class Crash(Exception):
    """The process ends here."""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def database(migrated: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated, tmp_path / "hsmvault.db")
    database = await Database.open(f"sqlite:///{tmp_path}/hsmvault.db", clock=MovedClock())
    async with database.write() as tx:
        await subscriptions.insert(tx, Subscription(SUBSCRIPTION, TENANT, "Ours"))
        await resource_groups.insert(tx, ResourceGroup(SUBSCRIPTION, "RG", "local"))
        await worlds.insert_world(tx, SPARE)
    yield database
    await database.close()


def pools(database: Database) -> Pools:
    return Pools(database, MovedClock(), RandomIdentifiers(), PoolRules(("local",)))


async def seen(database: Database) -> tuple[Container | None, WorldState]:
    async with database.read() as tx:
        world = await worlds.world_by_id(tx, "w1")
        assert world is not None
        return await containers.find(tx, ContainerKind.POOL, "north"), world.state


@pytest.mark.parametrize("step", ["commit:before", "commit:after"])
async def test_a_crash_leaves_a_pool_with_its_world_or_neither(database: Database, step: str) -> None:
    def crash(at: str) -> None:
        if at == step:
            raise Crash(at)

    database.fault = crash
    with pytest.raises(Crash):
        await pools(database).put(PLACE, WANTED, ACTOR)
    database.fault = None
    pool, state = await seen(database)
    if step == "commit:before":
        assert (pool, state) == (None, WorldState.SPARE)
    else:
        assert pool is not None
        assert (pool.world_id, state) == ("w1", WorldState.SERVING)
    again = await pools(database).put(PLACE, WANTED, ACTOR)  # the client asks once more
    assert (again.container.world_id, again.operation is None) == ("w1", step == "commit:after")


async def test_a_refused_pool_takes_no_world(database: Database) -> None:
    async with database.write() as tx:
        await resource_groups.delete(tx, SUBSCRIPTION, "rg")
    with pytest.raises(NotFound):
        await pools(database).put(PLACE, WANTED, ACTOR)
    assert await seen(database) == (None, WorldState.SPARE)


async def test_a_deleted_pool_keeps_its_world_and_a_retired_one_is_no_spare(database: Database) -> None:
    await pools(database).put(PLACE, WANTED, ACTOR)
    deleted = await pools(database).delete(PLACE)
    assert deleted is not None
    assert (await seen(database))[1] is WorldState.SERVING
    async with database.write() as tx:
        row = await worlds.world_by_id(tx, "w1")
        assert row is not None
        await worlds.move_world(tx, row, WorldState.RETIRED)
    with pytest.raises(Conflict) as refusal:
        await pools(database).put(Place(TENANT, SUBSCRIPTION, "rg", "south"), WANTED, ACTOR)
    assert refusal.value.code == "QuotaExceeded"


async def test_the_setting_of_a_pool_is_read_and_written(database: Database) -> None:
    put = await pools(database).put(PLACE, WANTED, ACTOR)
    settings, pool = SettingsOfPools(database), put.container
    assert await settings.all(pool) == (PoolSetting(ARM_KEYS, value=False),)
    assert await settings.set(pool, ARM_KEYS.lower(), "True") == PoolSetting(ARM_KEYS, value=True)
    stored, _ = await seen(database)
    assert stored is not None
    assert await settings.get(stored, ARM_KEYS) == PoolSetting(ARM_KEYS, value=True)
    with pytest.raises(BadRequest):
        await settings.set(pool, ARM_KEYS, "perhaps")
    with pytest.raises(NotFound):
        await settings.get(pool, "AllowEverything")
