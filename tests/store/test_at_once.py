"""Whole transactions in one go: many share a commit, each is undone alone, and what may be told is told."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from hsmvault.errors import BadRequest, Unavailable
from hsmvault.store import keys, meta
from hsmvault.store.database import AtOnce, Change, Conflicted, Database, Transaction
from hsmvault.store.drivers import Work, Written
from hsmvault.store.sqlite import SqliteConnection

from .conftest import Opener
from .samples import VAULT, key_version


class Crash(BaseException):
    """What a fault hook raises: nothing in the program catches it."""


def putting(name: str, value: str = "1") -> AtOnce[str]:
    async def work(tx: Transaction) -> str:
        await meta.put(tx, name, value)
        tx.changed("fact", name=name)
        tx.changed("facts")
        return name

    return work


def failing(error: BaseException) -> AtOnce[None]:
    async def work(tx: Transaction) -> None:
        await meta.put(tx, "never", "1")
        tx.changed("fact", name="never")
        raise error

    return work


async def facts(database: Database, *names: str) -> list[str | None]:
    async def work(tx: Transaction) -> list[str | None]:
        return [await meta.get(tx, name) for name in names]

    return await database.read_at_once(work)


async def all_of(*waiting: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were committed together, each time."""
    found: list[int] = []
    together = SqliteConnection.write_together

    def counted(self: SqliteConnection, works: Sequence[Work]) -> asyncio.Future[Written]:
        found.append(len(works))
        return together(self, works)

    monkeypatch.setattr(SqliteConnection, "write_together", counted)
    return found


async def test_what_comes_at_the_same_time_is_committed_together(
    database: Database, open_database: Opener, groups: list[int]
) -> None:
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    names = [f"name-{number}" for number in range(40)]
    assert await all_of(*(database.write_at_once(putting(name)) for name in names)) == names
    assert groups == [32, 8]
    assert await facts(await open_database(), *names) == ["1"] * 40
    assert [change.name for change in heard if change.kind == "fact"] == names
    assert heard.count(Change("facts", "", "")) == 2  # once for each commit


async def test_each_of_a_group_is_undone_alone(database: Database, groups: list[int]) -> None:
    async def twice(tx: Transaction) -> None:
        await keys.insert_version(tx, key_version(), at_name=None)
        await keys.insert_version(tx, key_version(), at_name=None)

    async def caught(tx: Transaction) -> None:
        with pytest.raises(Conflicted):
            await twice(tx)

    async def wrong(tx: Transaction) -> None:
        await meta.put(tx, "never", "1")
        tx.changed("fact", name="\0")

    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    works: list[AtOnce[Any]] = [putting("a"), twice, failing(KeyError("any")), caught, failing(Crash()), wrong]
    outcomes = await all_of(*(database.write_at_once(work) for work in [*works, putting("b")]))
    assert [type(one) for one in outcomes] == [str, Conflicted, KeyError, Conflicted, Crash, BadRequest, str]
    assert groups == [7]
    assert await facts(database, "a", "b", "never") == ["1", "1", None]
    assert [change.name for change in heard if change.kind == "fact"] == ["a", "b"]
    async with database.read() as tx:
        assert await keys.name(tx, VAULT.id, "signing-key") is None


async def test_a_fault_of_the_database_leaves_nothing_of_the_group(database: Database) -> None:
    writer: Any = database._writer
    (pages,) = await writer._lane.submit(lambda opened: opened.connection.execute("PRAGMA page_count").fetchone())
    await writer._lane.submit(
        lambda opened: opened.connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
    )
    heard: list[list[tuple[int, Change]]] = []
    database.listen(heard.append)
    outcomes = await all_of(
        *(database.write_at_once(putting(name, "x" * size)) for name, size in (("a", 9), ("b", 99_999)))
    )
    assert [type(one) for one in outcomes] == [Unavailable, Unavailable]
    assert await facts(database, "a", "b") == [None, None]
    assert heard == []
    assert await database.write_at_once(putting("a")) == "a"


async def test_a_group_that_is_locked_out_is_refused_and_the_next_one_is_not(open_database: Opener) -> None:
    one, other = await open_database(busy_seconds=0.05), await open_database()
    async with other.write() as tx:
        await meta.put(tx, "other", "1")
        outcomes = await all_of(*(one.write_at_once(putting(name)) for name in "ab"))
    assert [type(found) for found in outcomes] == [Unavailable, Unavailable]
    assert await one.write_at_once(putting("c")) == "c"
    assert await facts(one, "a", "b", "c", "other") == [None, None, "1", "1"]


async def test_two_programs_that_write_at_the_same_time_wait_for_each_other(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    names = [f"name-{number}" for number in range(24)]
    for begin in range(0, len(names), 4):
        of_one, of_other = names[begin : begin + 2], names[begin + 2 : begin + 4]
        await asyncio.gather(
            *(one.write_at_once(putting(name)) for name in of_one),
            *(other.write_at_once(putting(name)) for name in of_other),
        )
    assert await facts(one, *names) == ["1"] * len(names)


async def test_a_transaction_between_others_sees_what_was_committed_and_nothing_else(database: Database) -> None:
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
        waiting = asyncio.create_task(database.write_at_once(putting("fact", "2")))
        assert await facts(database, "fact") == [None]
        assert await meta.get(tx, "fact") == "1"
    await waiting
    assert await facts(database, "fact") == ["2"]


async def test_whoever_is_cancelled_before_the_group_begins_is_not_of_it(database: Database, groups: list[int]) -> None:
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
        stays, leaves = (asyncio.create_task(database.write_at_once(putting(name))) for name in "ab")
        await facts(database, "fact")  # both wait by now
        leaves.cancel()
    await stays
    assert leaves.cancelled()
    assert groups == [1]
    assert await facts(database, "a", "b") == ["1", None]


@pytest.mark.parametrize(("point", "found"), [("commit:before", None), ("commit:after", "1")])
async def test_a_crash_leaves_what_was_committed_and_nothing_else(
    database: Database, point: str, found: str | None
) -> None:
    def crash(at: str) -> None:
        if at == point:
            raise Crash

    database.fault = crash
    with pytest.raises(Crash):
        await database.write_at_once(putting("fact"))
    database.fault = None
    assert await facts(database, "fact") == [found]


async def test_what_awaits_anything_else_is_undone(database: Database) -> None:
    async def elsewhere(tx: Transaction) -> None:
        await meta.put(tx, "never", "1")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but itself"):
        await database.write_at_once(elsewhere)
    with pytest.raises(RuntimeError, match="nothing but itself"):
        await database.read_at_once(lambda tx: asyncio.sleep(0))
    assert await facts(database, "never") == [None]


async def test_a_reading_changes_nothing_and_what_it_raises_comes_out(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changes nothing"):
        await database.read_at_once(putting("never"))

    async def refused(tx: Transaction) -> None:
        assert await meta.get(tx, "fact") is None
        raise BadRequest("no")

    with pytest.raises(BadRequest):
        await database.read_at_once(refused)
    assert await facts(database, "never") == [None]


async def test_a_database_that_is_closed_finishes_what_was_begun(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    waiting = [asyncio.create_task(one.write_at_once(putting(name))) for name in "abc"]
    await facts(one, "a")
    await one.close()
    assert await asyncio.gather(*waiting) == ["a", "b", "c"]
    assert await facts(other, "a", "b", "c") == ["1", "1", "1"]
    with pytest.raises(Unavailable):
        await one.write_at_once(putting("late"))
    with pytest.raises(Unavailable):
        await facts(one, "late")


async def test_a_reading_is_not_done_in_the_event_loop(database: Database) -> None:
    async def here(_: Transaction) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert not await database.read_at_once(here)


async def test_a_database_that_was_moved_away_is_not_read_any_more_until_it_is_back(
    database: Database, path: Path
) -> None:
    await database.write_at_once(putting("fact"))
    assert await facts(database, "fact") == ["1"]
    away = path.with_name("away.db")
    path.rename(away)
    with pytest.raises(Unavailable):
        await facts(database, "fact")
    with pytest.raises(Unavailable):
        await database.write_at_once(putting("fact", "2"))
    away.rename(path)
    assert await facts(database, "fact") == ["1"]
