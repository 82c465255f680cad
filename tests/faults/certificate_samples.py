"""Certificates that callers bring, from an authority of the tests' own. All is made before a process is forked."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from tests.caller import to_base64url

PASSWORD = "opens the file"
_EARLIER, _LONGER = timedelta(days=200), timedelta(days=300)  # what was there before the act is imported at its time


def warm() -> None:
    pfx()
    pem()


def signed(csr: bytes) -> bytes:
    """In DER: what an authority makes of a signing request."""
    request = x509.load_der_x509_csr(csr)
    return _issued(request.subject, request.public_key(), _authority()).public_bytes(Encoding.DER)


@cache
def pfx() -> str:
    """A P-256 key with its certificate and the authority's, as callers send it."""
    key, certificate = _leaf()
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(PASSWORD.encode())
    )
    return base64.b64encode(
        pkcs12.serialize_key_and_certificates(b"leaf", key, certificate, [_authority()[1]], encryption)
    ).decode()


@cache
def pem() -> str:
    """The same."""
    key, certificate = _leaf()
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = [one.public_bytes(Encoding.PEM) for one in (certificate, _authority()[1])]
    return b"".join([encoded, *chain]).decode()


def opened(value: str) -> tuple[bytes | None, list[bytes]]:
    """What the value of a certificate's secret holds: SubjectPublicKeyInfo of the private key, None where there is
    none, and the certificates in DER."""
    private: Any
    if value.startswith("-----BEGIN "):
        private = load_pem_private_key(value.encode(), None) if "PRIVATE KEY" in value else None
        certificates = x509.load_pem_x509_certificates(value.encode())
    else:
        content = pkcs12.load_pkcs12(base64.b64decode(value), None)
        private = content.key
        there = [content.cert, *content.additional_certs]
        certificates = [one.certificate for one in there if one is not None]
    public = None
    if private is not None:
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public, [one.public_bytes(Encoding.DER) for one in certificates]


def public_of(certificate: bytes) -> bytes:
    """SubjectPublicKeyInfo, of a certificate in DER."""
    public = x509.load_der_x509_certificate(certificate).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def serial_of(certificate: bytes) -> int:
    return x509.load_der_x509_certificate(certificate).serial_number


def jwk_of(certificate: bytes) -> dict[str, str]:
    """The public P-256 key, of a certificate in DER."""
    public = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    numbers = public.public_numbers()
    return {"kty": "EC", **{name: to_base64url(getattr(numbers, name).to_bytes(32, "big")) for name in ("x", "y")}}


@cache
def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _issued(_name("An authority"), key.public_key(), (key, None))


@cache
def _leaf() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _issued(_name("www.example.org"), key.public_key(), _authority())


def _issued(
    subject: x509.Name, public: Any, by: tuple[ec.EllipticCurvePrivateKey, x509.Certificate | None]
) -> x509.Certificate:
    """by: the key and the certificate of the issuer, None for its own."""
    key, issuer = by
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LONGER)
        .sign(key, SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
