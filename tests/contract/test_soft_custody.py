"""Soft custody runs the custody suite."""

from collections.abc import AsyncIterator

import pytest_asyncio

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.lanes import Lane
from tests.contract.custody import CustodyContract, Rig
from tests.contract.oct_keys import NoOctKeysContract
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    clock = MovedClock()
    work: Lane[None] = Lane("work", None, limit=1000)
    generation: Lane[None] = Lane("generation", None, limit=10)
    sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), clock, RandomIdentifiers())
    custodian = SoftCustodian(sealer, clock, work=work, generation=generation)

    async def forget() -> None:
        custodian.forget()
        sealer.forget()

    yield Rig(custodian, forget)
    await work.close()
    await generation.close()


class TestSoftCustody(CustodyContract, NoOctKeysContract):
    """Nothing of its own."""
