"""Wrapped custody runs the custody suite on a real token."""

from collections.abc import AsyncIterator

import pytest_asyncio

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from tests.contract.custody import CustodyContract, Rig
from tests.contract.oct_keys import OctKeysContract
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(softhsm_for_module: SoftToken) -> AsyncIterator[Rig]:
    async with softhsm_for_module.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers())

        async def forget() -> None:
            for cache in custodian.loaded:
                cache.forget_all()

        yield Rig(custodian, forget)


class TestWrappedCustody(CustodyContract, OctKeysContract):
    """Nothing of its own."""
