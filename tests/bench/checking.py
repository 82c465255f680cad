"""What checks the answers: signatures, ciphertexts and keys by the `cryptography` package, never by the product."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Check = Callable[[int, bytes], bool]
"""Which request of the work, and the body of its answer; raises or returns False when the answer is wrong."""

MESSAGES = tuple(b"benchmark %d" % number for number in range(16))
OAEP = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303  # what RSA-OAEP means; SoftHSM has no other
SECRET = hashlib.sha256(b"the symmetric key of the benchmark").digest()

_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "P-256K": ec.SECP256K1()}
_HASHES: dict[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}


def digests(algorithm: str = "ES256") -> tuple[bytes, ...]:
    """The digests of MESSAGES that a signature algorithm takes."""
    return tuple(hashlib.new(f"sha{_bits(algorithm)}", message).digest() for message in MESSAGES)


def signature_check(algorithm: str, jwk: dict[str, Any]) -> Check:
    """For answers {"value": base64url of r || s, of the RSA signature, or of the MAC} over digests(algorithm)."""
    given = digests(algorithm)
    if algorithm.startswith("HS"):
        return lambda which, body: hmac.digest(SECRET, given[which], "sha256") == decode(json.loads(body)["value"])
    public = public_of(jwk)

    def check(which: int, body: bytes) -> bool:
        verify_signature(public, algorithm, decode(json.loads(body)["value"]), given[which])
        return True

    return check


def verify_signature(public: PublicKey, algorithm: str, signature: bytes, digest: bytes) -> None:
    """Raises InvalidSignature."""
    function = _HASHES[_bits(algorithm)]
    ready = utils.Prehashed(function)
    if isinstance(public, rsa.RSAPublicKey):
        pss = padding.PSS(padding.MGF1(function), function.digest_size)
        public.verify(signature, digest, pss if algorithm.startswith("PS") else padding.PKCS1v15(), ready)
        return
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    public.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(ready))


def public_of(jwk: dict[str, Any]) -> PublicKey:
    if jwk["kty"].startswith("RSA"):
        return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
    return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]]).public_key()


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode_number(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _bits(algorithm: str) -> str:
    """ES256K and HS256 are over 256 bits, too."""
    return algorithm[2:5]


def _number(text: str) -> int:
    return int.from_bytes(decode(text), "big")
