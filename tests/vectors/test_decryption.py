"""Published RSA ciphertexts through the HTTP API: each opens to its message, or to the one refusal."""

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from tests.caller import from_base64url
from tests.vectors import wycheproof
from tests.vectors.place import Place, is_refused_for_length, is_the_one_refusal, jwk_of, private_key

PADDINGS = {
    "RSA1_5": padding.PKCS1v15(),
    "RSA-OAEP": padding.OAEP(padding.MGF1(SHA1()), SHA1(), None),  # noqa: S303  # as the algorithm says
    "RSA-OAEP-256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
}
FAST = {("soft", "rsa_oaep_sha256.json"), ("hard", "rsa_pkcs1_2048_decrypt.json"), ("pool", "rsa_oaep_sha1.json")}
FILES = [
    pytest.param(place, file, marks=() if (place, file) in FAST else pytest.mark.slow)
    for place in ("soft", "hard", "pool")
    for file in wycheproof.DECRYPTION_FILES
]


@pytest.mark.parametrize(("place", "file"), FILES, indirect=["place"])
def test_ciphertexts_open_to_their_message_or_to_the_one_refusal(place: Place, file: str) -> None:
    alg, seen = wycheproof.DECRYPTION_FILES[file], []
    for group in wycheproof.groups(file):
        jwk = group["jwk"]
        modulus_bytes = len(from_base64url(jwk["n"]))
        for test in group["tests"]:
            case, ciphertext = f"{test['tcId']} {test['comment']} in {place.name}", bytes.fromhex(test["ct"])
            is_ours = not test.get("label")  # our label is empty, always
            for operation in ("decrypt", "unwrapkey"):
                if test["result"] == "valid" and is_ours:
                    message = place.result(operation, jwk, alg, ciphertext, case)
                    assert message == bytes.fromhex(test["msg"]), f"{operation} {case}"
                    seen.append("opened")
                    continue
                answer = place.use(operation, jwk, alg, ciphertext)
                if len(ciphertext) == modulus_bytes:
                    assert is_the_one_refusal(answer), f"{operation} {case}: {answer}"
                else:
                    assert is_refused_for_length(answer, "value", len(ciphertext)), f"{operation} {case}: {answer}"
                seen.append("refused")
    assert seen.count("opened") > 10
    assert len(seen) == 2 * sum(len(group["tests"]) for group in wycheproof.groups(file))


@pytest.mark.parametrize(("place", "file"), FILES, indirect=["place"])
def test_what_is_encrypted_opens_elsewhere(place: Place, file: str) -> None:
    alg = wycheproof.DECRYPTION_FILES[file]
    for group in wycheproof.groups(file):
        jwk = group["jwk"]
        key = private_key(jwk)
        assert isinstance(key, rsa.RSAPrivateKey)
        for test in group["tests"]:
            if test["result"] == "valid":
                message, case = bytes.fromhex(test["msg"]), f"{test['tcId']} {test['comment']}"
                for operation in ("encrypt", "wrapkey"):
                    ciphertext = place.result(operation, jwk, alg, message, case)
                    assert key.decrypt(ciphertext, PADDINGS[alg]) == message, f"{operation} {case} in {place.name}"


@pytest.mark.parametrize("place", ["soft", "hard", "pool"], indirect=True)
@pytest.mark.parametrize("bits", [1024, 1536, 2056])
def test_rsa_keys_of_other_sizes_are_refused(place: Place, bits: int) -> None:
    """None of the files has such a key."""
    jwk = jwk_of(rsa.generate_private_key(65537, bits))
    answer = place.bring(f"vector-rsa-{bits}", {**jwk, "kty": "RSA" + place.suffix})
    assert (answer.status, answer.body["error"]["code"]) == (400, "BadParameter")
    assert answer.body["error"]["message"].startswith(
        f"Unsupported key size ({bits}). Supported sizes are [2048, 3072, 4096]"
    )
    assert place.caller.call("GET", f"/keys/vector-rsa-{bits}").status == 404
