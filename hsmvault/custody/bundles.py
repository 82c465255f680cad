"""What a file with a private key and certificates holds, whichever format it came in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from hsmvault.custody import der
from hsmvault.custody.certificate_chains import leaf_of, load, ordered_chain
from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest

MOST_CERTIFICATES = 20  # in one file: chains have three or four; a guess that leaves room
LONGEST_KEY_BYTES = 8 * 1024  # RSA-4096 has 2.4 KB
MOST_KEY_ELEMENTS = 64  # of ASN.1 in one, which has about ten
RSA_ENCRYPTION = der.oid("1.2.840.113549.1.1.1")
EC_KEY = der.oid("1.2.840.10045.2.1")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Nothing of it has been checked but that it can be read. Its repr shows nothing of the key.

    key_pkcs8: PrivateKeyInfo in DER (RFC 5208) as the file has it, for custody/admission.py; None when the file has no
    private key. leaf: the certificate of that key, in DER; the file's first one when no certificate has its public
    key, or there is no key: see certificate_chains.fits_key. certificates: all of them in DER, the leaf among them, in
    the order of the file.
    """

    key_pkcs8: bytes | None = field(repr=False)
    leaf: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)

    def chain(self, *, preserve: bool = False) -> tuple[bytes, ...]:
        """Leaf first, then its issuers (certificate_chains.ordered_chain); preserve: in the order of the file."""
        return self.certificates if preserve else ordered_chain(self.leaf, self.certificates)


def bundle_of(key_pkcs8: bytes | None, certificates: Sequence[bytes]) -> Bundle:
    """What was read, once the key and every certificate proved to be readable. certificates: at least one.

    Raises BadRequest; the text is for the caller to replace.
    """
    for each in certificates:
        load(each)
    public = None if key_pkcs8 is None else _public_of(key_pkcs8)
    leaf = None if public is None else leaf_of(public, certificates)
    return Bundle(key_pkcs8, leaf or certificates[0], tuple(certificates))


def _public_of(pkcs8: bytes) -> bytes | None:
    """SubjectPublicKeyInfo of a private key, which is not checked here; None when it is of a type that is not ours, and
    that the library does not get to see: some cost minutes to load.
    """
    if len(pkcs8) > LONGEST_KEY_BYTES:
        raise BadRequest("The private key is too long.")
    try:
        info = der.read(pkcs8, der.Budget(MOST_KEY_ELEMENTS)).expect(der.SEQUENCE).elements
        algorithm = info[1].expect(der.SEQUENCE).elements[0].oid()
        if algorithm not in (RSA_ENCRYPTION, EC_KEY):
            return None
        key = load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm):
        raise BadRequest("The private key cannot be read.") from None
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    try:
        return PublicKey.of(key.public_key()).spki
    except BadRequest:
        return None
