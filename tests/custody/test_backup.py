"""The sealed backup blob of one object."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.backup import TAG, BackupScope, open_backup, seal_backup
from hsmvault.custody.keyring import KeyRing
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from tests.custody.doubles import SoftwareSystemKey

SCOPE = BackupScope("key", "5a0e8a4e-0000-4000-8000-000000000001", "dev", "7b0e8a4e-0000-4000-8000-000000000002")
BODY = b"all versions of a key" * 40


@pytest.fixture
def system_key() -> SoftwareSystemKey:
    return SoftwareSystemKey()


async def sealed(system_key: SoftwareSystemKey, body: bytes = BODY, scope: BackupScope = SCOPE) -> bytes:
    return await seal_backup(system_key, scope, body, created=1_750_000_000, identifiers=RandomIdentifiers())


async def refusal(ring: KeyRing, blob: bytes, scope: BackupScope = SCOPE) -> str:
    with pytest.raises(BadRequest) as caught:
        await open_backup(ring, blob, scope)
    assert not isinstance(caught.value, CiphertextRefused)
    assert caught.value.detail
    return caught.value.message


@pytest.mark.parametrize("length", [0, 1, 1_000_000])
async def test_what_was_sealed_opens(system_key: SoftwareSystemKey, length: int) -> None:
    body = b"b" * length
    assert await open_backup(KeyRing(system_key), await sealed(system_key, body), SCOPE) == body


async def test_it_begins_with_a_readable_tag_and_hides_its_body(system_key: SoftwareSystemKey) -> None:
    blob = await sealed(system_key)
    assert blob.startswith(b"hsmvaultObjectBackup\x01")
    assert b"versions" not in blob
    assert blob[-16:] != (await sealed(system_key))[-16:]


async def test_it_opens_after_a_rotation_of_the_system_key(system_key: SoftwareSystemKey) -> None:
    blob = await sealed(system_key)
    ring = KeyRing(SoftwareSystemKey("system-key-2"), [system_key])
    assert await open_backup(ring, blob, SCOPE) == BODY


async def test_every_changed_bit_and_every_cut_gets_the_one_refusal(system_key: SoftwareSystemKey) -> None:
    ring, blob = KeyRing(system_key), await sealed(system_key, b"body")
    changed = [
        bytes([*blob[:at], blob[at] ^ (1 << bit), *blob[at + 1 :]]) for at in range(len(blob)) for bit in range(8)
    ]
    cuts = [blob[:length] for length in range(len(blob))]
    texts = {await refusal(ring, bad) for bad in (*changed, *cuts, blob + b"\0", blob + blob, TAG * 3)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    "expected",
    [
        replace(SCOPE, kind="secret"),
        replace(SCOPE, subscription_id="5a0e8a4e-0000-4000-8000-000000000009"),
        replace(SCOPE, geography="other"),
        replace(SCOPE, tenant_id="7b0e8a4e-0000-4000-8000-000000000009"),
    ],
)
async def test_another_place_gets_the_same_refusal(system_key: SoftwareSystemKey, expected: BackupScope) -> None:
    ring, blob = KeyRing(system_key), await sealed(system_key)
    assert await refusal(ring, blob, expected) == await refusal(ring, b"")


async def test_spliced_blobs_are_refused(system_key: SoftwareSystemKey) -> None:
    ring = KeyRing(system_key)
    mine = await sealed(system_key, b"mine")
    other = await sealed(system_key, b"his.", replace(SCOPE, subscription_id="5a0e8a4e-0000-4000-8000-000000000009"))
    assert len(mine) == len(other)
    header_ends = 25 + int.from_bytes(mine[21:25], "big")
    await refusal(ring, mine[:header_ends] + other[header_ends:])
    await refusal(ring, mine[:-32] + other[-32:])
    await refusal(ring, mine[: header_ends + 2] + other[header_ends + 2 : -32] + mine[-32:])


async def test_another_system_key_of_the_same_name_gets_the_same_refusal(system_key: SoftwareSystemKey) -> None:
    blob = await sealed(system_key)
    text = await refusal(KeyRing(SoftwareSystemKey(system_key.id)), blob)
    assert (
        text
        == await refusal(KeyRing(SoftwareSystemKey("system-key-9")), blob)
        == await refusal(KeyRing(system_key), b"")
    )


async def test_an_hsm_out_of_reach_is_not_the_blobs_fault(system_key: SoftwareSystemKey) -> None:
    blob = await sealed(system_key)
    system_key.gone = True
    with pytest.raises(Unavailable):
        await open_backup(KeyRing(system_key), blob, SCOPE)


@given(st.binary(max_size=200), st.booleans())
async def test_no_bytes_do_more_than_be_refused(noise: bytes, tagged: bool) -> None:
    await refusal(KeyRing(SoftwareSystemKey()), TAG + b"\1" + noise if tagged else noise)
