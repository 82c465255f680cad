"""Published signatures through the HTTP API: what must verify does, and nothing else."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from tests.caller import from_base64url
from tests.vectors import wycheproof
from tests.vectors.place import Jwk, Place, PrivateKey, jwk_of_pkcs8, private_key

HASHES: dict[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}
IN_SOFTWARE = pytest.param("soft", id="soft")
EVERYWHERE = [
    IN_SOFTWARE,
    pytest.param("hard", marks=pytest.mark.slow),
    pytest.param("pool", marks=pytest.mark.slow),
]
NOT_A_JWS = "has fewer than three parts: no signature that anybody could hand over"
SKIPPED = {
    **dict.fromkeys((21, 24, 27, 29, 30), NOT_A_JWS),
    **dict.fromkeys((36, 39, 42, 44, 45), NOT_A_JWS),
}
"""Cases of jws.json by tcId that try the parser of a JWS alone, each with its reason."""
FOREIGN_ALGORITHM = {
    31: "HS256: a MAC under the public key",
    332: "RS256 by a key for PS512",
    334: "RS384 by a key for PS512",
    336: "RS512 by a key for PS512",
    338: "PS256 by a key for PS512",
    340: "PS384 by a key for PS512",
    **dict.fromkeys((341, 342, 343, 344), "none"),
}
"""Cases whose header names an algorithm that is not the key's. A vault's keys are not bound to one algorithm: whoever
verifies names the one that he expects, which is the key's."""


@dataclass(frozen=True)
class Case:
    """alg: as the caller of the service names it. signed: what the digest is made of."""

    number: int
    name: str
    alg: str
    signed: bytes
    signature: bytes
    is_valid: bool


def jws() -> Iterator[tuple[Jwk, list[Case]]]:
    for group in wycheproof.groups("jws.json"):
        jwk, cases = group["private"], []
        for test in group["tests"]:
            if test["tcId"] in SKIPPED:
                assert test["jws"].count(".") < 2
                continue
            signed, _, signature = test["jws"].rpartition(".")
            is_valid = test["result"] == "valid"
            header = _header(signed)
            alg = header.get("alg") if is_valid else jwk["alg"]  # two keys are used with another than they name
            assert is_valid or header.get("alg", jwk["alg"]) == jwk["alg"] or test["tcId"] in FOREIGN_ALGORITHM
            cases.append(
                Case(
                    test["tcId"],
                    f"{test['tcId']} {test['comment']}",
                    alg,
                    signed.encode(),
                    from_base64url(signature),
                    is_valid,
                )
            )
        yield jwk, cases


def _header(signed: str) -> dict[str, str]:
    """Empty when there is none."""
    text = signed.partition(".")[0]
    return json.loads(from_base64url(text)) if text else {}


def digest_of(alg: str, signed: bytes) -> bytes:
    return hashlib.new(f"sha{alg[2:]}", signed).digest()


def check(key: PrivateKey, alg: str, digest: bytes, signature: bytes) -> None:
    """By `cryptography` alone. Raises InvalidSignature."""
    function = HASHES[alg[2:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        half = len(signature) // 2
        assert half == (key.curve.key_size + 7) // 8
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        key.public_key().verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(function)))
        return
    padded = padding.PKCS1v15() if alg.startswith("RS") else padding.PSS(padding.MGF1(function), len(digest))
    key.public_key().verify(signature, digest, padded, Prehashed(function))


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
def test_signatures_of_jws_verify_or_do_not(place: Place) -> None:
    seen = {"valid": 0, "invalid": 0}
    for jwk, cases in jws():
        for case in cases:
            digest = digest_of(case.alg, case.signed)
            accepted = place.accepts(jwk, case.alg, case.signature, digest, case.name)
            assert accepted is case.is_valid, f"{case.name} in {place.name}"
            seen["valid" if case.is_valid else "invalid"] += 1
    assert seen == {"valid": 36, "invalid": 311}


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
def test_what_the_keys_of_jws_sign_is_good_elsewhere(place: Place) -> None:
    for jwk, cases in jws():
        key = private_key(jwk)
        for case in cases:
            if case.is_valid:
                digest = digest_of(case.alg, case.signed)
                check(key, case.alg, digest, place.result("sign", jwk, case.alg, digest, case.name))


@pytest.mark.parametrize("place", ["soft", "hard", "pool"], indirect=True)
def test_an_algorithm_of_another_kind_of_key_is_refused(place: Place) -> None:
    """The header's word is not followed: none is no algorithm, and a public key is no secret."""
    jwk = wycheproof.groups("jws.json")[0]["private"]
    for alg in ("HS256", "none", "NONE", "RS256", "PS256", "ES384", "ES512"):
        answer = place.use("verify", jwk, alg, bytes(64), digest=bytes(32))
        assert (answer.status, answer.body["error"]["code"]) == (400, "BadParameter"), f"{alg} in {place.name}"


def test_a_key_with_operations_that_are_none_is_refused(places: dict[str, Place]) -> None:
    """One key of jws.json has key_ops of ["sign, verify"], one string."""
    (jwk,) = [
        group["private"]
        for group in wycheproof.groups("jws.json")
        if group["private"].get("key_ops") == ["sign, verify"]
    ]
    for place in places.values():
        answer = place.bring("vector-operations", {**jwk, "kty": jwk["kty"] + place.suffix})
        assert (answer.status, answer.body["error"]["code"]) == (400, "BadParameter"), place.name
        assert answer.body["error"]["message"].startswith("Property key_ops has invalid value")


@pytest.mark.parametrize(
    ("place", "bits"),
    [
        ("soft", 2048),
        ("pool", 2048),
        *(pytest.param("soft", bits, marks=pytest.mark.slow) for bits in (3072, 4096)),
        *(pytest.param("hard", bits, marks=pytest.mark.slow) for bits in (2048, 3072, 4096)),
        *(pytest.param("pool", bits, marks=pytest.mark.slow) for bits in (3072, 4096)),
    ],
    indirect=["place"],
)
def test_signatures_of_pkcs1_come_out_byte_for_byte_and_verify(place: Place, bits: int) -> None:
    count = 0
    for group in wycheproof.groups("rsa_pkcs1_sign.json"):
        jwk = jwk_of_pkcs8(bytes.fromhex(group["pkcs8"]))
        if 8 * len(from_base64url(jwk["n"])) != bits:
            continue
        alg = wycheproof.SIGNATURE_NAMES[group["sha"]]
        for test in group["tests"]:
            case = f"{test['tcId']} {test['comment']}"
            digest, signature = digest_of(alg, bytes.fromhex(test["msg"])), bytes.fromhex(test["sig"])
            assert place.result("sign", jwk, alg, digest, case) == signature, f"{case} in {place.name}"
            assert place.accepts(jwk, alg, signature, digest, case), f"{case} in {place.name}"
            changed = signature[:-1] + bytes([signature[-1] ^ 1])
            assert not place.accepts(jwk, alg, changed, digest, case), f"{case} in {place.name}"
            count += 1
    assert count == 24
