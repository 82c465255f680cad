"""SQLite: one connection on one lane (a thread of its own), durable commits, errors told apart by result code.

The driver is the standard library's sqlite3 in its manual mode: BEGIN, COMMIT and ROLLBACK are ours, since its
legacy mode begins late and commits by itself. aiosqlite would hop to its thread three times where a lane hops once.
"""

import asyncio
import sqlite3
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import bindparam, delete, insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from hsmvault.errors import BadRequest, DatabaseRefusal, HsmvaultError, Unavailable
from hsmvault.lanes import Lane
from hsmvault.store import schema
from hsmvault.store.drivers import CHANGES_KEPT, Change, Conflicted, Failed, Outcome, Work, Written
from hsmvault.store.sqlite_file import check_identity, code, code_name, connect, refusal, use_log
from hsmvault.store.statements import Statement, Value

Result = TypeVar("Result")

DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")
_LANE_LIMIT = 64  # what uses a lane waits for its turn before; this is only a backstop
_BUSY_STEP_SECONDS = 0.0005  # SQLite itself waits up to 0.1 s between two looks at another program's lock
_BUSY_LONG_STEP_SECONDS = 0.005
_BUSY_LONG_SECONDS = 0.1
_PRUNE_EVERY = 256

_NOTE_CHANGE = Statement(insert(schema.changes), ["kind", "container_id", "name"]).compiled(DIALECT)
_PRUNE_CHANGES = Statement(delete(schema.changes).where(schema.changes.c.id <= bindparam("newest_pruned"))).compiled(
    DIALECT
)

_KEYS_VIOLATED = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
        sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
    }
)
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM})
_LASTING = frozenset(  # the connection is made again before it is used again
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
    }
)
_OUT_OF_REACH = "The database cannot be reached at the moment."


@dataclass(slots=True)
class _Open:
    """What one thread owns. busy_seconds: how long SQLite waits for a lock. file: device and inode of the file that was
    opened. transaction: number of the one that has begun last.
    """

    busy_seconds: float
    connection: sqlite3.Connection | None = None
    file: tuple[int, int] = (0, 0)
    transaction: int = 0


class SqliteConnection:
    """writer: its transactions take the write lock at their beginning; a reader refuses to write."""

    def __init__(self, path: Path, lane: Lane[_Open], *, writer: bool, busy_seconds: float) -> None:
        self._path = path
        self._lane = lane
        self._writer = writer
        self._busy_seconds = busy_seconds
        self._transaction = 1  # number of the one that uses the connection now

    @classmethod
    async def open(cls, path: Path, *, writer: bool, busy_seconds: float) -> "SqliteConnection":
        """Raises DatabaseRefusal."""
        name = "writer" if writer else "reader"
        lane = Lane(f"sqlite-{name}", _Open(busy_seconds), limit=_LANE_LIMIT, gathers=not writer)
        opened = cls(path, lane, writer=writer, busy_seconds=busy_seconds)
        try:
            await lane.submit(opened._open)
        except sqlite3.Error as error:
            await lane.close()
            raise refusal(error, path) from error
        except BaseException:
            await lane.close()
            raise
        return opened

    async def run(self, statement: Statement, values: dict[str, Value]) -> Outcome:
        compiled = statement.compiled(DIALECT)
        arguments = compiled.arguments(values)
        transaction = self._transaction

        def work(opened: _Open) -> Outcome:
            connection = self._begun(opened, transaction)
            cursor = connection.execute(compiled.text, arguments)
            return Outcome(cursor.fetchall(), cursor.rowcount)

        return await self._lane.submit(lambda opened: self._translated(opened, work))

    async def read_at_once(self, work: Work) -> Any:
        return await self._lane.submit(lambda opened: self._translated(opened, partial(self._read, work)))

    def write_together(self, works: Sequence[Work]) -> "asyncio.Future[Written]":
        def write(opened: _Open) -> Written:
            connection = self._begun(opened, self._transaction)
            changed: dict[Change, tuple[Value, ...]] = {}
            results = [_result(connection, work, changed) for work in works]
            written = Written(results, [(_note(connection, one), change) for change, one in changed.items()])
            connection.execute("COMMIT")
            return written

        return self._lane.submit(lambda opened: self._translated(opened, write))

    def commit(self, changes: Sequence[Change]) -> "asyncio.Future[list[int]]":
        noted = [_arguments_of(change) for change in changes]  # refuses bad text before anything is sent
        transaction = self._transaction

        def work(opened: _Open) -> list[int]:
            connection = self._begun(opened, transaction)
            ids = [_note(connection, one) for one in noted]
            connection.execute("COMMIT")
            return ids

        return self._lane.submit(lambda opened: self._translated(opened, work))

    def end(self) -> None:
        self._transaction += 1
        try:
            self._lane.submit(_roll_back).add_done_callback(_forget)
        except HsmvaultError:
            return  # the lane is closing or full of what nobody waits for; the next transaction rolls back first

    async def close(self) -> None:
        def work(opened: _Open) -> None:
            if opened.connection is not None:
                opened.connection.close()
                opened.connection = None

        try:
            await self._lane.submit(work)
        except HsmvaultError:
            pass  # closed already
        finally:
            await self._lane.close()

    # below: in the lane's thread

    def _read(self, work: Work, opened: _Open) -> Any:
        connection = self._begun(opened, self._transaction)
        try:
            return work(_Statements(connection))[0]
        except BaseException as error:
            raise _fault_in(error) or error from None
        finally:
            _roll_back(opened)

    def _open(self, opened: _Open) -> sqlite3.Connection:
        connection = connect(self._path, busy_seconds=opened.busy_seconds, query_only=not self._writer)
        try:
            check_identity(connection, self._path)
            use_log(connection, self._path)
            opened.file = _file(self._path)
        except BaseException:
            connection.close()
            raise
        opened.connection = connection
        return connection

    def _begun(self, opened: _Open, transaction: int) -> sqlite3.Connection:
        if opened.transaction != transaction:
            _roll_back(opened)  # of an earlier one that did not get to it
        connection = opened.connection
        if connection is not None and connection.in_transaction:
            return connection
        if connection is not None and opened.file != _file(self._path):
            # The file was moved or replaced: what is written to it now would be acknowledged and lost, and what is
            # read from it is no longer what the writer sees.
            _discard(opened)
            connection = None
        if connection is None:
            connection = self._open(opened)
        if self._writer:
            self._begin_to_write(connection)
        else:
            connection.execute("BEGIN")
        opened.transaction = transaction
        return connection

    def _begin_to_write(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.OperationalError (SQLITE_BUSY) when another program keeps the lock for busy_seconds."""
        began = time.monotonic()
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    waited = time.monotonic() - began
                    if code(error) & 0xFF != sqlite3.SQLITE_BUSY or waited >= self._busy_seconds:
                        raise
                time.sleep(_BUSY_STEP_SECONDS if waited < _BUSY_LONG_SECONDS else _BUSY_LONG_STEP_SECONDS)
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")

    def _translated(self, opened: _Open, work: Callable[[_Open], Result]) -> Result:
        """Run; after an error nothing of the transaction remains."""
        try:
            return work(opened)
        except sqlite3.Error as error:
            _roll_back(opened)
            if code(error) & 0xFF in _LASTING:
                _discard(opened)
            raise _translation(error) from error
        except OSError as error:
            _discard(opened)
            raise Unavailable(_OUT_OF_REACH, detail=f"database file: {error.strerror}") from error
        except DatabaseRefusal as error:
            raise Unavailable(_OUT_OF_REACH, detail=str(error)) from error


class _Statements:
    """For whoever is in the lane's thread: nothing suspends. Errors come out translated."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, statement: Statement, values: dict[str, Value]) -> Outcome:
        compiled = statement.compiled(DIALECT)
        arguments = compiled.arguments(values)
        try:
            cursor = self._connection.execute(compiled.text, arguments)
            return Outcome(cursor.fetchall(), cursor.rowcount)
        except sqlite3.Error as error:
            raise _translation(error) from error


def _result(connection: sqlite3.Connection, work: Work, changed: dict[Change, tuple[Value, ...]]) -> Any | Failed:
    """One work of a group; its changes are added, with their arguments. Raises sqlite3.Error when the fault is not of
    this work alone."""
    connection.execute("SAVEPOINT work")
    try:
        result, changes = work(_Statements(connection))
        noted = {change: _arguments_of(change) for change in changes if change not in changed}
    except BaseException as error:
        fault = _fault_in(error)
        if fault is not None:
            raise fault from None
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return Failed(error)  # whoever waits gets whatever was raised
    connection.execute("RELEASE work")
    changed.update(noted)
    return result


def _fault_in(error: BaseException) -> sqlite3.Error | None:
    """The driver's error that is not of a statement, but of the database or its surroundings."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return cause if isinstance(cause, sqlite3.Error) and code(cause) & 0xFF in _PASSING | _LASTING else None


def _arguments_of(change: Change) -> tuple[Value, ...]:
    return _NOTE_CHANGE.arguments({"kind": change.kind, "container_id": change.container_id, "name": change.name})


def _note(connection: sqlite3.Connection, arguments: tuple[Value, ...]) -> int:
    noted = connection.execute(_NOTE_CHANGE.text, arguments).lastrowid
    assert noted is not None
    if noted % _PRUNE_EVERY == 0:
        connection.execute(_PRUNE_CHANGES.text, _PRUNE_CHANGES.arguments({"newest_pruned": noted - CHANGES_KEPT}))
    return noted


def _roll_back(opened: _Open) -> None:
    connection = opened.connection
    if connection is None or not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error:
        _discard(opened)  # closing rolls back; the next transaction opens again


def _discard(opened: _Open) -> None:
    if opened.connection is not None:
        opened.connection.close()
        opened.connection = None


def _forget(ended: "asyncio.Future[None]") -> None:
    if not ended.cancelled():
        ended.exception()


def _file(path: Path) -> tuple[int, int]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseRefusal(f"The database {path} is not a file.")
    return status.st_dev, status.st_ino


def _translation(error: sqlite3.Error) -> Exception:
    extended, primary = code(error), code(error) & 0xFF
    if extended in _KEYS_VIOLATED:
        return Conflicted(code_name(error))
    if primary in _PASSING or primary in _LASTING:
        return Unavailable(_OUT_OF_REACH, detail=f"SQLite: {code_name(error)}")
    if primary == sqlite3.SQLITE_TOOBIG:
        return BadRequest("The value is too large to be stored.")
    return error
