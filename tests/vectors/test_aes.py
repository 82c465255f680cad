"""Published AES vectors through the HTTP API of the pool: each opens to its message, or to the one refusal."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.caller import Answer, from_base64url, to_base64url
from tests.vectors import wycheproof
from tests.vectors.place import Jwk, Place, is_refused_for_length, is_the_one_refusal

pytestmark = pytest.mark.parametrize("place", ["pool"], indirect=True)


@dataclass(frozen=True)
class Case:
    """message: None when it must be refused."""

    name: str
    ciphertext: bytes
    iv: bytes
    aad: bytes
    tag: bytes
    message: bytes | None


def groups(file: str) -> Iterator[tuple[Jwk, bytes, str, list[Case]]]:
    """The key as it is imported, its bytes, our name of the algorithm, and the cases."""
    for group in wycheproof.groups(file):
        key = bytes.fromhex(group["key"])
        cases = [
            Case(
                f"{test['tcId']} {test['comment']}",
                *(bytes.fromhex(test.get(member, "")) for member in ("ct", "iv", "aad", "tag")),
                bytes.fromhex(test["msg"]) if test["result"] == "valid" else None,
            )
            for test in group["tests"]
        ]
        yield {"kty": "oct", "k": to_base64url(key)}, key, f"A{8 * len(key)}{wycheproof.AES_FILES[file]}", cases


def test_gcm_opens_what_is_whole_and_nothing_else(place: Place) -> None:
    opened = 0
    for jwk, key, alg, cases in groups("aes_gcm.json"):
        for case in cases:
            assert (len(case.iv), len(case.tag)) == (12, 16), "the service takes no other, see below"
            more = {"iv": case.iv, "aad": case.aad, "tag": case.tag}
            if case.message is None:
                assert is_the_one_refusal(place.use("decrypt", jwk, alg, case.ciphertext, **more)), case.name
                continue
            assert place.result("decrypt", jwk, alg, case.ciphertext, case.name, **more) == case.message, case.name
            sealed = place.use("encrypt", jwk, alg, case.message, aad=case.aad)
            assert sealed.status == 200, f"{case.name}: {sealed}"
            assert opened_elsewhere(key, sealed, case.aad) == case.message, case.name
            opened += 1
    assert opened == 13


def opened_elsewhere(key: bytes, sealed: Answer, aad: bytes) -> bytes:
    """With the iv and the tag that the service has made, by `cryptography`."""
    value, iv, tag = (from_base64url(sealed.body[name]) for name in ("value", "iv", "tag"))
    assert (len(iv), len(tag)) == (12, 16)
    assert from_base64url(sealed.body.get("aad", "")) == aad
    return AESGCM(key).decrypt(iv, value + tag, aad)


def test_gcm_takes_no_iv_but_of_12_bytes_and_no_tag_but_of_16(place: Place) -> None:
    """Also where the ciphertext is right for them: a shorter tag is easier to forge, and an iv of another length is
    hashed to one that may be in use already."""
    for jwk, key, alg, cases in groups("aes_gcm.json"):
        case = next((case for case in cases if case.message is not None), None)
        if case is None or case.message is None:
            continue
        for length in (8, 11, 13, 16, 32):
            sealed = AESGCM(key).encrypt(bytes(length), case.message, case.aad)
            answer = place.use("decrypt", jwk, alg, sealed[:-16], iv=bytes(length), tag=sealed[-16:], aad=case.aad)
            assert is_refused_for_length(answer, "iv", length), f"{case.name} iv of {length}: {answer}"
        for length in (0, 4, 8, 12, 15, 17):
            tag = (case.tag + b"\0")[:length]
            answer = place.use("decrypt", jwk, alg, case.ciphertext, iv=case.iv, tag=tag, aad=case.aad)
            assert is_refused_for_length(answer, "tag", length), f"{case.name} tag of {length}: {answer}"
        answer = place.use("encrypt", jwk, alg, case.message, iv=case.iv, aad=case.aad)
        assert (answer.status, answer.body["error"]["code"]) == (400, "BadParameter"), f"{case.name}: a caller's iv"


def test_cbc_with_padding_opens_and_makes_what_is_padded(place: Place) -> None:
    opened = 0
    for jwk, _, alg, cases in groups("aes_cbc_pad.json"):
        for case in cases:
            if case.message is not None:
                opened_to = place.result("decrypt", jwk, alg, case.ciphertext, case.name, iv=case.iv)
                assert opened_to == case.message, case.name
                assert place.result("encrypt", jwk, alg, case.message, case.name, iv=case.iv) == case.ciphertext, (
                    case.name
                )
                opened += 1
                continue
            answer = place.use("decrypt", jwk, alg, case.ciphertext, iv=case.iv)
            if case.ciphertext and len(case.ciphertext) % 16 == 0:
                assert is_the_one_refusal(answer), f"{case.name}: {answer}"
            else:
                assert is_refused_for_length(answer, "value", len(case.ciphertext)), f"{case.name}: {answer}"
    assert opened == 6


def test_key_wrap_opens_and_makes_what_is_wrapped(place: Place) -> None:
    """`acceptable` are 8 bytes, which RFC 3394 does not wrap: refused by their length. CKM_AES_KEY_WRAP is the same."""
    opened = 0
    for jwk, _, own, cases in groups("aes_wrap.json"):
        for case in cases:
            for alg in (own, "CKM_AES_KEY_WRAP"):
                name = f"{case.name} with {alg}"
                if case.message is not None:
                    assert place.result("unwrapkey", jwk, alg, case.ciphertext, name) == case.message, name
                    assert place.result("wrapkey", jwk, alg, case.message, name) == case.ciphertext, name
                    opened += 1
                    continue
                answer = place.use("unwrapkey", jwk, alg, case.ciphertext)
                if len(case.ciphertext) % 8 or len(case.ciphertext) < 24:
                    assert is_refused_for_length(answer, "value", len(case.ciphertext)), f"{name}: {answer}"
                else:
                    assert is_the_one_refusal(answer), f"{name}: {answer}"
    assert opened == 12


@pytest.mark.parametrize("length", [0, 1, 8, 15, 17, 20, 40, 63])
def test_secrets_of_other_sizes_are_refused(place: Place, length: int) -> None:
    answer = place.bring(f"vector-oct-{length}", {"kty": "oct-HSM", "k": to_base64url(bytes(length))})
    assert (answer.status, answer.body["error"]["code"]) == (400, "BadParameter")
    said = f"Unsupported key size ({8 * length}). Supported sizes are [128, 192, 256, 384, 512]"
    assert answer.body["error"]["message"].startswith(said)
    assert place.caller.call("GET", f"/keys/vector-oct-{length}").status == 404
