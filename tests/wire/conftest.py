import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from hsmvault.store.migrations import migrate
from tests.wire.service import Service, serving


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its schema; only to be copied."""
    path = tmp_path_factory.mktemp("empty") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


Start = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def start(tmp_path: Path, empty_database: Path) -> Start:
    """A service with limits of the test's own: `async with start(limits=…) as service`."""

    def starter(**more: Any) -> AbstractAsyncContextManager[Service]:
        path = tmp_path / "hsmvault.db"
        shutil.copy(empty_database, path)
        return serving(path, tmp_path / "audit", **more)

    return starter


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Service]:
    async with start() as service:
        yield service


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that any logger says."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("aiosqlite").setLevel(logging.INFO)
    return caplog
