"""Keys that were wrapped for the HSM (BYOK), into both classes of hard custody. They are wrapped here by the
cryptography library, as a caller does it.
"""

import asyncio
import hmac
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from pkcs11 import Attribute, Mechanism, ObjectClass

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, Terms
from hsmvault.custody.reference import Origin, decode_resident, decode_wrapped
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.steps import Steps
from hsmvault.custody.world import World
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_IMPORTED_SIZES_BITS,
    OCT_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    Curve,
    Family,
    Hash,
    KeySpec,
)
from tests.contract.custody_rig import (
    DIGEST,
    ES256,
    OAEP_256,
    RS256,
    RSA_SPECS,
    SIGNERS,
    by_length,
    callers_key,
    encrypted,
    is_good,
    named,
    row,
)
from tests.contract.intents import intents_in
from tests.softhsm import SoftToken, offer_export, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

EXCHANGE = Terms(exchange=True)
P256, RSA_2048 = KeySpec.ec(Curve.P256), KeySpec.rsa(2048)
TARGETS = [*RSA_SPECS, KeySpec.rsa(2048, 3), *(KeySpec.ec(curve) for curve in Curve)]


@dataclass
class Import:
    """A hard custodian with a key exchange key. wrong(): objects in the token that no key explains."""

    custodian: WrappedCustodian | ResidentCustodian
    world: World
    forget: Callable[[], Awaitable[None]]
    exchange: HeldKey
    binding: Binding = field(default_factory=row)

    async def admit(
        self,
        wrapped: bytes,
        family: Family,
        curve: Curve | None = None,
        *,
        binding: Binding | None = None,
        terms: Terms | None = None,
    ) -> HeldKey:
        return await self.custodian.admit_wrapped(
            self.exchange, self.binding, family, curve, wrapped, binding or row("imported"), terms or Terms()
        )

    async def refuses(self, wrapped: bytes, family: Family, curve: Curve | None = None) -> None:
        with pytest.raises(CiphertextRefused) as caught:
            await self.admit(wrapped, family, curve)
        assert caught.value.message == CiphertextRefused().message

    async def session_objects(self) -> int:
        return await self.world.token().run(_session_objects)


def _session_objects(work: WorkSession) -> int:
    return len(list(work.session.get_objects({Attribute.TOKEN: False})))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["wrapped", "resident"])
async def import_(request: pytest.FixtureRequest, softhsm_for_module: SoftToken) -> AsyncIterator[Import]:
    profile = msgspec.structs.replace(softhsm_for_module.profile, work_sessions=2)
    softhsm_for_module.profile = profile  # with the one that makes, three threads at work
    async with softhsm_for_module.world() as world, intents_in(softhsm_for_module.folder) as intents:
        await offer_export(world)
        custodian: WrappedCustodian | ResidentCustodian = (
            WrappedCustodian(world, RandomIdentifiers())
            if request.param == "wrapped"
            else ResidentCustodian(world, RandomIdentifiers(), intents)
        )

        async def forget() -> None:
            for cache in custodian.loaded:
                cache.forget_all()
                await cache.settle()

        binding = row("exchange")
        yield Import(custodian, world, forget, await custodian.generate(RSA_2048, binding, EXCHANGE), binding)


@pytest.fixture(scope="module")
def recipient() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def wrapped_for(exchange: HeldKey, target: bytes, aes: bytes | None = None) -> bytes:
    key = os.urandom(32) if aes is None else aes
    return sealed_for(exchange, key) + aes_key_wrap_with_padding(key, target)


def sealed_for(exchange: HeldKey, key: bytes, function: hashes.HashAlgorithm | None = None) -> bytes:
    to = serialization.load_der_public_key(exchange.public)
    assert isinstance(to, rsa.RSAPublicKey)
    used = function or hashes.SHA1()  # noqa: S303  # RSA-OAEP says SHA-1
    return to.encrypt(key, padding.OAEP(padding.MGF1(used), used, None))


@pytest.mark.parametrize("spec", by_length(TARGETS), ids=lambda spec: f"{named(spec)}-{spec.public_exponent}")
async def test_a_wrapped_key_is_taken_in_and_is_the_same_key(import_: Import, spec: KeySpec) -> None:
    key, material = callers_key(spec)
    binding = row("imported")
    for curve in {spec.curve, None}:
        held = await import_.admit(wrapped_for(import_.exchange, material.encoded), spec.family, curve, binding=binding)
        assert (held.custody, held.spec, held.public) == (import_.custodian.custody, spec, material.public)
        await import_.forget()
        handle = import_.custodian.open(held, binding)
        algorithm = next(each for each in SIGNERS if each.fits(spec))
        digest = bytes(algorithm.digest_bytes)
        assert is_good(held, algorithm, digest, await handle.sign(algorithm, digest))
        if isinstance(key, rsa.RSAPrivateKey):
            assert await handle.decrypt(OAEP_256, encrypted(held, OAEP_256, b"message")) == b"message"
        assert reference(held).origin is Origin.IMPORTED_WRAPPED
        await import_.custodian.destroy(held, binding)


def reference(held: HeldKey):  # type: ignore[no-untyped-def]  # either of the two
    return (decode_resident if held.custody is CustodyClass.RESIDENT else decode_wrapped)(held.reference)


@pytest.mark.parametrize("aes_bytes", [16, 24, 32])
async def test_an_aes_key_of_each_size_carries_a_key(import_: Import, aes_bytes: int) -> None:
    _, material = callers_key(P256)
    held = await import_.admit(
        wrapped_for(import_.exchange, material.encoded, os.urandom(aes_bytes)), Family.EC, Curve.P256
    )
    assert held.public == material.public


@pytest.mark.slow
@pytest.mark.parametrize("size_bits", [3072, 4096])
async def test_an_exchange_key_of_each_size_opens(import_: Import, size_bits: int) -> None:
    binding = row("exchange")
    exchange = await import_.custodian.generate(KeySpec.rsa(size_bits), binding, EXCHANGE)
    _, material = callers_key(P256)
    held = await import_.custodian.admit_wrapped(
        exchange, binding, Family.EC, None, wrapped_for(exchange, material.encoded), row("imported")
    )
    assert held.public == material.public
    await import_.custodian.destroy(exchange, binding)


async def test_an_exchange_key_only_unwraps(import_: Import) -> None:
    handle = import_.custodian.open(import_.exchange, import_.binding)
    with pytest.raises(BadRequest, match="key exchange key"):
        await handle.sign(RS256, DIGEST)
    for name in ("RSA-OAEP", "RSA1_5"):
        algorithm = ENCRYPTION_ALGORITHMS[name]
        with pytest.raises(BadRequest, match="key exchange key") as caught:
            await handle.decrypt(algorithm, encrypted(import_.exchange, algorithm, b"message"))
        assert not isinstance(caught.value, CiphertextRefused)


async def test_what_an_exchange_key_is_in_the_token(import_: Import) -> None:
    """Read from the object: what unwraps neither signs nor decrypts."""
    custodian, held, binding = import_.custodian, import_.exchange, import_.binding

    def look(work: WorkSession) -> dict[Attribute, object]:
        with work.aside() as side:
            key = custodian._exchange_key(side, held, binding)
            return key.origin.get_attributes(list(EXCHANGE_ATTRIBUTES))

    assert await import_.world.token().run(look) == EXCHANGE_ATTRIBUTES


EXCHANGE_ATTRIBUTES = {
    Attribute.CLASS: ObjectClass.PRIVATE_KEY,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.UNWRAP: True,
    Attribute.SIGN: False,
    Attribute.DECRYPT: False,
    Attribute.SIGN_RECOVER: False,
    Attribute.DERIVE: False,
    Attribute.MODIFIABLE: False,
    Attribute.ALLOWED_MECHANISMS: frozenset({Mechanism.RSA_PKCS_OAEP}),
}


async def test_an_exchange_key_can_itself_be_brought(import_: Import) -> None:
    _, material = callers_key(RSA_2048)
    binding = row("brought")
    brought = await import_.admit(
        wrapped_for(import_.exchange, material.encoded), Family.RSA, binding=binding, terms=EXCHANGE
    )
    _, target = callers_key(P256)
    held = await import_.custodian.admit_wrapped(
        brought, binding, Family.EC, None, wrapped_for(brought, target.encoded), row()
    )
    assert held.public == target.public
    with pytest.raises(BadRequest):
        await import_.custodian.open(brought, binding).sign(RS256, DIGEST)


async def test_a_key_of_the_callers_own_can_be_an_exchange_key(import_: Import) -> None:
    _, material = callers_key(RSA_2048)
    binding = row("imported exchange")
    exchange = await import_.custodian.admit(material, binding, EXCHANGE)
    _, target = callers_key(P256)
    held = await import_.custodian.admit_wrapped(
        exchange, binding, Family.EC, None, wrapped_for(exchange, target.encoded), row()
    )
    assert held.public == target.public


async def test_only_rsa_keys_exchange(import_: Import) -> None:
    with pytest.raises(BadRequest):
        await import_.custodian.generate(P256, row(), EXCHANGE)
    _, material = callers_key(P256)
    with pytest.raises(BadRequest):
        await import_.custodian.admit(material, row(), EXCHANGE)
    with pytest.raises(BadRequest):
        await import_.custodian.generate(RSA_2048, row(), Terms(exchange=True, exportable=True))


@pytest.mark.parametrize("spec", [RSA_2048, P256], ids=named)
async def test_another_key_is_no_exchange_key(import_: Import, spec: KeySpec) -> None:
    binding = row()
    held = await import_.custodian.generate(spec, binding)
    _, material = callers_key(P256)
    wrapped = wrapped_for(held if spec is RSA_2048 else import_.exchange, material.encoded)
    with pytest.raises(BadRequest, match="not a key exchange key") as caught:
        await import_.custodian.admit_wrapped(held, binding, Family.EC, None, wrapped, row())
    assert not isinstance(caught.value, CiphertextRefused)


async def test_an_exchange_key_in_another_row_opens_nothing(import_: Import) -> None:
    _, material = callers_key(P256)
    wrapped = wrapped_for(import_.exchange, material.encoded)
    for held, binding in (
        (import_.exchange, row("other")),
        (replace(import_.exchange, reference=import_.exchange.reference[:-1] + b"\x01"), import_.binding),
    ):
        with pytest.raises(Unavailable):
            await import_.custodian.admit_wrapped(held, binding, Family.EC, None, wrapped, row())


def bad_parcels(exchange: HeldKey) -> dict[str, bytes]:
    """An EC key on P-256 was asked for."""
    _, material = callers_key(P256)
    _, rsa_material = callers_key(RSA_2048)
    aes = os.urandom(32)
    good = wrapped_for(exchange, material.encoded)
    length = exchange.spec.modulus_bytes
    wrap = aes_key_wrap_with_padding
    return {
        "nothing": b"",
        "no target": good[:length],
        "cut": good[:-1],
        "cut by a block": good[:-8],
        "more": good + bytes(8),
        "far too long": good + bytes(8000),
        "a bit of the AES key": bytes([good[0] ^ 1]) + good[1:],
        "a bit at the end of the AES key": good[: length - 1] + bytes([good[length - 1] ^ 1]) + good[length:],
        "a bit of the target": good[:-1] + bytes([good[-1] ^ 1]),
        "another AES key": sealed_for(exchange, os.urandom(32)) + good[length:],
        "OAEP with SHA-256": sealed_for(exchange, aes, hashes.SHA256()) + wrap(aes, material.encoded),
        "AES of 20 bytes": sealed_for(exchange, bytes(20)) + wrap(bytes(32), material.encoded),
        "AES of 1 byte": sealed_for(exchange, b"k") + wrap(bytes(32), material.encoded),
        "AES of 64 bytes": sealed_for(exchange, aes * 2) + wrap(aes, material.encoded),
        "no AES key": sealed_for(exchange, b"") + wrap(bytes(32), material.encoded),
        "RFC 3394 with its other constant": sealed_for(exchange, aes)
        + aes_key_wrap(aes, material.encoded + bytes(-len(material.encoded) % 8)),
        "an RSA key": wrapped_for(exchange, rsa_material.encoded),
        "another curve": wrapped_for(exchange, callers_key(KeySpec.ec(Curve.P256K))[1].encoded),
        "a curve that we do not serve": wrapped_for(exchange, pkcs8(ec.generate_private_key(ec.BrainpoolP256R1()))),
        "no key": wrapped_for(exchange, os.urandom(138)),
        "a symmetric key": wrapped_for(exchange, os.urandom(32)),
        "the private value 0": wrapped_for(exchange, with_private_value(material.encoded, 0)),
        "SEC 1 instead of PKCS#8": wrapped_for(exchange, sec1(ec.generate_private_key(ec.SECP256R1()))),
    }


def with_exponent(exponent: int) -> rsa.RSAPrivateKey:
    """RSA-2048 with an exponent that the library does not generate keys for."""
    while True:
        numbers = rsa.generate_private_key(65537, 2048).private_numbers()
        p, q = numbers.p, numbers.q
        if math.gcd(exponent, (p - 1) * (q - 1)) == 1:
            d = pow(exponent, -1, math.lcm(p - 1, q - 1))
            public = rsa.RSAPublicNumbers(exponent, p * q)
            parts = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
            return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


def pkcs8(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def sec1(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def with_private_value(encoded: bytes, value: int) -> bytes:
    """A key on P-256 with another private value; the public part inside stays."""
    key = serialization.load_der_private_key(encoded, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    private = key.private_numbers().private_value.to_bytes(32, "big")
    assert encoded.count(private) == 1
    return encoded.replace(private, value.to_bytes(32, "big"))


async def test_whatever_is_wrong_in_a_wrapped_key_is_one_refusal(import_: Import) -> None:
    for name, wrapped in bad_parcels(import_.exchange).items():
        try:
            await import_.refuses(wrapped, Family.EC, Curve.P256)
        except BaseException as error:
            raise AssertionError(name) from error
    assert import_.world.token().is_up
    assert import_.world.token().generation == 1


async def test_an_rsa_key_of_a_size_or_exponent_that_is_not_served_is_refused(import_: Import) -> None:
    for key in (
        rsa.generate_private_key(65537, 1024),  # noqa: S505  # refused
        rsa.generate_private_key(65537, 2056),
        with_exponent(5),
        with_exponent(65539),
    ):
        await import_.refuses(wrapped_for(import_.exchange, pkcs8(key)), Family.RSA)


async def test_a_key_with_the_exponent_17_is_taken_in(import_: Import) -> None:
    binding = row("imported")
    held = await import_.admit(wrapped_for(import_.exchange, pkcs8(with_exponent(17))), Family.RSA, binding=binding)
    assert held.spec == KeySpec.rsa(2048, 17)
    assert is_good(held, RS256, DIGEST, await import_.custodian.open(held, binding).sign(RS256, DIGEST))


async def test_a_wrong_private_exponent_is_refused(import_: Import) -> None:
    """SoftHSM signs with it."""
    _, material = callers_key(RSA_2048)
    await import_.refuses(wrapped_for(import_.exchange, damaged_rsa(material.encoded, "d", "dmp1", "dmq1")), Family.RSA)
    _, target = callers_key(RSA_2048)
    _, other = callers_key(RSA_2048)
    await import_.refuses(wrapped_for(import_.exchange, spliced_rsa(target.encoded, other.encoded)), Family.RSA)


@pytest.mark.parametrize("part", ["d", "dmp1", "dmq1", "iqmp", "p", "q"])
async def test_one_wrong_part_of_an_rsa_key_never_gives_a_wrong_result(import_: Import, part: str) -> None:
    """SoftHSM has the numbers twice, as d and as the parts of the Chinese remainder theorem, and OpenSSL falls back
    from the second to the first: with one of them whole the key is the key. Nobody outside the token could tell.
    """
    _, material = callers_key(RSA_2048)
    binding = row("imported")
    try:
        held = await import_.admit(
            wrapped_for(import_.exchange, damaged_rsa(material.encoded, part)), Family.RSA, binding=binding
        )
    except CiphertextRefused:
        return
    handle = import_.custodian.open(held, binding)
    for _ in range(5):
        digest = os.urandom(32)
        assert is_good(held, RS256, digest, await handle.sign(RS256, digest))
    assert await handle.decrypt(OAEP_256, encrypted(held, OAEP_256, b"message")) == b"message"


def damaged_rsa(encoded: bytes, *parts: str) -> bytes:
    """Other values of some of its numbers."""
    key = serialization.load_der_private_key(encoded, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    changed = encoded
    for part in parts:
        value = getattr(key.private_numbers(), part)
        old = value.to_bytes((value.bit_length() + 7) // 8, "big")
        assert changed.count(old) == 1
        changed = changed.replace(old, old[:-1] + bytes([old[-1] ^ 2]))
    return changed


def spliced_rsa(encoded: bytes, other: bytes) -> bytes:
    """The modulus of another key."""
    numbers = []
    for one in (encoded, other):
        key = serialization.load_der_private_key(one, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        numbers.append(key.private_numbers().public_numbers.n.to_bytes(256, "big"))
    return encoded.replace(numbers[0], numbers[1])


async def test_an_ec_key_whose_stated_point_is_another_gets_the_right_one(import_: Import) -> None:
    """The public part inside is not believed."""
    key, material = callers_key(P256)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    other = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    wrapped = wrapped_for(import_.exchange, with_private_value(material.encoded, other))
    binding = row("imported")
    held = await import_.admit(wrapped, Family.EC, Curve.P256, binding=binding)
    numbers = ec.derive_private_key(other, ec.SECP256R1()).public_key().public_numbers()
    found = serialization.load_der_public_key(held.public)
    assert isinstance(found, ec.EllipticCurvePublicKey)
    assert found.public_numbers() == numbers
    assert is_good(held, ES256, DIGEST, await import_.custodian.open(held, binding).sign(ES256, DIGEST))


def only_wrapped(import_: Import) -> None:
    if import_.custodian.custody is not CustodyClass.WRAPPED:
        pytest.skip("oct keys are not resident")


@pytest.mark.parametrize("size_bits", OCT_IMPORTED_SIZES_BITS)
async def test_a_wrapped_oct_key_is_taken_in_and_is_the_same_key(import_: Import, size_bits: int) -> None:
    only_wrapped(import_)
    value, binding = os.urandom(size_bits // 8), row("imported")
    held = await import_.admit(wrapped_for(import_.exchange, value), Family.OCT, binding=binding)
    assert (held.spec, held.public) == (KeySpec.oct(size_bits), b"")
    handle = import_.custodian.open(held, binding)
    if size_bits in OCT_SIZES_BITS:
        sealed = await handle.encrypt(ENCRYPTION_ALGORITHMS[f"A{size_bits}GCM"], b"message", bytes(12), b"more")
        assert AESGCM(value).decrypt(bytes(12), sealed, b"more") == b"message"
    if size_bits >= 256:
        assert await handle.sign(SIGNATURE_ALGORITHMS["HS256"], DIGEST) == hmac.digest(value, DIGEST, "sha256")


@pytest.mark.parametrize("length", [1, 8, 15, 17, 20, 23, 25, 31, 33, 40, 56, 65, 72, 128, 1000])
async def test_an_oct_key_of_another_length_is_refused(import_: Import, length: int) -> None:
    only_wrapped(import_)
    await import_.refuses(wrapped_for(import_.exchange, os.urandom(length)), Family.OCT)


async def test_whatever_is_wrong_in_a_wrapped_oct_key_is_one_refusal(import_: Import) -> None:
    only_wrapped(import_)
    exchange, aes, value = import_.exchange, os.urandom(32), os.urandom(32)
    good = wrapped_for(exchange, value, aes)
    length = exchange.spec.modulus_bytes
    for wrapped in (
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:-8],
        bytes([good[0] ^ 1]) + good[1:],
        good[:length] + aes_key_wrap(aes, value),
        sealed_for(exchange, aes, hashes.SHA256()) + good[length:],
    ):
        await import_.refuses(wrapped, Family.OCT)


async def test_an_oct_key_is_not_resident(import_: Import) -> None:
    if import_.custodian.custody is CustodyClass.RESIDENT:
        with pytest.raises(BadRequest) as caught:
            await import_.admit(wrapped_for(import_.exchange, os.urandom(32)), Family.OCT)
        assert not isinstance(caught.value, CiphertextRefused)


async def test_fifty_refused_imports_leave_nothing_in_the_token(import_: Import) -> None:
    await import_.forget()
    before = await import_.session_objects()
    kept = await objects_and_intents(import_)
    bad = list(bad_parcels(import_.exchange).values())
    for number in range(50):
        await import_.refuses(bad[number % len(bad)], Family.EC, Curve.P256)
    assert await import_.session_objects() == before
    assert await objects_and_intents(import_) == kept


async def objects_and_intents(import_: Import) -> tuple[set[bytes], int]:
    """What a resident custodian has in the token and plans to have."""
    if not isinstance(import_.custodian, ResidentCustodian):
        return set(), 0
    return set(await import_.custodian.objects()), len(await import_.custodian._intents.left_over())


class Crash(BaseException):
    """Stands for the end of the process."""


STEPS = {
    CustodyClass.WRAPPED: (
        "unwrap exchange",
        "unwrap ephemeral",
        "unwrap target",
        "wrap",
        "destroy",
        "unwrap",
        "prove",
        "destroy copy",
        "mac",
    ),
    CustodyClass.RESIDENT: ("unwrap ephemeral", "unwrap target", "admit", "prove", "mac"),
}


async def test_a_crash_in_any_step_of_an_import_leaves_nothing_that_is_not_planned(import_: Import) -> None:
    """Of a resident key the object, named by an intent, which the next start destroys."""
    custodian = import_.custodian
    _, material = callers_key(P256)
    wrapped = wrapped_for(import_.exchange, material.encoded)
    await import_.forget()
    before = await import_.session_objects()
    known, _ = await objects_and_intents(import_)
    seen: list[str] = []
    sound = custodian._step
    try:
        for when in (f"{side} {step}" for step in STEPS[custodian.custody] for side in ("before", "after")):

            def fault(step: str, when: str = when) -> None:
                seen.append(step)
                if step == when:
                    raise Crash

            seen.clear()
            custodian._step = Steps(fault)
            with pytest.raises(Crash):
                await import_.admit(wrapped, Family.EC)
            assert when in seen
            assert await import_.session_objects() == before, when
            left, _ = await objects_and_intents(import_)
            if isinstance(custodian, ResidentCustodian):
                planned = {bytes.fromhex(intent.id) for intent in await custodian._intents.left_over()}
                assert left - known <= planned
    finally:
        custodian._step = sound
    assert (await import_.admit(wrapped, Family.EC)).public == material.public


async def test_refused_imports_cost_others_nothing(import_: Import) -> None:
    binding = row()
    held = await import_.custodian.generate(P256, binding)
    handle = import_.custodian.open(held, binding)
    bad = list(bad_parcels(import_.exchange).values())
    for wrapped in bad:
        await import_.refuses(wrapped, Family.EC, Curve.P256)
        assert is_good(held, ES256, DIGEST, await handle.sign(ES256, DIGEST))


@pytest.mark.parametrize("seconds", [1, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
async def test_imports_good_and_bad_beside_signatures_never_crash_the_module(
    import_: Import, recipient: rsa.RSAPrivateKey, seconds: int
) -> None:
    """Sessions come and go while other threads are inside the module."""
    custodian, token = import_.custodian, import_.world.token()
    binding, exported = row(), row("exportable")
    held = await custodian.generate(P256, binding)
    handle = custodian.open(held, binding)
    _, material = callers_key(P256)
    good = wrapped_for(import_.exchange, material.encoded)
    bad = list(bad_parcels(import_.exchange).values())
    public = recipient.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    end = time.monotonic() + seconds
    done = 0

    async def sign() -> None:
        nonlocal done
        while time.monotonic() < end:
            assert is_good(held, ES256, DIGEST, await handle.sign(ES256, DIGEST))
            done += 1

    async def bring() -> None:
        while time.monotonic() < end:
            brought = await import_.admit(good, Family.EC, binding=binding)
            assert brought.public == material.public
            await custodian.destroy(brought, binding)
            for wrapped in bad:
                await import_.refuses(wrapped, Family.EC, Curve.P256)

    async def export() -> None:
        if isinstance(custodian, WrappedCustodian):
            leaving = await custodian.generate(P256, exported, Terms(exportable=True))
            while time.monotonic() < end:
                await custodian.export(leaving, exported, public, Hash.SHA256)

    await asyncio.gather(*(sign() for _ in range(4)), bring(), bring(), export())
    assert done > 20 * seconds
    assert token.generation == 1
