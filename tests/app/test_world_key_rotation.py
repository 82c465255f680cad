"""rotate-world-key: new keys under a new generation, old ones where they are, wherever it is killed."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from hsmvault.app.world_key_rotation import Wrapped, job_of, rotate, told_by_generation, wrapped_by_generation
from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import Binding, HeldKey
from hsmvault.custody.reference import decode_wrapped
from hsmvault.hsm.module import PinRefused
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.public import verifies
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, KeySpec
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import containers, keys, login_keys
from tests.app.rotating import Crash, crash_at, installed, opened
from tests.softhsm import SO_PIN, USER_PIN, SoftToken, copied, softhsm, softhsm_template  # noqa: F401  # fixtures
from tests.store.samples import VAULT, key_version

P256 = KeySpec.ec(Curve.P256)
ES256 = SIGNATURE_ALGORITHMS["ES256"]
ROW = Binding("c", "key", "name", "v1")
DIGEST = bytes(range(32))
Fault = Callable[[str], None]


async def _signs(custodian: WrappedCustodian, held: HeldKey) -> bool:
    signature = await custodian.open(held, ROW).sign(ES256, DIGEST)
    return verifies(held.public, ES256, DIGEST, signature)


async def _rotated(
    token: SoftToken, folder: Path, fault: Fault = lambda _: None, *, so_pin: Pin = SO_PIN, make_only: bool = False
) -> bool:
    """Whether it came to its end. The module has no other session: a login belongs to the process."""
    async with installed(token, folder) as rows:
        with token.loaded() as module:
            rotating = await rows.rotating(job_of, "node", fault, lambda _: None)
            try:
                await rotate(rotating, await rows.known(), module, pin=USER_PIN, so_pin=so_pin, make_only=make_only)
            except Crash:
                return False
    return True


async def test_old_blobs_open_under_their_own_generation_and_new_ones_are_under_the_new(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with opened(softhsm, tmp_path) as rig:
        old = await WrappedCustodian(rig.world, RandomIdentifiers()).generate(P256, ROW)
        first = rig.world.world_key_id
    assert await _rotated(softhsm, tmp_path)
    async with opened(softhsm, tmp_path) as rig:
        custodian = WrappedCustodian(rig.world, RandomIdentifiers())
        new = await custodian.generate(P256, ROW)
        assert decode_wrapped(old.reference).world_key_id == first
        assert decode_wrapped(new.reference).world_key_id == rig.world.world_key_id != first
        assert await _signs(custodian, old) and await _signs(custodian, new)
        assert [older.key_id for older in (await rig.known()).older] == [first]


async def test_wherever_it_is_killed_the_next_call_finishes_it_with_the_same_key(
    softhsm_template: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    points, ended = 0, False
    while not ended:
        folder = tmp_path / str(points)
        folder.mkdir()
        with copied(softhsm_template) as token:
            async with opened(token, folder) as rig:
                old = await WrappedCustodian(rig.world, RandomIdentifiers()).generate(P256, ROW)
            with crash_at(points) as fault:
                ended = await _rotated(token, folder, fault)
            async with opened(token, folder) as rig:
                assert await _signs(WrappedCustodian(rig.world, RandomIdentifiers()), old)
                rotated = bool((await rig.known()).older)
            if not rotated:
                assert await _rotated(token, folder)
            async with opened(token, folder) as rig:
                custodian = WrappedCustodian(rig.world, RandomIdentifiers())
                assert await _signs(custodian, old)
                assert await _signs(custodian, await custodian.generate(P256, ROW))
                assert len((await rig.known()).older) == 1
            assert len(list(token.tokens.rglob("*.object"))) == 5  # the token, three keys, and the one new key
        points += 1
    assert points > 5


async def test_a_worker_follows_without_a_restart(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    """Its token is open all the while: it adopts the ids, and finds the key that another process has made."""
    async with opened(softhsm, tmp_path) as rig:
        custodian = WrappedCustodian(rig.world, RandomIdentifiers())
        old = await custodian.generate(P256, ROW)
        first = rig.world.world_key_id
        done = subprocess.run(  # noqa: ASYNC221  # nothing else runs in this loop
            [sys.executable, "-m", "tests.app.rotate_world_key", str(softhsm.folder), str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        rig.world.tokens[0].adopt((await rig.known()).ids)
        new = await custodian.generate(P256, ROW)
        assert decode_wrapped(new.reference).world_key_id == rig.world.world_key_id != first
        assert await _signs(custodian, old) and await _signs(custodian, new)


async def test_a_wrong_pin_of_the_officer_is_tried_once_and_changes_nothing(
    softhsm: SoftToken,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(PinRefused, match="security officer"):
        await _rotated(softhsm, tmp_path, so_pin=Pin("wrong"))
    async with installed(softhsm, tmp_path) as rows:
        assert not (await rows.known()).older
    assert await _rotated(softhsm, tmp_path)
    async with installed(softhsm, tmp_path) as rows:
        assert len((await rows.known()).older) == 1


async def test_the_versions_under_each_generation_are_counted(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    for _ in range(2):
        assert await _rotated(softhsm, tmp_path)
    async with opened(softhsm, tmp_path) as rig:
        held = await WrappedCustodian(rig.world, RandomIdentifiers()).generate(P256, ROW)
        known = await rig.known()
        first = known.older[0].key_id
        under_first = msgspec.structs.replace(decode_wrapped(held.reference), world_key_id=first)
        references = [held.reference] * 2 + [msgspec.msgpack.encode(under_first)] * 501 + [b"damaged"]
        async with rig.database.write() as tx:
            await containers.insert(tx, VAULT)
            for number, reference in enumerate(references):
                version = key_version(f"key-{number}")
                await keys.insert_version(tx, replace(version, custody="wrapped", reference=reference), at_name=None)
            await login_keys.insert(tx, _login_key(held))
        counted = await wrapped_by_generation(rig.database, known)
        assert counted == {
            known.row.world_key_id: Wrapped(2, 1),
            known.older[1].key_id: Wrapped(0, 0),
            first: Wrapped(501, 0),
        }
        assert list(counted) == [known.row.world_key_id, known.older[1].key_id, first]
        assert (await told_by_generation(rig.database, known))[2] == (
            f"world key {first.hex()} (older): 501 key versions and 0 signing keys of the service are wrapped under it"
        )


def _login_key(held: HeldKey) -> LoginKeyRow:
    return LoginKeyRow("kid", b"\x30\x00", held.spec, held.public, held.reference, held.custody.value, 1, 2, 3, 4)


async def test_a_key_can_be_made_first_and_used_later(softhsm: SoftToken, tmp_path: Path) -> None:  # noqa: F811
    """So that the token is backed up, or copied to another node, before anything is under the new key."""
    for _ in range(2):  # asking twice makes one key
        assert await _rotated(softhsm, tmp_path, make_only=True)
    async with opened(softhsm, tmp_path) as rig:
        first = rig.world.world_key_id
        assert not (await rig.known()).older
        held = await WrappedCustodian(rig.world, RandomIdentifiers()).generate(P256, ROW)
        assert decode_wrapped(held.reference).world_key_id == first
    with copied(softhsm) as backup:
        assert await _rotated(softhsm, tmp_path)
        async with opened(softhsm, tmp_path) as rig:
            new = await WrappedCustodian(rig.world, RandomIdentifiers()).generate(P256, ROW)
            assert decode_wrapped(new.reference).world_key_id == rig.world.world_key_id != first
        assert len(list(softhsm.tokens.rglob("*.object"))) == 5  # the token, three keys, and the one new key
        async with opened(backup, tmp_path) as rig:
            assert await _signs(WrappedCustodian(rig.world, RandomIdentifiers()), new)
