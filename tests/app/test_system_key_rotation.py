"""rotate-system-key: everything sealed goes on opening, before, during and after, wherever it is killed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pkcs11 import Attribute

from hsmvault.app import token_files
from hsmvault.app.rotations import alone_on_node
from hsmvault.app.system_key_rotation import job_of
from hsmvault.errors import HsmRefusal, Unavailable
from hsmvault.hsm import ceremony
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import SYSTEM_KEY
from hsmvault.model.worlds import ACTIVE, DESTROYING, PLANNED, RETIRED, SystemKeyRow
from hsmvault.store import data_keys, jobs, worlds
from tests.app.rotating import Crash, Rig, crash_at, opened
from tests.softhsm import SoftToken, copied, softhsm, softhsm_template  # noqa: F401  # fixtures

CONTAINERS = [f"c-{number}" for number in range(25)]  # more than one batch


async def test_everything_opens_before_and_after_and_the_old_key_is_gone(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    async with opened(softhsm, tmp_path) as rig:
        worker = await rig.worker()
        sealed = {name: await worker.seal(name) for name in CONTAINERS}
        (old,) = await rig.system_keys_on_token()
        await rig.rotate()
        (new,) = await rig.system_keys_on_token()
        assert new != old
        assert await rig.states() == {new: ACTIVE}
        for name, value in sealed.items():  # a worker that heard of nothing
            assert await worker.open(value, name) == b"value"
        assert await (await rig.worker()).open(sealed["c-3"], "c-3") == b"value"
        assert "re-sealed 20 of 25 data keys" in rig.said
        assert "re-sealed 25 of 25 data keys" in rig.said
        assert rig.said[-1] == f"The system key {new} is in use, and no other."
    async with opened(softhsm, tmp_path) as rig:  # another process
        assert await (await rig.worker()).open(sealed["c-3"], "c-3") == b"value"


async def test_wherever_it_is_killed_the_next_call_finishes_it_and_everything_opens_all_the_while(
    softhsm_template: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    points = 0
    while True:
        folder = tmp_path / str(points)
        folder.mkdir()
        with copied(softhsm_template) as token:
            async with opened(token, folder) as rig:
                sealed = {name: await (await rig.worker()).seal(name) for name in CONTAINERS}
                (old,) = await rig.system_keys_on_token()
                with crash_at(points) as fault:
                    try:
                        await rig.rotate(fault)
                    except Crash:
                        died = True
                    else:
                        died = False
            async with opened(token, folder) as rig:
                await _require_all(rig, sealed)
                if died:
                    await rig.rotate()
                (new,) = await rig.system_keys_on_token()
                assert await rig.states() == {new: ACTIVE}
                assert new != old
                await _require_all(rig, sealed)
        points += 1
        if not died:
            break
    assert points > 12


async def _require_all(rig: Rig, sealed: dict[str, bytes]) -> None:
    worker = await rig.worker()
    for name in ("c-0", "c-19", "c-24"):
        assert await worker.open(sealed[name], name) == b"value"
    assert await worker.open(await worker.seal("new"), "new") == b"value"


async def test_workers_seal_and_open_at_every_step(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    """One of them hears of nothing by itself, and seals in a new container at each point of the rotation."""
    async with opened(softhsm, tmp_path) as rig:
        late = await rig.worker()
        sealed = {name: await late.seal(name) for name in CONTAINERS}
        tasks: list[asyncio.Task[None]] = []

        async def use(number: int) -> None:
            name = f"n-{number}"
            sealed[name] = await late.seal(name)
            assert await (await rig.worker()).open(sealed[name], name) == b"value"
            assert await late.open(sealed["c-7"], "c-7") == b"value"

        await rig.rotate(lambda _: tasks.append(asyncio.create_task(use(len(tasks)))))
        await asyncio.gather(*tasks)
        worker = await rig.worker()
        for name, value in sealed.items():
            assert await worker.open(value, name) == b"value"
        (new,) = await rig.system_keys_on_token()
        assert await rig.states() == {new: ACTIVE}


async def test_a_data_key_that_is_inserted_at_the_last_moment_is_sealed_by_the_new_key(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A late worker has sealed a data key under the old key, and comes to store it when that key is condemned."""
    async with opened(softhsm, tmp_path) as rig:
        late = await rig.worker()
        await late.seal("c-1")
        (old,) = await rig.system_keys_on_token()

        def stop(name: str) -> None:
            if name == "before destroy":
                raise Crash

        with pytest.raises(Crash):
            await rig.rotate(stop)
        assert (await rig.states())[old] == DESTROYING
        assert late.ring.current.id == old
        sealed = await late.seal("c-2")
        assert late.reloads == 1
        assert late.ring.current.id != old
        await rig.rotate()
        assert old not in await rig.system_keys_on_token()
        assert await late.open(sealed, "c-2") == b"value"


async def test_a_data_key_that_comes_between_the_last_look_and_the_count_is_sealed_anew(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with opened(softhsm, tmp_path) as rig:
        late = await rig.worker()
        (old,) = await rig.system_keys_on_token()
        row = await late.sealer._new_row("c-1")
        assert row.system_key_id == old
        real = data_keys.count_under
        looked = 0

        async def count(tx: object, system_key_id: str) -> int:
            nonlocal looked
            looked += 1
            if looked == 2:  # the count that decides; the writer is this transaction, so the row comes through it
                await data_keys.insert_first(tx, row)  # type: ignore[arg-type]
            return await real(tx, system_key_id)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(data_keys, "count_under", count)
            await rig.rotate()
        assert looked >= 4
        async with rig.database.read() as tx:
            kept = await data_keys.current(tx, "c-1")
        assert kept is not None and kept.id == row.id and kept.system_key_id != old
        assert old not in await rig.system_keys_on_token()


async def test_a_key_of_an_earlier_version_stays_in_the_token_and_the_command_says_so(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Earlier versions made it with DESTROYABLE=0."""
    async with opened(softhsm, tmp_path) as rig:
        real = SYSTEM_KEY.template

        def generate(work: WorkSession, token_id: bytes) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(
                    type(SYSTEM_KEY),
                    "template",
                    lambda _, profile: {Attribute.DESTROYABLE: False, **real(profile)},
                )
                ceremony.generate(work, SYSTEM_KEY, token_id)

        first = bytes(range(16))
        await rig.world.token().run_once(lambda work: generate(work, first))
        async with rig.database.write() as tx:
            known = await rig.known()
            await worlds.insert_system_key(tx, _planned(first))
            await worlds.activate_system_key(tx, first.hex(), known.system.id)
        worker = await rig.worker()
        sealed = await worker.seal("c-1")
        await rig.rotate()
        states = await rig.states()
        assert states[first.hex()] == RETIRED
        assert sorted(states.values()) == [ACTIVE, RETIRED]
        assert any(f"{first.hex()} was made by an earlier version" in sentence for sentence in rig.said)
        assert any(sentence.endswith("retired; 0 data keys are under it.") for sentence in rig.said)
        assert rig.said[-1].endswith("in use; 1 older kept.")
        assert await worker.open(sealed, "c-1") == b"value"
        await rig.rotate()  # it is tried again, and stays
        assert (await rig.states())[first.hex()] == RETIRED


async def test_an_old_key_is_kept_when_asked_and_destroyed_by_the_next_rotation(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with opened(softhsm, tmp_path) as rig:
        (old,) = await rig.system_keys_on_token()
        await rig.rotate(keep_old=True)
        assert f"The system key {old} is kept, as asked; 0 data keys are under it." in rig.said
        assert (await rig.states())[old] == RETIRED
        assert old in await rig.system_keys_on_token()
        await rig.rotate()
        assert len(await rig.system_keys_on_token()) == 1
        assert list((await rig.states()).values()) == [ACTIVE]


async def test_a_key_can_be_made_first_and_used_later(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    """So that the token is backed up, or copied to another node, before anything is sealed by the new key."""
    async with opened(softhsm, tmp_path) as rig:
        worker = await rig.worker()
        await worker.seal("c-1")
        (old,) = await rig.system_keys_on_token()
        for _ in range(2):  # asking twice makes one key
            await rig.rotate(make_only=True)
        (new,) = await rig.system_keys_on_token() - {old}
        assert await rig.states() == {old: ACTIVE, new: PLANNED}
        assert rig.said[-1].startswith(f"The token has the system key {new}.")
        assert rig.said[-1].endswith("run the command again without --make-only.")
        async with rig.database.read() as tx:
            assert await data_keys.count_under(tx, old) == 1
    with copied(softhsm) as backup:
        async with opened(softhsm, tmp_path) as rig:
            await rig.rotate()
            assert await rig.states() == {new: ACTIVE}
            sealed = await (await rig.worker()).seal("c-2")
        async with opened(backup, tmp_path) as rig:
            assert await (await rig.worker()).open(sealed, "c-2") == b"value"


async def test_a_rotation_that_was_switched_is_not_made_again(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    async with opened(softhsm, tmp_path) as rig:

        def stop(name: str) -> None:
            if name == "before destroy":
                raise Crash

        with pytest.raises(Crash):
            await rig.rotate(stop)
        with pytest.raises(HsmRefusal, match="without --make-only to end that"):
            await rig.rotate(make_only=True)
        await rig.rotate()
        assert len(await rig.states()) == 1


async def test_a_damaged_data_key_keeps_its_system_key(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    async with opened(softhsm, tmp_path) as rig:
        worker = await rig.worker()
        good, bad = await worker.seal("good"), await worker.seal("bad")
        (old,) = await rig.system_keys_on_token()
        async with rig.database.write() as tx:
            row = await data_keys.current(tx, "bad")
            assert row is not None
            cut = type(row)(row.id, row.container_id, row.system_key_id, bytes(len(row.sealed)), row.created)
            assert await data_keys.reseal(tx, cut, old)
        await rig.rotate()
        assert (await rig.states())[old] == RETIRED
        assert old in await rig.system_keys_on_token()
        assert f"The system key {old} is kept: 1 data keys could not be opened." in rig.said
        assert await worker.open(good, "good") == b"value"
        with pytest.raises(Unavailable):
            await worker.open(bad, "bad")


async def test_a_token_that_shows_nothing_is_not_taken_for_one_without_the_key(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(softhsm, tmp_path) as rig:
        (old,) = await rig.system_keys_on_token()

        def stop(name: str) -> None:
            if name == "before destroy":
                for path in softhsm.tokens.rglob("*.object"):
                    path.rename(path.with_suffix(".away"))

        with pytest.raises(Unavailable):
            await rig.rotate(stop)
        assert (await rig.states())[old] == DESTROYING
        for path in softhsm.tokens.rglob("*.away"):
            path.rename(path.with_suffix(".object"))
    async with opened(softhsm, tmp_path) as rig:
        await rig.rotate()
        assert old not in await rig.states()
        assert old not in await rig.system_keys_on_token()


async def test_the_tokens_files_are_on_the_disk_before_the_new_key_seals(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(softhsm, tmp_path) as rig:
        before = await rig.known()

        def refuse(_: Path) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(token_files, "sync_tree", refuse)
            with pytest.raises(HsmRefusal, match="No space left on device"):
                await rig.rotate()
        assert (await rig.known()).system == before.system
        await rig.rotate()
        assert len(await rig.system_keys_on_token()) == 1  # the key that was planned first is the one in use


async def test_a_second_rotation_at_the_same_time_is_refused(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    async with opened(softhsm, tmp_path) as rig:
        with (
            alone_on_node(rig.settings),
            pytest.raises(HsmRefusal, match="Another rotation is at work"),
            alone_on_node(rig.settings),
        ):
            pass
        waited: list[float] = []

        async def pause(seconds: float) -> None:
            waited.append(seconds)

        now = int(rig.database.clock.now())
        async with rig.database.write() as tx:
            assert await jobs.acquire(tx, job_of(await rig.known()), "another node", now + 600, now)
        with pytest.raises(HsmRefusal, match="Another node is rotating this key"):
            await rig.rotate(pause=pause)
        assert sum(waited) > 60
        assert len(await rig.states()) == 1


async def test_what_an_interrupted_generation_left_is_made_anew(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    """An object with the planned id that is no system key: nothing was ever sealed by it."""
    async with opened(softhsm, tmp_path) as rig:
        with crash_at(2) as fault, pytest.raises(Crash):  # planned, and not made
            await rig.rotate(fault)
        (planned,) = [id for id, state in (await rig.states()).items() if state == PLANNED]

        half = replace(SYSTEM_KEY, label="half")
        await rig.world.token().run_once(lambda work: ceremony.generate(work, half, bytes.fromhex(planned)))
        await rig.rotate()
        assert await rig.system_keys_on_token() == {planned}


def _planned(key_id: bytes) -> SystemKeyRow:
    return SystemKeyRow(key_id.hex(), "w1", key_id, PLANNED, 2)
