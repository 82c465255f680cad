"""Envelope encryption at rest."""

import asyncio
import os
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import OVERHEAD_BYTES, CacheLimits, Sealer
from hsmvault.errors import Unavailable
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey

ROW = Binding("c-1", "secret", "password", "0" * 31 + "1")
OTHER_ROWS = [
    replace(ROW, container_id="c-2"),
    replace(ROW, kind="key"),
    replace(ROW, name="passwor", version="d" + ROW.version),
    replace(ROW, name="password2"),
    replace(ROW, version="0" * 31 + "2"),
]


@dataclass
class Rig:
    clock: MovedClock
    system_key: SoftwareSystemKey
    store: MemoryDataKeyStore
    sealer: Sealer

    def another_worker(self, limits: CacheLimits | None = None) -> Sealer:
        ring = KeyRing(self.system_key)
        return Sealer(ring, self.store, self.clock, RandomIdentifiers(), limits or CacheLimits())


@pytest.fixture
def rig() -> Rig:
    clock, system_key, store = MovedClock(), SoftwareSystemKey(), MemoryDataKeyStore()
    return Rig(clock, system_key, store, Sealer(KeyRing(system_key), store, clock, RandomIdentifiers()))


@pytest.mark.parametrize("length", [0, 1, 16, 25_600])
async def test_what_was_sealed_opens_in_every_worker(rig: Rig, length: int) -> None:
    value = os.urandom(length)
    sealed = await rig.sealer.seal(value, ROW)
    assert len(sealed) == length + OVERHEAD_BYTES
    assert await rig.sealer.open(sealed, ROW) == value
    assert await rig.another_worker().open(sealed, ROW) == value


async def test_the_layout_is_as_written(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    (row,) = rig.store.rows.values()
    assert sealed[0] == 1
    assert sealed[1:17].hex() == row.id
    assert (row.container_id, row.system_key_id, row.created) == ("c-1", "system-key-1", 1_750_000_000)
    assert len(sealed) == 1 + 16 + 12 + 5 + 16
    assert "sealed" not in repr(row)


async def test_equal_values_give_unequal_ciphertexts(rig: Rig) -> None:
    first, second = await rig.sealer.seal(b"value", ROW), await rig.sealer.seal(b"value", ROW)
    assert first[17:] != second[17:]


async def test_each_container_has_a_data_key_of_its_own(rig: Rig) -> None:
    first = await rig.sealer.seal(b"value", ROW)
    second = await rig.sealer.seal(b"value", replace(ROW, container_id="c-2"))
    assert first[1:17] != second[1:17]
    assert {row.container_id for row in rig.store.rows.values()} == {"c-1", "c-2"}


@pytest.mark.parametrize("other", OTHER_ROWS)
async def test_a_copy_in_another_row_does_not_open_and_the_original_does(rig: Rig, other: Binding) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    await rig.sealer.seal(b"another value", other)
    for sealer in (rig.sealer, rig.another_worker()):
        with pytest.raises(Unavailable) as caught:
            await sealer.open(sealed, other)
        assert other.name not in caught.value.message
        assert other.name in (caught.value.detail or "")
        assert await sealer.open(sealed, ROW) == b"value"
    with pytest.raises(Unavailable):
        rig.sealer.open_warm(sealed, other)


async def test_every_changed_bit_and_every_cut_is_refused(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    changed = [
        bytes([*sealed[:at], sealed[at] ^ (1 << bit), *sealed[at + 1 :]])
        for at in range(len(sealed))
        for bit in range(8)
    ]
    for bad in (*changed, *(sealed[:length] for length in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(Unavailable):
            await rig.sealer.open(bad, ROW)


@given(st.binary(max_size=80))
async def test_no_bytes_do_more_than_be_refused(noise: bytes) -> None:
    sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), MovedClock(), RandomIdentifiers())
    with pytest.raises(Unavailable):
        await sealer.open(noise, ROW)


async def test_another_rows_data_key_does_not_open(rig: Rig) -> None:
    """Rows of data_keys are hostile input too: swapped, moved or damaged ones open nothing."""
    sealed = await rig.sealer.seal(b"value", ROW)
    await rig.sealer.seal(b"value", replace(ROW, container_id="c-2"))
    mine, other = rig.store.rows.values()
    for bad in (
        replace(mine, sealed=other.sealed),
        replace(mine, container_id="c-2"),
        replace(mine, id=other.id, sealed=mine.sealed),
        replace(mine, id="not hexadecimal"),
        replace(mine, system_key_id="system-key-0"),
        replace(mine, sealed=mine.sealed[:-1]),
        replace(mine, sealed=b""),
        other,
    ):
        rig.store.rows[mine.id] = bad
        worker = rig.another_worker()
        with pytest.raises(Unavailable) as caught:
            await worker.open(sealed, ROW)
        assert caught.value.detail
        with pytest.raises(Unavailable):
            await worker.seal(b"new", ROW)
    rig.store.rows[mine.id] = mine
    assert await rig.another_worker().open(sealed, ROW) == b"value"


async def test_a_lost_data_key_costs_its_own_values_alone(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    other_row = replace(ROW, container_id="c-2")
    other = await rig.sealer.seal(b"other", other_row)
    del rig.store.rows[sealed[1:17].hex()]
    worker = rig.another_worker()
    with pytest.raises(Unavailable):
        await worker.open(sealed, ROW)
    assert await worker.open(other, other_row) == b"other"


async def test_warm_use_touches_neither_the_hsm_nor_the_store(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    rig.system_key.gone = True
    before = (rig.system_key.calls, rig.store.calls)
    again = await rig.sealer.seal(b"second", ROW)
    assert await rig.sealer.open(sealed, ROW) == b"value"
    assert rig.sealer.open_warm(again, ROW) == b"second"
    assert (rig.system_key.calls, rig.store.calls) == before


async def test_open_warm_says_none_when_the_data_key_is_not_in_memory(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    worker = rig.another_worker()
    assert worker.open_warm(sealed, ROW) is None
    await worker.open(sealed, ROW)
    assert worker.open_warm(sealed, ROW) == b"value"


async def test_data_keys_leave_the_memory_when_their_time_is_over_also_when_busy(rig: Rig) -> None:
    worker = rig.another_worker(CacheLimits(number=10, seconds=60))
    sealed = await worker.seal(b"value", ROW)
    for _ in range(3):
        rig.clock.move(19)
        assert worker.open_warm(sealed, ROW) == b"value"
    rig.clock.move(4)
    assert worker.open_warm(sealed, ROW) is None


async def test_a_wall_clock_that_jumps_neither_keeps_nor_drops_data_keys(rig: Rig) -> None:
    worker = rig.another_worker(CacheLimits(number=10, seconds=60))
    sealed = await worker.seal(b"value", ROW)
    rig.clock.jump(7200)
    assert worker.open_warm(sealed, ROW) == b"value"
    rig.clock.jump(-7200)
    rig.clock.move(61)
    assert worker.open_warm(sealed, ROW) is None


async def test_forget_and_sweep_drop_data_keys(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    rig.sealer.forget()
    assert rig.sealer.open_warm(sealed, ROW) is None
    await rig.sealer.open(sealed, ROW)
    rig.sealer.sweep()
    assert len(rig.sealer._ciphers) == 1
    rig.clock.move(301)
    rig.sealer.sweep()
    assert len(rig.sealer._ciphers) == len(rig.sealer._current) == 0


async def test_a_data_key_that_is_being_unwrapped_is_not_kept_after_forget(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    worker = rig.another_worker()
    opening = asyncio.create_task(worker.open(sealed, ROW))
    await asyncio.sleep(0)
    worker.forget()
    assert await opening == b"value"
    assert worker.open_warm(sealed, ROW) is None


async def test_the_number_of_data_keys_in_memory_is_bounded(rig: Rig) -> None:
    worker = rig.another_worker(CacheLimits(number=3, seconds=60))
    rows = [replace(ROW, container_id=f"c-{number}") for number in range(10)]
    sealed = [await worker.seal(b"value", row) for row in rows]
    warm = [worker.open_warm(value, row) is not None for value, row in zip(sealed, rows, strict=True)]
    assert warm == [False] * 7 + [True] * 3
    assert [await worker.open(value, row) for value, row in zip(sealed, rows, strict=True)] == [b"value"] * 10


async def test_two_workers_that_race_for_the_first_data_key_use_the_same_one(rig: Rig) -> None:
    workers = [rig.another_worker() for _ in range(4)]
    sealed = await asyncio.gather(*(worker.seal(b"value", ROW) for worker in workers for _ in range(3)))
    assert len({value[1:17] for value in sealed}) == 1
    assert len(rig.store.rows) == 1
    assert await rig.another_worker().open(sealed[0], ROW) == b"value"


async def test_many_at_once_unwrap_a_data_key_once(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    worker, before = rig.another_worker(), rig.system_key.calls
    assert set(await asyncio.gather(*(worker.open(sealed, ROW) for _ in range(20)))) == {b"value"}
    assert rig.system_key.calls == before + 1


async def test_a_caller_that_hangs_up_does_not_take_the_others_with_it(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    worker = rig.another_worker()
    first = asyncio.create_task(worker.open(sealed, ROW))
    second = asyncio.create_task(worker.open(sealed, ROW))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b"value"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_without_the_hsm_cold_values_are_unavailable_and_come_back_with_it(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    worker = rig.another_worker()
    rig.system_key.gone = True
    with pytest.raises(Unavailable):
        await worker.open(sealed, ROW)
    with pytest.raises(Unavailable):
        await worker.seal(b"new", replace(ROW, container_id="c-9"))
    rig.system_key.gone = False
    assert await worker.open(sealed, ROW) == b"value"


async def test_after_a_rotation_of_the_system_key_older_data_keys_open_and_new_ones_are_under_the_new(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    new = SoftwareSystemKey("system-key-2")
    worker = Sealer(KeyRing(new, [rig.system_key]), rig.store, rig.clock, RandomIdentifiers())
    assert await worker.open(sealed, ROW) == b"value"
    await worker.seal(b"value", replace(ROW, container_id="c-2"))
    assert [row.system_key_id for row in rig.store.rows.values()] == ["system-key-1", "system-key-2"]


async def test_a_borrowed_data_key_opens_what_outlived_its_container(rig: Rig) -> None:
    sealed = await rig.sealer.seal(b"value", ROW)
    row = await rig.sealer.row_of(sealed, ROW)
    rig.store.rows.clear()
    worker = rig.another_worker()
    with pytest.raises(Unavailable):
        await worker.row_of(sealed, ROW)
    with pytest.raises(Unavailable):
        await worker.borrow(replace(row, container_id="c-2"))
    await worker.borrow(row)
    assert await worker.open(sealed, ROW) == b"value"
    assert not rig.store.rows


async def test_no_repr_shows_a_data_key(rig: Rig) -> None:
    await rig.sealer.seal(b"value", ROW)
    (row,) = rig.store.rows.values()
    parts = (row.id, row.container_id)
    key = await rig.system_key.open(
        row.sealed,
        b"".join(
            len(part).to_bytes(4, "big") + part
            for part in (b"hsmvault data key", b"\1", bytes.fromhex(parts[0]), parts[1].encode())
        ),
    )
    assert len(key) == 32
    assert repr(key)[2:-1] not in repr(vars(rig.sealer)) and key.hex() not in repr(vars(rig.sealer))
