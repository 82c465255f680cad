"""The database: transactions on connections that stay open. One writer and a few readers in each process.

    async with database.read() as tx:      one consistent snapshot, however many statements
    async with database.write() as tx:     committed and durable at the end, or nothing of it on any exception

A write that is locked out, or meets a full or read-only disk, raises Unavailable, and nothing was done. Every wait is
bounded. What a transaction changed is told to the caches of this process as soon as it is committed, even if the
task that waited for the commit is cancelled, and to other processes through the `changes` table (changes.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hsmvault.clock import Clock
from hsmvault.errors import DatabaseRefusal, Unavailable
from hsmvault.store.drivers import Change, Conflicted, Connection, Outcome
from hsmvault.store.sqlite import SqliteConnection
from hsmvault.store.statements import Row, Statement, Value

__all__ = ["BUSY_SECONDS", "Change", "Conflicted", "Database", "Transaction", "sqlite_path"]

BUSY_SECONDS = 5.0  # guessed: long enough for a checkpoint of a big log, short against a client's patience
READERS = 2


class Transaction:
    """What every function of the store takes first. Good until its `async with` ends."""

    def __init__(self, connection: Connection, *, writable: bool) -> None:
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


class Database:
    """Belongs to one event loop.

    fault: called with 'commit:before' and 'commit:after'; what it raises goes to the caller (tests crash there).
    """

    def __init__(self, writer: Connection, readers: list[Connection], clock: Clock, busy_seconds: float) -> None:
        self.clock = clock
        self.fault: Callable[[str], None] | None = None
        self._writer = writer
        self._writing = asyncio.Lock()
        self._readers = readers
        self._free = list(readers)
        self._reading = asyncio.Semaphore(len(readers))
        self._busy_seconds = busy_seconds
        self._listeners: list[Listener] = []

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
            for number in range(1 + readers):
                opened.append(await SqliteConnection.open(path, writer=number == 0, busy_seconds=busy_seconds))
        except BaseException:
            for connection in opened:
                await connection.close()
            raise
        return cls(opened[0], opened[1:], clock, busy_seconds)

    async def close(self) -> None:
        """Waits for what is running, a bounded time; what is not committed then is rolled back."""
        for connection in [*self._readers, self._writer]:
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
