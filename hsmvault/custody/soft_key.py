"""One private key in software: what SoftCustodian loads, tests and uses. CPU work, no I/O, no event loop."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from hsmvault.custody.primitives import CURVES, ECDSA, PKCS1, PREHASHED, PSS, oaep_of
from hsmvault.custody.public import PublicKey
from hsmvault.custody.rsa_pkcs1 import Pkcs1Decryptor
from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    RSA_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
    KeySpec,
    SignatureAlgorithm,
    SignaturePadding,
)

DISCLOSABLE = b"\x01"  # before the PKCS#8, whose first byte is 0x30: a SEQUENCE
GENERATED_EXPONENTS = (3, 65537)  # all that the cryptography library makes

_PROBE = b"hsmvault pairwise consistency"


class SoftKey:
    """A loaded private key; its repr shows nothing. May be used by one thread at a time.

    is_disclosable: its private part may be given out (Terms.disclosable).
    """

    __slots__ = ("_key", "_pkcs1", "is_disclosable", "public")

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, is_disclosable: bool = False) -> None:
        """Raises BadRequest for a curve that is not ours."""
        self._key = key
        self._pkcs1: Pkcs1Decryptor | None = None
        self.is_disclosable = is_disclosable
        self.public = PublicKey.of(key.public_key())

    def __repr__(self) -> str:
        return f"SoftKey({self.public.spec.family.value} {self.public.spec.size_bits})"

    @staticmethod
    def generate(spec: KeySpec, *, is_disclosable: bool = False) -> "SoftKey":
        """RSA takes 50 ms to seconds. Raises BadRequest for what is not made in software."""
        check_generates(spec)
        if spec.family is Family.RSA:
            rsa_key = rsa.generate_private_key(spec.public_exponent, spec.size_bits)
            return SoftKey(rsa_key, is_disclosable=is_disclosable)
        assert spec.curve is not None
        return SoftKey(ec.generate_private_key(CURVES[spec.curve]), is_disclosable=is_disclosable)

    @staticmethod
    def load(pkcs8: bytes, *, is_disclosable: bool = False) -> "SoftKey":
        """pkcs8: PrivateKeyInfo in DER that was checked for consistency when it came in (custody/admission.py) or was
        made here, and whose seal proved that it still is that one. Checking an RSA key costs 40 to 270 ms in
        which no other thread runs, and would find nothing new. Raises ValueError when it is not RSA or EC.
        """
        try:
            key = load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=True)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("not a private key of ours") from error
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("not a private key of ours")
        return SoftKey(key, is_disclosable=is_disclosable)

    @staticmethod
    def from_stored(stored: bytes) -> "SoftKey":
        """The reverse of stored(). Raises ValueError as load() does."""
        is_disclosable = stored[:1] == DISCLOSABLE
        return SoftKey.load(stored[1:] if is_disclosable else stored, is_disclosable=is_disclosable)

    def stored(self) -> bytes:
        """What is to be sealed of the key: PKCS#8, behind a mark when it is disclosable. The mark lies inside the seal,
        so that who can write the database cannot make a key disclosable.
        """
        return DISCLOSABLE + self.pkcs8() if self.is_disclosable else self.pkcs8()

    def pkcs8(self) -> bytes:
        """PrivateKeyInfo in DER, in the clear: seal it at once."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        """As KeyHandle.sign; the caller has checked algorithm and digest (public.check_digest)."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            assert algorithm.curve is not None
            r, s = utils.decode_dss_signature(self._key.sign(digest, ECDSA[algorithm.hash]))
            width = algorithm.curve.field_bytes
            return r.to_bytes(width, "big") + s.to_bytes(width, "big")
        padding = PKCS1 if algorithm.padding is SignaturePadding.PKCS1 else PSS[algorithm.hash]
        return self._key.sign(digest, padding, PREHASHED[algorithm.hash])

    def decrypt(self, algorithm: EncryptionAlgorithm, ciphertext: bytes) -> bytes:
        """As KeyHandle.decrypt; the caller has checked that the algorithm fits. Raises CiphertextRefused."""
        assert isinstance(self._key, rsa.RSAPrivateKey)
        if algorithm.mode is EncryptionMode.RSA1_5:
            if self._pkcs1 is None:
                self._pkcs1 = Pkcs1Decryptor(self._key)
            return self._pkcs1.decrypt(ciphertext)
        try:
            return self._key.decrypt(ciphertext, oaep_of(algorithm))
        except ValueError as error:
            raise CiphertextRefused(detail=algorithm.name) from error

    def is_consistent(self) -> bool:
        """Sign and verify once, and for RSA encrypt and decrypt once (pairwise consistency, FIPS 140-3 IG 10.3.A)."""
        spec = self.public.spec
        signer = next(row for row in SIGNATURE_ALGORITHMS.values() if row.fits(spec))
        digest = _PROBE.ljust(signer.digest_bytes, b"\0")[: signer.digest_bytes]
        if not self.public.verify(signer, digest, self.sign(signer, digest)):
            return False
        if spec.family is not Family.RSA:
            return True
        oaep = ENCRYPTION_ALGORITHMS["RSA-OAEP-256"]
        try:
            return self.decrypt(oaep, self.public.encrypt(oaep, _PROBE)) == _PROBE
        except CiphertextRefused:
            return False


def check_generates(spec: KeySpec) -> None:
    """Raises BadRequest unless SoftKey.generate(spec) makes a key."""
    if spec.family is Family.RSA:
        if spec.size_bits not in RSA_SIZES_BITS:
            raise BadRequest(f"Unsupported key size ({spec.size_bits}). Supported sizes are {list(RSA_SIZES_BITS)}")
        if spec.public_exponent not in GENERATED_EXPONENTS:
            raise BadRequest("The public exponent must be 3 or 65537 for a key that is processed in software.")
    elif spec.family is not Family.EC or spec != KeySpec.ec(spec.curve or next(iter(CURVES))):
        raise BadRequest("Keys of this type are not processed in software.")
