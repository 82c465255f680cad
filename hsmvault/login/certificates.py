"""Certificates: the issuer's own around a key that lives in custody, and those that applications register.

The issuer's certificate carries no trust; it is the envelope in which Entra publishes its keys, and the source of their
names: kid = x5t = base64url(SHA-1 of the certificate's DER).
"""

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from hsmvault.custody.protocols import KeyHandle
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS

RS256 = SIGNATURE_ALGORITHMS["RS256"]
_SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")  # AlgorithmIdentifier, RFC 4055, 5
_SMALLEST_MODULUS_BITS = 2048
_LARGEST_MODULUS_BITS = 8192


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the directory keeps about a registered certificate. expires: seconds since 1970 UTC."""

    thumbprint_sha1: str
    thumbprint_sha256: str
    expires: int


def thumbprint_sha1(certificate_der: bytes) -> str:
    """base64url without padding, as in `x5t` (RFC 7515, 4.1.7). A name, not a proof."""
    return base64url(hashlib.sha1(certificate_der, usedforsecurity=False).digest())


def thumbprint_sha256(certificate_der: bytes) -> str:
    """base64url without padding, as in `x5t#S256` (RFC 7515, 4.1.8)."""
    return base64url(hashlib.sha256(certificate_der).digest())


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def read_registered(certificate_der: bytes) -> CertificateFacts:
    """Raises BadRequest for what is not a certificate with an RSA key of 2048 bits or more; the SDKs refuse others too.

    The exponent is bounded, because each login verifies with it.
    """
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        key = certificate.public_key()
    except Exception as error:  # cryptography raises its own, ValueError or UnsupportedAlgorithm, by place of the fault
        raise BadRequest("The certificate cannot be read.", detail=type(error).__name__) from None
    if not isinstance(key, RSAPublicKey) or not _SMALLEST_MODULUS_BITS <= key.key_size <= _LARGEST_MODULUS_BITS:
        raise BadRequest("The certificate must have an RSA key of 2048 to 8192 bits.")
    if key.public_numbers().e.bit_length() > 32:
        raise BadRequest("The certificate's public exponent is too large.")
    return CertificateFacts(
        thumbprint_sha1(certificate_der),
        thumbprint_sha256(certificate_der),
        int(certificate.not_valid_after_utc.timestamp()),
    )


async def self_signed(
    handle: KeyHandle, public: bytes, *, host: str, serial: int, not_before: int, not_after: int
) -> bytes:
    """A certificate for a key that only signs digests, in DER.

    public: SubjectPublicKeyInfo of the handle's RSA key. serial: positive, at most 20 bytes (RFC 5280, 4.1.2.2).
    Raises what KeyHandle.sign raises.
    """
    body = await asyncio.to_thread(_to_be_signed, public, host, serial, not_before, not_after)
    signature = await handle.sign(RS256, hashlib.sha256(body).digest())
    certificate_der = _tagged(0x30, body + _SHA256_WITH_RSA + _tagged(0x03, b"\0" + signature))
    certificate = x509.load_der_x509_certificate(certificate_der)
    certificate.verify_directly_issued_by(certificate)
    return certificate_der


def _to_be_signed(public: bytes, host: str, serial: int, not_before: int, not_after: int) -> bytes:
    """The TBSCertificate. `cryptography` gives it out only after signing, so a throwaway key signs once; neither that
    key nor its signature goes any further. It takes a tenth of a second and belongs into a thread.
    """
    key = load_der_public_key(public)
    assert isinstance(key, RSAPublicKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    return builder.sign(generate_private_key(65537, 2048), SHA256()).tbs_certificate_bytes


def _tagged(tag: int, content: bytes) -> bytes:
    """One DER element with definite length (X.690, 8.1.3)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
