"""What one worker commits, another of the same node knows before its next request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import ConfigurationError
from hsmvault.store import meta
from hsmvault.store.board import ChangeBoard
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate


@asynccontextmanager
async def worker(folder: Path, slot: int) -> AsyncIterator[tuple[Database, ChangeFeed, list[str]]]:
    """A worker that never polls by itself."""
    url = f"sqlite:///{folder / 'vault.db'}"
    if not (folder / "vault.db").exists():
        migrate(url)
    database = await Database.open(url, clock=MovedClock())
    board = ChangeBoard(folder / "board", slot, 2)
    feed = ChangeFeed(database, interval_seconds=3600, board=board)
    heard: list[str] = []
    feed.subscribe("key", lambda _, name: heard.append(name))
    await feed.start()
    try:
        yield database, feed, heard
    finally:
        await feed.close()
        await database.close()
        board.close()


async def change(database: Database, name: str) -> None:
    async with database.write() as tx:
        await meta.put(tx, name, "1")
        tx.changed("key", "container", name)


async def test_a_commit_is_shown_to_the_other_worker_at_once_and_read_when_it_asks(tmp_path: Path) -> None:
    async with worker(tmp_path, 0) as (one, _, _), worker(tmp_path, 1) as (_, feed, heard):
        assert not feed.is_behind()
        await change(one, "k1")
        assert feed.is_behind()
        await feed.catch_up()
        assert heard == ["k1"]
        assert not feed.is_behind()


async def test_a_worker_is_not_behind_its_own_commits(tmp_path: Path) -> None:
    async with worker(tmp_path, 0) as (one, feed, heard):
        await change(one, "k1")
        assert heard == ["k1"]
        assert not feed.is_behind()


async def test_commits_of_both_workers_in_turn_are_all_heard_once(tmp_path: Path) -> None:
    async with worker(tmp_path, 0) as (one, first, _), worker(tmp_path, 1) as (two, second, heard):
        for number in range(5):
            await change(one, f"a{number}")
            await change(two, f"b{number}")
            assert first.is_behind()
            assert second.is_behind()
            await first.catch_up()
            await second.catch_up()
            assert not first.is_behind()
            assert not second.is_behind()
        assert sorted(heard) == sorted(f"{worker}{number}" for worker in "ab" for number in range(5))


async def test_a_transaction_that_is_rolled_back_shows_nothing(tmp_path: Path) -> None:
    async with worker(tmp_path, 0) as (one, _, _), worker(tmp_path, 1) as (_, feed, _):
        with pytest.raises(ZeroDivisionError):
            async with one.write() as tx:
                tx.changed("key", "container", "k1")
                raise ZeroDivisionError
        assert not feed.is_behind()


async def test_an_id_that_the_database_never_had_is_asked_for_once(tmp_path: Path) -> None:
    async with worker(tmp_path, 1) as (_, feed, _):
        stale = ChangeBoard(tmp_path / "board", 0, 2)
        stale.publish(1_000_000)
        stale.close()
        assert feed.is_behind()
        await feed.catch_up()
        assert not feed.is_behind()


def test_a_board_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ChangeBoard(tmp_path / "missing" / "board", 0, 2)


class Gated:
    """The feed's readings, held back until the gate is open."""

    def __init__(self, feed: ChangeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.read = feed._read
        monkeypatch.setattr(feed, "_read", self)

    async def __call__(self) -> None:
        self.begun += 1
        await self.gate.wait()
        await self.read()


async def test_all_who_find_themselves_behind_share_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, 0) as (one, _, _), worker(tmp_path, 1) as (_, feed, heard):
        gated = Gated(feed, monkeypatch)
        await change(one, "k1")
        first = [asyncio.create_task(feed.catch_up()) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gated.begun == 1
        await change(one, "k2")  # the reading in hand may have come too early for it
        later = [asyncio.create_task(feed.catch_up()) for _ in range(100)]
        gated.gate.set()
        await asyncio.gather(*first, *later)
        assert gated.begun <= 2
        assert heard == ["k1", "k2"]
        assert not feed.is_behind()


async def test_who_sees_a_newer_change_does_not_take_an_older_reading_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, 0) as (one, _, _), worker(tmp_path, 1) as (_, feed, _):
        begun, gates = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]
        count = iter(range(2))

        async def read() -> None:  # a reading that sees nothing: that of a snapshot before the commit
            number = next(count)
            begun[number].set()
            await gates[number].wait()

        monkeypatch.setattr(feed, "_read", read)
        await change(one, "k1")
        early = asyncio.create_task(feed.catch_up())
        await begun[0].wait()
        await change(one, "k2")
        late = asyncio.create_task(feed.catch_up())
        gates[0].set()
        await early
        await begun[1].wait()
        assert not late.done()
        gates[1].set()
        await late


async def test_a_database_that_does_not_answer_holds_nobody_longer_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, 0) as (one, _, _), worker(tmp_path, 1) as (other, feed, _):
        forgotten: list[None] = []
        feed.subscribe_all(lambda: forgotten.append(None))
        monkeypatch.setattr(feed, "_longest_wait_seconds", 0.01)
        Gated(feed, monkeypatch)
        await change(one, "k1")
        await feed.catch_up()
        assert feed.is_behind()
        assert forgotten == []
        assert isinstance(other.clock, MovedClock)
        other.clock.move(1.5)
        await feed.catch_up()
        assert forgotten == [None]  # for so long nobody knows what is true
