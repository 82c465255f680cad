"""The certificate of a world's attestation key: X.509, self-signed inside the token.

It carries no trust by itself. It is the envelope in which the public key travels, names the world and the token, and is
what a verifier pins (docs/attestation.md).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import NameOID

from hsmvault.custody.certificate_der import body_of, self_signed_der

_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier, RFC 5758, 3.2
_FIELD_BYTES = 32  # P-256
_LONGEST_NAME = 64  # ub-common-name, RFC 5280, A.1
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no well-defined expiration date", RFC 5280, 4.1.2.5


@dataclass(frozen=True, slots=True)
class Unsigned:
    """body: the TBSCertificate in DER, to be hashed with SHA-256 and signed."""

    body: bytes

    def signed(self, signature: bytes) -> bytes:
        """The certificate in DER. signature: r || s, 64 bytes. Raises InvalidSignature when it is not the key's own."""
        r, s = (int.from_bytes(half, "big") for half in (signature[:_FIELD_BYTES], signature[_FIELD_BYTES:]))
        return self_signed_der(self.body, _ECDSA_WITH_SHA256, utils.encode_dss_signature(r, s))


def unsigned(public: bytes, *, world: str, token_serial: str, serial: int, not_before: int) -> Unsigned:
    """public: SubjectPublicKeyInfo of a key on P-256, in DER. serial: positive, at most 20 bytes (RFC 5280, 4.1.2.2).
    not_before: seconds since 1970 UTC.
    """
    key = load_der_public_key(public)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    common = f"hsmvault attestation, world {world}, token {token_serial}"[:_LONGEST_NAME]
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if token_serial:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, token_serial[:_LONGEST_NAME]))
    name = x509.Name(names)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(_NO_END)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signs_only(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    return Unsigned(body_of(builder, ec.generate_private_key(ec.SECP256R1())))


def pem(certificate_der: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
