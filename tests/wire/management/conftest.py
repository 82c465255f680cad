import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from hsmvault.wire.management.handlers import ManagementGroup
from tests.wire.management.stage import ManagementService, Parts, governing

Govern = Callable[[Callable[[Parts], Iterable[ManagementGroup]]], AbstractAsyncContextManager[ManagementService]]


@pytest.fixture
def govern(tmp_path: Path, empty_database: Path) -> Govern:
    """The management plane with these handlers: `async with govern(lambda parts: [Vaults(…)]) as service`."""

    def starter(groups: Callable[[Parts], Iterable[ManagementGroup]]) -> AbstractAsyncContextManager[ManagementService]:
        path = tmp_path / "hsmvault.db"
        shutil.copy(empty_database, path)
        return governing(path, tmp_path / "audit", groups)

    return starter
