"""Work that makes, imports, rotates, lists, releases or attests keys, and random bytes."""

import json
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.bench.checking import SECRET, decode, encode, encode_number, public_of
from tests.bench.generator import Work
from tests.bench.instance import Container, Instance
from tests.bench.keys import Key, Keys

PAGE = 25
_NAME = "@@@@@@@@@"  # the load generator makes a number of it that no other request of the cell has
_MOST_ROTATIONS = 2_000
_RANDOM_BYTES = 32
_ROTATED = 16  # keys that take turns


def create(name: str, container: Container, cell: int, body: Mapping[str, object], *, most: int) -> Work:
    """cell: a number, so that each cell has names of its own."""
    request = container.request("POST", f"/keys/made-{cell}-{_NAME}/create", body)
    return Work(name, container.target, (request,), lambda _, answer: _is_key(answer, body["kty"]), most=most)


def import_ec(name: str, container: Container, cell: int, *, most: int) -> Work:
    private = ec.derive_private_key(int.from_bytes(SECRET, "big"), ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    jwk = {
        "kty": "EC-HSM",
        "crv": "P-256",
        **{member: encode(number.to_bytes(32, "big")) for member, number in (("x", numbers.x), ("y", numbers.y))},
        "d": encode(SECRET),
    }
    request = container.request("PUT", f"/keys/came-{cell}-{_NAME}", {"key": jwk, "Hsm": True})
    return Work(
        name,
        container.target,
        (request,),
        lambda _, body: public_of(json.loads(body)["key"]) == private.public_key(),
        most=most,
    )


def rotate(name: str, keys: Keys, container: Container) -> Work:
    made = [
        keys.made(container, f"bench-turning-{number}", {"kty": "EC-HSM", "crv": "P-256"}) for number in range(_ROTATED)
    ]
    requests = tuple(container.request("POST", f"/keys/bench-turning-{number}/rotate") for number in range(_ROTATED))
    known = [public_of(key.jwk) for key in made]
    return Work(
        name,
        container.target,
        requests,
        lambda which, body: public_of(json.loads(body)["key"]) != known[which],
        most=_MOST_ROTATIONS,
    )


def list_page(name: str, keys: Keys, container: Container) -> Work:
    """The first page; there are at least as many keys."""
    for number in range(PAGE):
        keys.made(container, f"a-listed-{number}", {"kty": "EC", "crv": "P-256"})
    request = container.request("GET", f"/keys?maxresults={PAGE}")
    return Work(name, container.target, (request,), lambda _, body: len(json.loads(body)["value"]) == PAGE)


def random_bytes(name: str, pool: Container) -> Work:
    request = pool.request("POST", "/rng", {"count": _RANDOM_BYTES})
    return Work(name, pool.target, (request,), lambda _, body: len(decode(json.loads(body)["value"])) == _RANDOM_BYTES)


def attest(name: str, key: Key) -> Work:
    request = key.container.request("GET", f"{key.path}/attestation")

    def check(_: int, body: bytes) -> bool:
        answer = json.loads(body)
        return bool(answer["key"] == key.jwk and answer["attributes"]["attestation"]["privateKeyAttestation"])

    return Work(name, key.container.target, (request,), check)


def release(name: str, keys: Keys, instance: Instance) -> Work:
    """To an environment that the instance's own attestation authority speaks for."""
    environment = _environment()
    numbers = environment.public_key().public_numbers()
    target = instance.assertion({"kty": "RSA", "n": encode_number(numbers.n), "e": encode_number(numbers.e)})
    conditions = {"authority": instance.authority, "allOf": [{"claim": "sdk-test", "equals": True}]}
    policy = json.dumps({"version": "1.0.0", "anyOf": [conditions]}).encode()
    body = {
        "kty": "EC-HSM",
        "crv": "P-256",
        "attributes": {"exportable": True},
        "release_policy": {"data": encode(policy)},
    }
    key = keys.made(instance.vault, "bench-leaving", body)
    request = key.post("release", target=target, enc="RSA_AES_KEY_WRAP_256")

    def check(_: int, answer: bytes) -> bool:
        payload = json.loads(decode(json.loads(answer)["value"].split(".")[1]))
        sealed = decode(json.loads(decode(payload["response"]["key"]["key"]["key_hsm"]))["ciphertext"])
        size = environment.key_size // 8
        oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
        transport = environment.decrypt(sealed[:size], oaep)
        opened = keywrap.aes_key_unwrap_with_padding(transport, sealed[size:])
        private = load_der_private_key(opened[: _der_bytes(opened)], None)
        return bool(private.public_key() == public_of(key.jwk))

    return Work(name, key.container.target, (request,), check)


@cache
def _environment() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _der_bytes(content: bytes) -> int:
    """Of the DER value at the beginning: SoftHSM pads what it wraps with zeros."""
    if content[1] < 0x80:
        return 2 + content[1]
    count = content[1] & 0x7F
    return 2 + count + int.from_bytes(content[2 : 2 + count], "big")


def _is_key(answer: bytes, kind: object) -> bool:
    return bool(json.loads(answer)["key"]["kty"] == kind)
