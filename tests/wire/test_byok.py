"""The transfer blob of BYOK: read strictly, and only for a key-exchange key of the same container."""

import base64
import json

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family
from hsmvault.wire.byok import wrapped_key_of

ORIGIN = "https://dev.vault.localhost:8443"
VERSION = "0123456789abcdef0123456789abcdef"
CIPHERTEXT = bytes(range(251, 256)) * 60
BLOB = {
    "schema_version": "1.0.0",
    "header": {"kid": f"{ORIGIN}/keys/Exchange/{VERSION}", "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"},
    "ciphertext": base64.urlsafe_b64encode(CIPHERTEXT).decode().rstrip("="),
    "generator": "a tool; version 1",
}


def encoded(blob: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(blob).encode()).decode().rstrip("=")


def refusal(text: str) -> str:
    with pytest.raises(BadRequest) as caught:
        wrapped_key_of(text, Family.RSA, None, ORIGIN)
    return caught.value.message.strip()


def with_kid(kid: str) -> dict[str, object]:
    return {**BLOB, "header": {"kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}}


def test_a_blob_names_the_exchange_key_and_carries_the_wrapped_one() -> None:
    key = wrapped_key_of(encoded(BLOB), Family.EC, Curve.P384, ORIGIN)
    assert (key.exchange_name, key.exchange_version, key.wrapped) == ("Exchange", VERSION, CIPHERTEXT)
    assert (key.family, key.curve) == (Family.EC, Curve.P384)
    assert str(CIPHERTEXT) not in repr(key)


def test_plain_base64_is_read_as_base64url_is() -> None:
    content = json.dumps(BLOB | {"generator": "ÿ?>~" * 8}, ensure_ascii=False).encode()
    plain, urlsafe = base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()
    assert plain != urlsafe
    for text in (plain, plain.rstrip("="), urlsafe, urlsafe.rstrip("=")):
        assert wrapped_key_of(text, Family.RSA, None, ORIGIN).wrapped == CIPHERTEXT
    assert refusal(plain[:-4] + "-_-_") == "Property key_hsm has invalid value"


def test_the_generator_may_be_missing_and_a_host_is_the_same_in_any_case() -> None:
    blob = {name: value for name, value in BLOB.items() if name != "generator"}
    assert wrapped_key_of(encoded(blob), Family.RSA, None, ORIGIN).exchange_name == "Exchange"
    shouted = with_kid(f"HTTPS://DEV.Vault.LOCALHOST:8443/keys/x/{VERSION.upper()}")
    assert wrapped_key_of(encoded(shouted), Family.RSA, None, ORIGIN).exchange_version == VERSION


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": "2.0.0"},
        {"schema_version": None},
        {"header": {"kid": f"{ORIGIN}/keys/x/{VERSION}", "alg": "RSA-OAEP", "enc": "CKM_RSA_AES_KEY_WRAP"}},
        {"header": {"kid": f"{ORIGIN}/keys/x/{VERSION}", "alg": "dir", "enc": "A256GCM"}},
        {"header": {"kid": f"{ORIGIN}/keys/x/{VERSION}", "alg": "dir"}},
        {"header": []},
        {"ciphertext": 1},
    ],
)
def test_a_blob_of_another_form_is_refused(change: dict[str, object]) -> None:
    assert refusal(encoded({**BLOB, **change})) == "Property key_hsm has invalid value"


@pytest.mark.parametrize("text", ["", "!", "e30", "AAAA", encoded([]), encoded({"a": "x" * 40_000})])
def test_what_is_no_blob_is_refused(text: str) -> None:
    assert refusal(text) == "Property key_hsm has invalid value"


def test_a_member_twice_is_refused() -> None:
    text = json.dumps(BLOB).replace('"ciphertext"', '"ciphertext": "AAAA", "ciphertext"')
    assert refusal(base64.urlsafe_b64encode(text.encode()).decode()) == "Property key_hsm has invalid value"


def test_a_ciphertext_that_is_no_base64url_is_refused() -> None:
    assert refusal(encoded({**BLOB, "ciphertext": "A+B="})) == "Property ciphertext has invalid value"


@pytest.mark.parametrize(
    "kid",
    [
        f"https://other.vault.localhost:8443/keys/x/{VERSION}",
        f"https://dev.vault.localhost:8444/keys/x/{VERSION}",
        f"https://dev.vault.localhost/keys/x/{VERSION}",
        f"http://dev.vault.localhost:8443/keys/x/{VERSION}",
        f"https://dev.vault.localhost:8443/secrets/x/{VERSION}",
        f"x/{VERSION}",
        "",
    ],
)
def test_a_key_of_another_container_is_no_exchange_key(kid: str) -> None:
    assert refusal(encoded(with_kid(kid))) == "The key exchange key is not a key of this container."


@pytest.mark.parametrize("rest", ["x", "x/", f"/{VERSION}", f"x/{VERSION}/y", "x/latest", f"a_b/{VERSION}", ""])
def test_an_exchange_key_is_named_with_its_version(rest: str) -> None:
    assert refusal(encoded(with_kid(f"{ORIGIN}/keys/{rest}"))) == "Property kid has invalid value"
