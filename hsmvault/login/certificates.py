"""Certificates that applications register, and the names that Entra gives to those of the issuer's own keys
(custody/self_signed.py): kid = x5t = base64url(SHA-1 of the certificate's DER).
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hsmvault.errors import BadRequest
from hsmvault.model import base64url

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
    return base64url.encode(hashlib.sha1(certificate_der, usedforsecurity=False).digest())


def thumbprint_sha256(certificate_der: bytes) -> str:
    """base64url without padding, as in `x5t#S256` (RFC 7515, 4.1.8)."""
    return base64url.encode(hashlib.sha256(certificate_der).digest())


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
