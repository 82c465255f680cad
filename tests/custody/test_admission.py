"""Admission of callers' private keys."""

import base64
import json
from dataclasses import replace
from functools import cache
from math import lcm
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.custody.admission import PrivateJwk, material_from_jwk, material_from_oct, material_from_pkcs8
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family, KeySpec
from tests.vectors.wycheproof import private_jwk

JOSE = Path(__file__).parent.parent / "vectors" / "jose.json"
PRIME_OFFSET = 439  # (3 << 2046) + 439 is prime
LIBRARY_CURVES = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.P256K: ec.SECP256K1(),
}


def octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


@cache
def _rsa_key(bits: int, exponent: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


def rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return _rsa_key(bits, exponent)


def rsa_jwk(bits: int = 2048, exponent: int = 65537) -> PrivateJwk:
    own = rsa_key(bits, exponent).private_numbers()
    return PrivateJwk(
        Family.RSA,
        n=octets(own.public_numbers.n),
        e=octets(own.public_numbers.e),
        d=octets(own.d),
        p=octets(own.p),
        q=octets(own.q),
        dp=octets(own.dmp1),
        dq=octets(own.dmq1),
        qi=octets(own.iqmp),
    )


@cache
def ec_numbers(curve: Curve = Curve.P256) -> ec.EllipticCurvePrivateNumbers:
    return ec.generate_private_key(LIBRARY_CURVES[curve]).private_numbers()


def ec_jwk(curve: Curve = Curve.P256) -> PrivateJwk:
    own = ec_numbers(curve)
    width = curve.field_bytes
    return PrivateJwk(
        Family.EC,
        curve,
        x=own.public_numbers.x.to_bytes(width, "big"),
        y=own.public_numbers.y.to_bytes(width, "big"),
        d=own.private_value.to_bytes(width, "big"),
    )


def refusal(jwk: PrivateJwk) -> str:
    with pytest.raises(BadRequest) as caught:
        material_from_jwk(jwk)
    text = f"{caught.value.message} {caught.value.detail}"
    for name in ("d", "p", "q", "dp", "dq", "qi"):
        member = getattr(jwk, name)
        if member is not None and len(member) > 4:
            number = int.from_bytes(member, "big")
            assert str(number)[:12] not in text and f"{number:x}"[:12] not in text.lower()
    assert len(text) < 200
    return caught.value.message


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 65537), (2048, 3), (3072, 65537), (4096, 65537)])
def test_a_complete_rsa_key_is_taken_as_it_is(bits: int, exponent: int) -> None:
    material = material_from_jwk(rsa_jwk(bits, exponent))
    assert material.spec == KeySpec.rsa(bits, exponent)
    key = load_der_private_key(material.encoded, None)  # with all of the library's own checks
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.private_numbers() == rsa_key(bits, exponent).private_numbers()


@pytest.mark.parametrize("curve", Curve)
def test_an_ec_key_is_taken_as_it_is(curve: Curve) -> None:
    material = material_from_jwk(ec_jwk(curve))
    assert material.spec == KeySpec.ec(curve)
    key = load_der_private_key(material.encoded, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == ec_numbers(curve)


@pytest.mark.parametrize("vector", json.loads(JOSE.read_text())["keys"], ids=lambda vector: vector["name"])
def test_the_keys_of_the_jose_standards_are_taken(vector: dict) -> None:
    jwk = private_jwk(vector)
    material = material_from_jwk(jwk)
    key = load_der_private_key(material.encoded, None)
    expected = int.from_bytes(base64.urlsafe_b64decode(vector["d"] + "=="), "big")
    numbers = key.private_numbers()  # type: ignore[union-attr]  # RSA or EC
    assert (numbers.d if jwk.family is Family.RSA else numbers.private_value) == expected


def test_leading_zeros_are_tolerated() -> None:
    names = ("n", "e", "d", "p", "q", "dp", "dq", "qi")
    padded = replace(rsa_jwk(), **{name: b"\0" + getattr(rsa_jwk(), name) for name in names})
    assert material_from_jwk(padded) == material_from_jwk(rsa_jwk())
    point = replace(ec_jwk(), **{name: b"\0\0" + getattr(ec_jwk(), name) for name in ("x", "y", "d")})
    assert material_from_jwk(point) == material_from_jwk(ec_jwk())


def test_missing_crt_members_are_computed() -> None:
    full = rsa_jwk()
    for missing in (("dp",), ("dq", "qi"), ("dp", "dq", "qi")):
        assert material_from_jwk(replace(full, **dict.fromkeys(missing))) == material_from_jwk(full)


def test_missing_factors_are_found() -> None:
    short = replace(rsa_jwk(), p=None, q=None, dp=None, dq=None, qi=None)
    material = material_from_jwk(short)
    key = load_der_private_key(material.encoded, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    own = rsa_key().private_numbers()
    assert {key.private_numbers().p, key.private_numbers().q} == {own.p, own.q}


def test_p_and_q_may_come_in_either_order() -> None:
    own = rsa_key().private_numbers()
    swapped = replace(
        rsa_jwk(),
        p=octets(own.q),
        q=octets(own.p),
        dp=octets(own.dmq1),
        dq=octets(own.dmp1),
        qi=octets(pow(own.p, -1, own.q)),
    )
    assert material_from_jwk(swapped).public == material_from_jwk(rsa_jwk()).public
    assert "qi" in refusal(replace(swapped, qi=octets(own.iqmp)))


def test_d_may_be_reduced_by_either_modulus() -> None:
    own = rsa_key().private_numbers()
    phi, smallest = (own.p - 1) * (own.q - 1), lcm(own.p - 1, own.q - 1)
    for d in {own.d % phi, own.d % smallest, own.d % smallest + smallest}:
        assert material_from_jwk(replace(rsa_jwk(), d=octets(d))).public == material_from_jwk(rsa_jwk()).public


RSA_CHANGES = {
    "d one more": lambda own: {"d": own.d + 1},
    "d two more": lambda own: {"d": own.d + 2},
    "d = 0": lambda own: {"d": 0},
    "d = 1": lambda own: {"d": 1},
    "d = e": lambda own: {"d": own.public_numbers.e},
    "d beyond n": lambda own: {"d": own.d + (own.p - 1) * (own.q - 1)},
    "p one more": lambda own: {"p": own.p + 1},
    "p two more": lambda own: {"p": own.p + 2},
    "p = 1, q = n": lambda own: {"p": 1, "q": own.public_numbers.n},
    "p = n, q = 1": lambda own: {"p": own.public_numbers.n, "q": 1},
    "p = 0": lambda own: {"p": 0},
    "p = q": lambda own: {"q": own.p},
    "dp one more": lambda own: {"dp": own.dmp1 + 1},
    "dp = dq": lambda own: {"dp": own.dmq1},
    "dq not reduced": lambda own: {"dq": own.dmq1 + own.q - 1},
    "qi one more": lambda own: {"qi": own.iqmp + 1},
    "qi = 0": lambda own: {"qi": 0},
    "qi not reduced": lambda own: {"qi": own.iqmp + own.p},
    "e = 1": lambda own: {"e": 1, "d": 1},
    "e = 2": lambda own: {"e": 2},
    "e = 17": lambda own: {"e": 17},
    "e = 0": lambda own: {"e": 0},
    "e beyond n": lambda own: {"e": own.public_numbers.n + 2},
    "n two more": lambda own: {"n": own.public_numbers.n + 2},
    "n one less": lambda own: {"n": own.public_numbers.n - 1},
    "n of 2047 bits": lambda own: {"n": own.public_numbers.n >> 1},
    "n = 0": lambda own: {"n": 0},
}


@pytest.mark.parametrize("change", RSA_CHANGES)
def test_an_inconsistent_rsa_key_is_refused(change: str) -> None:
    members = {name: octets(number) for name, number in RSA_CHANGES[change](rsa_key().private_numbers()).items()}
    refusal(replace(rsa_jwk(), **members))
    without = {name: None for name in ("dp", "dq", "qi") if name not in members}
    refusal(replace(rsa_jwk(), **members, **without))


@pytest.mark.parametrize("change", ["d one more", "d two more", "d = 1", "d = e", "e = 1", "n two more", "n one less"])
def test_an_inconsistent_rsa_key_without_its_factors_is_refused(change: str) -> None:
    members = {name: octets(number) for name, number in RSA_CHANGES[change](rsa_key().private_numbers()).items()}
    refusal(replace(rsa_jwk(), p=None, q=None, dp=None, dq=None, qi=None, **members))


@pytest.mark.parametrize("name", ["n", "e", "d", "p", "q"])
def test_a_missing_rsa_member_is_named(name: str) -> None:
    assert name in refusal(replace(rsa_jwk(), **{name: None}))


def test_crt_members_without_factors_are_refused() -> None:
    refusal(replace(rsa_jwk(), p=None, q=None))


@pytest.mark.parametrize("name", ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
def test_an_endless_member_is_refused_at_once(name: str) -> None:
    assert "too long" in refusal(replace(rsa_jwk(), **{name: b"\0" * 100_000 + b"\1"}))


def test_a_modulus_of_another_size_is_refused() -> None:
    for bits in (1024, 2056, 2047, 3071):
        assert "Unsupported key size" in refusal(rsa_jwk(bits))


def of_factors(p: int, q: int, d: int | None = None, e: int = 65537) -> PrivateJwk:
    d = pow(e, -1, (p - 1) * (q - 1)) if d is None else d
    return PrivateJwk(Family.RSA, n=octets(p * q), e=octets(e), d=octets(d), p=octets(p), q=octets(q))


def test_factors_that_are_not_prime_are_refused() -> None:
    """p = a * b of two primes: every relation that needs no primality holds."""
    p, q = next_prime(0xF << 508) * next_prime(0xE << 508), rsa_key().private_numbers().p
    assert (p * q).bit_length() == 2048
    for first, second in ((p, q), (q, p)):
        assert "prime" in refusal(of_factors(first, second))


def test_a_square_is_refused() -> None:
    p = rsa_key().private_numbers().p
    assert (p * p).bit_length() == 2048
    refusal(of_factors(p, p, d=pow(65537, -1, p * (p - 1))))
    refusal(replace(of_factors(p, p, d=pow(65537, -1, p * (p - 1))), p=None, q=None))


def test_factors_close_to_each_other_are_refused() -> None:
    own = rsa_key().private_numbers()
    assert "close" in refusal(of_factors(own.p, own.p + 2, d=own.d))


def test_a_short_private_exponent_is_refused() -> None:
    own = rsa_key().private_numbers()
    phi = (own.p - 1) * (own.q - 1)
    d = next(candidate for candidate in range(2**400 + 1, 2**400 + 999, 2) if _coprime(candidate, phi))
    jwk = of_factors(own.p, own.q, d=d, e=pow(d, -1, phi))
    refusal(jwk)
    refusal(replace(jwk, e=b"\1\0\1"))


def test_a_prime_modulus_is_refused_quickly() -> None:
    n = (3 << 2046) + PRIME_OFFSET
    jwk = PrivateJwk(Family.RSA, n=octets(n), e=b"\1\0\1", d=octets(pow(65537, -1, n - 1)))
    assert "two primes" in refusal(jwk)
    refusal(replace(jwk, p=octets(n), q=b"\1"))


def test_three_primes_are_refused() -> None:
    p, q, r = next_prime(0xF << 508), next_prime(0xE << 508), rsa_key().private_numbers().p
    n = p * q * r
    assert n.bit_length() == 2048
    d = pow(65537, -1, (p - 1) * (q - 1) * (r - 1))
    refusal(PrivateJwk(Family.RSA, n=octets(n), e=b"\1\0\1", d=octets(d)))


def test_other_public_exponents_can_be_allowed() -> None:
    own = rsa_key().private_numbers()
    phi = (own.p - 1) * (own.q - 1)
    if phi % 17 == 0:
        pytest.skip("this key has no exponent 17")
    jwk = of_factors(own.p, own.q, e=17)
    assert "exponent" in refusal(jwk)
    assert material_from_jwk(jwk, public_exponents=(3, 17, 65537)).spec.public_exponent == 17


EC_CHANGES = {
    "d one more": lambda own, order, field: {"d": own.private_value + 1},
    "d = 0": lambda own, order, field: {"d": 0},
    "d = order": lambda own, order, field: {"d": order},
    "d + order": lambda own, order, field: {"d": own.private_value + order},
    "-d": lambda own, order, field: {"d": order - own.private_value},
    "x and y swapped": lambda own, order, field: {"x": own.public_numbers.y, "y": own.public_numbers.x},
    "y one more": lambda own, order, field: {"y": own.public_numbers.y + 1},
    "-y": lambda own, order, field: {"y": field - own.public_numbers.y},
    "x not reduced": lambda own, order, field: {"x": own.public_numbers.x + field},
    "the point at infinity": lambda own, order, field: {"x": 0, "y": 0},
    "huge x": lambda own, order, field: {"x": 1 << 4000},
}
FIELDS = {
    Curve.P256: 2**256 - 2**224 + 2**192 + 2**96 - 1,
    Curve.P384: 2**384 - 2**128 - 2**96 + 2**32 - 1,
    Curve.P521: 2**521 - 1,
    Curve.P256K: 2**256 - 2**32 - 977,
}


@pytest.mark.parametrize("curve", Curve)
@pytest.mark.parametrize("change", EC_CHANGES)
def test_an_inconsistent_ec_key_is_refused(curve: Curve, change: str) -> None:
    order = LIBRARY_CURVES[curve].group_order
    members = EC_CHANGES[change](ec_numbers(curve), order, FIELDS[curve])
    refusal(replace(ec_jwk(curve), **{name: octets(number) for name, number in members.items()}))


@pytest.mark.parametrize("name", ["x", "y", "d"])
def test_a_missing_ec_member_is_named(name: str) -> None:
    assert f"member {name} " in refusal(replace(ec_jwk(), **{name: None}))
    assert "crv" in refusal(replace(ec_jwk(), curve=None))


def test_a_point_of_another_curve_is_refused() -> None:
    for curve in Curve:
        if curve is not Curve.P256:
            refusal(replace(ec_jwk(), curve=curve))


def test_oct_keys_are_refused() -> None:
    refusal(PrivateJwk(Family.OCT))


def pkcs8(key: object) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]  # any key


def test_pkcs8_gets_the_same_checks() -> None:
    assert material_from_pkcs8(pkcs8(rsa_key())) == material_from_jwk(rsa_jwk())
    own = rsa_key().private_numbers()
    wrong = rsa.RSAPrivateNumbers(own.p, own.q, own.d + 2, own.dmp1, own.dmq1, own.iqmp, own.public_numbers)
    swapped = rsa.RSAPrivateNumbers(own.p, own.q, own.d, own.dmq1, own.dmp1, own.iqmp, own.public_numbers)
    for bad in (wrong, swapped):
        with pytest.raises(BadRequest):
            material_from_pkcs8(pkcs8(bad.private_key(unsafe_skip_rsa_key_validation=True)))
    for curve in Curve:
        key = ec_numbers(curve).private_key()
        assert material_from_pkcs8(pkcs8(key)) == material_from_jwk(ec_jwk(curve))


def test_pkcs8_of_other_kinds_is_refused() -> None:
    key = rsa_key()
    encrypted = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    others = (
        encrypted,
        pkcs8(key) + b"\0",
        pkcs8(key)[:-1],
        b"",
        pkcs8(ed25519.Ed25519PrivateKey.generate()),
        pkcs8(dsa.generate_private_key(2048)),
        pkcs8(ec.generate_private_key(ec.SECP224R1())),
        pkcs8(rsa_key(1024)),
    )
    for other in others:
        with pytest.raises(BadRequest):
            material_from_pkcs8(other)


@given(st.binary(max_size=300))
def test_no_bytes_make_pkcs8_do_more_than_be_refused(noise: bytes) -> None:
    with pytest.raises(BadRequest):
        material_from_pkcs8(noise)


def test_no_repr_shows_a_key() -> None:
    assert repr(rsa_jwk()) == "PrivateJwk(RSA)"
    assert repr(material_from_jwk(rsa_jwk())) == "PrivateKeyMaterial(RSA 2048)"


def next_prime(number: int) -> int:
    candidate = number + 1 | 1
    while pow(2, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


def _coprime(number: int, phi: int) -> bool:
    try:
        pow(number, -1, phi)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("bits", [128, 192, 256, 384, 512])
def test_an_oct_key_of_a_served_size_is_taken_as_it_is(bits: int) -> None:
    k = bytes(bits // 8 - 1) + b"\1"
    material = material_from_oct(k)
    assert (material.spec, material.public, material.encoded) == (KeySpec.oct(bits), b"", k)
    assert repr(material) == f"PrivateKeyMaterial(oct {bits})"


def test_an_oct_key_that_is_too_long_is_refused_in_the_words_of_the_service() -> None:
    for length in (65, 66, 1000):
        with pytest.raises(BadRequest) as caught:
            material_from_oct(bytes(length))
        assert caught.value.message == "JSON Web Key: k property of oct key is too large, maximum size is 64"


def test_an_oct_key_of_another_size_is_refused_with_the_sizes_in_bits() -> None:
    for length in (0, 1, 8, 15, 17, 20, 33, 40, 63):
        with pytest.raises(BadRequest) as caught:
            material_from_oct(bytes(length))
        sizes = "[128, 192, 256, 384, 512]"
        assert caught.value.message == f"Unsupported key size ({8 * length}). Supported sizes are {sizes}"
