"""A certificate around a key that lives in custody and only signs digests: the envelope in which its public part is
published, and the source of its names (x5t, kid). It carries no trust by itself.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from hsmvault.custody.certificate_der import body_of, self_signed_der
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
    return self_signed_der(body, _SHA256_WITH_RSA, signature)


def _to_be_signed(
    public: bytes, host: str, serial: int, not_before: int, not_after: int, dns_names: tuple[str, ...]
) -> bytes:
    """The TBSCertificate. The throwaway key takes a tenth of a second: this belongs into a thread."""
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
    return body_of(builder, generate_private_key(65537, 2048))
