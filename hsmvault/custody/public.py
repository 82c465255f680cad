"""Public-key work: verify, encrypt, the members of a JWK. One code for hard and soft keys; no custodian, no I/O.

Keep a PublicKey as long as its key version is cached: loading one costs more than a small verification.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsmvault.custody.primitives import (
    CURVES,
    CURVES_BY_LIBRARY_NAME,
    ECDSA,
    PKCS1,
    PREHASHED,
    PSS,
    oaep_of,
)
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import (
    Curve,
    EncryptionAlgorithm,
    EncryptionMode,
    KeySpec,
    SignatureAlgorithm,
    SignaturePadding,
)


@dataclass(frozen=True, slots=True)
class RsaMembers:
    """n: as long as the modulus. e: without leading zeros, 010001 as a rule. Both unsigned, big-endian."""

    n: bytes
    e: bytes


@dataclass(frozen=True, slots=True)
class EcMembers:
    """x, y: each exactly as long as the field (RFC 7518, 6.2.1.2), leading zeros included."""

    curve: Curve
    x: bytes
    y: bytes


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A loaded public key. Safe to use from several threads."""

    spec: KeySpec
    _key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = field(repr=False)

    @staticmethod
    def load(spki: bytes) -> "PublicKey":
        """spki: SubjectPublicKeyInfo in DER. Raises BadRequest when it is not one of ours: see spec_of()."""
        try:
            key = load_der_public_key(spki)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadRequest("The public key is not valid.") from error
        return PublicKey(spec_of(key), _ours(key))

    @staticmethod
    def of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> "PublicKey":
        return PublicKey(spec_of(key), key)

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo in DER, always the same bytes for the same key (points uncompressed)."""
        return self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
        """Whether the signature is good. Never raises for a signature, whatever its bytes and length are.

        digest: exactly algorithm.digest_bytes long. signature: r || s for ECDSA (RFC 7518, 3.4), the modulus'
        length for RSA; the salt of PSS is exactly as long as the digest.
        Raises BadRequest when the algorithm does not fit the key or the digest the algorithm.
        """
        check_digest(algorithm, self.spec, digest)
        if len(signature) != algorithm.signature_bytes(self.spec):
            return False
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                half = len(signature) // 2
                r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                order = self._key.curve.group_order
                if not (0 < r < order and 0 < s < order):
                    return False
                self._key.verify(utils.encode_dss_signature(r, s), digest, ECDSA[algorithm.hash])
            else:
                padding = PKCS1 if algorithm.padding is SignaturePadding.PKCS1 else PSS[algorithm.hash]
                self._key.verify(signature, digest, padding, PREHASHED[algorithm.hash])
        except InvalidSignature:
            return False
        return True

    def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes) -> bytes:
        """Encrypt, or wrap, which is the same for RSA. Returns as many bytes as the modulus has.

        Raises BadRequest when the algorithm does not fit the key or the plaintext is too long for it.
        """
        if not algorithm.fits(self.spec) or not isinstance(self._key, rsa.RSAPublicKey):
            raise wrong_algorithm(algorithm)
        if len(plaintext) > (longest := algorithm.longest_plaintext(self.spec)):
            raise BadRequest(f"The value is too long: {algorithm.name} with this key takes at most {longest} bytes.")
        if algorithm.mode is EncryptionMode.RSA1_5:
            return self._key.encrypt(plaintext, PKCS1)
        return self._key.encrypt(plaintext, oaep_of(algorithm))

    def members(self) -> RsaMembers | EcMembers:
        """The public members of the JWK, as raw bytes."""
        if isinstance(self._key, rsa.RSAPublicKey):
            rsa_numbers = self._key.public_numbers()
            exponent_bytes = (rsa_numbers.e.bit_length() + 7) // 8
            return RsaMembers(
                rsa_numbers.n.to_bytes(self.spec.modulus_bytes, "big"), rsa_numbers.e.to_bytes(exponent_bytes, "big")
            )
        assert self.spec.curve is not None
        width = self.spec.curve.field_bytes
        point = self._key.public_numbers()
        return EcMembers(self.spec.curve, point.x.to_bytes(width, "big"), point.y.to_bytes(width, "big"))


def jwk_members(spki: bytes, modulus: bytes = b"") -> dict[str, bytes]:
    """The public integers of a JWK by their names: n and e, or x and y. spki: empty for oct keys, which have none.
    modulus: in place of n, when a caller wrote it otherwise."""
    if not spki:
        return {}
    members = PublicKey.load(spki).members()
    if isinstance(members, RsaMembers):
        return {"n": modulus or members.n, "e": members.e}
    return {"x": members.x, "y": members.y}


def verify(public_spki: bytes, spec: KeySpec, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
    """PublicKey.verify for a key that is used once. Raises BadRequest, also when the key is not of this spec."""
    return _once(public_spki, spec).verify(algorithm, digest, signature)


def encrypt(public_spki: bytes, spec: KeySpec, algorithm: EncryptionAlgorithm, plaintext: bytes) -> bytes:
    """PublicKey.encrypt for a key that is used once. Raises BadRequest, also when the key is not of this spec."""
    return _once(public_spki, spec).encrypt(algorithm, plaintext)


def spki_from_jwk(members: RsaMembers | EcMembers) -> bytes:
    """SubjectPublicKeyInfo in DER. Raises BadRequest: point not on the curve, modulus or exponent not usable."""
    return public_from_jwk(members).spki


def public_from_jwk(members: RsaMembers | EcMembers) -> PublicKey:
    """Leading zero bytes are ignored. Raises as spki_from_jwk does."""
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    try:
        if isinstance(members, RsaMembers):
            n, e = int.from_bytes(members.n, "big"), int.from_bytes(members.e, "big")
            key = rsa.RSAPublicNumbers(e, n).public_key()
        else:
            x, y = int.from_bytes(members.x, "big"), int.from_bytes(members.y, "big")
            key = point_on(members.curve, x, y)
    except (ValueError, OverflowError) as error:
        raise BadRequest("The JSON Web Key is not a valid public key.") from error
    return PublicKey.of(key)


def point_on(curve: Curve, x: int, y: int) -> ec.EllipticCurvePublicKey:
    """The public key at x and y. Raises ValueError: not on the curve, at infinity, or not reduced; the library
    alone would take x + p for x, and a coordinate would no longer have one spelling.
    """
    numbers = ec.EllipticCurvePublicNumbers(x, y, CURVES[curve])
    key = numbers.public_key()
    if key.public_numbers() != numbers:
        raise ValueError("coordinates are not reduced")
    return key


def spec_of(key: object) -> KeySpec:
    """What a loaded public key is. Raises BadRequest unless it is RSA or EC on one of our curves."""
    if isinstance(key, rsa.RSAPublicKey):
        return KeySpec.rsa(key.key_size, key.public_numbers().e)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES_BY_LIBRARY_NAME:
        return KeySpec.ec(CURVES_BY_LIBRARY_NAME[key.curve.name])
    raise BadRequest("The key type or curve is not supported.")


def check_digest(algorithm: SignatureAlgorithm, spec: KeySpec, digest: bytes) -> None:
    """What must hold before every signature and verification. Raises BadRequest."""
    if not algorithm.fits(spec):
        raise wrong_algorithm(algorithm)
    if len(digest) != algorithm.digest_bytes:
        raise BadRequest(
            f"The digest of {algorithm.name} must be {algorithm.digest_bytes} bytes long, not {len(digest)}."
        )


def wrong_algorithm(algorithm: SignatureAlgorithm | EncryptionAlgorithm) -> BadRequest:
    return BadRequest(f"The algorithm {algorithm.name} does not fit the key's type, size or curve.")


def _ours(key: object) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)  # spec_of has seen to it
    return key


def _once(spki: bytes, spec: KeySpec) -> PublicKey:
    public = PublicKey.load(spki)
    if public.spec != spec:
        raise BadRequest("The public key is not of the expected type and size.")
    return public
