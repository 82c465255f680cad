"""The sealed backup blob of one object."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.backup import TAG, BackupScope, backup_container, open_backup, seal_backup
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey
from tests.custody.first_backups import seal_first

WORLD = "9c0e8a4e-0000-4000-8000-000000000003"
SCOPE = BackupScope(
    "key",
    "5a0e8a4e-0000-4000-8000-000000000001",
    "dev",
    "7b0e8a4e-0000-4000-8000-000000000002",
    "vault",
    WORLD,
)
BODY = b"all versions of a key" * 40


@dataclass
class Place:
    """An installation: a database and the system keys that it knows."""

    system_key: SoftwareSystemKey = field(default_factory=SoftwareSystemKey)
    older: list[SoftwareSystemKey] = field(default_factory=list)
    store: MemoryDataKeyStore = field(default_factory=MemoryDataKeyStore)

    @property
    def sealer(self) -> Sealer:
        """A new one each time: nothing is in memory."""
        return Sealer(KeyRing(self.system_key, self.older), self.store, MovedClock(), RandomIdentifiers())

    async def rotate(self) -> SoftwareSystemKey:
        """A new system key, every data key sealed anew under it, the old one destroyed. Returns the old one."""
        old, self.system_key = self.system_key, SoftwareSystemKey(self.system_key.id + "'")
        for row in list(self.store.rows.values()):
            domain = (b"hsmvault data key", b"\1", bytes.fromhex(row.id), row.container_id.encode())
            bound_to = b"".join(len(part).to_bytes(4, "big") + part for part in domain)
            sealed = await self.system_key.seal(await old.open(row.sealed, bound_to), bound_to)
            self.store.rows[row.id] = replace(row, system_key_id=self.system_key.id, sealed=sealed)
        return old


@pytest.fixture
def place() -> Place:
    return Place()


async def sealed(place: Place, body: bytes = BODY, scope: BackupScope = SCOPE) -> bytes:
    return await seal_backup(place.sealer, scope, body, created=1_750_000_000)


async def sealed_first(place: Place, body: bytes = BODY, scope: BackupScope = SCOPE) -> bytes:
    return await seal_first(place.system_key, scope, body)


FORMATS = pytest.mark.parametrize("seal", [sealed_first, sealed], ids=["format 1", "format 2"])
Seal = Callable[..., Awaitable[bytes]]


async def refusal(sealer: Sealer, blob: bytes, scope: BackupScope = SCOPE) -> str:
    with pytest.raises(BadRequest) as caught:
        await open_backup(sealer, blob, scope)
    assert not isinstance(caught.value, CiphertextRefused)
    assert caught.value.detail
    return caught.value.message


@FORMATS
@pytest.mark.parametrize("length", [0, 1, 1_000_000])
async def test_what_was_sealed_opens(place: Place, seal: Seal, length: int) -> None:
    body = b"b" * length
    assert await open_backup(place.sealer, await seal(place, body), SCOPE) == body


async def test_it_begins_with_a_readable_tag_and_hides_its_body(place: Place) -> None:
    blob = await sealed(place)
    assert blob.startswith(b"hsmvaultObjectBackup\x02")
    assert b"versions" not in blob
    assert blob[-16:] != (await sealed(place))[-16:]


async def test_all_backups_of_a_world_share_one_data_key(place: Place) -> None:
    for _ in range(3):
        await sealed(place)
    assert [row.container_id for row in place.store.rows.values()] == [backup_container(WORLD)]


@FORMATS
async def test_it_opens_after_a_rotation_of_the_system_key(place: Place, seal: Seal) -> None:
    blob = await seal(place)
    place.older = [await place.rotate()]
    assert await open_backup(place.sealer, blob, SCOPE) == BODY


async def test_it_opens_after_the_system_key_of_its_time_was_destroyed(place: Place) -> None:
    blob = await sealed(place)
    await place.rotate()
    await place.rotate()
    assert await open_backup(place.sealer, blob, SCOPE) == BODY


async def test_a_blob_of_format_1_goes_with_its_system_key(place: Place) -> None:
    blob = await sealed_first(place)
    await place.rotate()
    assert await refusal(place.sealer, blob) == await refusal(place.sealer, b"")


async def test_it_opens_with_another_database_of_the_same_token(place: Place) -> None:
    """A database that was restored from before the first backup has no data key for backups."""
    blob = await sealed(place)
    restored = Place(place.system_key)
    assert await open_backup(restored.sealer, blob, SCOPE) == BODY
    assert restored.store.rows == {}
    await sealed(restored)  # a data key of its own
    assert await open_backup(restored.sealer, blob, SCOPE) == BODY


async def test_another_database_needs_the_system_key_of_that_time(place: Place) -> None:
    blob = await sealed(place)
    old = await place.rotate()
    await refusal(Place(place.system_key).sealer, blob)
    assert await open_backup(Place(place.system_key, [old]).sealer, blob, SCOPE) == BODY


@FORMATS
async def test_every_changed_bit_and_every_cut_gets_the_one_refusal(place: Place, seal: Seal) -> None:
    blob, sealer = await seal(place, b"body"), place.sealer
    changed = [
        bytes([*blob[:at], blob[at] ^ (1 << bit), *blob[at + 1 :]]) for at in range(len(blob)) for bit in range(8)
    ]
    cuts = [blob[:length] for length in range(len(blob))]
    texts = {await refusal(sealer, bad) for bad in (*changed, *cuts, blob + b"\0", blob + blob, TAG * 3)}
    assert len(texts) == 1
    assert await open_backup(sealer, blob, SCOPE) == b"body"


@FORMATS
@pytest.mark.parametrize(
    "expected",
    [
        replace(SCOPE, kind="secret"),
        replace(SCOPE, subscription_id="5a0e8a4e-0000-4000-8000-000000000009"),
        replace(SCOPE, geography="other"),
        replace(SCOPE, tenant_id="7b0e8a4e-0000-4000-8000-000000000009"),
        replace(SCOPE, holder="pool"),
    ],
)
async def test_another_place_gets_the_same_refusal(place: Place, seal: Seal, expected: BackupScope) -> None:
    blob = await seal(place)
    assert await refusal(place.sealer, blob, expected) == await refusal(place.sealer, b"")


async def test_another_world_gets_the_same_refusal(place: Place) -> None:
    """Even where it has the very same system key and database, which no installation does."""
    blob, other = await sealed(place), replace(SCOPE, world_id="9c0e8a4e-0000-4000-8000-000000000009")
    assert await refusal(place.sealer, blob, other) == await refusal(place.sealer, b"")
    assert await refusal(Place(place.system_key).sealer, blob, other) == await refusal(place.sealer, b"")


@FORMATS
async def test_spliced_blobs_are_refused(place: Place, seal: Seal) -> None:
    mine = await seal(place, b"mine")
    other = await seal(place, b"his.", replace(SCOPE, subscription_id="5a0e8a4e-0000-4000-8000-000000000009"))
    assert len(mine) == len(other)
    header_ends = 25 + int.from_bytes(mine[21:25], "big")
    await refusal(place.sealer, mine[:header_ends] + other[header_ends:])
    await refusal(place.sealer, mine[:-20] + other[-20:])
    await refusal(place.sealer, mine[: header_ends + 2] + other[header_ends + 2 : -20] + mine[-20:])


@FORMATS
async def test_another_system_key_of_the_same_name_gets_the_same_refusal(place: Place, seal: Seal) -> None:
    blob = await seal(place)
    text = await refusal(Place(SoftwareSystemKey(place.system_key.id)).sealer, blob)
    assert (
        text == await refusal(Place(SoftwareSystemKey("system-key-9")).sealer, blob) == await refusal(place.sealer, b"")
    )


@FORMATS
async def test_an_hsm_out_of_reach_is_not_the_blobs_fault(place: Place, seal: Seal) -> None:
    blob = await seal(place)
    place.system_key.gone = True
    with pytest.raises(Unavailable):
        await open_backup(place.sealer, blob, SCOPE)


@given(st.binary(max_size=200), st.sampled_from([b"", TAG + b"\1", TAG + b"\2"]))
async def test_no_bytes_do_more_than_be_refused(noise: bytes, front: bytes) -> None:
    await refusal(Place().sealer, front + noise)
