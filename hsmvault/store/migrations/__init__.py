"""The way from any released schema to this version's, run by the supervisor alone, before any worker starts."""

import os
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from hsmvault.errors import DatabaseRefusal
from hsmvault.store import schema
from hsmvault.store.database import sqlite_path
from hsmvault.store.sqlite_file import check_revision, connect, refusal, use_log

SCRIPTS = Path(__file__).parent
CHECKED_BYTES = 64 * 1024 * 1024  # guessed: a file up to this size is read through at each start (under a second)


def migrate(url: str) -> None:
    """Create the database, or bring an existing one to this version's schema; wholly or not at all.

    The file has mode 0600. One that is there but damaged, empty or foreign is refused, and so is a lost one that has
    left its log behind: never a silent new one. The caller owns the data directory (nobody else does this now).
    Blocks. Raises DatabaseRefusal.
    """
    path = sqlite_path(url)
    try:
        if path.exists():
            _upgrade(path)
        else:
            _create(path)
    except sqlite3.Error as error:
        raise refusal(error, path) from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise refusal(error.orig, path) from error
        raise
    except OSError as error:
        raise DatabaseRefusal(f"The database {path} cannot be opened: {error.strerror}.") from error


def _create(path: Path) -> None:
    """Under another name first: the database has its name only when it is whole."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        raise DatabaseRefusal(f"The database {path} is missing and its log {log} is there; restore the database.")
    new = path.with_name(path.name + ".new")
    for leftover in (new, new.with_name(new.name + "-wal"), new.with_name(new.name + "-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    new.chmod(0o600)  # whatever the umask is
    connection = connect(new, busy_seconds=0)
    try:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        use_log(connection, new)
    finally:
        connection.close()
    _run(new)
    _synchronize(new)
    new.rename(path)
    _synchronize(path.parent)


def _upgrade(path: Path) -> None:
    if not path.is_file():
        raise DatabaseRefusal(f"The database {path} is not a file.")
    if path.stat().st_size == 0:
        raise DatabaseRefusal(f"The database {path} is empty, which no database of hsmvault ever is; restore a backup.")
    connection = connect(path, busy_seconds=0)
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != schema.APPLICATION_ID:
            raise DatabaseRefusal(f"The file {path} is not a database of hsmvault.")
        if path.stat().st_size <= CHECKED_BYTES:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise DatabaseRefusal(f"The database {path} is damaged; nothing was changed: restore a backup.")
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    finally:
        connection.close()
    revision = None if row is None else str(row[0])
    check_revision(revision, path, exactly=False)
    path.chmod(0o600)
    if revision != schema.SCHEMA_REVISION:
        _run(path)


def _run(path: Path) -> None:
    """All revisions in one transaction."""
    engine = create_engine("sqlite://", creator=lambda: connect(path, busy_seconds=0), poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions_alone)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _leave_transactions_alone(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # sqlite3's own transactions would not hold CREATE TABLE


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
