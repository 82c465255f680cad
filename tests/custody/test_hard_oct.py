"""What wrapped custody does with oct keys besides the suite: copies by use, refusals, lost tokens, crashes, load."""

import asyncio
import os
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from pkcs11 import Attribute, ObjectClass

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.admission import material_from_oct
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import Binding
from hsmvault.custody.world import World
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from hsmvault.hsm.secret_keys import Use
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS, Curve, EncryptionAlgorithm, KeySpec
from tests.contract.custody_rig import encrypted, is_good
from tests.softhsm import SoftToken, softhsm, softhsm_template, until_back

__all__ = ["softhsm", "softhsm_template"]

A256 = KeySpec.oct(256)
A256GCM, A256CBC, A256CBCPAD, A256KW, KWP = (
    ENCRYPTION_ALGORITHMS[name] for name in ("A256GCM", "A256CBC", "A256CBCPAD", "A256KW", "CKM_AES_KEY_WRAP_PAD")
)
HS256, ES256, RS256 = (SIGNATURE_ALGORITHMS[name] for name in ("HS256", "ES256", "RS256"))
IV = {A256GCM: bytes(12), A256CBCPAD: bytes(16)}


def row() -> Binding:
    return Binding("container", "key", "name", os.urandom(16).hex())


@pytest_asyncio.fixture
async def world(softhsm: SoftToken) -> AsyncIterator[World]:
    async with softhsm.world() as made:
        yield made


async def secrets_on_token(world: World) -> int:
    """Secret session objects, of every session."""

    def job(work: WorkSession) -> int:
        template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: False}
        return len(list(work.session.get_objects(template)))

    return await world.token().run(job)


async def test_making_oct_keys_leaves_nothing_in_the_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    for bits in (128, 192, 256):
        await custodian.generate(KeySpec.oct(bits), row())
    for bits in (128, 192, 256, 384, 512):
        await custodian.admit(material_from_oct(os.urandom(bits // 8)), row())
    assert await secrets_on_token(world) == 0


async def test_a_copy_is_loaded_when_its_use_is_first_asked_for(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    handle = custodian.open(await custodian.generate(A256, binding), binding)
    cache = custodian.loaded[0]
    await asyncio.gather(*(handle.encrypt(A256GCM, b"text", os.urandom(12), b"") for _ in range(5)))
    await handle.encrypt(A256CBC, bytes(16), bytes(16), b"")
    assert (cache.counters.misses, await secrets_on_token(world)) == (1, 1)
    await handle.encrypt(A256KW, bytes(16), b"", b"")
    await handle.encrypt(KWP, bytes(1), b"", b"")
    assert (cache.counters.misses, await secrets_on_token(world)) == (2, 2)
    await handle.sign(HS256, bytes(32))
    assert (cache.counters.misses, await secrets_on_token(world)) == (3, 3)
    handle.release()
    await cache.settle()
    assert await secrets_on_token(world) == 0


async def test_a_destroyed_oct_key_leaves_no_copy_of_any_use(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(A256, binding)
    handle = custodian.open(held, binding)
    await handle.encrypt(A256GCM, b"text", bytes(12), b"")
    await handle.encrypt(A256KW, bytes(16), b"", b"")
    await handle.sign(HS256, bytes(32))
    await custodian.destroy(held, binding)
    await custodian.loaded[0].settle()
    assert await secrets_on_token(world) == 0


async def test_evicted_copies_cost_no_operation(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers(), loaded_keys=3)
    values = [os.urandom(32) for _ in range(6)]
    handles = []
    for value in values:
        binding = row()
        handles.append(custodian.open(await custodian.admit(material_from_oct(value), binding), binding))

    async def use(at: int) -> None:
        iv = os.urandom(12)
        assert await handles[at].encrypt(A256GCM, b"text", iv, b"") == AESGCM(values[at]).encrypt(iv, b"text", None)
        assert await handles[at].encrypt(A256KW, bytes(16), b"", b"") == aes_key_wrap(values[at], bytes(16))

    for _ in range(5):
        await asyncio.gather(*(use(at) for at in range(len(values))))
    assert custodian.loaded[0].counters.evictions > 0
    assert len(custodian.loaded[0]) == 3


@pytest.mark.parametrize("algorithm", [A256GCM, A256CBCPAD, A256KW, KWP], ids=lambda each: each.name)
async def test_300_bad_ciphertexts_cost_nobody_else_an_operation(world: World, algorithm: EncryptionAlgorithm) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    handle = custodian.open(await custodian.generate(A256, binding), binding)
    signer_binding = row()
    signer = await custodian.generate(KeySpec.ec(Curve.P256), signer_binding)
    signing = custodian.open(signer, signer_binding)
    iv = IV.get(algorithm, b"")
    bad = await handle.encrypt(algorithm, bytes(32), iv, b"")
    bad = bad[:-17] + bytes([bad[-17] ^ 1]) + bad[-16:]  # the last byte of padding, the text, or the key

    async def attack() -> None:
        for _ in range(100):
            with pytest.raises(CiphertextRefused):
                await handle.decrypt(algorithm, bad, iv)

    async def sign() -> int:
        for number in range(60):
            digest = number.to_bytes(32, "big")
            assert is_good(signer, ES256, digest, await signing.sign(ES256, digest))
        return 60

    results = await asyncio.gather(attack(), attack(), attack(), sign())
    assert results[-1] == 60
    token = world.token()
    assert token.is_up and token.generation == 1
    assert token.counters.recoveries == 0


async def test_oct_handles_find_their_way_back_after_a_lost_token(world: World) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding, value = row(), os.urandom(32)
    handle = custodian.open(await custodian.admit(material_from_oct(value), binding), binding)
    token = world.token()
    for deep in (False, True):
        assert await handle.encrypt(A256KW, bytes(16), b"", b"") == aes_key_wrap(value, bytes(16))
        mac = await handle.sign(HS256, bytes(32))
        generation = token.generation
        token._lose(token._generation, deep=deep, why="test")  # type: ignore[arg-type]  # it is up
        with pytest.raises(Unavailable):
            await handle.encrypt(A256GCM, b"", bytes(12), b"")
        await until_back(token, generation)
        assert await handle.encrypt(A256KW, bytes(16), b"", b"") == aes_key_wrap(value, bytes(16))
        assert await handle.encrypt(A256GCM, b"", bytes(12), b"") == AESGCM(value).encrypt(bytes(12), b"", None)
        assert await handle.sign(HS256, bytes(32)) == mac


@pytest.mark.parametrize("use", Use)
async def test_a_copy_that_the_token_lost_is_loaded_again(world: World, use: Use) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    handle = custodian.open(await custodian.generate(A256, binding), binding)

    async def do() -> bytes:
        if use is Use.MAC:
            return await handle.sign(HS256, bytes(32))
        if use is Use.MODES:
            return await handle.encrypt(A256CBC, bytes(16), bytes(16), b"")
        return await handle.encrypt(A256KW, bytes(16), b"", b"")

    first = await do()
    (key,) = custodian.loaded[0]._keys.values()
    await world.token().load(lambda _: key.origin.destroy())
    assert await do() == first
    assert world.token().generation == 1


async def test_a_profile_without_the_modes_refuses_oct_keys(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, aes_modes=False)
    async with softhsm.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers())
        with pytest.raises(BadRequest, match="not supported by the HSM"):
            await custodian.generate(A256, row())
        with pytest.raises(BadRequest, match="not supported by the HSM"):
            await custodian.admit(material_from_oct(bytes(32)), row())


class Crash(BaseException):
    """Stands for the end of the process."""


COPIES = ("unwrap", "prove", "destroy copy") * 3
STEPS = ("generate", "wrap", "destroy", *COPIES, "mac")
IMPORT_STEPS = ("transport", "admit", "destroy transport", *STEPS[1:])


async def test_every_step_of_making_an_oct_key_has_a_name(world: World) -> None:
    seen: list[str] = []
    custodian = WrappedCustodian(world, RandomIdentifiers(), fault=seen.append)
    await custodian.generate(A256, row())
    assert seen == [f"{side} {step}" for step in STEPS for side in ("before", "after")]
    seen.clear()
    await custodian.admit(material_from_oct(bytes(32)), row())
    assert seen == [f"{side} {step}" for step in IMPORT_STEPS for side in ("before", "after")]


@pytest.mark.parametrize("at", range(2 * len(IMPORT_STEPS)))
async def test_a_crash_in_any_step_of_taking_in_an_oct_key_leaves_nothing_durable(world: World, at: int) -> None:
    seen: list[str] = []

    def fault(step: str) -> None:
        seen.append(step)
        if len(seen) == at + 1:
            raise Crash

    custodian = WrappedCustodian(world, RandomIdentifiers(), fault=fault)
    with pytest.raises(Crash):
        await custodian.admit(material_from_oct(bytes(32)), row())
    assert world.token().is_up
    sound, binding = WrappedCustodian(world, RandomIdentifiers()), row()
    handle = sound.open(await sound.generate(A256, binding), binding)
    assert await handle.decrypt(A256KW, await handle.encrypt(A256KW, bytes(16), b"", b"")) == bytes(16)


@pytest.mark.parametrize("exponent", [3, 17, 65537])
async def test_rsa_keys_of_the_served_exponents_are_made_and_work(world: World, exponent: int) -> None:
    custodian = WrappedCustodian(world, RandomIdentifiers())
    binding = row()
    held = await custodian.generate(KeySpec.rsa(2048, exponent), binding)
    handle = custodian.open(held, binding)
    assert is_good(held, RS256, bytes(32), await handle.sign(RS256, bytes(32)))
    algorithm = ENCRYPTION_ALGORITHMS["RSA-OAEP-256"]
    assert await handle.decrypt(algorithm, encrypted(held, algorithm, b"text")) == b"text"


async def test_four_threads_use_all_copies_of_a_key_at_once_and_never_wrongly(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, work_sessions=4)
    async with softhsm.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers(), loaded_keys=5)
        values = [os.urandom(32) for _ in range(3)]
        handles = []
        for value in values:
            binding = row()
            handles.append(custodian.open(await custodian.admit(material_from_oct(value), binding), binding))

        async def use(number: int) -> None:
            handle, value = handles[number % 3], values[number % 3]
            for step in range(40):
                iv, text = os.urandom(12), os.urandom(24 + 8 * (step % 4))
                assert await handle.encrypt(A256GCM, text, iv, b"") == AESGCM(value).encrypt(iv, text, None)
                assert await handle.encrypt(A256KW, text, b"", b"") == aes_key_wrap(value, text)
                with pytest.raises(CiphertextRefused):
                    await handle.decrypt(A256KW, bytes(24))

        await asyncio.gather(*(use(number) for number in range(12)))
        assert world.token().generation == 1
