"""A certificate around a key that lives in custody and only signs digests: the envelope in which its public part is
published, and the source of its names (x5t, kid). It carries no trust by itself.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from hsmvault.custody.protocols import KeyHandle
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS

RS256 = SIGNATURE_ALGORITHMS["RS256"]
_SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")  # AlgorithmIdentifier, RFC 4055, 5
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1


async def self_signed(
    handle: KeyHandle,
    public: bytes,
    *,
    host: str,
    serial: int,
    not_before: int,
    not_after: int,
    dns_names: Sequence[str] = (),
) -> bytes:
    """A certificate in DER.

    public: SubjectPublicKeyInfo of the handle's RSA key. host: its common name. serial: positive, at most 20 bytes
    (RFC 5280, 4.1.2.2). not_before, not_after: seconds since 1970 UTC. dns_names: subject alternative names.
    Raises what KeyHandle.sign raises.
    """
    body = await asyncio.to_thread(_to_be_signed, public, host, serial, not_before, not_after, tuple(dns_names))
    signature = await handle.sign(RS256, hashlib.sha256(body).digest())
    certificate_der = _tagged(0x30, body + _SHA256_WITH_RSA + _tagged(0x03, b"\0" + signature))
    certificate = x509.load_der_x509_certificate(certificate_der)
    certificate.verify_directly_issued_by(certificate)
    return certificate_der


def _to_be_signed(
    public: bytes, host: str, serial: int, not_before: int, not_after: int, dns_names: tuple[str, ...]
) -> bytes:
    """The TBSCertificate. `cryptography` gives it out only after signing, so a throwaway key signs once; neither that
    key nor its signature goes any further. It takes a tenth of a second and belongs into a thread.
    """
    key = load_der_public_key(public)
    assert isinstance(key, RSAPublicKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:_LONGEST_COMMON_NAME])])
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
    if dns_names:
        names = [x509.DNSName(dns_name) for dns_name in dns_names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(generate_private_key(65537, 2048), SHA256()).tbs_certificate_bytes


def _tagged(tag: int, content: bytes) -> bytes:
    """One DER element with definite length (X.690, 8.1.3)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
