"""A key bundle with an attestation, as a file: the answer of the REST call, or what a client made of it. All of it is
hostile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.custody.attestation_statement import Value
from hsmvault.model import base64url

MOST_BYTES = 1024 * 1024
_CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-256K": ec.SECP256K1(),
}
_Read = TypeVar("_Read")


class Unreadable(Exception):
    """This is no attestation; the text says why, in words for people."""


class _Attestation(msgspec.Struct, frozen=True):
    certificate: str | None = msgspec.field(name="certificatePemFile", default=None)
    private_key: str | None = msgspec.field(name="privateKeyAttestation", default=None)
    public_key: str | None = msgspec.field(name="publicKeyAttestation", default=None)


class _SdkAttestation(msgspec.Struct, frozen=True):
    """The names of the Azure SDK for Python."""

    certificate: str | None = msgspec.field(name="certificate_pem_file", default=None)
    private_key: str | None = msgspec.field(name="private_key_attestation", default=None)
    public_key: str | None = msgspec.field(name="public_key_attestation", default=None)


class _Attributes(msgspec.Struct, frozen=True):
    exportable: bool | None = None
    attestation: _Attestation | None = None


class Key(msgspec.Struct, frozen=True):
    """A JWK; members that say nothing about a public key are left out."""

    kid: str = ""
    kty: str = ""
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class _Bundle(msgspec.Struct, frozen=True):
    key: Key | None = None
    attributes: _Attributes | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """certificate: PEM. private_key, public_key: compact JWS; the latter empty for oct keys."""

    key: Key | None
    exportable: bool | None
    certificate: bytes
    private_key: bytes
    public_key: bytes


def read_bundle(text: bytes) -> Given:
    """Raises Unreadable."""
    if len(text) > MOST_BYTES:
        raise Unreadable("it is longer than any attestation")
    bundle = _decode(text, _Bundle)
    attributes = bundle.attributes or _Attributes()
    attestation: _Attestation | _SdkAttestation | None = attributes.attestation
    if attestation is None:
        attestation = _decode(text, _Attestation)
        if attestation.private_key is None:
            attestation = _decode(text, _SdkAttestation)
    if attestation.private_key is None:
        raise Unreadable("it has no attestation: ask for the key with /attestation (get_key_attestation)")
    return Given(
        bundle.key,
        attributes.exportable,
        _octets(attestation.certificate or ""),
        _octets(attestation.private_key),
        _octets(attestation.public_key or ""),
    )


def _decode(text: bytes, kind: type[_Read]) -> _Read:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"it is not the JSON of a key bundle ({error})") from error


def _octets(text: str) -> bytes:
    """base64url, padded or not: clients differ."""
    try:
        return base64url.decode_exact(text.rstrip("="))
    except ValueError as error:
        raise Unreadable("a member of the attestation is not base64url") from error


def spki_of(key: Key) -> bytes | None:
    """SubjectPublicKeyInfo in DER of a JWK; None when it is none of ours."""
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    try:
        if key.n is not None and key.e is not None:
            public = rsa.RSAPublicNumbers(number_of(key.e), number_of(key.n)).public_key()
        elif key.x is not None and key.y is not None:
            curve = _CURVES[key.crv or ""]
            public = ec.EllipticCurvePublicNumbers(number_of(key.x), number_of(key.y), curve).public_key()
        else:
            return None
    except (ValueError, KeyError):
        return None
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def number_of(text: Value) -> int:
    """base64url of a big-endian number, padded or not. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("not a number")
    return int.from_bytes(base64url.decode_exact(text.rstrip("=")), "big")
