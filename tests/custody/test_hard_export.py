"""Exportable keys: made, used, and wrapped to somebody else. What leaves is opened by the cryptography library."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from pkcs11 import Attribute

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import PrivateKeyMaterial, Terms
from hsmvault.custody.reference import decode_wrapped
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.world import World
from hsmvault.errors import BadRequest, Unavailable
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_IMPORTED_SIZES_BITS,
    OCT_SIZES_BITS,
    Curve,
    Hash,
    KeySpec,
)
from tests.contract.custody_rig import DIGEST, ES256, RS256, by_length, callers_key, is_good, named, row
from tests.contract.intents import intents_in
from tests.custody.test_hard_byok import wrapped_for
from tests.softhsm import SoftToken, offer_export, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPORTABLE = Terms(exportable=True)
P256, RSA_2048 = KeySpec.ec(Curve.P256), KeySpec.rsa(2048)
SPECS = [RSA_2048, KeySpec.rsa(4096), *(KeySpec.ec(curve) for curve in Curve)]
OAEP_HASHES = {Hash.SHA1: hashes.SHA1(), Hash.SHA256: hashes.SHA256(), Hash.SHA384: hashes.SHA384()}  # noqa: S303  # OAEP


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(softhsm_for_module: SoftToken) -> AsyncIterator[World]:
    async with softhsm_for_module.world() as opened:
        await offer_export(opened)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def custodian(world: World) -> WrappedCustodian:
    return WrappedCustodian(world, RandomIdentifiers())


@dataclass
class Recipient:
    """Somebody who was attested."""

    key: rsa.RSAPrivateKey

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def opened(self, exported: bytes, oaep: Hash) -> bytes:
        """The key as it left: the DER of PKCS#8, or raw bytes, zeros of the module's padding included."""
        length, function = self.key.key_size // 8, OAEP_HASHES[oaep]
        aes = self.key.decrypt(exported[:length], padding.OAEP(padding.MGF1(function), function, None))
        assert len(aes) == 32
        return aes_key_unwrap_with_padding(aes, exported[length:])


@pytest.fixture(scope="module")
def recipient() -> Recipient:
    return Recipient(rsa.generate_private_key(65537, 2048))


def trimmed(encoded: bytes) -> bytes:
    """Without the zeros that SoftHSM pads with: DER says its own length."""
    assert encoded[0] == 0x30
    count = encoded[1] & 0x7F if encoded[1] & 0x80 else 0
    content = int.from_bytes(encoded[2 : 2 + count], "big") if count else encoded[1]
    end = 2 + count + content
    assert len(encoded) - end < 8 and not any(encoded[end:])
    return encoded[:end]


def public_of(encoded: bytes) -> bytes:
    key = serialization.load_der_private_key(trimmed(encoded), None)
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def session_objects(work: WorkSession) -> int:
    return len(list(work.session.get_objects({Attribute.TOKEN: False})))


@pytest.mark.parametrize("oaep", OAEP_HASHES, ids=lambda oaep: oaep.value)
@pytest.mark.parametrize("spec", by_length(SPECS), ids=named)
async def test_an_exportable_key_works_and_arrives(
    custodian: WrappedCustodian, world: World, recipient: Recipient, spec: KeySpec, oaep: Hash
) -> None:
    binding = row("exportable")
    held = await custodian.generate(spec, binding, EXPORTABLE)
    before = await world.token().run(session_objects)
    exported = await custodian.export(held, binding, recipient.public, oaep)
    assert public_of(recipient.opened(exported, oaep)) == held.public
    assert await world.token().run(session_objects) == before
    if spec in (P256, RSA_2048):
        algorithm = RS256 if spec is RSA_2048 else ES256
        assert is_good(held, algorithm, DIGEST, await custodian.open(held, binding).sign(algorithm, DIGEST))


@pytest.mark.parametrize("size_bits", [3072, 4096])
async def test_a_longer_recipients_key_opens(custodian: WrappedCustodian, size_bits: int) -> None:
    recipient = Recipient(rsa.generate_private_key(65537, size_bits))
    binding = row("exportable")
    held = await custodian.generate(P256, binding, EXPORTABLE)
    for oaep in OAEP_HASHES:
        exported = await custodian.export(held, binding, recipient.public, oaep)
        assert public_of(recipient.opened(exported, oaep)) == held.public


@pytest.mark.parametrize("spec", [P256, RSA_2048], ids=named)
async def test_an_imported_key_arrives_as_it_was(
    custodian: WrappedCustodian, recipient: Recipient, spec: KeySpec
) -> None:
    _, material = callers_key(spec)
    binding = row("imported")
    held = await custodian.admit(material, binding, EXPORTABLE)
    exported = await custodian.export(held, binding, recipient.public, Hash.SHA256)
    assert public_of(recipient.opened(exported, Hash.SHA256)) == material.public

    exchange_binding = row("exchange")
    exchange = await custodian.generate(RSA_2048, exchange_binding, Terms(exchange=True))
    wrapped = wrapped_for(exchange, material.encoded)
    brought = await custodian.admit_wrapped(
        exchange, exchange_binding, spec.family, spec.curve, wrapped, binding, EXPORTABLE
    )
    exported = await custodian.export(brought, binding, recipient.public, Hash.SHA1)
    assert public_of(recipient.opened(exported, Hash.SHA1)) == material.public


async def test_every_export_is_another(custodian: WrappedCustodian, recipient: Recipient) -> None:
    binding = row("exportable")
    held = await custodian.generate(P256, binding, EXPORTABLE)
    answers = [await custodian.export(held, binding, recipient.public, oaep) for oaep in OAEP_HASHES for _ in range(2)]
    assert len({answer[256:] for answer in answers}) == len(answers), "a fresh AES key each time"


async def test_what_was_not_made_exportable_is_not_exported(custodian: WrappedCustodian, recipient: Recipient) -> None:
    binding = row()
    for held in (
        await custodian.generate(P256, binding),
        await custodian.generate(RSA_2048, binding, Terms(exchange=True)),
    ):
        with pytest.raises(BadRequest, match="not exportable"):
            await custodian.export(held, binding, recipient.public, Hash.SHA256)


async def test_no_row_makes_a_key_exportable(custodian: WrappedCustodian, recipient: Recipient) -> None:
    """Neither a changed reference nor another key's export blob."""
    binding = row()
    held = await custodian.generate(P256, binding)
    other = await custodian.generate(P256, binding, EXPORTABLE)
    plain, exportable = decode_wrapped(held.reference), decode_wrapped(other.reference)
    for forged in (
        msgspec.structs.replace(plain, exportable=True, export_key_id=exportable.export_key_id),
        msgspec.structs.replace(plain, exportable=True, export_key_id=exportable.export_key_id, export_blob=plain.blob),
        msgspec.structs.replace(exportable, blob=plain.blob, mac=plain.mac),
        msgspec.structs.replace(exportable, export_blob=plain.blob),
    ):
        changed = replace(held, reference=msgspec.msgpack.encode(forged))
        with pytest.raises(Unavailable):
            await custodian.export(changed, binding, recipient.public, Hash.SHA256)
    with pytest.raises(Unavailable):
        await custodian.export(other, row("another"), recipient.public, Hash.SHA256)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"no key",
        rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505  # refused
        ec.generate_private_key(ec.SECP256R1()).public_key(),
    ],
    ids=["nothing", "no key", "too short", "EC"],
)
async def test_a_recipient_who_cannot_be_served_is_refused(
    custodian: WrappedCustodian, key: bytes | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> None:
    binding = row("exportable")
    held = await custodian.generate(P256, binding, EXPORTABLE)
    der = (
        key
        if isinstance(key, bytes)
        else key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(BadRequest):
        await custodian.export(held, binding, der, Hash.SHA256)


async def test_an_exportable_key_goes_through_a_backup_and_stays_exportable(
    custodian: WrappedCustodian, recipient: Recipient
) -> None:
    source, target = row("exportable"), row("restored", container_id="c-3")
    held = await custodian.generate(P256, source, EXPORTABLE)
    packed = await custodian.pack(held, source)
    restored = await custodian.unpack(held.spec, held.public, packed, source, target)
    exported = await custodian.export(restored, target, recipient.public, Hash.SHA256)
    assert public_of(recipient.opened(exported, Hash.SHA256)) == held.public
    with pytest.raises(Unavailable):
        await custodian.export(restored, source, recipient.public, Hash.SHA256)


async def test_a_world_without_an_export_key_makes_no_exportable_keys(world: World) -> None:
    token = world.tokens[0]
    ids = token.ids
    token.adopt(replace(ids, export=None))
    try:
        with pytest.raises(BadRequest, match="not offered"):
            await WrappedCustodian(world, RandomIdentifiers()).generate(P256, row(), EXPORTABLE)
    finally:
        token.adopt(ids)


async def test_a_resident_key_is_never_exportable(world: World, recipient: Recipient, tmp_path: Path) -> None:
    async with intents_in(tmp_path) as intents:
        custodian = ResidentCustodian(world, RandomIdentifiers(), intents)
        binding = row()
        with pytest.raises(BadRequest, match="resident"):
            await custodian.generate(P256, binding, EXPORTABLE)
        with pytest.raises(BadRequest, match="resident"):
            await custodian.admit(callers_key(P256)[1], binding, EXPORTABLE)
        assert await intents.left_over() == []
        held = await custodian.generate(P256, binding)
        with pytest.raises(BadRequest, match="resident"):
            await custodian.export(held, binding, recipient.public, Hash.SHA256)


@pytest.mark.parametrize("size_bits", OCT_SIZES_BITS)
async def test_an_exportable_oct_key_works_and_arrives(
    custodian: WrappedCustodian, recipient: Recipient, size_bits: int
) -> None:
    binding = row("exportable")
    held = await custodian.generate(KeySpec.oct(size_bits), binding, EXPORTABLE)
    for oaep in OAEP_HASHES:
        value = recipient.opened(await custodian.export(held, binding, recipient.public, oaep), oaep)
        assert len(value) == size_bits // 8
    handle = custodian.open(held, binding)
    algorithm = ENCRYPTION_ALGORITHMS[f"A{size_bits}GCM"]
    sealed = await handle.encrypt(algorithm, b"message", bytes(12), b"more")
    assert AESGCM(value).decrypt(bytes(12), sealed, b"more") == b"message"


@pytest.mark.parametrize("size_bits", OCT_IMPORTED_SIZES_BITS)
async def test_an_imported_oct_key_arrives_as_it_was(
    custodian: WrappedCustodian, recipient: Recipient, size_bits: int
) -> None:
    value, binding = os.urandom(size_bits // 8), row("imported")
    held = await custodian.admit(PrivateKeyMaterial(KeySpec.oct(size_bits), b"", value), binding, EXPORTABLE)
    exported = await custodian.export(held, binding, recipient.public, Hash.SHA256)
    assert recipient.opened(exported, Hash.SHA256) == value


MAKING_STEPS = (
    "generate",
    "wrap",
    "wrap for export",
    "destroy",
    "unwrap",
    "prove",
    "destroy copy",
    "unwrap for export",
    "destroy for export",
    "mac",
)


async def test_every_step_of_making_an_exportable_key_has_a_name(world: World) -> None:
    seen: list[str] = []
    await WrappedCustodian(world, RandomIdentifiers(), fault=seen.append).generate(P256, row(), EXPORTABLE)
    assert seen == [f"{side} {step}" for step in MAKING_STEPS for side in ("before", "after")]


class Crash(BaseException):
    """Stands for the end of the process."""


EXPORT_STEPS = ("unwrap for export", "export")


@pytest.mark.parametrize("when", [f"{side} {step}" for step in EXPORT_STEPS for side in ("before", "after")])
async def test_a_crash_in_any_step_of_an_export_leaves_nothing(
    world: World, custodian: WrappedCustodian, recipient: Recipient, when: str
) -> None:
    binding = row("exportable")
    held = await custodian.generate(P256, binding, EXPORTABLE)
    before = await world.token().run(session_objects)

    def fault(step: str) -> None:
        if step == when:
            raise Crash

    with pytest.raises(Crash):
        await WrappedCustodian(world, RandomIdentifiers(), fault=fault).export(
            held, binding, recipient.public, Hash.SHA256
        )
    assert await world.token().run(session_objects) == before
    exported = await custodian.export(held, binding, recipient.public, Hash.SHA256)
    assert public_of(recipient.opened(exported, Hash.SHA256)) == held.public
