"""What wrapped custody does besides the suite: loading, eviction, recovery, crashes between steps, load."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from pkcs11 import Attribute, ObjectClass

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody import hard, unpadders
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import Binding, HeldKey
from hsmvault.custody.reference import decode_wrapped
from hsmvault.custody.unpadders import Unpadders
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    SIGNATURE_ALGORITHMS,
    Curve,
    KeySpec,
    SignatureAlgorithm,
)
from tests.contract.custody import callers_key, encrypted, is_good
from tests.softhsm import SoftToken, softhsm, softhsm_template, until_back

__all__ = ["softhsm", "softhsm_template"]

P256, RSA_2048 = KeySpec.ec(Curve.P256), KeySpec.rsa(2048)
ES256, RS256 = SIGNATURE_ALGORITHMS["ES256"], SIGNATURE_ALGORITHMS["RS256"]
DIGEST = hashlib.sha256(b"message").digest()


def row(name: str = "name") -> Binding:
    return Binding("container", "key", name, os.urandom(16).hex())


@pytest_asyncio.fixture
async def world(softhsm: SoftToken) -> AsyncIterator[World]:
    async with softhsm.world() as made:
        yield made


def objects_on_token(work: WorkSession) -> int:
    """Private keys, session objects of every session included."""
    return len(list(work.session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))


async def count(world: World) -> int:
    return await world.token().run(objects_on_token)


async def test_making_keys_leaves_nothing_in_the_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    await custodian.generate(RSA_2048, row())
    await custodian.generate(P256, row())
    _, material = callers_key(P256)
    await custodian.admit(material, row())
    assert await count(world) == 0


async def test_a_key_is_loaded_once_for_all_who_ask_at_the_same_time(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(P256, binding)
    handles = [custodian.open(held, binding) for _ in range(3)]
    signatures = await asyncio.gather(*(handle.sign(ES256, DIGEST) for handle in handles for _ in range(5)))
    assert all(is_good(held, ES256, DIGEST, signature) for signature in signatures)
    assert await count(world) == 1
    assert custodian.loaded[0].counters.misses == 1


async def test_least_recently_used_copies_go_first_and_no_signature_is_lost(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers(), loaded_keys=4)
    binding = row()
    keys = [await custodian.generate(P256, binding) for _ in range(12)]
    handles = [custodian.open(held, binding) for held in keys]

    async def use(index: int) -> None:
        for step in range(20):
            at = (index * 7 + step * 5) % len(keys)
            assert is_good(keys[at], ES256, DIGEST, await handles[at].sign(ES256, DIGEST))

    await asyncio.gather(*(use(index) for index in range(8)))
    cache = custodian.loaded[0]
    before = cache.counters.evictions
    for handle in handles * 4:  # one after the other, each has been evicted by the time its turn comes again
        await handle.sign(ES256, DIGEST)
    await cache.settle()
    assert len(cache) == 4
    assert cache.counters.evictions - before >= 3 * len(keys)
    assert await count(world) <= 4 + 32, "evicted copies are destroyed in batches of 32"


async def test_a_destroyed_key_is_no_longer_in_the_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(P256, binding)
    await custodian.open(held, binding).sign(ES256, DIGEST)
    await custodian.destroy(held, binding)
    await custodian.destroy(held, binding)
    await custodian.loaded[0].settle()
    assert await count(world) == 0


async def test_a_released_key_is_no_longer_in_the_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    keys = [await custodian.generate(P256, binding) for _ in range(3)]
    handles = [custodian.open(held, binding) for held in keys]
    for handle in handles:
        await handle.sign(ES256, DIGEST)
    for handle in handles:
        handle.release()
        await asyncio.sleep(0)  # also while others are being destroyed
    await custodian.loaded[0].settle()
    assert await count(world) == 0


async def test_a_key_that_is_forgotten_while_it_is_loaded_serves_who_waits_and_is_not_kept(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(P256, binding)
    handle = custodian.open(held, binding)
    signing = [asyncio.create_task(handle.sign(ES256, DIGEST)) for _ in range(5)]
    await asyncio.sleep(0)
    handle.release()
    assert all(is_good(held, ES256, DIGEST, signature) for signature in await asyncio.gather(*signing))
    assert custodian.loaded[0].counters.misses == 1
    await custodian.loaded[0].settle()
    assert await count(world) == 0


async def test_a_throwaway_key_that_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Unpadders()
    with monkeypatch.context() as patch:
        patch.setattr(unpadders, "Unpadder", lambda _: 1 // 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await made.get(2048)
    assert await made.get(2048) is await made.get(2048)


async def test_a_handle_finds_its_way_back_after_a_lost_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(RSA_2048, binding)
    handle = custodian.open(held, binding)
    await handle.sign(RS256, DIGEST)
    token = world.token()
    for deep in (False, True):
        generation = token.generation
        token._lose(token._generation, deep=deep, why="test")  # type: ignore[arg-type]  # it is up
        with pytest.raises(Unavailable):
            await handle.sign(RS256, DIGEST)
        await until_back(token, generation)
        assert token.generation == generation + 1
        assert is_good(held, RS256, DIGEST, await handle.sign(RS256, DIGEST))


async def test_a_copy_that_the_token_lost_is_loaded_again(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(P256, binding)
    handle = custodian.open(held, binding)
    await handle.sign(ES256, DIGEST)
    cache = custodian.loaded[0]
    (key,) = cache._keys.values()
    await world.token().load(lambda _: key.origin.destroy())
    assert is_good(held, ES256, DIGEST, await handle.sign(ES256, DIGEST))


async def test_a_blob_under_a_world_key_that_is_not_there_is_not_tried(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(P256, binding)
    other = msgspec.structs.replace(decode_wrapped(held.reference), world_key_id=bytes(16))
    moved = await world.token().run(lambda work: hard._bound(work, held, other, binding))
    with pytest.raises(Unavailable) as caught:
        await custodian.open(moved, binding).sign(ES256, DIGEST)
    assert f"world key {bytes(16).hex()} is not found" in str(caught.value.detail)


async def test_oaep_256_is_refused_where_the_profile_says_so(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, oaep256_fallback="refused")
    async with softhsm.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers())
        binding = row()
        held = await custodian.generate(RSA_2048, binding)
        algorithm = ENCRYPTION_ALGORITHMS["RSA-OAEP-256"]
        with pytest.raises(BadRequest, match="not supported"):
            await custodian.open(held, binding).decrypt(algorithm, encrypted(held, algorithm, b"message"))
        algorithm = ENCRYPTION_ALGORITHMS["RSA-OAEP"]
        ciphertext = encrypted(held, algorithm, b"message")
        assert await custodian.open(held, binding).decrypt(algorithm, ciphertext) == b"message"


class Crash(BaseException):
    """Stands for the end of the process."""


STEPS = ("generate", "wrap", "destroy", "unwrap", "prove", "destroy copy", "mac")
IMPORT_STEPS = ("transport", "admit", "destroy transport", *STEPS[1:])


@pytest.mark.parametrize("when", [f"{side} {step}" for step in STEPS for side in ("before", "after")])
async def test_a_crash_in_any_step_of_making_a_key_leaves_nothing(world: World, when: str) -> None:
    seen: list[str] = []

    def fault(step: str) -> None:
        seen.append(step)
        if step == when:
            raise Crash

    custodian = WrappedCustodian(world, RandomIdentifiers(), fault=fault)
    with pytest.raises(Crash):
        await custodian.generate(P256, row())
    assert when in seen
    assert world.token().is_up
    binding = row()
    sound = WrappedCustodian(world, RandomIdentifiers())
    held = await sound.generate(P256, binding)
    assert is_good(held, ES256, DIGEST, await sound.open(held, binding).sign(ES256, DIGEST))


async def test_every_step_of_an_import_has_a_name(world: World) -> None:
    seen: list[str] = []
    custodian = WrappedCustodian(world, RandomIdentifiers(), fault=seen.append)
    _, material = callers_key(P256)
    await custodian.admit(material, row())
    assert seen == [f"{side} {step}" for step in IMPORT_STEPS for side in ("before", "after")]


def system_key_of(world: World) -> TokenSystemKey:
    key_id = world.tokens[0].ids.system
    assert key_id is not None
    return TokenSystemKey(world, key_id)


async def test_the_system_key_seals_and_opens_only_what_it_sealed(world: World) -> None:
    system_key = system_key_of(world)
    sealed = await system_key.seal(b"data key", b"row 1")
    assert sealed != await system_key.seal(b"data key", b"row 1")
    assert await system_key.open(sealed, b"row 1") == b"data key"
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for bad in (*changed, sealed[:-1], sealed + b"\0", b"", sealed[:20]):
        with pytest.raises(CiphertextRefused):
            await system_key.open(bad, b"row 1")
    with pytest.raises(CiphertextRefused):
        await system_key.open(sealed, b"row 2")
    assert world.token().is_up


async def test_a_mac_serves_one_purpose(world: World) -> None:
    mac = await world.mac("one", b"message")
    assert await world.mac("one", b"message") == mac
    assert await world.mac("two", b"message") != mac
    assert await world.mac("onem", b"essage") != mac


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
async def test_four_threads_under_load_never_crash_and_never_sign_wrongly(softhsm: SoftToken, seconds: int) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, work_sessions=4)
    async with softhsm.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers(), loaded_keys=6)
        binding = row()
        keys: list[tuple[HeldKey, SignatureAlgorithm]] = [
            (await custodian.generate(spec, binding), SIGNATURE_ALGORITHMS[name])
            for spec, name in ((P256, "ES256"), (KeySpec.ec(Curve.P521), "ES512"), (RSA_2048, "PS256"))
            for _ in range(4)
        ]
        system_key = system_key_of(world)
        end = time.monotonic() + seconds
        done = 0

        async def work(index: int) -> None:
            nonlocal done
            while time.monotonic() < end:
                held, algorithm = keys[(index + done) % len(keys)]
                digest = hashlib.new(algorithm.hash.value, str(done).encode()).digest()
                signature = await custodian.open(held, binding).sign(algorithm, digest)
                assert is_good(held, algorithm, digest, signature)
                done += 1

        async def make() -> None:
            while time.monotonic() < end:
                await custodian.generate(P256, binding)
                sealed = await system_key.seal(b"value", b"")
                assert await system_key.open(sealed, b"") == b"value"

        await asyncio.gather(*(work(index) for index in range(16)), make())
        assert done > 20 * seconds
        assert world.token().generation == 1
