"""Worlds, system keys, login keys, data keys, leases, facts."""

import asyncio
from dataclasses import replace

import pytest

from hsmvault.model.algorithms import KeySpec
from hsmvault.model.data_keys import DataKeyRow, SystemKeyGone
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.model.worlds import DESTROYING, PLANNED, RETIRED, SystemKeyRow, WorldRow
from hsmvault.store import data_keys, jobs, login_keys, meta, worlds
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Conflicted, Database
from tests.rows import have_system_key

from .conftest import Opener

WORLD = WorldRow("w1", "europe", "Europe", "hsmvault-europe", b"\x00\x01", b"\x02\xff", "wrapped", 5)
SYSTEM_KEY = SystemKeyRow("k1", "w1", b"\x00id", "active", 6)
LOGIN_KEY = LoginKeyRow("kid", b"\x30\x00", KeySpec.rsa(2048), b"public", b"reference", "wrapped", 1, 2, 3, 4)
DATA_KEY = DataKeyRow("d1", "c1", "k1", b"\x00sealed", 7)


async def test_worlds_come_back_and_have_unique_names(database: Database) -> None:
    async with database.write() as tx:
        await worlds.insert_world(tx, replace(WORLD, id="w2", name="pool"))
        await worlds.insert_world(tx, WORLD)
    async with database.read() as tx:
        assert await worlds.world(tx, "europe") == WORLD
        assert await worlds.world(tx, "asia") is None
        assert await worlds.worlds(tx) == [WORLD, replace(WORLD, id="w2", name="pool")]
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await worlds.insert_world(tx, replace(WORLD, id="w3"))


async def test_one_system_key_is_active(database: Database) -> None:
    async with database.write() as tx:
        assert await worlds.active_system_key(tx, WORLD.id) is None
        await worlds.insert_world(tx, WORLD)
        await worlds.insert_system_key(tx, SYSTEM_KEY)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await worlds.insert_system_key(tx, replace(SYSTEM_KEY, id="k2"))
    second = replace(SYSTEM_KEY, id="k2", created=8)
    async with database.write() as tx:
        await worlds.insert_system_key(tx, replace(second, state=PLANNED))
        await worlds.activate_system_key(tx, second.id, SYSTEM_KEY.id)
    async with database.read() as tx:
        assert await worlds.active_system_key(tx, WORLD.id) == second
        assert await worlds.system_keys(tx) == [replace(SYSTEM_KEY, state=RETIRED), second]
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await worlds.activate_system_key(tx, second.id, SYSTEM_KEY.id)


async def test_login_keys_come_back_in_the_order_in_which_they_sign(database: Database) -> None:
    later = replace(LOGIN_KEY, id="a", signs_from=9)
    async with database.write() as tx:
        await login_keys.insert(tx, later)
        await login_keys.insert(tx, LOGIN_KEY)
        assert await login_keys.list_all(tx) == [LOGIN_KEY, later]
        assert await login_keys.delete(tx, "kid")
        assert not await login_keys.delete(tx, "kid")
        assert await login_keys.list_all(tx) == [later]
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await login_keys.insert(tx, later)


async def test_the_first_data_key_of_a_container_wins(open_database: Opener) -> None:
    database = await open_database()
    await have_system_key(database, DATA_KEY.system_key_id)
    one, other = DataKeys(database), DataKeys(await open_database())
    assert await one.current("c1") is None
    assert await one.get("d1") is None
    rows = [replace(DATA_KEY, id=f"d{number}") for number in range(6)]
    kept = await asyncio.gather(*[(one, other)[number % 2].add(row) for number, row in enumerate(rows)])
    assert len({row.id for row in kept}) == 1
    assert kept[0] in rows
    assert await one.current("c1") == await other.current("c1") == await other.get(kept[0].id) == kept[0]
    elsewhere = replace(DATA_KEY, id="e1", container_id="c2")
    assert await other.add(elsewhere) == elsewhere
    assert [await one.get(row.id) for row in rows if row != kept[0]] == [None] * 5


async def test_a_data_key_id_is_taken_once(open_database: Opener) -> None:
    database = await open_database()
    await have_system_key(database, DATA_KEY.system_key_id)
    store = DataKeys(database)
    await store.add(DATA_KEY)
    with pytest.raises(Conflicted):
        await store.add(replace(DATA_KEY, container_id="c2"))


@pytest.mark.parametrize("state", [PLANNED, DESTROYING, None])
async def test_no_data_key_is_taken_under_a_system_key_that_is_not_there_or_goes(
    database: Database, state: str | None
) -> None:
    await have_system_key(database, "another")
    if state is not None:
        async with database.write() as tx:
            await worlds.insert_system_key(
                tx, replace(SYSTEM_KEY, id=DATA_KEY.system_key_id, world_id="world", state=state)
            )
    with pytest.raises(SystemKeyGone):
        await DataKeys(database).add(DATA_KEY)
    assert await DataKeys(database).current(DATA_KEY.container_id) is None


async def test_a_data_key_is_sealed_anew_by_who_comes_first(database: Database) -> None:
    await have_system_key(database, DATA_KEY.system_key_id)
    await DataKeys(database).add(DATA_KEY)
    anew = replace(DATA_KEY, system_key_id="k2", sealed=b"anew")
    async with database.write() as tx:
        assert await data_keys.count_under(tx, DATA_KEY.system_key_id) == 1
        assert await data_keys.under(tx, DATA_KEY.system_key_id, limit=9) == [DATA_KEY]
        assert await data_keys.under(tx, DATA_KEY.system_key_id, after=DATA_KEY.id, limit=9) == []
        assert await data_keys.reseal(tx, anew, DATA_KEY.system_key_id)
        assert not await data_keys.reseal(tx, replace(anew, sealed=b"late"), DATA_KEY.system_key_id)
        assert await data_keys.count_under(tx, DATA_KEY.system_key_id) == 0
    assert await DataKeys(database).current(DATA_KEY.container_id) == anew


async def test_an_older_world_key_stays_known(database: Database) -> None:
    async with database.write() as tx:
        await worlds.insert_world(tx, WORLD)
        await worlds.replace_world_key(tx, WORLD, b"next", now=9)
    async with database.read() as tx:
        assert await worlds.world(tx, WORLD.name) == replace(WORLD, world_key_id=b"next")
        (older,) = await worlds.older_world_keys(tx, WORLD.id)
        assert (older.key_id, older.retired) == (WORLD.world_key_id, 9)
        assert await worlds.older_world_keys(tx, "another") == []
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await worlds.replace_world_key(tx, WORLD, b"other", now=10)


async def test_one_owner_at_a_time_holds_a_lease(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()

    async def acquire(database: Database, owner: str, until: int, now: int) -> bool:
        async with database.write() as tx:
            return await jobs.acquire(tx, "rotation", owner, until, now)

    assert await acquire(one, "a", 100, 50)
    assert not await acquire(other, "b", 150, 99)
    assert await acquire(one, "a", 120, 99)  # its own, prolonged
    assert not await acquire(other, "b", 150, 119)
    assert await acquire(other, "b", 170, 120)
    async with one.write() as tx:
        assert not await jobs.release(tx, "rotation", "a")
        assert await jobs.acquire(tx, "another job", "a", 9, 0)
    async with other.write() as tx:
        assert await jobs.release(tx, "rotation", "b")
    assert await acquire(one, "a", 180, 130)
    taken = await asyncio.gather(*[acquire(database, name, 300, 200) for database, name in ((one, "x"), (other, "y"))])
    assert sorted(taken) == [False, True]


async def test_facts_are_kept_by_name(database: Database) -> None:
    async with database.write() as tx:
        assert await meta.get(tx, "a fact") is None
        await meta.put(tx, "a fact", "one")
        await meta.put(tx, "a fact", "two")
        await meta.put(tx, "another", "three")
        assert await meta.get(tx, "a fact") == "two"


def test_references_are_not_in_the_repr() -> None:
    assert "reference" not in repr(LOGIN_KEY)
    assert "sealed" not in repr(DATA_KEY)
