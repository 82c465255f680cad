import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hsmvault.clock import MovedClock
from hsmvault.model.principals import Principal
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.login.people import add_user, quick_hash
from tests.login.world import World, build, serve


@pytest.fixture(scope="session")
def rsa_keys() -> list[rsa.RSAPrivateKey]:
    """Making RSA keys takes long, so all tests share these."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(4)]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("login") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def database(empty_database: Path, tmp_path: Path, clock: MovedClock) -> AsyncIterator[Database]:
    path = tmp_path / "login.db"
    shutil.copy(empty_database, path)
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    yield database
    await database.close()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def world(
    database: Database,
    clock: MovedClock,
    rsa_keys: list[rsa.RSAPrivateKey],
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The issuer and the identity endpoints, each listening on plain http on loopback; a clock that the test moves."""
    monkeypatch.setattr("hsmvault.login.people.UNMATCHED", quick_hash("nobody's"))
    world = await build(database, clock, origin="https://login.localhost:8443", keys=rsa_keys, session=session)
    runner, port = await serve(world.application)
    identity_runner, identity_port = await serve(world.identity_endpoints)
    world.url, world.identity_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{identity_port}"
    yield world
    await runner.cleanup()
    await identity_runner.cleanup()


@pytest.fixture
async def ada(world: World) -> Principal:
    """A person of the tenant, with the password that people.py knows."""
    return await add_user(world, "ada@dev.example")
