from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hsmvault.store.migrations import migrate
from tests.refusals.grounds import prepare
from tests.refusals.rig import Rig, running
from tests.softhsm import SoftToken, copied, softhsm_template  # noqa: F401  # a fixture


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def rig(softhsm_template: SoftToken, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:  # noqa: F811  # a fixture
    """One for the whole folder: no refusal changes anything, which is looked at each time."""
    folder = tmp_path_factory.mktemp("refusals")
    database = folder / "hsmvault.db"
    migrate(f"sqlite:///{database}")
    with copied(softhsm_template) as token:
        async with running(token, folder, database) as rig:
            await prepare(rig)
            yield rig
