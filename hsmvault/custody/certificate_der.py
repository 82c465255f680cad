"""X.509 around a signature that custody makes: the body from `cryptography`, the envelope by hand.

`cryptography` gives a body (TBSCertificate) out only after signing, and takes no signer but its own keys. So a
throwaway key of the same type signs once; neither that key nor its signature goes any further.
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256


def body_of(builder: x509.CertificateBuilder, throwaway: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """The TBSCertificate in DER, which names SHA-256 with the throwaway key's algorithm."""
    return builder.sign(throwaway, SHA256()).tbs_certificate_bytes


def self_signed_der(body: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """The certificate in DER. algorithm: AlgorithmIdentifier. signature: as X.509 has it, r and s as a SEQUENCE.

    Raises InvalidSignature when it is not by the key that the body names.
    """
    certificate_der = _tagged(0x30, body + algorithm + _tagged(0x03, b"\0" + signature))
    certificate = x509.load_der_x509_certificate(certificate_der)
    certificate.verify_directly_issued_by(certificate)
    return certificate_der


def _tagged(tag: int, content: bytes) -> bytes:
    """One DER element with definite length (X.690, 8.1.3)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
