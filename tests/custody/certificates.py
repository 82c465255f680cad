"""Keys and certificates for tests of formats and chains, made by the `cryptography` library."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

BEGIN = datetime(2025, 6, 1, tzinfo=UTC)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """A key and its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pkcs8(self) -> bytes:
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pem_key(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def issued(
    common_name: str,
    by: Issued | None = None,
    *,
    key: Key | None = None,
    begin: datetime = BEGIN,
    days: int = 365,
    ca: bool = True,
    identifiers: bool = True,
) -> Issued:
    """by: None for a self-signed one. identifiers: with subject and authority key identifier."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    issuer = by.certificate.subject if by else named(common_name)
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if identifiers:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return Issued(key, builder.sign(signer, hashes.SHA256()))


def openssl(*arguments: str | Path) -> str:
    """What the command tells, on both of its outputs; it must succeed."""
    told = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=30)
    assert told.returncode == 0, told.stderr
    return told.stdout + told.stderr
