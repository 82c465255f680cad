"""SQLite: one connection on one lane (a thread of its own), durable commits, errors told apart by result code.

The driver is the standard library's sqlite3 in its manual mode: BEGIN, COMMIT and ROLLBACK are ours, since its
legacy mode begins late and commits by itself. aiosqlite would hop to its thread three times where a lane hops once.
"""

import asyncio
import sqlite3
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import bindparam, delete, insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from hsmvault.errors import BadRequest, DatabaseRefusal, HsmvaultError, Unavailable
from hsmvault.lanes import Lane
from hsmvault.store import schema
from hsmvault.store.drivers import CHANGES_KEPT, Change, Conflicted, Outcome
from hsmvault.store.sqlite_file import check_identity, code, code_name, connect, refusal, use_log
from hsmvault.store.statements import Statement, Value

Result = TypeVar("Result")

DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")
_LANE_LIMIT = 64  # one transaction at a time uses the lane; this is only a backstop
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
    """What the lane's thread owns. file: device and inode of the file that was opened. transaction: number of the one
    that has begun last.
    """

    connection: sqlite3.Connection | None = None
    file: tuple[int, int] = (0, 0)
    transaction: int = 0


class SqliteConnection:
    """writer: its transactions take the write lock at their beginning; a reader refuses to write."""

    def __init__(self, path: Path, lane: Lane[_Open], *, writer: bool, busy_seconds: float) -> None:
        self._path = path
        self._lane = lane
        self._begin = "BEGIN IMMEDIATE" if writer else "BEGIN"
        self._writer = writer
        self._busy_seconds = busy_seconds
        self._transaction = 1  # number of the one that uses the connection now

    @classmethod
    async def open(cls, path: Path, *, writer: bool, busy_seconds: float) -> "SqliteConnection":
        """Raises DatabaseRefusal."""
        name = "writer" if writer else "reader"
        lane = Lane(f"sqlite-{name}", _Open(), limit=_LANE_LIMIT, gathers=not writer)
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

    def commit(self, changes: Sequence[Change]) -> "asyncio.Future[list[int]]":
        for change in changes:
            _arguments_of(change)  # refuses bad text before anything is sent
        transaction = self._transaction

        def work(opened: _Open) -> list[int]:
            connection = self._begun(opened, transaction)
            ids = [_note(connection, change) for change in changes]
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

    def _open(self, opened: _Open) -> sqlite3.Connection:
        connection = connect(self._path, busy_seconds=self._busy_seconds, query_only=not self._writer)
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
        connection.execute(self._begin)
        opened.transaction = transaction
        return connection

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


def _arguments_of(change: Change) -> tuple[Value, ...]:
    return _NOTE_CHANGE.arguments({"kind": change.kind, "container_id": change.container_id, "name": change.name})


def _note(connection: sqlite3.Connection, change: Change) -> int:
    noted = connection.execute(_NOTE_CHANGE.text, _arguments_of(change)).lastrowid
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
