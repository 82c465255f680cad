"""Attestation of hard keys: evidence that is read from the token and signed inside it.

A wrapped key has no object in the token between uses. For the statement its blob is opened as for use, the attributes
of that working copy are read, and so are those of the world key, whose unwrap template is why no copy can be looser.
Of a resident key the token object itself is read. The signature is by the attestation key of the world, made in the
same job. It cannot show more than the software in front of the token lets it (docs/attestation.md says what that is).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.clock import Clock, SystemClock
from hsmvault.custody.attestation_certificate import pem
from hsmvault.custody.attestation_statement import (
    FORMAT,
    PRIVATE,
    PUBLIC,
    ObjectSays,
    PrivateStatement,
    PublicStatement,
    ServerSays,
    TokenSays,
    WorldKeySays,
    sha256_base64url,
    signing_input,
)
from hsmvault.custody.protocols import Attestation, Binding, HeldKey, Terms
from hsmvault.custody.reference import Origin
from hsmvault.custody.steps import translated
from hsmvault.errors import BadRequest
from hsmvault.hsm import evidence, mechanisms
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import ATTESTATION_KEY, locate
from hsmvault.model import base64url
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, KeySpec

VERSION = "1"
_ES256 = SIGNATURE_ALGORITHMS["ES256"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The key that is spoken of. world_key_id: CKA_ID of the key that its blob is under; None for resident keys."""

    held: HeldKey
    binding: Binding
    origin: Origin
    terms: Terms
    world_key_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The objects of a key in the token, each with its use. proved: as in ServerSays."""

    objects: Sequence[tuple[str, KeyObject]]
    proved: bool


class Attestor:
    """Signs for one world. certificate: of its attestation key, X.509 in DER; empty when the world has none."""

    def __init__(self, certificate: bytes, clock: Clock) -> None:
        self._certificate = certificate
        self._clock = clock

    def adopt(self, certificate: bytes) -> None:
        """Another node has completed the world meanwhile."""
        self._certificate = certificate

    async def attest(self, token: Token, subject: Subject, opened: Callable[[WorkSession], Opened]) -> Attestation:
        """See Custodian.attest. opened: checks that the key belongs to its row, and opens it in this session, which
        ends with the job.
        """
        certificate, key_id = self._certificate, token.ids.attestation
        if not certificate or key_id is None:
            raise BadRequest("Keys of this HSM cannot be attested.")
        now = int(self._clock.now())

        def job(work: WorkSession) -> Attestation:
            with work.aside() as side:
                private = _private_statement(side, subject, opened(side), now)
                private_jws = _signed(side, key_id, certificate, private)
                public_jws = b""
                if subject.held.public:
                    public_jws = _signed(side, key_id, certificate, _public_statement(subject, private_jws, now))
                return Attestation(pem(certificate), private_jws, public_jws, VERSION)

        return await translated(token.run_once, job)


NOBODY = Attestor(b"", SystemClock())
"""For worlds without an attestation key: refuses."""


def _private_statement(work: WorkSession, subject: Subject, opened: Opened, now: int) -> PrivateStatement:
    held, binding = subject.held, subject.binding
    server = ServerSays(
        container=binding.container_id,
        name=binding.name,
        version=binding.version,
        custody=held.custody.value,
        origin=subject.origin.value,
        exportable=subject.terms.exportable,
        exchange=subject.terms.exchange,
        family=held.spec.family.value,
        size_bits=held.spec.size_bits,
        curve=held.spec.curve.value if held.spec.curve is not None else "",
        spki_sha256=sha256_base64url(held.public) if held.public else "",
        proved=opened.proved,
    )
    token = evidence.token_facts(work)
    said = TokenSays(
        label=token.label,
        manufacturer=token.manufacturer,
        model=token.model,
        serial=token.serial,
        hardware_version=token.hardware_version,
        firmware_version=token.firmware_version,
        objects=[ObjectSays(use, evidence.key_evidence(key)) for use, key in opened.objects],
        world_key=None if subject.world_key_id is None else _world_key(work, subject.world_key_id),
    )
    return PrivateStatement(FORMAT, PRIVATE, now, server, said)


def _public_statement(subject: Subject, private_jws: bytes, now: int) -> PublicStatement:
    binding = subject.binding
    return PublicStatement(
        format=FORMAT,
        kind=PUBLIC,
        time=now,
        container=binding.container_id,
        name=binding.name,
        version=binding.version,
        jwk=_jwk(subject.held.spec, subject.held.public),
        private_key_sha256=sha256_base64url(private_jws),
    )


def _signed(
    work: WorkSession, key_id: bytes, certificate: bytes, statement: PrivateStatement | PublicStatement
) -> bytes:
    """Compact JWS, ASCII."""
    text = signing_input(certificate, statement)
    assert ATTESTATION_KEY.curve is not None
    sign = mechanisms.signing(KeySpec.ec(ATTESTATION_KEY.curve), _ES256, hashlib.sha256(text).digest())
    signature = sign(work.bind(locate(work, ATTESTATION_KEY, key_id)))
    return text + b"." + base64url.encode(signature).encode()


def _world_key(work: WorkSession, world_key_id: bytes) -> WorldKeySays:
    attributes, template = evidence.world_key_evidence(work, world_key_id)
    return WorldKeySays(world_key_id.hex(), attributes, template)


def _jwk(spec: KeySpec, public: bytes) -> dict[str, str]:
    key = load_der_public_key(public)
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        length = (numbers.e.bit_length() + 7) // 8
        return {
            "kty": "RSA",
            "n": base64url.encode(numbers.n.to_bytes(spec.modulus_bytes, "big")),
            "e": base64url.encode(numbers.e.to_bytes(length, "big")),
        }
    assert isinstance(key, ec.EllipticCurvePublicKey) and spec.curve is not None
    point, width = key.public_numbers(), spec.curve.field_bytes
    return {
        "kty": "EC",
        "crv": spec.curve.value,
        "x": base64url.encode(point.x.to_bytes(width, "big")),
        "y": base64url.encode(point.y.to_bytes(width, "big")),
    }
