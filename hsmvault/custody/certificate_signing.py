"""Certificates, certificate requests and other signed structures of X.509, signed by a key in custody.

The bodies are written by hand around names and extensions from the `cryptography` library, which signs with no key but
its own. That costs some 100 µs of CPU beside the signature, so nothing here needs a thread of its own.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.custody import der
from hsmvault.custody.protocols import KeyHandle
from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest, Damaged, Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Family, KeySpec, SignatureAlgorithm, SignaturePadding

NO_END = 253_402_300_799  # 99991231235959Z: no well-defined expiration date (RFC 5280, 4.1.2.5)
_VERSION_3 = der.explicit(0, der.integer(2))
_PROBE = b"hsmvault proof of possession"  # no structure of X.509: that begins with a SEQUENCE
_EXTENSION_REQUEST = der.oid("1.2.840.113549.1.9.14")  # RFC 2985, 5.4.2
_CURVES: dict[Curve, str] = {Curve.P256: "ES256", Curve.P256K: "ES256K", Curve.P384: "ES384", Curve.P521: "ES512"}
_IDENTIFIERS: dict[str, bytes] = {
    "RS256": der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL),  # RFC 4055, 5
    "ES256": der.sequence(der.oid("1.2.840.10045.4.3.2")),  # RFC 5758, 3.2
    "ES256K": der.sequence(der.oid("1.2.840.10045.4.3.2")),  # the curve is the key's
    "ES384": der.sequence(der.oid("1.2.840.10045.4.3.3")),
    "ES512": der.sequence(der.oid("1.2.840.10045.4.3.4")),
}


@dataclass(frozen=True, slots=True)
class Signer:
    """A key in custody that signs. spec, public: of the HeldKey; public is SubjectPublicKeyInfo in DER."""

    handle: KeyHandle
    spec: KeySpec
    public: bytes


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """extensions: what the request asks for (RFC 2985, 5.4.2)."""

    subject: x509.Name
    extensions: Sequence["x509.Extension[x509.ExtensionType]"] = ()


@dataclass(frozen=True, slots=True)
class CertificateTemplate:
    """public: SubjectPublicKeyInfo of the subject; of a self-signed certificate the signer's. serial: positive, at most
    20 bytes with a first bit of 0 (RFC 5280, 4.1.2.2). not_before, not_after: seconds since 1970 UTC.
    """

    subject: x509.Name
    issuer: x509.Name
    public: bytes
    serial: int
    not_before: int
    not_after: int
    extensions: Sequence["x509.Extension[x509.ExtensionType]"] = ()


async def sign_request(signer: Signer, template: RequestTemplate) -> bytes:
    """A certificate request in DER (PKCS#10, RFC 2986). Raises what sign_tbs raises."""
    return await _signed(signer, tbs_request(signer.public, template))


async def sign_certificate(signer: Signer, template: CertificateTemplate) -> bytes:
    """A certificate in DER (X.509 version 3, RFC 5280), by the subject's own key or by that of an issuer.

    Raises what sign_tbs raises.
    """
    return await _signed(signer, tbs_certificate(signer.spec, template))


async def sign_tbs(signer: Signer, tbs: bytes) -> tuple[bytes, bytes]:
    """Sign any structure in DER.

    Returns algorithm_identifier(signer.spec) and the signature as X.509 has it: for ECDSA r and s as a SEQUENCE (RFC
    3279, 2.2.3). It was verified once, so that nothing leaves which a faulty token signed. Raises Unavailable,
    Throttled, and BadRequest when the key is of a type that signs no certificates.
    """
    algorithm = signature_algorithm(signer.spec)
    digest = hashlib.new(algorithm.hash.value, tbs).digest()
    signature = await signer.handle.sign(algorithm, digest)
    if not await _verified(signer, algorithm, digest, signature):
        raise Unavailable(
            "The service is temporarily unavailable. Please retry the request.",
            detail=f"a signature by {algorithm.name} that custody made is not good",
        )
    if algorithm.padding is SignaturePadding.ECDSA:
        half = len(signature) // 2
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        signature = encode_dss_signature(r, s)
    return _IDENTIFIERS[algorithm.name], signature


async def prove_possession(signer: Signer, request: bytes) -> None:
    """That the key of a signing request is in custody, whatever its row says: before somebody is asked to certify it.
    Who can write the database alone gets no certificate for a key of his own.

    request: PKCS#10 in DER. Raises Damaged; otherwise as sign_tbs.
    """
    if not is_request_by(request, signer.public):
        raise Damaged("The object is not available.", detail="a signing request is not that of its key")
    await sign_tbs(signer, _PROBE)


def is_request_by(request: bytes, public: bytes) -> bool:
    """Whether a signing request (PKCS#10 in DER) is for this key and signed by it. public: SubjectPublicKeyInfo."""
    try:
        loaded = x509.load_der_x509_csr(request)
        return loaded.is_signature_valid and loaded.public_key() == load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm):
        return False


def enveloped(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """A SEQUENCE of the three, the signature as BIT STRING: a certificate, a request, a revocation list, a basic OCSP
    response without certificates.
    """
    return der.sequence(tbs, algorithm, der.bit_string(signature))


def signature_algorithm(spec: KeySpec) -> SignatureAlgorithm:
    """What a key signs certificates with: RSASSA-PKCS1-v1_5 and SHA-256, or ECDSA with the hash of its curve's length.

    Raises BadRequest for oct keys.
    """
    if spec.family is Family.RSA:
        return SIGNATURE_ALGORITHMS["RS256"]
    if spec.curve is None:
        raise BadRequest("Keys of this type cannot sign certificates.")
    return SIGNATURE_ALGORITHMS[_CURVES[spec.curve]]


def algorithm_identifier(spec: KeySpec) -> bytes:
    """AlgorithmIdentifier of signature_algorithm(spec) in DER, for structures that name it in what is signed."""
    return _IDENTIFIERS[signature_algorithm(spec).name]


def tbs_certificate(spec: KeySpec, template: CertificateTemplate) -> bytes:
    """TBSCertificate in DER (RFC 5280, 4.1). spec: of the key that is to sign it."""
    assert 0 < template.serial < 1 << 159
    return der.sequence(
        _VERSION_3,
        der.integer(template.serial),
        algorithm_identifier(spec),
        template.issuer.public_bytes(),
        der.sequence(encoded_time(template.not_before), encoded_time(template.not_after)),
        template.subject.public_bytes(),
        template.public,
        der.explicit(3, extensions(template.extensions)) if template.extensions else b"",
    )


def tbs_request(public: bytes, template: RequestTemplate) -> bytes:
    """CertificationRequestInfo in DER (RFC 2986, 4.1)."""
    attributes = b""
    if template.extensions:
        attributes = der.sequence(_EXTENSION_REQUEST, der.set_of(extensions(template.extensions)))
    return der.sequence(der.integer(0), template.subject.public_bytes(), public, der.explicit(0, attributes))


def extensions(given: Sequence["x509.Extension[x509.ExtensionType]"]) -> bytes:
    """Extensions in DER (RFC 5280, 4.1), in this order."""
    return der.sequence(
        *(
            der.sequence(
                der.oid(each.oid.dotted_string),
                der.TRUE if each.critical else b"",
                der.octet_string(each.value.public_bytes()),
            )
            for each in given
        )
    )


def encoded_time(seconds: int) -> bytes:
    """A Time in DER (RFC 5280, 4.1.2.5): UTCTime until 2049. seconds: since 1970 UTC, at most NO_END."""
    when = datetime.fromtimestamp(seconds, UTC)
    if 1950 <= when.year < 2050:
        return der.tagged(der.UTC_TIME, f"{when:%y%m%d%H%M%SZ}".encode())
    return der.tagged(der.GENERALIZED_TIME, f"{when:%Y%m%d%H%M%SZ}".encode())


async def _signed(signer: Signer, tbs: bytes) -> bytes:
    return enveloped(tbs, *await sign_tbs(signer, tbs))


async def _verified(signer: Signer, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
    """In a thread where it takes longer than the way there: 0.5 ms and more on the curves other than P-256."""

    def verified() -> bool:
        return PublicKey.load(signer.public).verify(algorithm, digest, signature)

    if signer.spec.curve in (None, Curve.P256):
        return verified()
    return await asyncio.to_thread(verified)
