"""Which certificate belongs to a key, and which to which issuer. Pure, no I/O; certificates are DER throughout.

CPU work: reading a certificate takes some 20 µs, ordering a chain a verification for each link (0.1 to 1 ms). For
chains that somebody sent, of at most MOST_CERTIFICATES, call it in a lane.
"""

import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest

LONGEST_CERTIFICATE_BYTES = 64 * 1024  # the longest in use, with hundreds of names, have a fifth of that
NOT_A_CERTIFICATE = "The certificate cannot be read."
_OTHER_KEY = "The key type or curve of the certificate is not supported."
UNREADABLE_EXTENSION = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
    TypeError,  # of odd names in any extension: all are read to find one
)
"""What the library raises for an extension that is not there, or when any of the certificate cannot be read."""


def load(certificate: bytes) -> x509.Certificate:
    """A certificate whose names, dates and version can be read. Raises BadRequest."""
    if len(certificate) > LONGEST_CERTIFICATE_BYTES:
        raise BadRequest(NOT_A_CERTIFICATE, detail="too long")
    try:
        loaded = x509.load_der_x509_certificate(certificate)
        _ = loaded.subject, loaded.issuer, loaded.not_valid_before_utc, loaded.not_valid_after_utc
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:  # TypeError: of odd names
        raise BadRequest(NOT_A_CERTIFICATE, detail=type(error).__name__) from error
    return loaded


def fits_key(certificate: bytes, public: bytes) -> bool:
    """Whether the certificate is for this key. public: SubjectPublicKeyInfo as in HeldKey.public.

    Raises BadRequest when the certificate cannot be read at all; one for a key of another type does not fit.
    """
    loaded = load(certificate)
    try:
        return _public_key(loaded).spki == public
    except BadRequest:
        return False


def leaf_of(public: bytes, certificates: Sequence[bytes]) -> bytes | None:
    """The first certificate that is for this key, or None. Raises BadRequest as fits_key does."""
    return next((each for each in certificates if fits_key(each, public)), None)


def ordered_chain(leaf: bytes, others: Sequence[bytes]) -> tuple[bytes, ...]:
    """The leaf, its issuer, the issuer's issuer, and so on to the root; behind them those that do not belong to the
    chain, in the order given. Each certificate once.

    An issuer has the name that the certificate states, its key identifier where both state one, and the key that
    signed it. Raises BadRequest when one cannot be read.
    """
    chain = [leaf]
    remaining = {each: load(each) for each in others if each != leaf}
    current = load(leaf)
    while (issuer := _issuer_of(current, remaining)) is not None:
        chain.append(issuer)
        current = remaining.pop(issuer)
    return (*chain, *remaining)


def expired_in(chain: Sequence[bytes], now: float) -> bytes | None:
    """The first certificate whose time is over, or None. now: seconds since 1970 UTC. Raises BadRequest."""
    return next((each for each in chain if validity(each)[1] < now), None)


def thumbprint(certificate: bytes) -> bytes:
    """x5t: SHA-1 of the DER, 20 bytes (RFC 7517, 4.8)."""
    return hashlib.sha1(certificate, usedforsecurity=False).digest()


def validity(certificate: bytes) -> tuple[int, int]:
    """notBefore and notAfter, seconds since 1970 UTC, both within it (RFC 5280, 4.1.2.5). Raises BadRequest."""
    loaded = load(certificate)
    return int(loaded.not_valid_before_utc.timestamp()), int(loaded.not_valid_after_utc.timestamp())


def subject_of(certificate: bytes) -> str:
    """The subject as text: the last RDN first (RFC 4514). Raises BadRequest."""
    return load(certificate).subject.rfc4514_string()


def _public_key(certificate: x509.Certificate) -> PublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRequest(_OTHER_KEY) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise BadRequest(_OTHER_KEY)
    return PublicKey.of(key)


def _issuer_of(certificate: x509.Certificate, candidates: dict[bytes, x509.Certificate]) -> bytes | None:
    if certificate.issuer == certificate.subject and _is_issued_by(certificate, certificate):
        return None
    return next((der for der, candidate in candidates.items() if _is_issued_by(certificate, candidate)), None)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    stated, own = _authority_key_identifier(certificate), _subject_key_identifier(issuer)
    if stated is not None and own is not None and stated != own:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except UnsupportedAlgorithm:
        return True  # a signature of another time: the names must do
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _authority_key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except UNREADABLE_EXTENSION:
        return None


def _subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except UNREADABLE_EXTENSION:
        return None
