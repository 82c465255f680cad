from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hsmvault.store.migrations import migrate
from tests.refusals_management.grounds import prepare
from tests.refusals_management.rig import Rig, running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One for the whole folder: no refusal changes anything, which is looked at each time."""
    folder = tmp_path_factory.mktemp("refusals")
    database = folder / "hsmvault.db"
    migrate(f"sqlite:///{database}")
    async with running(folder, database) as rig:
        await prepare(rig)
        yield rig
