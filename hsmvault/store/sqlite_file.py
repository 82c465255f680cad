"""An SQLite file: how it is opened, how we know that it is ours, and what a start says when it is not.

Source of the pragmas and codes: sqlite.org/pragma.html, sqlite.org/rescode.html.
"""

import sqlite3
from pathlib import Path

from hsmvault.errors import DatabaseRefusal
from hsmvault.store import schema

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # NORMAL acknowledges a commit before it is on the disk
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA journal_size_limit = 67108864",  # bytes; a log that had to grow further is cut back
)


def connect(path: Path, *, busy_seconds: float, query_only: bool = False) -> sqlite3.Connection:
    """A connection to an existing file, which this alone does not change. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=False,  # opened and used by the lane's thread, closed by it too
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if query_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def use_log(connection: sqlite3.Connection, path: Path) -> None:
    """Write ahead: readers and the writer do not wait for each other. Changes the file unless it is so already.

    Raises DatabaseRefusal, sqlite3.Error.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise DatabaseRefusal(f"The database {path} cannot use a write-ahead log; put it on a local file system.")


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database of another program, of another version of hsmvault, or one that was never finished.

    Raises DatabaseRefusal, and sqlite3.Error when the file is damaged.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != schema.APPLICATION_ID:
        raise DatabaseRefusal(f"The file {path} is not a database of hsmvault.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    check_revision(None if row is None else str(row[0]), path, exactly=True)


def check_revision(found: str | None, path: Path, *, exactly: bool) -> None:
    """exactly: an older schema is refused as well. Raises DatabaseRefusal."""
    if found == schema.SCHEMA_REVISION:
        return
    if found is None or not found.isascii() or not found.isdigit() or found > schema.SCHEMA_REVISION:
        raise DatabaseRefusal(
            f"The database {path} has the schema {found or 'without a revision'}; this version of hsmvault knows "
            f"{schema.SCHEMA_REVISION}: start the newer version that wrote it, or restore a backup."
        )
    if exactly:
        raise DatabaseRefusal(f"The database {path} has the older schema {found}; run 'hsmvault migrate'.")


def refusal(error: sqlite3.Error, path: Path) -> DatabaseRefusal:
    """What a start says about an error."""
    primary = code(error) & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return DatabaseRefusal(
            f"The database {path} is damaged ({code_name(error)}); nothing was changed: restore a backup."
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseRefusal(f"The database {path} is locked by another program; stop that one first.")
    return DatabaseRefusal(
        f"The database {path} cannot be opened ({code_name(error)}); check the path, its permissions and the disk."
    )


def code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 0 when the driver itself raised."""
    return getattr(error, "sqlite_errorcode", 0)


def code_name(error: sqlite3.Error) -> str:
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    return name
