"""Lists by pages, while names come and go: what was there all the time is listed exactly once, in order."""

import asyncio
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsmvault.clock import MovedClock
from hsmvault.store import containers, keys
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Database, Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.objects import ObjectStore
from hsmvault.store.secrets import SECRETS
from hsmvault.store.sqlite import DIALECT

from .samples import OTHER_VAULT, VAULT, key_version

_name = st.text(alphabet="aAbZ-09", min_size=1, max_size=3)
_names = st.lists(_name, max_size=12, unique_by=str.lower)
_script = st.lists(st.lists(st.tuples(st.sampled_from(["create", "delete", "recover", "purge"]), _name), max_size=4))


async def _step(tx: Transaction, action: str, name: str) -> None:
    """Do it if it can be done."""
    found = await keys.name(tx, VAULT.id, name)
    if action == "create":
        if found is None:
            await keys.insert_version(tx, key_version(name), at_name=None)
        elif not found.is_deleted:
            await keys.insert_version(tx, key_version(name, sequence=found.next_sequence), at_name=found)
    elif found is not None and action == "delete" and not found.is_deleted:
        await keys.mark_deleted(tx, found, 1, 2)
    elif found is not None and action == "recover" and found.is_deleted:
        await keys.mark_recovered(tx, found)
    elif found is not None and action == "purge" and found.is_deleted:
        await keys.purge(tx, found)


async def _active(database: Database) -> dict[str, str]:
    """folded name: spelling; read without paging."""
    async with database.read() as tx:
        return {version.name.lower(): version.name for version in await keys.page(tx, VAULT.id, None, 1_000)}


async def _walk(url: str, names: list[str], limit: int, script: list[list[tuple[str, str]]]) -> None:
    database = await Database.open(url, clock=MovedClock())
    try:
        async with database.write() as tx:
            for container in (VAULT, OTHER_VAULT):
                await containers.insert(tx, container)
                for name in names:
                    await keys.insert_version(tx, key_version(name, container=container), at_name=None)
        stayed = set(await _active(database))
        listed: list[str] = []
        after: str | None = None
        changes = iter(script)
        while True:
            async with database.read() as tx:
                page = await keys.page(tx, VAULT.id, after, limit)
            assert len(page) <= limit
            assert all(version.container_id == VAULT.id for version in page)
            listed += [version.name.lower() for version in page]
            if len(page) < limit:
                break
            after = page[-1].name
            for action, name in next(changes, []):
                async with database.write() as tx:
                    await _step(tx, action, name)
                stayed &= set(await _active(database))
        assert listed == sorted(set(listed))
        assert stayed <= set(listed)
        async with database.read() as tx:
            deleted = [name.folded for name, _ in await keys.deleted_page(tx, VAULT.id, None, 1_000)]
            assert deleted == sorted(set(deleted))
            assert not set(deleted) & set(await _active(database))
    finally:
        await database.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=_names, limit=st.integers(1, 4), script=_script)
def test_what_stays_is_listed_exactly_once_and_in_order(
    template: Path, names: list[str], limit: int, script: list[list[tuple[str, str]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(template, Path(folder) / "hsmvault.db")
        asyncio.run(_walk(f"sqlite:///{folder}/hsmvault.db", names, limit, script))


async def test_deleted_names_are_listed_by_pages(database: Database) -> None:
    names = ["a", "B", "b-", "b0", "C", "d"]
    for name in names:
        async with database.write() as tx:
            await keys.insert_version(tx, key_version(name), at_name=None)
            await _step(tx, "delete", name)
    listed: list[str] = []
    async with database.read() as tx:
        while page := await keys.deleted_page(tx, VAULT.id, listed[-1] if listed else None, 2):
            assert all(version.version == name.latest_version for name, version in page)
            listed += [name.name for name, _ in page]
    assert listed == names


async def test_versions_are_listed_by_pages_the_oldest_first(database: Database) -> None:
    for _ in range(7):
        async with database.write() as tx:
            await _step(tx, "create", "Name")
    sequences: list[int] = []
    async with database.read() as tx:
        while page := await keys.version_page(tx, VAULT.id, "NAME", sequences[-1] if sequences else None, 3):
            sequences += [version.sequence for version in page]
    assert sequences == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("objects", [KEYS, SECRETS, CERTIFICATES], ids=["keys", "secrets", "certificates"])
async def test_every_list_is_read_along_an_index(
    database: Database, path: Path, objects: ObjectStore[Any, Any]
) -> None:
    """What a page costs must not grow with what lies before it, nor with other containers."""
    connection = sqlite3.connect(path)
    for statement in (
        objects._page,
        objects._version_page,
        objects._deleted_page,
        objects._due,
        objects._latest,
        objects._version,
    ):
        compiled = statement.compiled(DIALECT)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", [1] * len(compiled.names)).fetchall()
        steps = [row[3] for row in plan]
        assert not any("SCAN" in step or "TEMP B-TREE" in step for step in steps), steps
    connection.close()
