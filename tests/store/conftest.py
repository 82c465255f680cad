"""One suite for every database: what differs is how an empty one comes to be."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from hsmvault.clock import MovedClock
from hsmvault.store import containers
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

from .samples import OTHER_VAULT, VAULT


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: a migration takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> str:
    """A database with the schema and nothing in it."""
    assert request.param == "sqlite"
    path = tmp_path / "hsmvault.db"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def path(url: str) -> Path:
    """Of the file; for tests of what only SQLite can do."""
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


class Opener(Protocol):
    async def __call__(self, *, busy_seconds: float = 5.0) -> Database: ...


@pytest.fixture
async def open_database(url: str, clock: MovedClock) -> AsyncIterator[Opener]:
    """Opens a Database on the same data at each call: as another worker does."""
    opened: list[Database] = []

    async def opener(*, busy_seconds: float = 5.0) -> Database:
        opened.append(await Database.open(url, clock=clock, busy_seconds=busy_seconds))
        return opened[-1]

    yield opener
    for database in opened:
        await database.close()


@pytest.fixture
async def database(url: str, clock: MovedClock) -> AsyncIterator[Database]:
    """With two vaults in it."""
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await containers.insert(tx, VAULT)
        await containers.insert(tx, OTHER_VAULT)
    yield database
    await database.close()
