"""Transactions: all or nothing, one snapshot, bounded waits, and news only of what was committed."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from hsmvault.clock import MovedClock
from hsmvault.errors import DatabaseRefusal, Unavailable
from hsmvault.store import keys, meta, schema
from hsmvault.store.database import Change, Conflicted, Database, sqlite_path
from hsmvault.store.statements import Statement

from .conftest import Opener
from .samples import VAULT, key_version

_CLEAR = Statement(sa.delete(schema.meta))


class Crash(BaseException):
    """What a fault hook raises: nothing in the program catches it."""


async def fact(database: Database, name: str = "fact") -> str | None:
    async with database.read() as tx:
        return await meta.get(tx, name)


async def test_what_was_committed_is_seen_by_every_connection(open_database: Opener) -> None:
    one, other = await open_database(), await open_database()
    async with one.write() as tx:
        await meta.put(tx, "fact", "1")
        assert await meta.get(tx, "fact") == "1"
        assert await fact(one) is None
        assert await fact(other) is None
    assert await fact(one) == await fact(other) == "1"


async def test_an_exception_leaves_nothing_of_the_transaction(database: Database) -> None:
    for error in (KeyError("any"), Crash(), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with database.write() as tx:
                await keys.insert_version(tx, key_version(), at_name=None)
                raise error
    async with database.write() as tx:
        assert await keys.name(tx, VAULT.id, "signing-key") is None


async def test_a_crash_before_the_commit_leaves_nothing(database: Database, open_database: Opener) -> None:
    def crash(point: str) -> None:
        if point == "commit:before":
            raise Crash

    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    database.fault = crash
    with pytest.raises(Crash):
        async with database.write() as tx:
            await keys.insert_version(tx, key_version(), at_name=None)
    async with (await open_database()).read() as tx:
        assert await keys.name(tx, VAULT.id, "signing-key") is None
    assert heard == []


async def test_a_crash_after_the_commit_leaves_everything(database: Database, open_database: Opener) -> None:
    def crash(point: str) -> None:
        if point == "commit:after":
            raise Crash

    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    database.fault = crash
    version = key_version()
    with pytest.raises(Crash):
        async with database.write() as tx:
            await keys.insert_version(tx, version, at_name=None)
    async with (await open_database()).read() as tx:
        assert await keys.version(tx, VAULT.id, "signing-key", None) == version
    assert heard == [Change("key", VAULT.id, "signing-key")]


async def test_a_commit_goes_on_when_nobody_waits_for_it_any_more(database: Database, open_database: Opener) -> None:
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    committing = asyncio.Event()
    database.fault = lambda point: committing.set() if point == "commit:before" else None

    async def write() -> None:
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            tx.changed("fact")

    task = asyncio.create_task(write())
    await committing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as tx:  # comes after it
        assert await meta.get(tx, "fact") == "1"
        await meta.put(tx, "next", "2")
    assert heard == [Change("fact", "", "")]
    assert await fact(await open_database(), "next") == "2"


async def test_a_statement_that_nobody_waits_for_any_more_leaves_nothing(database: Database) -> None:
    async def write() -> None:
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            await asyncio.gather(meta.put(tx, "fact", "2"), meta.put(tx, "fact", "3"))

    for steps in range(1, 30):
        task = asyncio.create_task(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.write() as tx:
            assert await meta.get(tx, "fact") in ((None, "2", "3") if cancelled else ("2", "3"))
            await tx.run(_CLEAR)


async def test_a_transaction_never_goes_on_in_another_one(database: Database) -> None:
    """More statements at once than a lane takes: the rollback finds no place in its queue."""
    gate = threading.Event()
    statements: list[asyncio.Task[str | None]] = []
    with pytest.raises(KeyError):
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            blocked = database._writer._lane.submit(lambda _: gate.wait())
            statements += [asyncio.create_task(meta.get(tx, "fact")) for _ in range(200)]
            await asyncio.sleep(0)
            raise KeyError
    gate.set()
    await asyncio.gather(blocked, *statements, return_exceptions=True)
    async with database.write() as tx:
        assert await meta.get(tx, "fact") is None
        await meta.put(tx, "next", "2")
    assert await fact(database) is None
    assert await fact(database, "next") == "2"


async def test_a_conflict_that_was_caught_still_ends_the_transaction(database: Database) -> None:
    async with database.write() as tx:
        await keys.insert_version(tx, key_version(), at_name=None)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            with pytest.raises(Conflicted):
                await keys.insert_version(tx, key_version(), at_name=None)
            with pytest.raises(RuntimeError, match="has failed"):
                await meta.put(tx, "fact", "2")
    assert await fact(database) is None


async def test_reads_of_one_transaction_see_one_moment(database: Database, open_database: Opener) -> None:
    other = await open_database()
    async with database.write() as tx:
        await meta.put(tx, "fact", "old")
    async with other.read() as reading:
        assert await meta.get(reading, "fact") == "old"
        async with database.write() as tx:
            await meta.put(tx, "fact", "new")
        assert await meta.get(reading, "fact") == "old"
    assert await fact(other) == "new"


async def test_a_reading_transaction_cannot_write(database: Database) -> None:
    async with database.read() as tx:
        with pytest.raises(RuntimeError, match="changes nothing"):
            await meta.put(tx, "fact", "1")
        with pytest.raises(RuntimeError, match="changes nothing"):
            tx.changed("fact")


async def test_a_transaction_is_of_no_use_after_its_end(database: Database) -> None:
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    with pytest.raises(RuntimeError, match="over"):
        await meta.put(tx, "fact", "2")
    async with database.read() as reading:
        pass
    with pytest.raises(RuntimeError, match="over"):
        await meta.get(reading, "fact")


async def test_a_lock_of_another_process_is_waited_for_within_the_bound(open_database: Opener) -> None:
    one, other = await open_database(), await open_database(busy_seconds=0.05)
    async with one.write() as tx:
        await meta.put(tx, "fact", "1")
        with pytest.raises(Unavailable) as refused:
            async with other.write() as late:
                await meta.put(late, "fact", "2")
        assert refused.value.detail == "SQLite: SQLITE_BUSY"
        assert await fact(other) is None  # reading goes on
    async with other.write() as tx:
        await meta.put(tx, "fact", "3")
    assert await fact(one) == "3"


async def test_a_transaction_of_this_process_is_waited_for_within_the_bound(open_database: Opener) -> None:
    database = await open_database(busy_seconds=0.05)
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
        with pytest.raises(Unavailable):
            async with database.write():
                pass
    async with database.read(), database.read():
        with pytest.raises(Unavailable):
            async with database.read():
                pass
    assert await fact(database) == "1"


async def test_many_tasks_share_few_connections(database: Database) -> None:
    async def work(number: int) -> None:
        async with database.write() as tx:
            await meta.put(tx, f"fact-{number}", str(number))
        assert await fact(database, f"fact-{number}") == str(number)

    await asyncio.gather(*[work(number) for number in range(50)])


async def test_what_is_not_committed_at_the_close_is_rolled_back(url: str, clock: MovedClock) -> None:
    database = await Database.open(url, clock=clock)
    with pytest.raises(Unavailable):
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            await database.close()
    again = await Database.open(url, clock=clock)
    assert await fact(again) is None
    await again.close()


@pytest.mark.parametrize(
    "url", ["", "no url", "sqlite://", "sqlite:///:memory:", "sqlite://host/path", "mysql://host/name", "sqlite:///"]
)
def test_a_url_that_is_not_of_an_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(DatabaseRefusal):
        sqlite_path(url)


def test_the_path_of_a_url_is_absolute_with_four_slashes() -> None:
    assert sqlite_path("sqlite:////var/lib/hsmvault/hsmvault.db") == Path("/var/lib/hsmvault/hsmvault.db")
