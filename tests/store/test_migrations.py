"""The way to the schema, and every start that must be refused."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from hsmvault.clock import MovedClock
from hsmvault.errors import DatabaseRefusal
from hsmvault.store import meta
from hsmvault.store.database import Database
from hsmvault.store.migrations import SCRIPTS, migrate
from hsmvault.store.schema import SCHEMA_REVISION, metadata


def test_the_migrations_lead_to_exactly_the_schema(url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_schema_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [SCHEMA_REVISION]


def test_a_new_database_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["hsmvault.db"]


async def test_the_log_beside_the_database_is_private_too(url: str, path: Path, clock: MovedClock) -> None:
    path.chmod(0o600)
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "hsmvault.db": 0o600,
        "hsmvault.db-wal": 0o600,
        "hsmvault.db-shm": 0o600,
    }
    await database.close()


async def test_an_interrupted_creation_is_begun_again(tmp_path: Path, clock: MovedClock) -> None:
    path = tmp_path / "hsmvault.db"
    (tmp_path / "hsmvault.db.new").write_bytes(b"half of it")
    (tmp_path / "hsmvault.db.new-wal").write_bytes(b"half of it")
    migrate(f"sqlite:///{path}")
    await (await Database.open(f"sqlite:///{path}", clock=clock)).close()


async def test_a_second_migration_changes_nothing(url: str, path: Path, clock: MovedClock) -> None:
    path.chmod(0o644)
    before = path.read_bytes()
    migrate(url)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o600


def _execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xa5" * 8192)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _newer(path: Path) -> None:
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")


def _other_branch(path: Path) -> None:
    _execute(path, "UPDATE alembic_version SET version_num = 'abcdef'")


def _unfinished(path: Path) -> None:
    _execute(path, "DELETE FROM alembic_version")


def _foreign(path: Path) -> None:
    path.unlink()
    _execute(path, "CREATE TABLE notes (text)")


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_garbage, "damaged"),
        (_empty, "empty|not a database of hsmvault"),
        (_damage, "damaged"),
        (_cut, "damaged"),
        (_newer, "newer version"),
        (_other_branch, "newer version"),
        (_unfinished, "without a revision"),
        (_foreign, "not a database of hsmvault"),
        (_directory, "not a file|no database"),
    ],
)
async def test_a_database_that_is_not_ours_or_not_whole_is_refused(
    url: str, path: Path, clock: MovedClock, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(DatabaseRefusal, match=reason):
        migrate(url)
    if spoil is not _cut:  # a worker reads no more than it needs; the supervisor has read all of it
        with pytest.raises(DatabaseRefusal, match=reason):
            await Database.open(url, clock=clock)
    assert not path.is_file() or path.read_bytes() == before


async def test_a_missing_database_is_not_made_by_opening_it(tmp_path: Path, clock: MovedClock) -> None:
    with pytest.raises(DatabaseRefusal, match="no database"):
        await Database.open(f"sqlite:///{tmp_path}/hsmvault.db", clock=clock)
    assert list(tmp_path.iterdir()) == []


async def test_a_lost_database_that_left_its_log_is_not_made_anew(url: str, path: Path, clock: MovedClock) -> None:
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    log = path.with_name("hsmvault.db-wal")
    saved = log.read_bytes()
    await database.close()
    path.unlink()
    log.write_bytes(saved)
    with pytest.raises(DatabaseRefusal, match="missing"):
        migrate(url)
    assert not path.exists()


async def test_a_database_that_another_program_keeps_locked_is_refused(url: str, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseRefusal, match="locked"):
        migrate(url)
    other.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefusal, match="nowhere"):
        migrate(f"sqlite:///{tmp_path}/nowhere/hsmvault.db")


async def test_an_older_schema_is_left_to_the_migration(url: str, path: Path, clock: MovedClock) -> None:
    _execute(path, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(DatabaseRefusal, match="hsmvault migrate"):
        await Database.open(url, clock=clock)


async def test_a_copy_of_a_closed_database_is_the_database(
    url: str, path: Path, tmp_path: Path, clock: MovedClock
) -> None:
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    await database.close()
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    database = await Database.open(f"sqlite:///{copy}", clock=clock)
    async with database.read() as tx:
        assert await meta.get(tx, "fact") == "1"
    await database.close()
