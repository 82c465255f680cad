"""Power loss, full and vanished disks, damage found late: nothing acknowledged is lost, nothing half done remains."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.store import keys, meta
from hsmvault.store.database import Database

from .conftest import Opener
from .samples import VAULT, key_version

_DIES = """
import asyncio, os, signal, sys
from hsmvault.clock import SystemClock
from hsmvault.store import meta
from hsmvault.store.database import Database

def die(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    database = await Database.open(sys.argv[1], clock=SystemClock())
    async with database.write() as tx:
        await meta.put(tx, "acknowledged", "1")
    database.fault = die
    async with database.write() as tx:
        await meta.put(tx, "one", "1")
        die("between")
        await meta.put(tx, "other", "1")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("point", "found"), [("between", [None, None]), ("commit:before", [None, None]), ("commit:after", ["1", "1"])]
)
async def test_after_kill_9_a_transaction_is_there_whole_or_not_at_all(
    url: str, clock: MovedClock, point: str, found: list[str | None]
) -> None:
    died = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _DIES, url, point], check=False)
    assert died.returncode == -signal.SIGKILL
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        assert [await meta.get(tx, "one"), await meta.get(tx, "other")] == found
        assert await meta.get(tx, "acknowledged") == "1"
    await database.close()


_COUNTS = """
import asyncio, sys
from hsmvault.clock import SystemClock
from hsmvault.store import keys
from hsmvault.store.database import Conflicted, Database
from samples import VAULT, key_version

async def main():
    database = await Database.open(sys.argv[1], clock=SystemClock(), busy_seconds=30)
    done = 0
    while done < 20:
        async with database.read() as tx:
            at_name = await keys.name(tx, VAULT.id, "Signing-Key")
        try:
            async with database.write() as tx:
                version = key_version(sequence=at_name.next_sequence)
                await keys.insert_version(tx, version.__class__(**{
                    **{name: getattr(version, name) for name in version.__slots__},
                    "version": sys.argv[2] + version.version[1:],
                }), at_name=at_name)
            done += 1
        except Conflicted:
            continue
    await database.close()

asyncio.run(main())
"""


async def test_processes_that_write_one_name_lose_no_version(database: Database, url: str) -> None:
    async with database.write() as tx:
        await keys.insert_version(tx, key_version(), at_name=None)
    folder = Path(__file__).parent
    ended = await asyncio.gather(
        *[
            asyncio.to_thread(subprocess.run, [sys.executable, "-c", _COUNTS, url, name], cwd=folder, check=False)
            for name in ("a", "b")
        ]
    )
    assert [process.returncode for process in ended] == [0, 0]
    async with database.read() as tx:
        versions = await keys.versions(tx, VAULT.id, "signing-key")
        assert [version.sequence for version in versions] == list(range(1, 42))
        assert await keys.version(tx, VAULT.id, "signing-key", None) == versions[-1]


async def test_a_full_disk_refuses_writes_and_takes_them_again_later(database: Database, path: Path) -> None:
    await _limit_pages(database, 1)  # SQLite's own bound, which gives the result code of a full disk
    big = key_version("big")
    with pytest.raises(Unavailable) as refused:
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
            await meta.put(tx, "big", "x" * 1_000_000)
    assert refused.value.detail == "SQLite: SQLITE_FULL"
    async with database.read() as tx:
        assert await meta.get(tx, "fact") is None
    await _limit_pages(database, 1_000_000)
    async with database.write() as tx:
        await keys.insert_version(tx, big, at_name=None)
    async with database.read() as tx:
        assert await keys.version(tx, VAULT.id, "big", None) == big


async def _limit_pages(database: Database, pages: int) -> None:
    """A setting of the writer's own connection, which nothing but a test has a reason to reach for."""
    writer = database._writer
    await writer._lane.submit(lambda opened: opened.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())


async def test_a_database_that_was_moved_away_is_out_of_reach_until_it_is_back(database: Database, path: Path) -> None:
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    away = path.with_name("away.db")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).rename(away.with_name(away.name + suffix))
    for _ in range(2):
        with pytest.raises(Unavailable):
            async with database.write() as tx:
                await meta.put(tx, "fact", "2")
        with pytest.raises(Unavailable):
            async with database.read() as tx:
                await meta.get(tx, "fact")
    assert not path.exists()
    for suffix in ("", "-wal", "-shm"):
        away.with_name(away.name + suffix).rename(path.with_name(path.name + suffix))
    async with database.write() as tx:
        assert await meta.get(tx, "fact") == "1"
        await meta.put(tx, "fact", "3")
    async with database.read() as tx:
        assert await meta.get(tx, "fact") == "3"


async def test_damage_that_is_found_late_spoils_only_what_it_touches(url: str, path: Path, clock: MovedClock) -> None:
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "fact", "1")
    await database.close()
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'key_names'").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"\xa5" * page_size)
    database = await Database.open(url, clock=clock)
    for _ in range(2):
        async with database.read() as tx:
            with pytest.raises(Unavailable) as refused:
                await keys.name(tx, VAULT.id, "any")
        assert refused.value.detail == "SQLite: SQLITE_CORRUPT"
        async with database.read() as tx:
            assert await meta.get(tx, "fact") == "1"
    await database.close()


async def test_a_read_only_database_is_read_and_not_written(open_database: Opener, path: Path) -> None:
    database = await open_database()
    writer = database._writer
    await writer._lane.submit(lambda opened: opened.connection.execute("PRAGMA query_only = ON"))
    with pytest.raises(Unavailable) as refused:
        async with database.write() as tx:
            await meta.put(tx, "fact", "1")
    assert refused.value.detail == "SQLite: SQLITE_READONLY"
    async with database.write() as tx:  # the connection was made again, and the reason is gone
        await meta.put(tx, "fact", "2")
    async with database.read() as tx:
        assert await meta.get(tx, "fact") == "2"


async def test_every_connection_commits_durably_and_overwrites_what_it_deletes(database: Database) -> None:
    for connection in [database._writer, *database._readers]:
        settings = {}
        for pragma in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "temp_store", "trusted_schema"):
            rows = await connection._lane.submit(
                lambda opened, pragma=pragma: opened.connection.execute(f"PRAGMA {pragma}").fetchall()
            )
            settings[pragma] = rows[0][0]
        assert settings == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "foreign_keys": 1,
            "secure_delete": 1,
            "temp_store": 2,  # MEMORY
            "trusted_schema": 0,
        }


async def test_a_purged_blob_is_not_in_the_files_once_the_database_is_closed(
    url: str, path: Path, clock: MovedClock
) -> None:
    marker = os.urandom(16).hex().encode()
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "blob", marker.decode())
    await database.close()
    assert marker in path.read_bytes()
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await meta.put(tx, "blob", "")
    await database.close()
    assert [file for file in path.parent.iterdir() if marker in file.read_bytes()] == []
