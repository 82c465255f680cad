"""Resident custody runs the custody suite on a real token."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import KeySpec
from tests.contract.custody import P256, RSA_2048, CustodyContract, Rig, named, row
from tests.contract.intents import intents_in
from tests.contract.oct_keys import NoOctKeysContract
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(softhsm_for_module: SoftToken) -> AsyncIterator[Rig]:
    async with softhsm_for_module.world() as world, intents_in(softhsm_for_module.folder) as intents:
        custodian = ResidentCustodian(world, RandomIdentifiers(), intents)

        async def forget() -> None:
            for cache in custodian.loaded:
                cache.forget_all()

        yield Rig(custodian, forget)


class TestResidentCustody(CustodyContract, NoOctKeysContract):
    """But for backup, which a key that never leaves cannot have."""

    @pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
    async def test_a_key_that_went_through_a_backup_works_in_its_new_row_alone(self, rig: Rig, spec: KeySpec) -> None:
        held, source = await rig.key(spec)
        with pytest.raises(BadRequest, match="cannot be backed up"):
            await rig.custodian.pack(held, source)

    async def test_packing_and_unpacking_from_a_row_that_is_not_its_own_is_refused(self, rig: Rig) -> None:
        held, source = await rig.key(P256)
        with pytest.raises(BadRequest, match="cannot be backed up"):
            await rig.custodian.unpack(held.spec, held.public, held.reference, source, row("target"))

    async def test_a_packed_key_with_another_public_part_or_changed_bytes_is_refused(self, rig: Rig) -> None:
        """Nothing is ever packed."""
        held, source = await rig.key(P256)
        with pytest.raises(BadRequest, match="cannot be backed up"):
            await rig.custodian.unpack(held.spec, held.public, b"", source, row("target"))
