"""The feed of changes: nothing that another process changed is missed, and doubt makes caches forget."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.store import drivers, keys, meta
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database

from .conftest import Opener
from .samples import VAULT, key_version


class Follower:
    """A feed, and what it has told."""

    def __init__(self, database: Database) -> None:
        self.feed = ChangeFeed(database, interval_seconds=3600, trusted_seconds=1.0)
        self.heard: list[tuple[str, str]] = []
        self.forgotten = 0
        self.feed.subscribe("key", lambda container_id, name: self.heard.append((container_id, name)))
        self.feed.subscribe_all(self._forget)

    def _forget(self) -> None:
        self.forgotten += 1


async def change(database: Database, *names: str) -> None:
    async with database.write() as tx:
        for name in names:
            tx.changed("key", "c", name)


async def test_a_change_is_heard_here_at_once_and_elsewhere_at_the_next_reading(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    here, there = Follower(one), Follower(other)
    assert await here.feed.poll()
    assert await there.feed.poll()
    await change(one, "a", "b")
    assert here.heard == [("c", "a"), ("c", "b")]
    assert there.heard == []
    assert await there.feed.poll()
    assert there.heard == [("c", "a"), ("c", "b")]
    assert await here.feed.poll()
    assert await there.feed.poll()
    assert here.heard == there.heard == [("c", "a"), ("c", "b")]
    assert here.feed.epoch == there.feed.epoch == 2
    assert here.forgotten == there.forgotten == 0


async def test_the_store_tells_of_what_it_changes(database: Database, open_database: Opener) -> None:
    there = Follower(await open_database())
    await there.feed.poll()
    async with database.write() as tx:
        await keys.insert_version(tx, key_version("Name"), at_name=None)
    await there.feed.poll()
    assert there.heard == [(VAULT.id, "name")]


async def test_what_was_not_committed_is_not_heard(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    here, there = Follower(one), Follower(other)
    await there.feed.poll()
    with pytest.raises(KeyError):
        async with one.write() as tx:
            tx.changed("key", "c", "a")
            await meta.put(tx, "fact", "1")
            raise KeyError
    await there.feed.poll()
    assert here.heard == there.heard == []


async def test_changes_of_two_processes_are_each_heard_once(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    here, there = Follower(one), Follower(other)
    await here.feed.poll()
    await there.feed.poll()
    for number in range(5):
        await change(one, f"one-{number}")
        await change(other, f"other-{number}")
    await here.feed.poll()
    await there.feed.poll()
    assert len(here.heard) == len(there.heard) == 10
    assert set(here.heard) == set(there.heard)


async def test_only_the_subscribed_kind_is_heard(open_database: Opener) -> None:
    database = await open_database()
    here = Follower(database)
    async with database.write() as tx:
        tx.changed("role", "", "a")
    assert here.heard == []


async def test_more_changes_than_one_reading_takes_are_all_heard(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    there = Follower(other)
    await there.feed.poll()
    names = [f"{number:05}" for number in range(2_500)]
    await change(one, *names)
    await there.feed.poll()
    assert [name for _, name in there.heard] == names
    assert there.forgotten == 0


async def test_a_follower_that_rows_were_pruned_from_forgets_everything(
    open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsmvault.store.sqlite.CHANGES_KEPT", 10)
    one, other = await open_database(), await open_database()
    there = Follower(other)
    await there.feed.poll()
    await change(one, *[str(number) for number in range(300)])
    await there.feed.poll()
    assert (there.forgotten, there.heard) == (1, [])
    await change(one, "next")
    await there.feed.poll()
    assert (there.forgotten, there.heard) == (1, [("c", "next")])


async def test_old_rows_are_pruned(open_database: Opener, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmvault.store.sqlite.CHANGES_KEPT", 100)
    database = await open_database()
    for start in range(0, 1000, 50):
        await change(database, *[str(number) for number in range(start, start + 50)])
    connection = sqlite3.connect(path)
    (kept,) = connection.execute("SELECT count(*) FROM changes").fetchone()
    connection.close()
    assert 100 <= kept < 400
    assert drivers.CHANGES_KEPT == 10_000


async def test_an_older_database_put_in_place_makes_everything_forgotten(open_database: Opener, path: Path) -> None:
    one, other = await open_database(), await open_database()
    there = Follower(other)
    await change(one, "a", "b", "c")
    await there.feed.poll()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM changes WHERE id > 1")
    connection.commit()
    connection.close()
    await there.feed.poll()
    assert (there.forgotten, there.heard) == (1, [])


async def test_a_feed_that_cannot_read_grows_stale_and_makes_everything_forgotten(
    open_database: Opener, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_database()
    here = Follower(database)
    assert await here.feed.poll()
    assert here.feed.staleness() == 0
    with monkeypatch.context() as broken:
        broken.setattr(database, "read_at_once", _out_of_reach)
        clock.move(0.5)
        assert not await here.feed.poll()
        assert here.feed.staleness() == 0.5
        assert here.forgotten == 0  # a late reading misses nothing
        clock.move(1)
        assert not await here.feed.poll()
        assert here.forgotten == 1
        clock.jump(-7200)
        assert here.feed.staleness() == 1.5
    await change(database, "a")
    assert await here.feed.poll()
    assert here.feed.staleness() == 0
    assert here.heard == [("c", "a")]


def _out_of_reach(*_: object) -> object:
    raise Unavailable("out of reach")


async def test_a_started_feed_follows_by_itself(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    feed = ChangeFeed(other, interval_seconds=0.001)
    heard = asyncio.Event()
    feed.subscribe("key", lambda _container_id, _name: heard.set())
    await feed.start()
    await change(one, "a")
    await asyncio.wait_for(heard.wait(), 10)
    await feed.close()
