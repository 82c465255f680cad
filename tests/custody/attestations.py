"""Custody with an attestation key, and the files that a verifier gets."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.attestation import Attestor
from hsmvault.custody.attestation_certificate import pem, unsigned
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import PLAIN, Attestation, Binding, Custodian, HeldKey, Terms
from hsmvault.custody.public import PublicKey, RsaMembers
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.world import World
from hsmvault.hsm import ceremony, mechanisms
from hsmvault.hsm.module import Module
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Family, KeySpec
from tests.contract.intents import intents_in
from tests.softhsm import SoftToken

P256 = KeySpec.ec(Curve.P256)
ES256 = SIGNATURE_ALGORITHMS["ES256"]
CONTAINER = "11111111-0000-4000-8000-000000000001"
VERSION = "0123456789abcdef0123456789abcdef"


def completed(soft: SoftToken, module: Module) -> bytes:
    """The world gets an export key and an attestation key. Returns the certificate in DER."""
    identifiers = RandomIdentifiers()
    soft.ids = replace(soft.ids, export=identifiers.random(16), attestation=identifiers.random(16))
    assert soft.ids.export and soft.ids.attestation
    with ceremony.user_session(module, soft.selector, soft.user_pin) as work:
        ceremony.make_export_key(work, soft.ids.export)
        pair = ceremony.make_attestation_key(work, soft.ids.attestation)
        serial = work.session.token.serial.decode()
        draft = unsigned(pair.public, world="default", token_serial=serial, serial=77, not_before=1_750_000_000)
        sign = mechanisms.signing(P256, ES256, hashlib.sha256(draft.body).digest())
        return draft.signed(sign(work.bind(pair.private)))


@dataclass
class Attesting:
    """Both hard custodians of a world with an attestation key."""

    world: World
    certificate: bytes
    wrapped: WrappedCustodian
    resident: ResidentCustodian

    @property
    def pinned(self) -> bytes:
        return pem(self.certificate)


@asynccontextmanager
async def attesting(soft: SoftToken) -> AsyncIterator[Attesting]:
    with soft.loaded() as module:
        certificate = completed(soft, module)
        async with soft.started(module) as token, intents_in(soft.folder) as intents:
            world, identifiers = World([token], RandomIdentifiers()), RandomIdentifiers()
            attestor = Attestor(certificate, MovedClock())
            yield Attesting(
                world,
                certificate,
                WrappedCustodian(world, identifiers, attestor=attestor),
                ResidentCustodian(world, identifiers, intents, attestor=attestor),
            )


@dataclass
class Attested:
    """A key with its attestation."""

    held: HeldKey
    binding: Binding
    attestation: Attestation
    exportable: bool = False

    def bundle(self) -> dict:
        """As the REST API answers it."""
        members = {"attestation": rest_of(self.attestation), "exportable": self.exportable, "enabled": True}
        return {"key": jwk_of(self.held, self.binding), "attributes": members, "tags": {}}

    def file(self) -> bytes:
        return json.dumps(self.bundle()).encode()


async def attested(custodian: Custodian, spec: KeySpec, terms: Terms = PLAIN, name: str = "signing") -> Attested:
    binding = Binding(CONTAINER, "key", name, VERSION)
    held = await custodian.generate(spec, binding, terms)
    return Attested(held, binding, await custodian.attest(held, binding), terms.exportable)


def rest_of(attestation: Attestation) -> dict[str, str]:
    members = {
        "certificatePemFile": b64(attestation.certificates),
        "privateKeyAttestation": b64(attestation.private_key),
        "version": attestation.version,
    }
    if attestation.public_key:
        members["publicKeyAttestation"] = b64(attestation.public_key)
    return members


def jwk_of(held: HeldKey, binding: Binding) -> dict[str, str]:
    kid = f"https://dev.vault.localhost:8443/keys/{binding.name.title()}/{binding.version}"
    jwk = {"kid": kid, "kty": f"{held.spec.family.value}-HSM"}
    if held.spec.family is Family.OCT:
        return jwk
    members = PublicKey.load(held.public).members()
    if isinstance(members, RsaMembers):
        return jwk | {"n": b64(members.n), "e": b64(members.e)}
    return jwk | {"crv": members.curve.value, "x": b64(members.x), "y": b64(members.y)}


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str | bytes) -> bytes:
    text = text.decode() if isinstance(text, bytes) else text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(jws: bytes) -> dict:
    return json.loads(unb64(jws.split(b".")[1]))


def forger() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A key outside of any HSM, with a certificate that looks like one of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    draft = unsigned(public, world="default", token_serial="1", serial=1, not_before=1_750_000_000)
    return key, draft.signed(raw(key, draft.body))


def raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
