"""Bodies of the key operations: what is malformed, too large or does not fit the key is refused; nothing changes.

What is no JSON, has members of a wrong type or lacks some is refused by every operation: tests/refusals.
"""

import gzip
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS
from hsmvault.wire.codec import decode_body, from_base64url, to_base64url
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.key_bodies import CreateKey, ImportKey, UpdateKey
from hsmvault.wire.key_uses import UseKey, VerifyWithKey
from tests.pipeline.world import b64, rsa_key
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Service

DIGEST = b64(hashlib.sha256(b"message").digest())
NOT_JSON = "The request body is not valid JSON."
NOTHING = "Property  has invalid value\r\n"


def invalid(name: str) -> str:
    return f"Property {name} has invalid value\r\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"kty":"EC"}x', NOT_JSON),
        (b'{"kty":"EC","kty":"RSA"}', NOT_JSON),
        (b'{"kty":"EC","tags":{"a":"1","a":"2"}}', NOT_JSON),
        (b'{"kty":"EC","x":NaN}', NOT_JSON),
        (b'{"kty":"EC","attributes":{"exp":1e999}}', NOT_JSON),
        (b'{"kty":"EC","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", NOT_JSON),
        (b'{"kty":"EC","x":' + b"9" * 20_000 + b"}", NOT_JSON),
        (b'{"kty":"EC","tags":{"a":"\\ud800"}}', NOT_JSON),
        (b'{"kty":"EC","tags":{"\\udc00":"a"}}', NOT_JSON),
        (b'{"kty":"EC","tags":{"a":"\\u0000"}}', NOT_JSON),
        (b'{"kty":"EC","tags":{"a":"\x00"}}', NOT_JSON),
        (b'{"kty":"EC","tags":{"a":"\xff"}}', NOT_JSON),
        (b'\xef\xbb\xbf{"kty":"EC"}', NOT_JSON),
        ('{"kty":"EC"}'.encode("utf-16"), NOT_JSON),
        ({"kty": "EC", "attributes": {"exp": 10**400}}, invalid("exp")),
        ({"kty": "EC", "attributes": {"exp": 253_402_300_800}}, invalid("exp")),
        ({"kty": "EC", "attributes": {"exp": -1}}, invalid("exp")),
        ({"kty": "EC", "attributes": {"nbf": -1}}, invalid("nbf")),
        ({"kty": "EC", "attributes": {"nbf": 2, "exp": 1}}, invalid("exp")),
        ({"kty": "ec"}, invalid("kty")),
        ({"kty": "EC-hsm"}, invalid("kty")),
        ({"kty": "EC-"}, invalid("kty")),
        ({"kty": "EC-HSM-HSM"}, invalid("kty")),
        ({"kty": "OKP"}, invalid("kty")),
        ({"kty": ""}, invalid("kty")),
        ({"kty": "EC", "crv": "P-224"}, invalid("crv")),
        ({"kty": "EC", "crv": "p-256"}, invalid("crv")),
        ({"kty": "EC", "crv": ""}, invalid("crv")),
        ({"kty": "EC", "crv": "Ed25519"}, invalid("crv")),
        ({"kty": "EC", "key_size": 255}, None),
        ({"kty": "EC", "key_size": 0}, None),
        ({"kty": "EC", "crv": "P-256", "key_size": 384}, None),
        ({"kty": "EC", "public_exponent": 3}, invalid("public_exponent")),
        ({"kty": "RSA", "crv": "P-256"}, invalid("crv")),
        ({"kty": "RSA", "public_exponent": 1}, invalid("public_exponent")),
        ({"kty": "RSA", "key_size": 1024}, "Unsupported key size (1024). Supported sizes are [2048, 3072, 4096]"),
        ({"kty": "RSA", "key_size": 0}, "Unsupported key size (0). Supported sizes are [2048, 3072, 4096]"),
        ({"kty": "RSA", "key_size": -2048}, "Unsupported key size (-2048). Supported sizes are [2048, 3072, 4096]"),
        ({"kty": "RSA", "key_size": 16384}, "Unsupported key size (16384). Supported sizes are [2048, 3072, 4096]"),
        ({"kty": "EC", "key_ops": ["sign", "fly"]}, invalid("key_ops")),
        ({"kty": "EC", "key_ops": ["Sign"]}, invalid("key_ops")),
        ({"kty": "EC", "key_ops": ["import", "sign"]}, invalid("key_ops")),
        ({"kty": "EC", "tags": {str(number): "" for number in range(16)}}, invalid("tags")),
        ({"kty": "EC", "tags": {"a": "x" * 257}}, invalid("tags")),
        ({"kty": "EC", "tags": {"x" * 257: ""}}, invalid("tags")),
        ({"kty": "EC", "attributes": {"exportable": True}}, "Exportable keys must have release policy"),
        ({"kty": "EC", "release_policy": {"data": "x"}}, "Non-exportable keys must not have release policy"),
    ],
)
async def test_a_key_is_not_created_from_a_bad_body(service: Service, body: object, message: str | None) -> None:
    answer = await service.ask("POST", "/keys/k/create", body)
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert message is None or answer.message == message
    assert (await service.ask("GET", "/keys")).json["value"] == []


async def test_what_is_just_allowed_is_taken(service: Service) -> None:
    tags = {f"{number:x<256}": "ü" * 256 for number in range(15)}
    attributes = {"exp": 253_402_300_799, "nbf": 0, "enabled": False, "unknown": [1]}
    body = {"kty": "EC", "crv": "SECP256K1", "tags": tags, "attributes": attributes, "unknown": {"a": 1}}
    answer = await service.ask("POST", "/keys/" + "k" * 127 + "/create", body)
    assert answer.status == 200
    assert (answer.json["key"]["crv"], answer.json["tags"]) == ("P-256K", tags)


# size and coding


async def test_a_body_beyond_the_limit_is_413_announced_or_not(start: Start) -> None:
    async with start(bodies=BodyLimits(largest_bytes=10_000)) as service:
        large = b'{"kty":"EC","x":"' + b"x" * 20_000 + b'"}'
        request = service.request("POST", "/keys/k/create?" + VERSION, large)
        for content in (request, request[: request.index(b"\r\n\r\n") + 10]):  # refused by what it announces
            (answer,) = await service.raw(content)
            assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
            assert answer.message == "The request body is too large."
        top = service.request("POST", "/keys/k/create?" + VERSION).replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked"
        )
        chunks = b"".join(b"%x\r\n%s\r\n" % (1_000, b"x" * 1_000) for _ in range(30))
        (answer,) = await service.raw(top + chunks)
        assert answer.status == 413
        (answer,) = await service.raw(top + b"%x\r\n%s\r\n0\r\n\r\n" % (12_000, b"x" * 12_000))
        assert answer.status == 413
        assert (await service.ask("GET", "/keys")).json["value"] == []


async def test_a_body_beyond_the_limit_without_permission_is_403(start: Start) -> None:
    async with start(bodies=BodyLimits(largest_bytes=10_000)) as service:
        answer = await service.ask("POST", "/keys/k/create", b"x" * 20_000, host="empty.vault.localhost:8443")
        assert answer.status == 403


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x", "gzip, identity", "GZIP"])
async def test_a_coded_body_is_refused_and_not_inflated(service: Service, coding: str) -> None:
    bomb = gzip.compress(b'{"kty":"EC"}' + b" " * 10_000_000)
    answer = await service.ask("POST", "/keys/k/create", bomb, more=[f"Content-Encoding: {coding}"])
    assert (answer.status, answer.message) == (400, "A request body with a content coding is not accepted.")
    answer = await service.ask("POST", "/keys/k/create", {"kty": "EC"}, more=["Content-Encoding: identity"])
    assert answer.status == 200


@given(content=st.binary(max_size=200), kind=st.sampled_from([CreateKey, ImportKey, UpdateKey, UseKey, VerifyWithKey]))
def test_no_body_is_an_accident(content: bytes, kind: type) -> None:
    with pytest.raises(BadRequest):
        decode_body(b"\xff" + content, kind)


# base64url


@given(content=st.binary(max_size=100))
def test_bytes_come_back_from_base64url_with_and_without_padding(content: bytes) -> None:
    text = to_base64url(content)
    assert "=" not in text and from_base64url(text, "value") == content
    assert from_base64url(text + "=" * (-len(text) % 4), "value") == content


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AAAAA",
        "AA+A",
        "AA/A",
        "AA A",
        "AAA\n",
        "AA=A",
        "AA===",
        "=",
        "AA=",
        "AAA==",
        "Ä",
        "AA%3D",
        "AA.A",
        "\0AAA",
    ],
)
async def test_other_texts_are_refused_by_the_name_of_their_member(service: Service, text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        from_base64url(text, "value")
    assert caught.value.message == invalid("value")
    if "\0" in text:
        return
    await service.create_ec("k")
    answer = await service.ask("POST", "/keys/k//sign", {"alg": "ES256", "value": text})
    assert (answer.status, answer.message) == (400, invalid("value"))
    answer = await service.ask("POST", "/keys/k//verify", {"alg": "ES256", "digest": text, "value": "AAAA"})
    assert (answer.status, answer.message) == (400, invalid("digest"))


# using keys


async def use(service: Service, operation: str, **body: Any) -> tuple[int, str]:
    name = body.pop("name", "rsa")
    answer = await service.ask("POST", f"/keys/{name}//{operation}", body)
    return answer.status, answer.message if answer.status >= 400 else ""


@pytest.mark.parametrize("length", [0, 1, 20, 31, 33, 48, 64, 1000])
async def test_a_digest_of_a_wrong_length_is_refused_at_sign_and_verify(service: Service, length: int) -> None:
    await service.create_ec("ec")
    await service.import_rsa("rsa")
    for name, alg in (("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")):
        value = b64(bytes(length))
        text = f"{length} bytes. {alg} requires 32 bytes, encoded with base64url."
        assert await use(service, "sign", name=name, alg=alg, value=value) == (
            400,
            f"Invalid length of 'value': {text}",
        )
        found = await use(service, "verify", name=name, alg=alg, digest=value, value="AAAA")
        assert found == (400, f"Invalid length of 'digest': {text}")


async def test_an_unknown_algorithm_is_refused(service: Service) -> None:
    await service.import_rsa("rsa")
    for alg in ("none", "RS1", "rs256", "RSNULL", "EdDSA", "RSA-OAEP", "", "ES256 "):
        assert await use(service, "sign", alg=alg, value=DIGEST) == (400, invalid("alg"))
        assert await use(service, "verify", alg=alg, digest=DIGEST, value="AAAA") == (400, invalid("alg"))
    for alg in ("none", "RSA-OAEP-512", "rsa1_5", "RS256", "", "dir"):
        for operation in ("encrypt", "decrypt", "wrapkey", "unwrapkey"):
            assert await use(service, operation, alg=alg, value=DIGEST) == (400, invalid("alg"))


async def test_an_algorithm_of_another_key_type_or_curve_is_refused(service: Service) -> None:
    await service.import_rsa("rsa")
    await service.create_ec("ec")
    for alg, algorithm in SIGNATURE_ALGORITHMS.items():
        value = b64(bytes(algorithm.digest_bytes))
        for name, fits in (("rsa", algorithm.family.value == "RSA"), ("ec", alg == "ES256")):
            status, message = await use(service, "sign", name=name, alg=alg, value=value)
            assert status == (200 if fits else 400), (name, alg, message)
            status, _ = await use(service, "verify", name=name, alg=alg, digest=value, value="AAAA")
            assert status == (200 if fits else 400)
            if not fits:
                assert message.startswith("Key and signing algorithm are incompatible. Key ")
    assert (await use(service, "sign", name="ec", alg="ES384", value=b64(bytes(48))))[1] == (
        "Key and signing algorithm are incompatible. Key has curve 'P-256', and algorithm 'ES384' can only be used "
        "with curve 'P-384'."
    )
    for alg, encryption in ENCRYPTION_ALGORITHMS.items():
        status, message = await use(service, "encrypt", name="rsa", alg=alg, value="AAAA")
        assert status == (200 if encryption.family.value == "RSA" else 400), (alg, message)
    status, message = await use(service, "encrypt", name="ec", alg="RSA-OAEP", value="AAAA")
    assert (status, message) == (403, "Operation encrypt is not permitted on this key.")


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
async def test_a_signature_that_is_none_is_false_and_never_an_error(service: Service, alg: str) -> None:
    name = "ec" if alg == "ES256" else "rsa"
    await (service.create_ec("ec") if name == "ec" else service.import_rsa("rsa"))
    signed = await service.ask("POST", f"/keys/{name}//sign", {"alg": alg, "value": DIGEST})
    good = signed.json["value"]
    for value in (
        "",
        "AA",
        b64(bytes(64)),
        b64(bytes(256)),
        b64(b"\xff" * 64),
        b64(b"\xff" * 256),
        good[:-4],
        good + "AAAA",
        good,
    ):
        answer = await service.ask("POST", f"/keys/{name}//verify", {"alg": alg, "digest": DIGEST, "value": value})
        assert (answer.status, answer.json) == (200, {"value": value == good})


async def test_a_ciphertext_of_a_wrong_length_is_refused_by_its_length(service: Service) -> None:
    await service.import_rsa("rsa")
    for alg in ("RSA1_5", "RSA-OAEP", "RSA-OAEP-256"):
        for length in (0, 1, 255, 257, 512):
            for operation in ("decrypt", "unwrapkey"):
                assert await use(service, operation, alg=alg, value=b64(bytes(length))) == (
                    400,
                    f"Invalid length of 'value': {length} bytes. {alg} requires 256 bytes, encoded with base64url.",
                )


async def test_every_failure_of_a_decryption_is_one_answer(service: Service) -> None:
    """Zeros, ones, a number beyond the modulus, padding of every wrong kind, another algorithm's ciphertext."""
    await service.import_rsa("rsa")
    numbers = rsa_key().public_key().public_numbers()

    def raised(padded: bytes) -> bytes:
        return pow(int.from_bytes(padded), numbers.e, numbers.n).to_bytes(256)

    foreign = await service.ask("POST", "/keys/rsa//encrypt", {"alg": "RSA-OAEP-256", "value": "AAAA"})
    broken = [
        bytes(256),
        bytes(255) + b"\x01",
        b"\xff" * 256,
        numbers.n.to_bytes(256),
        (numbers.n - 1).to_bytes(256),
        raised(b"\x00\x01" + b"\xff" * 200 + b"\x00" + b"m" * 53),  # a signature's padding
        raised(b"\x01\x02" + b"\xff" * 200 + b"\x00" + b"m" * 53),  # first byte
        raised(b"\x00\x02" + b"\xff" * 254),  # no end of the padding
        raised(b"\x00\x02" + b"\xff" * 7 + b"\x00" + b"m" * 246),  # seven bytes of padding
        raised(b"\x00\x02" + b"\x00" + b"m" * 253),  # none
        raised(b"\x00" * 255 + b"m"),
    ]
    found = set()
    for alg in ("RSA1_5", "RSA-OAEP", "RSA-OAEP-256"):
        given = [b64(one) for one in broken]
        if alg == "RSA-OAEP":
            given.append(foreign.json["value"])
        for value in given:
            for operation in ("decrypt", "unwrapkey"):
                answer = await service.ask("POST", f"/keys/rsa//{operation}", {"alg": alg, "value": value})
                names = tuple(name for name, _ in answer.headers)
                found.add((answer.status, answer.body, names))
    assert len(found) == 1
    status, body, _ = found.pop()
    assert (status, body) == (400, b'{"error":{"code":"BadParameter","message":"The parameter is incorrect.\\r\\n"}}')
    assert {record["resultDescription"] for record in service.records() if record["operationName"] == "KeyDecrypt"} == {
        "The parameter is incorrect.\r\n"
    }


async def test_too_long_a_plaintext_is_refused(service: Service) -> None:
    await service.import_rsa("rsa")
    for alg, longest in (("RSA1_5", 245), ("RSA-OAEP", 214), ("RSA-OAEP-256", 190)):
        assert (await use(service, "encrypt", alg=alg, value=b64(bytes(longest))))[0] == 200
        assert (await use(service, "encrypt", alg=alg, value=b64(bytes(longest + 1))))[0] == 400


async def test_the_state_of_a_key_decides_in_the_words_of_the_service(service: Service) -> None:
    now = int(service.clock.now())
    await service.create_ec("ops", key_ops=["verify"])
    await service.create_ec("off", attributes={"enabled": False})
    await service.create_ec("early", attributes={"nbf": now + 10})
    await service.create_ec("late", attributes={"exp": now + 10})
    sign = {"alg": "ES256", "value": DIGEST}

    async def refusal(name: str) -> tuple[int, str | None, str]:
        answer = await service.ask("POST", f"/keys/{name}//sign", sign)
        return answer.status, answer.inner, answer.message

    assert await refusal("ops") == (403, "KeyOperationForbidden", "Operation sign is not permitted on this key.")
    assert await refusal("off") == (403, "KeyDisabled", "Operation sign is not allowed on a disabled key.")
    assert await refusal("early") == (
        403,
        "KeyNotYetValid",
        "Operation sign is not allowed on a key that is not yet valid.",
    )
    assert (await service.ask("POST", "/keys/late//sign", sign)).status == 200
    service.clock.move(10)
    assert await refusal("late") == (403, "KeyExpired", "Operation sign is not allowed on an expired key.")
    assert (await service.ask("POST", "/keys/early//sign", sign)).status == 200
    verify = {"alg": "ES256", "digest": DIGEST, "value": "AAAA"}
    assert (await service.ask("POST", "/keys/late//verify", verify)).json == {"value": False}
    assert (await service.ask("POST", "/keys/off//verify", verify)).inner == "KeyDisabled"


async def test_disabling_and_deleting_reach_a_key_that_is_in_use(service: Service) -> None:
    sign = {"alg": "ES256", "value": DIGEST}
    await service.create_ec("k")
    assert (await service.ask("POST", "/keys/k//sign", sign)).status == 200
    await service.ask("PATCH", "/keys/k/", {"attributes": {"enabled": False}})
    assert (await service.ask("POST", "/keys/k//sign", sign)).inner == "KeyDisabled"
    await service.ask("PATCH", "/keys/k/", {"attributes": {"enabled": True}})
    assert (await service.ask("POST", "/keys/k//sign", sign)).status == 200
    await service.ask("DELETE", "/keys/k")
    answer = await service.ask("POST", "/keys/k//sign", sign)
    assert (answer.status, answer.code) == (404, "KeyNotFound")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"kty": "EC"}, None),
        ({"kty": "EC", "crv": "P-224", "x": "AA", "y": "AA", "d": "AA"}, invalid("crv")),
        ({"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32)), "d": b64(b"\x01" * 32)}, None),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}, None),
        ({"kty": "RSA", "n": "!", "e": "AQAB", "d": "AQAB"}, invalid("n")),
        ({"kty": "oct", "k": "AAAA"}, "The key type 'oct' is not supported by this container."),
        ({"kty": "XYZ"}, invalid("kty")),
        ({}, NOTHING),
    ],
)
async def test_keys_that_are_none_are_not_imported(service: Service, key: dict[str, str], message: str | None) -> None:
    answer = await service.ask("PUT", "/keys/k", {"key": key})
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert message is None or answer.message == message
    assert (await service.ask("GET", "/keys")).json["value"] == []
