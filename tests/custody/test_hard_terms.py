"""What a reference of a hard key says, in both formats, and under which generation of the world key."""

import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import PLAIN, Binding, HeldKey, Terms
from hsmvault.custody.public import PublicKey
from hsmvault.custody.reference import Origin, ResidentReference, WrappedReference, decode_resident, decode_wrapped
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.steps import cache_names, spec_bytes
from hsmvault.custody.world import World
from hsmvault.errors import BadRequest, Unavailable
from hsmvault.hsm.ceremony import make_world_key
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS, Curve, KeySpec
from tests.contract.custody_rig import DIGEST, callers_key, is_good, row
from tests.contract.intents import intents_in
from tests.custody.test_hard_byok import wrapped_for
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]

P256, RSA_2048 = KeySpec.ec(Curve.P256), KeySpec.rsa(2048)
ES256, RS256, HS256 = (SIGNATURE_ALGORITHMS[name] for name in ("ES256", "RS256", "HS256"))
OAEP, A256KW = (ENCRYPTION_ALGORITHMS[name] for name in ("RSA-OAEP", "A256KW"))
SECURE = Terms(secure=True)


@pytest_asyncio.fixture
async def world(softhsm: SoftToken) -> AsyncIterator[World]:
    async with softhsm.world() as made:
        yield made


@pytest_asyncio.fixture
async def wrapped(world: World) -> WrappedCustodian:
    return WrappedCustodian(world, RandomIdentifiers())


@pytest_asyncio.fixture
async def resident(world: World, tmp_path: Path) -> AsyncIterator[ResidentCustodian]:
    async with intents_in(tmp_path) as intents:
        yield ResidentCustodian(world, RandomIdentifiers(), intents)


async def first_format(world: World, held: HeldKey, binding: Binding) -> HeldKey:
    """The key as the first release wrote it, byte for byte: four or three members, MAC over format 1."""
    parts = [b"\x01", spec_bytes(held.spec), held.public]
    if held.custody.value == "wrapped":
        reference = decode_wrapped(held.reference)
        parts += [reference.world_key_id, reference.blob]
        mac = await world.mac("wrapped key", binding.encode(*parts))
        members = [1, reference.world_key_id, reference.blob, mac]
    else:
        token_id = decode_resident(held.reference).token_id
        mac = await world.mac("resident key", binding.encode(*parts, token_id))
        members = [1, token_id, mac]
    return dataclasses.replace(held, reference=msgspec.msgpack.encode(members))


async def signs(custodian: WrappedCustodian | ResidentCustodian, held: HeldKey, binding: Binding) -> None:
    assert is_good(held, ES256, DIGEST, await custodian.open(held, binding).sign(ES256, DIGEST))


async def test_a_reference_says_where_a_key_came_from(wrapped: WrappedCustodian, resident: ResidentCustodian) -> None:
    _, material = callers_key(P256)
    for custodian, decode in ((wrapped, decode_wrapped), (resident, decode_resident)):
        generated = decode((await custodian.generate(P256, row())).reference)
        admitted = decode((await custodian.admit(material, row())).reference)
        assert (generated.origin, generated.terms) == (Origin.GENERATED, PLAIN)
        assert (admitted.origin, admitted.terms) == (Origin.IMPORTED, PLAIN)
        exchange = decode((await custodian.generate(RSA_2048, row(), Terms(exchange=True))).reference)
        assert exchange.terms == Terms(exchange=True)


async def test_keys_of_the_first_release_work(
    world: World, wrapped: WrappedCustodian, resident: ResidentCustodian
) -> None:
    for custodian, decode in ((wrapped, decode_wrapped), (resident, decode_resident)):
        binding = row()
        old = await first_format(world, await custodian.generate(P256, binding), binding)
        assert (decode(old.reference).origin, decode(old.reference).terms) == (Origin.UNKNOWN, PLAIN)
        await signs(custodian, old, binding)
        with pytest.raises(Unavailable):
            await custodian.open(old, row("other")).sign(ES256, DIGEST)
        await custodian.destroy(old, binding)


async def test_a_key_of_the_first_release_is_backed_up_and_restored(world: World, wrapped: WrappedCustodian) -> None:
    source, target = row(), row("restored")
    old = await first_format(world, await wrapped.generate(P256, source), source)
    restored = await wrapped.unpack(old.spec, old.public, await wrapped.pack(old, source), source, target)
    assert decode_wrapped(restored.reference).format == 2
    assert decode_wrapped(restored.reference).origin is Origin.UNKNOWN
    await signs(wrapped, restored, target)


async def test_no_format_passes_for_the_other(
    world: World, wrapped: WrappedCustodian, resident: ResidentCustodian
) -> None:
    binding = row()
    held = await wrapped.generate(P256, binding)
    new = decode_wrapped(held.reference)
    old = decode_wrapped((await first_format(world, held, binding)).reference)
    forged: list[object] = [
        msgspec.structs.replace(new, format=1),
        [1, new.world_key_id, new.blob, new.mac],
        msgspec.structs.replace(old, format=2),
        msgspec.structs.replace(old, exchange=True),
        msgspec.structs.replace(old, exportable=True),
        msgspec.structs.replace(old, origin=Origin.GENERATED),
        msgspec.structs.replace(new, exchange=True),
        msgspec.structs.replace(new, origin=Origin.IMPORTED),
        msgspec.structs.replace(new, export_key_id=b"x"),
        [*msgspec.structs.astuple(new), b"more"],
        msgspec.structs.replace(new, format=3),
    ]
    for each in forged:
        changed = dataclasses.replace(held, reference=msgspec.msgpack.encode(each))
        with pytest.raises(Unavailable):
            await wrapped.open(changed, binding).sign(ES256, DIGEST)
    held = await resident.generate(P256, binding)
    mine = decode_resident(held.reference)
    others: list[ResidentReference | WrappedReference] = [
        msgspec.structs.replace(mine, format=1, origin=Origin.UNKNOWN),
        msgspec.structs.replace(mine, exchange=True),
        msgspec.structs.replace(mine, origin=Origin.IMPORTED_WRAPPED),
        new,
    ]
    for other in others:
        changed = dataclasses.replace(held, reference=msgspec.msgpack.encode(other))
        with pytest.raises(Unavailable):
            await resident.open(changed, binding).sign(ES256, DIGEST)


async def test_a_key_for_secure_wrapping_does_nothing_else_and_no_other_key_does_that(
    wrapped: WrappedCustodian, resident: ResidentCustodian
) -> None:
    for custodian, decode in ((wrapped, decode_wrapped), (resident, decode_resident)):
        binding, other = row(), row("other")
        held, plain = await custodian.generate(RSA_2048, binding, SECURE), await custodian.generate(RSA_2048, other)
        assert (decode(held.reference).terms, decode(plain.reference).terms) == (SECURE, PLAIN)
        ciphertext, strange = (PublicKey.load(each.public).encrypt(OAEP, b"data key") for each in (held, plain))
        for _ in range(2):  # what one handle has loaded is not there for the other
            with pytest.raises(BadRequest):
                await custodian.open(held, binding).decrypt(OAEP, ciphertext)
            with pytest.raises(BadRequest):
                await custodian.open(held, binding).sign(RS256, DIGEST)
            assert await custodian.open(held, binding, secure=True).decrypt(OAEP, ciphertext) == b"data key"
            with pytest.raises(BadRequest):
                await custodian.open(plain, other, secure=True).decrypt(OAEP, strange)
            assert await custodian.open(plain, other).decrypt(OAEP, strange) == b"data key"
        for each, place, secure in ((held, binding, False), (plain, other, True)):
            lifted = msgspec.structs.replace(decode(each.reference), secure=secure)
            forged = dataclasses.replace(each, reference=msgspec.msgpack.encode(lifted))
            with pytest.raises(Unavailable):
                await custodian.open(forged, place, secure=secure).decrypt(OAEP, ciphertext)
        await custodian.destroy(held, binding)
        assert all(cache.get(name) is None for cache in custodian.loaded for name in cache_names(held, binding))


async def test_an_oct_key_for_secure_wrapping_does_nothing_else_and_a_restored_one_neither(
    wrapped: WrappedCustodian,
) -> None:
    spec, binding, target = KeySpec.oct(256), row(), row("restored")
    held = await wrapped.generate(spec, binding, SECURE)
    restored = await wrapped.unpack(spec, b"", await wrapped.pack(held, binding), binding, target)
    for each, place in ((held, binding), (restored, target)):
        ciphertext = await wrapped.open(each, place, secure=True).encrypt(A256KW, bytes(32), b"", b"")
        with pytest.raises(BadRequest):
            await wrapped.open(each, place).decrypt(A256KW, ciphertext)
        with pytest.raises(BadRequest):
            await wrapped.open(each, place).sign(HS256, DIGEST)
        assert await wrapped.open(each, place, secure=True).decrypt(A256KW, ciphertext) == bytes(32)
    plain = await wrapped.generate(spec, binding)
    with pytest.raises(BadRequest):
        await wrapped.open(plain, binding, secure=True).encrypt(A256KW, bytes(32), b"", b"")


async def test_keys_under_an_older_world_key_go_on_and_new_ones_are_under_the_new(softhsm: SoftToken) -> None:
    source, target, exchange_binding = row(), row("restored"), row("exchange")
    async with softhsm.world() as world:
        custodian = WrappedCustodian(world, RandomIdentifiers())
        old = await custodian.generate(P256, source)
        exchange = await custodian.generate(RSA_2048, exchange_binding, Terms(exchange=True))
    first, second = softhsm.ids.world, os.urandom(16)
    with softhsm.loaded() as module:
        session = module.open_session(module.find_token(softhsm.selector))
        work = WorkSession(lambda: session, session, generation=0, profile=module.profile, raw=module.raw, world=None)
        make_world_key(module, work, softhsm.so_pin, softhsm.user_pin, second)
    async with softhsm.world() as world:
        token = world.tokens[0]
        token.adopt(dataclasses.replace(token.ids, world=second))  # while it serves
        custodian = WrappedCustodian(world, RandomIdentifiers())
        new = await custodian.generate(P256, source)
        assert decode_wrapped(new.reference).world_key_id == second
        restored = await custodian.unpack(old.spec, old.public, await custodian.pack(old, source), source, target)
        assert decode_wrapped(restored.reference).world_key_id == first
        for held, binding in ((old, source), (new, source), (restored, target)):
            await signs(custodian, held, binding)
        _, material = callers_key(P256)
        brought = await custodian.admit_wrapped(
            exchange, exchange_binding, P256.family, None, wrapped_for(exchange, material.encoded), target
        )
        assert decode_wrapped(brought.reference).world_key_id == second
