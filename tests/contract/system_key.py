"""What every SystemKey must do; run as custody.py is, with a fixture `system_key` of the module's scope."""

import pytest

from hsmvault.custody.protocols import SystemKey
from hsmvault.errors import CiphertextRefused

PLACE = b"bound to this"


@pytest.mark.asyncio(loop_scope="module")
class SystemKeyContract:
    @pytest.mark.parametrize("length", [0, 1, 32, 4096])
    async def test_what_was_sealed_opens(self, system_key: SystemKey, length: int) -> None:
        plaintext = bytes(range(256)) * 16
        sealed = await system_key.seal(plaintext[:length], PLACE)
        assert len(sealed) == 12 + length + 16
        assert await system_key.open(sealed, PLACE) == plaintext[:length]

    async def test_equal_values_give_unequal_ciphertexts(self, system_key: SystemKey) -> None:
        assert await system_key.seal(b"value", PLACE) != await system_key.seal(b"value", PLACE)

    async def test_whatever_was_changed_is_refused(self, system_key: SystemKey) -> None:
        sealed = await system_key.seal(b"k" * 32, PLACE)
        changed = [bytes([*sealed[:at], sealed[at] ^ 0x80, *sealed[at + 1 :]]) for at in range(0, len(sealed), 5)]
        for bad in (*changed, sealed[:-1], sealed[1:], sealed + b"\0", sealed[:28], sealed[:12], b""):
            with pytest.raises(CiphertextRefused):
                await system_key.open(bad, PLACE)

    @pytest.mark.parametrize("place", [b"", b"bound to that", PLACE + b"\0", PLACE[:-1]])
    async def test_bound_to_another_place_is_refused(self, system_key: SystemKey, place: bytes) -> None:
        sealed = await system_key.seal(b"k" * 32, PLACE)
        with pytest.raises(CiphertextRefused):
            await system_key.open(sealed, place)

    async def test_its_id_stays(self, system_key: SystemKey) -> None:
        first = system_key.id
        assert first and system_key.id == first
