"""Admission: a caller's private key is checked for consistency before any custodian sees it.

This is the only guard: a token may accept a wrong private exponent and sign with it (SoftHSM 2.6.1 does; threat
model, 6), and soft custody loads without checks what it has sealed.

Everything here is pure and takes CPU time: about 90 ms for RSA-2048, 500 ms for RSA-4096, twice as much when p and q
have to be found: call it in a lane. The library's own check is not used, because it holds the interpreter's lock in one
piece (270 ms for RSA-4096) and would stop the event loop; here the longest piece is one exponentiation (18 ms).

Sources: FIPS 186-5, A.1.1 (RSA criteria) and C.3.1 (Miller-Rabin); SP 800-56B, 6.4.1 (key-pair validation) and
appendix C (factors from d); SP 800-56A, 5.6.2 (EC); RFC 7518, 6.2.2 and 6.3.2 (members).
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from math import gcd

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from hsmvault.custody.primitives import CURVES, CURVES_BY_LIBRARY_NAME
from hsmvault.custody.protocols import PrivateKeyMaterial
from hsmvault.custody.public import PublicKey, point_on
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import OCT_IMPORTED_SIZES_BITS, RSA_SIZES_BITS, Curve, Family, KeySpec

PUBLIC_EXPONENTS = (3, 65537)  # 17 is known to pools too: pass it

_LONGEST_MEMBER_BYTES = max(RSA_SIZES_BITS) // 8 + 8  # room for leading zeros, none for a flood of digits
# A random composite passes one round with a probability far below 1/4; the worst passes with 1/4. Twelve leave
# 2^-24 to somebody who crafts a bad key *for himself*. A guess at what that is worth in CPU time.
_PRIMALITY_ROUNDS = 12
_FACTORING_ROUNDS = 24  # each finds the factors of a true key with a probability of at least 1/2
_SMALL_PRIMES_PRODUCT = 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23 * 29 * 31 * 37 * 41 * 43 * 47 * 53 * 59 * 61 * 67 * 71


@dataclass(frozen=True, slots=True, repr=False)
class PrivateJwk:
    """The members of a JSON Web Key with a private part, already base64url-decoded: unsigned, big-endian, leading
    zeros allowed. None: the member is missing. Its repr shows nothing.
    """

    family: Family
    curve: Curve | None = None
    x: bytes | None = None
    y: bytes | None = None
    n: bytes | None = None
    e: bytes | None = None
    d: bytes | None = None
    p: bytes | None = None
    q: bytes | None = None
    dp: bytes | None = None
    dq: bytes | None = None
    qi: bytes | None = None

    def __repr__(self) -> str:
        return f"PrivateJwk({self.family.value})"


def material_from_jwk(jwk: PrivateJwk, *, public_exponents: Collection[int] = PUBLIC_EXPONENTS) -> PrivateKeyMaterial:
    """RSA needs n, e and d; p and q come both or not at all, dp, dq, qi are computed when they are missing, and
    everything that is there must be right. EC needs the curve, x, y and d.

    Raises BadRequest with one sentence, without a digit of the key.
    """
    if jwk.family is Family.RSA:
        return _rsa_from_jwk(jwk, public_exponents)
    if jwk.family is Family.EC:
        return _ec_from_jwk(jwk)
    raise BadRequest("Keys of this type cannot be imported.")


def material_from_oct(k: bytes) -> PrivateKeyMaterial:
    """k: the bytes of a symmetric key, which may be any. Raises BadRequest for a size that is not served."""
    if len(k) > max(OCT_IMPORTED_SIZES_BITS) // 8:
        raise BadRequest("JSON Web Key: k property of oct key is too large, maximum size is 64")
    if 8 * len(k) not in OCT_IMPORTED_SIZES_BITS:
        raise BadRequest(f"Unsupported key size ({8 * len(k)}). Supported sizes are {list(OCT_IMPORTED_SIZES_BITS)}")
    return PrivateKeyMaterial(KeySpec.oct(8 * len(k)), b"", k)


def material_from_pkcs8(der: bytes, *, public_exponents: Collection[int] = PUBLIC_EXPONENTS) -> PrivateKeyMaterial:
    """der: PrivateKeyInfo (RFC 5208), not encrypted, nothing behind it. The same checks, the same refusals."""
    try:
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadRequest("The private key cannot be read.") from None
    if isinstance(key, rsa.RSAPrivateKey):
        own = key.private_numbers()
        public = own.public_numbers
        numbers = _RsaNumbers(public.n, public.e, own.d, own.p, own.q, own.dmp1, own.dmq1, own.iqmp)
        return _rsa(numbers, public_exponents)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES_BY_LIBRARY_NAME:
        point = key.public_key().public_numbers()
        curve = CURVES_BY_LIBRARY_NAME[key.curve.name]
        return _ec(curve, key.private_numbers().private_value, point.x, point.y)
    raise BadRequest("The key type or curve is not supported.")


@dataclass(frozen=True, slots=True, repr=False)
class _RsaNumbers:
    """As stated by the caller; None: not stated."""

    n: int
    e: int
    d: int
    p: int | None
    q: int | None
    dp: int | None
    dq: int | None
    qi: int | None


def _rsa_from_jwk(jwk: PrivateJwk, public_exponents: Collection[int]) -> PrivateKeyMaterial:
    n, e, d = _required(jwk.n, "n"), _required(jwk.e, "e"), _required(jwk.d, "d")
    p, q = _optional(jwk.p, "p"), _optional(jwk.q, "q")
    dp, dq, qi = _optional(jwk.dp, "dp"), _optional(jwk.dq, "dq"), _optional(jwk.qi, "qi")
    return _rsa(_RsaNumbers(n, e, d, p, q, dp, dq, qi), public_exponents)


def _rsa(stated: _RsaNumbers, public_exponents: Collection[int]) -> PrivateKeyMaterial:
    n, e, d = stated.n, stated.e, stated.d
    _check_public(n, e, public_exponents)
    # FIPS 186-5, A.1.1: a short d can be computed from n and e (Wiener).
    if d >= n or d.bit_length() <= n.bit_length() // 2:
        raise _bad("d is out of range")
    p, q = _factors_of(stated)
    if e * d % (p - 1) != 1 or e * d % (q - 1) != 1:
        raise _bad("d is not the inverse of e")
    dp, dq, qi = d % (p - 1), d % (q - 1), pow(q, -1, p)
    if stated.dp not in (None, dp) or stated.dq not in (None, dq) or stated.qi not in (None, qi):
        raise _bad("dp, dq or qi does not follow from d, p and q")
    if not (_is_prime(p) and _is_prime(q)):
        raise _bad("p and q are not both prime")
    numbers = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n))
    return _material(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def _factors_of(stated: _RsaNumbers) -> tuple[int, int]:
    if stated.p is None and stated.q is None:
        if (stated.dp, stated.dq, stated.qi) != (None, None, None):
            raise _bad("dp, dq and qi mean nothing without p and q")
        p, q = _factors(stated.n, stated.e, stated.d)
    elif stated.p is None or stated.q is None:
        raise _bad("p and q must both be there, or none of them")
    else:
        p, q = stated.p, stated.q
    if p * q != stated.n:
        raise _bad("p and q do not multiply to n")
    # FIPS 186-5, A.1.1: both of the same length and not close to each other, or n can be factored.
    half = stated.n.bit_length() // 2
    if p.bit_length() != half or q.bit_length() != half or abs(p - q).bit_length() <= half - 100:
        raise _bad("p and q are too close to each other or not of the same length")
    if gcd(p, q) != 1 or p % 2 == 0 or q % 2 == 0:
        raise _bad("p and q are not both prime")
    return p, q


def _check_public(n: int, e: int, public_exponents: Collection[int]) -> None:
    if n.bit_length() not in RSA_SIZES_BITS:
        raise BadRequest(f"Unsupported key size ({n.bit_length()}). Supported sizes are {list(RSA_SIZES_BITS)}")
    if e not in public_exponents:
        allowed = " or ".join(str(exponent) for exponent in public_exponents)
        raise _bad(f"the public exponent must be {allowed}")


def _factors(n: int, e: int, d: int) -> tuple[int, int]:
    """p > q from n, e and d (SP 800-56B, C.2), in a bounded number of steps whatever the numbers are."""
    if n % 2 == 0 or _power(2, n - 1, n) == 1:
        raise _bad("n is not the product of two primes")  # a prime n would cost all rounds
    exponent = e * d - 1
    odd = exponent >> (twos := (exponent & -exponent).bit_length() - 1)
    for _ in range(_FACTORING_ROUNDS):
        root = _power(2 + secrets.randbelow(n - 3), odd, n)
        for _ in range(twos):
            square = root * root % n
            if square == 1:
                break
            root = square
        if root * root % n != 1:
            raise _bad("d is not the inverse of e")
        if root not in (1, n - 1):
            p = gcd(root - 1, n)
            return max(p, n // p), min(p, n // p)
    raise _bad("n is not the product of two primes")


def _power(base: int, exponent: int, modulus: int) -> int:
    """pow(), in pieces of 512 bits of the exponent: other threads run in between."""
    result = 1
    for at in range(-(-exponent.bit_length() // 512) - 1, -1, -1):
        piece = exponent >> (512 * at) & ((1 << 512) - 1)
        result = pow(result, 1 << 512, modulus) * pow(base, piece, modulus) % modulus
    return result


def _is_prime(candidate: int) -> bool:
    """Miller-Rabin with random bases (FIPS 186-5, C.3.1)."""
    if candidate % 2 == 0 or gcd(candidate, _SMALL_PRIMES_PRODUCT) != 1:
        return False
    twos = ((candidate - 1) & -(candidate - 1)).bit_length() - 1
    return all(_passes(candidate, twos) for _ in range(_PRIMALITY_ROUNDS))


def _passes(candidate: int, twos: int) -> bool:
    power = pow(2 + secrets.randbelow(candidate - 3), (candidate - 1) >> twos, candidate)
    if power in (1, candidate - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % candidate
        if power == candidate - 1:
            return True
    return False


def _ec_from_jwk(jwk: PrivateJwk) -> PrivateKeyMaterial:
    if jwk.curve is None:
        raise _bad("the member crv is missing")
    return _ec(jwk.curve, _required(jwk.d, "d"), _required(jwk.x, "x"), _required(jwk.y, "y"))


def _ec(curve: Curve, d: int, x: int, y: int) -> PrivateKeyMaterial:
    library_curve = CURVES[curve]
    try:
        point = point_on(curve, x, y)
    except (ValueError, OverflowError):
        raise _bad("x and y are not a point of the curve") from None
    if not 0 < d < library_curve.group_order:
        raise _bad("d is out of range")
    key = ec.derive_private_key(d, library_curve)
    if key.public_key() != point:
        raise _bad("d does not belong to x and y")
    return _material(key)


def _material(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> PrivateKeyMaterial:
    public = PublicKey.of(key.public_key())
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKeyMaterial(public.spec, public.spki, pkcs8)


def _optional(member: bytes | None, name: str) -> int | None:
    return None if member is None else _number(member, name)


def _required(member: bytes | None, name: str) -> int:
    if member is None:
        raise _bad(f"the member {name} is missing")
    return _number(member, name)


def _number(member: bytes, name: str) -> int:
    if len(member) > _LONGEST_MEMBER_BYTES:
        raise _bad(f"the member {name} is too long")
    return int.from_bytes(member, "big")


def _bad(reason: str) -> BadRequest:
    return BadRequest(f"The private key is not valid: {reason}.")
