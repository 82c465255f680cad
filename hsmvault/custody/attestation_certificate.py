"""The certificate of a world's attestation key: X.509, self-signed inside the token.

It carries no trust by itself. It is the envelope in which the public key travels, names the world and the token, and is
what a verifier pins (docs/attestation.md).
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hsmvault.custody.certificate_extensions import subject_key_identifier
from hsmvault.custody.certificate_signing import (
    NO_END,
    CertificateTemplate,
    algorithm_identifier,
    enveloped,
    tbs_certificate,
)
from hsmvault.model.algorithms import Curve, KeySpec

_SPEC = KeySpec.ec(Curve.P256)
_FIELD_BYTES = 32  # P-256
_LONGEST_NAME = 64  # ub-common-name, RFC 5280, A.1


@dataclass(frozen=True, slots=True)
class Unsigned:
    """body: the TBSCertificate in DER, to be hashed with SHA-256 and signed."""

    body: bytes

    def signed(self, signature: bytes) -> bytes:
        """The certificate in DER. signature: r || s, 64 bytes. Raises InvalidSignature when it is not the key's own."""
        r, s = (int.from_bytes(half, "big") for half in (signature[:_FIELD_BYTES], signature[_FIELD_BYTES:]))
        certificate_der = enveloped(self.body, algorithm_identifier(_SPEC), utils.encode_dss_signature(r, s))
        certificate = x509.load_der_x509_certificate(certificate_der)
        certificate.verify_directly_issued_by(certificate)
        return certificate_der


def unsigned(public: bytes, *, world: str, token_serial: str, serial: int, not_before: int) -> Unsigned:
    """public: SubjectPublicKeyInfo of a key on P-256, in DER. serial: positive, at most 20 bytes (RFC 5280, 4.1.2.2).
    not_before: seconds since 1970 UTC.
    """
    common = f"hsmvault attestation, world {world}, token {token_serial}"[:_LONGEST_NAME]
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if token_serial:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, token_serial[:_LONGEST_NAME]))
    constraints, usage = x509.BasicConstraints(ca=False, path_length=None), _signs_only()
    template = CertificateTemplate(
        subject=x509.Name(names),
        issuer=x509.Name(names),
        public=public,
        serial=serial,
        not_before=not_before,
        not_after=NO_END,
        extensions=(
            x509.Extension(constraints.oid, True, constraints),
            x509.Extension(usage.oid, True, usage),
            subject_key_identifier(public),
        ),
    )
    return Unsigned(tbs_certificate(_SPEC, template))


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
