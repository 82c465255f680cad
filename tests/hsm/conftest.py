"""Fixtures of this folder: a SoftHSM token, the module, the token at work."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hsmvault.hsm.module import Module
from hsmvault.hsm.token import Token
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]


@pytest.fixture
def module(softhsm: SoftToken) -> Iterator[Module]:
    with softhsm.loaded() as loaded:
        yield loaded


@pytest_asyncio.fixture
async def token(softhsm: SoftToken, module: Module) -> AsyncIterator[Token]:
    async with softhsm.started(module) as started:
        yield started
