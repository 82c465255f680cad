"""The database: transactions on connections that stay open. One writer and a few readers in each process.

    async with database.read() as tx:      one consistent snapshot, however many statements
    async with database.write() as tx:     committed and durable at the end, or nothing of it on any exception

A write that is locked out, or meets a full or read-only disk, raises Unavailable, and nothing was done. Every wait is
bounded. What a transaction changed is told to the caches of this process as soon as it is committed, even if the
task that waited for the commit is cancelled, and to other processes through the `changes` table (changes.py).

Each statement is a journey to the connection's thread and back, 50 to 300 µs. Where that counts, a whole transaction
makes one, or none:

    await database.read_at_once(work)      work: an async function of the transaction, which awaits nothing else
    await database.write_at_once(work)     the same; what comes meanwhile is committed together, durable at once

`work` runs in any thread: it reads and changes nothing but the database, and what is its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hsmvault.clock import Clock
from hsmvault.errors import DatabaseRefusal, Unavailable
from hsmvault.store.drivers import Change, Conflicted, Connection, Failed, Outcome, Statements, Work, Written
from hsmvault.store.sqlite import SqliteConnection
from hsmvault.store.statements import Row, Statement, Value

__all__ = ["BUSY_SECONDS", "Change", "Conflicted", "Database", "Transaction", "sqlite_path"]

BUSY_SECONDS = 5.0  # guessed: long enough for a checkpoint of a big log, short against a client's patience
READERS = 2
_MOST_AT_ONCE = 32  # readings that wait in the thread; writings that are committed together

Result = TypeVar("Result")


class Transaction:
    """What every function of the store takes first. Good until its `async with` ends."""

    def __init__(self, connection: Statements, *, writable: bool) -> None:
        self._connection = connection
        self._writable = writable
        self._over = False
        self.used = False
        self.failure: BaseException | None = None
        self.changes: list[Change] = []

    async def rows(self, statement: Statement, **values: Value) -> list[Row]:
        return (await self._outcome(statement, values)).rows

    async def row(self, statement: Statement, **values: Value) -> Row | None:
        """The first row; for statements that give at most one."""
        rows = await self.rows(statement, **values)
        return rows[0] if rows else None

    async def run(self, statement: Statement, **values: Value) -> int:
        """Returns how many rows were inserted, updated or deleted."""
        return (await self._outcome(statement, values)).count

    async def swap(self, statement: Statement, **values: Value) -> None:
        """A statement that must meet exactly one row. Raises Conflicted when it does not."""
        if await self.run(statement, **values) != 1:
            raise Conflicted("the row is not as it was read")

    def changed(self, kind: str, container_id: str = "", name: str = "") -> None:
        """Tell every cache, here and elsewhere, once this is committed."""
        if not self._writable:
            raise RuntimeError("a reading transaction changes nothing")
        self.changes.append(Change(kind, container_id, name))

    def finish(self) -> None:
        self._over = True

    async def _outcome(self, statement: Statement, values: dict[str, Value]) -> Outcome:
        if self._over:
            raise RuntimeError("the transaction is over")
        if self.failure is not None:
            raise RuntimeError("the transaction has failed; begin another one") from self.failure
        if statement.writes and not self._writable:
            raise RuntimeError("a reading transaction changes nothing")
        self.used = True
        try:
            return await self._connection.run(statement, values)
        except BaseException as error:
            self.failure = error
            raise


Listener = Callable[[list[tuple[int, Change]]], None]
AtOnce = Callable[[Transaction], Coroutine[Any, Any, Result]]
"""Awaits nothing but the functions of its transaction."""


class _Waiting(NamedTuple):
    """One who waits for a writing transaction in one go."""

    work: Work
    done: "asyncio.Future[Any]"


class Database:
    """Belongs to one event loop.

    fault: called with 'commit:before' and 'commit:after'; what it raises goes to the caller (tests crash there).
    """

    def __init__(
        self, writer: Connection, readers: list[Connection], quick: Connection, clock: Clock, busy_seconds: float
    ) -> None:
        """quick: a reader for transactions in one go."""
        self.clock = clock
        self.fault: Callable[[str], None] | None = None
        self._writer = writer
        self._writing = asyncio.Lock()
        self._readers = readers
        self._free = list(readers)
        self._reading = asyncio.Semaphore(len(readers))
        self._busy_seconds = busy_seconds
        self._listeners: list[Listener] = []
        self._quick = quick
        self._quick_reading = asyncio.Semaphore(_MOST_AT_ONCE)
        self._waiting: deque[_Waiting] = deque()
        self._together: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, url: str, *, clock: Clock, busy_seconds: float = BUSY_SECONDS, readers: int = READERS
    ) -> "Database":
        """url: 'sqlite:////absolute/path'. The database exists and has this version's schema (migrations.migrate).

        busy_seconds: how long any transaction waits for another program's or task's. Raises DatabaseRefusal.
        """
        path = sqlite_path(url)
        if not path.is_file():
            raise DatabaseRefusal(f"There is no database at {path}.")
        opened: list[Connection] = []
        try:
            for number in range(2 + readers):
                opened.append(await SqliteConnection.open(path, writer=number == 0, busy_seconds=busy_seconds))
        except BaseException:
            for connection in opened:
                await connection.close()
            raise
        return cls(opened[0], opened[2:], opened[1], clock, busy_seconds)

    async def close(self) -> None:
        """Waits for what is running, a bounded time; what is not committed then is rolled back."""
        if self._together is not None:
            await self._together
        for connection in [*self._readers, self._quick, self._writer]:
            await connection.close()

    def listen(self, listener: Listener) -> None:
        """listener: called in the event loop with what each commit of this object changed, and the ids of the rows."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        await self._wait(self._reading)
        connection = self._free.pop()
        transaction = Transaction(connection, writable=False)
        try:
            yield transaction
        finally:
            transaction.finish()
            if transaction.used:
                connection.end()
            self._free.append(connection)
            self._reading.release()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        await self._wait(self._writing)
        transaction = Transaction(self._writer, writable=True)
        try:
            yield transaction
            transaction.finish()
            if transaction.failure is not None:
                raise transaction.failure  # caught on the way, but nothing of the transaction is left to commit
            if transaction.used or transaction.changes:
                await self._commit(transaction.changes)
        finally:
            transaction.finish()
            if transaction.used or transaction.changes:
                self._writer.end()
            self._writing.release()

    async def read_at_once(self, work: AtOnce[Result]) -> Result:
        """One consistent snapshot, as read()."""
        await self._wait(self._quick_reading)
        try:
            result: Result = await self._quick.read_at_once(_driven(work, writable=False))
            return result
        finally:
            self._quick_reading.release()

    async def write_at_once(self, work: AtOnce[Result]) -> Result:
        """Committed and durable when it returns, or nothing of it on any exception, as write(): except that of a task
        that is cancelled while it waits, the transaction may go on.
        """
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(_driven(work, writable=True, fault=self.fault), done))
        if self._together is None:
            self._together = asyncio.create_task(self._write_together(), name="group-commit")
        result = await done
        if self.fault is not None:
            self.fault("commit:after")
        return result

    async def _write_together(self) -> None:
        """Whoever comes while a group is being committed is of the next one."""
        try:
            while self._waiting:
                await self._write_group()
        finally:
            self._together = None

    async def _write_group(self) -> None:
        group: list[_Waiting] = []
        written = Written([], [])
        try:
            await self._wait(self._writing)
            try:
                while self._waiting and len(group) < _MOST_AT_ONCE:
                    one = self._waiting.popleft()
                    if not one.done.done():  # cancelled
                        group.append(one)
                if group:
                    written = await self._writer.write_together([one.work for one in group])
            finally:
                self._writing.release()
        except Exception as error:  # all of them get it: the lock or the thread is out of reach, or the commit failed
            group = group or [self._waiting.popleft() for _ in range(len(self._waiting))]
            written = Written([Failed(error)] * len(group), [])
        if written.changes:
            for listener in self._listeners:
                listener(written.changes)
        for one, result in zip(group, written.results, strict=True):
            if one.done.done():
                continue  # cancelled
            if isinstance(result, Failed):
                one.done.set_exception(result.error)
            else:
                one.done.set_result(result)

    async def _commit(self, changes: list[Change]) -> None:
        if self.fault is not None:
            self.fault("commit:before")
        committed = self._writer.commit(changes)

        def tell(done: "asyncio.Future[list[int]]") -> None:
            if not done.cancelled() and done.exception() is None:
                numbered = list(zip(done.result(), changes, strict=True))
                for listener in self._listeners:
                    listener(numbered)

        if changes:
            committed.add_done_callback(tell)
        await asyncio.shield(committed)  # whoever waits may be cancelled; the commit and the news of it go on
        if self.fault is not None:
            self.fault("commit:after")

    async def _wait(self, gate: asyncio.Lock | asyncio.Semaphore) -> None:
        if not gate.locked():
            await gate.acquire()
            return
        try:
            async with asyncio.timeout(self._busy_seconds):
                await gate.acquire()
        except TimeoutError:
            raise Unavailable("The database is busy.", detail="waited for another transaction") from None


def _driven(work: AtOnce[Any], *, writable: bool, fault: Callable[[str], None] | None = None) -> Work:
    """work, to be called where its statements do not suspend."""

    def drive(statements: Statements) -> tuple[Any, Sequence[Change]]:
        transaction = Transaction(statements, writable=writable)
        coroutine = work(transaction)
        try:
            coroutine.send(None)
        except StopIteration as returned:
            result = returned.value
        else:
            raise RuntimeError("a transaction in one go awaits nothing but itself")
        finally:
            transaction.finish()
            coroutine.close()
        if transaction.failure is not None:
            raise transaction.failure
        if fault is not None:
            fault("commit:before")
        return result, transaction.changes

    return drive


def sqlite_path(url: str) -> Path:
    """Raises DatabaseRefusal for a URL that is not of an SQLite file."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseRefusal("The database URL cannot be read; write sqlite:////absolute/path.") from None
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise DatabaseRefusal(
            f"No database of the kind '{parsed.drivername}' is known; write sqlite:////absolute/path."
        )
    return Path(parsed.database)
