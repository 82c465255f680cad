"""Fixtures of this folder: a SoftHSM token, the module, the token at work."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hsmvault.hsm import world_keys
from hsmvault.hsm.module import Module
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import WorkSession
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]


@pytest.fixture
def module(softhsm: SoftToken) -> Iterator[Module]:
    with softhsm.loaded() as loaded:
        yield loaded


@pytest.fixture
def work(softhsm: SoftToken, module: Module) -> Iterator[WorkSession]:
    """What an intruder in the process has: a session of a process that is logged in."""
    token = module.find_token(softhsm.selector)
    session = module.login(token, softhsm.user_pin)
    made = WorkSession(
        lambda: module.open_session(token), session, generation=1, profile=module.profile, raw=module.raw, world=None
    )
    made.world = world_keys.read_world(made, softhsm.ids)
    yield made
    made.session.close()


@pytest_asyncio.fixture
async def token(softhsm: SoftToken, module: Module) -> AsyncIterator[Token]:
    async with softhsm.started(module) as started:
        yield started
