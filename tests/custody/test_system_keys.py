"""The system keys of a world in its token: the contract, a ring that is replaced, random bytes."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.errors import Unavailable
from hsmvault.model.data_keys import DataKeyRow, SystemKeyGone
from tests.contract.system_key import SystemKeyContract
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template  # noqa: F401  # fixtures

ROW = Binding("c-1", "secret", "name", "v1")


@pytest.fixture
async def world(softhsm_for_module: SoftToken) -> AsyncIterator[World]:  # noqa: F811  # the fixture
    async with softhsm_for_module.world() as world:
        yield world


async def test_the_token_keeps_the_contract(world: World) -> None:
    assert world.tokens[0].ids.system is not None
    key = TokenSystemKey(world, world.tokens[0].ids.system)
    suite = SystemKeyContract()
    await suite.test_equal_values_give_unequal_ciphertexts(key)
    await suite.test_whatever_was_changed_is_refused(key)
    await suite.test_its_id_stays(key)


async def test_a_key_that_the_token_does_not_show_is_out_of_reach_and_not_a_bad_ciphertext(world: World) -> None:
    key = TokenSystemKey(world, bytes(16))
    with pytest.raises(Unavailable, match="temporarily unavailable"):
        await key.seal(b"value", b"here")
    with pytest.raises(Unavailable):
        await key.open(bytes(64), b"here")


async def test_random_bytes_come_from_the_token(world: World) -> None:
    assert len({await world.random(length=32) for _ in range(3)}) == 3
    assert [len(await world.random(length)) for length in (1, 128)] == [1, 128]


class Condemning(MemoryDataKeyStore):
    """condemned: no data key is taken under this system key."""

    condemned = ""

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        if row.system_key_id == self.condemned:
            raise SystemKeyGone("later")
        return await super().add(row)


async def test_a_late_worker_seals_under_the_new_key_and_opens_what_was_sealed_anew() -> None:
    old, new, store = SoftwareSystemKey("old"), SoftwareSystemKey("new"), Condemning()
    asked = 0

    async def reload() -> None:
        nonlocal asked
        asked += 1
        ring.replace(new)

    ring = KeyRing(old, reload=reload)
    sealer = Sealer(ring, store, MovedClock(), RandomIdentifiers())
    store.condemned = "old"
    sealed = await sealer.seal(b"value", ROW)
    assert [row.system_key_id for row in store.rows.values()] == ["new"]
    assert asked == 1
    ring.replace(old)
    sealer.forget()
    assert await sealer.open(sealed, ROW) == b"value"
    assert asked == 2


async def test_a_row_of_no_known_system_key_stays_unavailable() -> None:
    store = Condemning()
    sealer = Sealer(KeyRing(SoftwareSystemKey("old")), store, MovedClock(), RandomIdentifiers())
    sealed = await sealer.seal(b"value", ROW)
    (row,) = store.rows.values()
    store.rows[row.id] = replace(row, system_key_id="strange")
    sealer.forget()
    with pytest.raises(Unavailable):
        await sealer.open(sealed, ROW)
