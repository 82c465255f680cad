"""The second implementation: what pyca/cryptography makes of the same keys, digests and ciphertexts."""

from functools import cache
from typing import Any

from azure.keyvault.keys import JsonWebKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from tests.clients.kinds import Kind, digest_of

_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "P-256K": ec.SECP256K1()}
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def private_key(size: int, curve: str, exponent: int = 65537) -> Any:
    """A key pair of our own, one for each size, curve and exponent in a run."""
    return _made(size, curve, exponent)


@cache
def _made(size: int, curve: str, exponent: int) -> Any:
    if curve:
        return ec.generate_private_key(_CURVES[curve])
    return rsa.generate_private_key(exponent, size)


def key_pair(kind: Kind, exponent: int = 65537) -> tuple[Any, JsonWebKey]:
    """A private key and the JWK that imports it. Integers are big-endian, those of EC as wide as the field."""
    key = private_key(kind.size, kind.curve, exponent)
    if kind.curve:
        return key, _ec_jwk(kind, key)
    numbers = key.private_numbers()
    public = numbers.public_numbers
    members = {
        "n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q,
        "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
    }  # fmt: skip
    return key, JsonWebKey(kty=kind.kty, **{name: _minimal(value) for name, value in members.items()})


def key_pair_with_short_coordinate(kind: Kind) -> tuple[Any, JsonWebKey]:
    """The first point from the generator on whose x or y begins with a zero byte."""
    for scalar in range(1, 10_000):
        key = ec.derive_private_key(scalar, _CURVES[kind.curve])
        jwk = _ec_jwk(kind, key)
        if b"\0" in (jwk.x[:1], jwk.y[:1]):
            return key, jwk
    raise AssertionError("no such point")


def _ec_jwk(kind: Kind, key: ec.EllipticCurvePrivateKey) -> JsonWebKey:
    width = (key.key_size + 7) // 8
    numbers = key.private_numbers()
    members = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
    return JsonWebKey(kty=kind.kty, crv=kind.curve, **{name: value.to_bytes(width) for name, value in members.items()})


def public_key(jwk: JsonWebKey) -> Any:
    """From the public members that the service answers."""
    if jwk.kty.startswith("RSA"):
        return rsa.RSAPublicNumbers(int.from_bytes(jwk.e), int.from_bytes(jwk.n)).public_key()
    return ec.EllipticCurvePublicNumbers(int.from_bytes(jwk.x), int.from_bytes(jwk.y), _CURVES[jwk.crv]).public_key()


def verifies(public: Any, algorithm: str, digest: bytes, signature: bytes) -> bool:
    hashed = Prehashed(_HASHES[digest_of(algorithm)])
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            der = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
            public.verify(der, digest, ec.ECDSA(hashed))
        else:
            public.verify(signature, digest, _signature_padding(algorithm), hashed)
    except InvalidSignature:
        return False
    return True


def sign(private: Any, algorithm: str, digest: bytes) -> bytes:
    """r || s for ECDSA, as wide as the field."""
    hashed = Prehashed(_HASHES[digest_of(algorithm)])
    if isinstance(private, ec.EllipticCurvePrivateKey):
        width = (private.key_size + 7) // 8
        return b"".join(value.to_bytes(width) for value in decode_dss_signature(private.sign(digest, ec.ECDSA(hashed))))
    signature: bytes = private.sign(digest, _signature_padding(algorithm), hashed)
    return signature


def encryption_padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm == "RSA1_5":
        return padding.PKCS1v15()
    used = hashes.SHA256() if algorithm == "RSA-OAEP-256" else hashes.SHA1()  # noqa: S303  # the algorithm's own
    return padding.OAEP(padding.MGF1(used), used, None)


def longest_plaintext(kind: Kind, algorithm: str) -> int:
    """Bytes (RFC 8017, 7.1.1 and 7.2.1)."""
    return kind.size // 8 - {"RSA1_5": 11, "RSA-OAEP": 42, "RSA-OAEP-256": 66}[algorithm]


def _signature_padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    used = _HASHES[digest_of(algorithm)]
    return padding.PSS(padding.MGF1(used), used.digest_size)


def _minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)
