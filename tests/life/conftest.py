from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.life.worker import CONTACTS, Life, life
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]


@pytest.fixture
async def installation(softhsm: SoftToken, tmp_path: Path) -> AsyncIterator[Life]:
    """Nothing runs yet."""
    async with life(softhsm, tmp_path) as one:
        yield one


@pytest.fixture
async def worker(installation: Life) -> AsyncIterator[Life]:
    """It serves, and its vault has contacts."""
    async with installation.serving():
        contacts = [{"email": address} for address in CONTACTS]
        await installation.good("PUT", "/certificates/contacts", {"contacts": contacts})
        yield installation
