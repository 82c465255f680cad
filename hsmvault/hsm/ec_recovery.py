"""The public key of an EC private key in a token, from what it signs.

A private object of SoftHSM has no CKA_EC_POINT, and a key that was unwrapped inside the token came without its public
part. An ECDSA signature (r, s) of z under Q fixes Q up to a sign (SEC 1, 4.1.6): with R one of the two points whose
x-coordinate is r, Q = (s/r)R - (z/r)G or Q = -(s/r)R - (z/r)G. A second signature tells which.

Everything here is public: time tells nothing. OpenSSL multiplies; one addition is done by hand. A point with x >= n
(and so r = x - n) comes up once in 2^127 signatures or less often, and is met by another signature.

All four curves have p = 3 mod 4 and cofactor 1.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec

from hsmvault.errors import CiphertextRefused
from hsmvault.hsm import mechanisms
from hsmvault.hsm.public import ec_spki, verifies
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, KeySpec

_Point = tuple[int, int]
_ATTEMPTS = 3
_MESSAGES = (b"hsmvault public key 1", b"hsmvault public key 2", b"hsmvault public key 3")
_BY_CURVE = {row.curve: row for row in SIGNATURE_ALGORITHMS.values() if row.curve is not None}
_CURVE = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.P256K: ec.SECP256K1(),
}
_FIELD = {  # SP 800-186, 3.2.1; SEC 2, 2.4.1
    Curve.P256: 2**256 - 2**224 + 2**192 + 2**96 - 1,
    Curve.P384: 2**384 - 2**128 - 2**96 + 2**32 - 1,
    Curve.P521: 2**521 - 1,
    Curve.P256K: 2**256 - 2**32 - 977,
}
_ORDER = {
    Curve.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    Curve.P384: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    Curve.P521: 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    Curve.P256K: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}


def recover(work: WorkSession, private: KeyObject, curve: Curve) -> bytes:
    """Let the key sign three digests; the first gives two candidates, the second chooses, the third agrees. Blocks.

    Returns SPKI. Raises CiphertextRefused when no public key fits (a private value of 0), or the module's error.
    """
    algorithm = _BY_CURVE[curve]
    spec = KeySpec.ec(curve)
    digests = [hashlib.new(algorithm.hash.value, message).digest() for message in _MESSAGES]
    signer = work.bind(private)
    for _ in range(_ATTEMPTS):
        signatures = [mechanisms.signing(spec, algorithm, digest)(signer) for digest in digests]
        for candidate in candidates(curve, digests[0], signatures[0]):
            if all(
                verifies(candidate, algorithm, digest, signature)
                for digest, signature in zip(digests[1:], signatures[1:], strict=True)
            ):
                return candidate
    raise CiphertextRefused(detail="no public key fits the wrapped key")


def candidates(curve: Curve, digest: bytes, signature: bytes) -> list[bytes]:
    """Public keys, as SPKI, under which the signature (r || s) of the digest is good: two, or none in a rare case.

    digest: no longer than the order, as those of our algorithms are.
    """
    length = curve.field_bytes
    order, kind = _ORDER[curve], _CURVE[curve]
    r, s = int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big")
    try:
        inverse = pow(r, -1, order)
        point = ec.EllipticCurvePublicKey.from_encoded_point(kind, b"\x02" + signature[:length])
        shared = ec.derive_private_key(s * inverse % order, kind).exchange(ec.ECDH(), point)
        multiple = _coordinates(ec.EllipticCurvePublicKey.from_encoded_point(kind, b"\x02" + shared))
        base = _coordinates(ec.derive_private_key(int.from_bytes(digest, "big") * inverse % order, kind).public_key())
        field = _FIELD[curve]
        negative = _negative(field, base)
        points = [_sum(field, each, negative) for each in (multiple, _negative(field, multiple))]
        return [ec_spki(curve, b"\x04" + x.to_bytes(length, "big") + y.to_bytes(length, "big")) for x, y in points]
    except ValueError:
        return []  # not on the curve, or the point at infinity: no such key signed


def _coordinates(point: ec.EllipticCurvePublicKey) -> _Point:
    numbers = point.public_numbers()
    return numbers.x, numbers.y


def _negative(field: int, point: _Point) -> _Point:
    return point[0], -point[1] % field


def _sum(field: int, first: _Point, second: _Point) -> _Point:
    """Of two points that are neither equal nor opposite (SEC 1, 2.2.1). Raises ValueError when they are."""
    slope = (second[1] - first[1]) * pow(second[0] - first[0], -1, field) % field
    x = (slope * slope - first[0] - second[0]) % field
    return x, (slope * (first[0] - x) - first[1]) % field
