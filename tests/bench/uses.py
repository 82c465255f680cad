"""Work that uses a key: sign, verify, encrypt, decrypt, wrap, unwrap."""

import json
from collections.abc import Callable

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.bench.checking import OAEP, SECRET, decode, digests, encode, public_of, signature_check
from tests.bench.generator import Work
from tests.bench.keys import Key

_TEXTS = digests()  # 32 bytes each, like a data key


def sign(name: str, key: Key, algorithm: str) -> Work:
    requests = tuple(key.post("sign", alg=algorithm, value=encode(digest)) for digest in digests(algorithm))
    return Work(name, key.container.target, requests, signature_check(algorithm, key.jwk))


def verify(name: str, key: Key, algorithm: str) -> Work:
    """Of signatures that the service has made."""
    requests = tuple(
        key.post("verify", alg=algorithm, digest=encode(digest), value=value)
        for digest in digests(algorithm)
        for value in [key.call("sign", alg=algorithm, value=encode(digest))["value"]]
    )
    return Work(name, key.container.target, requests, lambda _, body: json.loads(body)["value"] is True)


def wrap_oaep(name: str, key: Key) -> Work:
    requests = tuple(key.post("wrapkey", alg="RSA-OAEP", value=encode(text)) for text in _TEXTS)

    def check(which: int, body: bytes) -> bool:
        opened = key.call("unwrapkey", alg="RSA-OAEP", value=json.loads(body)["value"])["value"]
        return decode(opened) == _TEXTS[which]

    return Work(name, key.container.target, requests, check)


def open_oaep(name: str, key: Key, verb: str) -> Work:
    """verb: decrypt or unwrapkey."""
    public = public_of(key.jwk)
    assert isinstance(public, rsa.RSAPublicKey)
    requests = tuple(key.post(verb, alg="RSA-OAEP", value=encode(public.encrypt(text, OAEP))) for text in _TEXTS)
    return Work(name, key.container.target, requests, _returns_texts)


def encrypt_gcm(name: str, key: Key) -> Work:
    requests = tuple(key.post("encrypt", alg="A256GCM", value=encode(text)) for text in _TEXTS)

    def check(which: int, body: bytes) -> bool:
        answer = json.loads(body)
        sealed = decode(answer["value"]) + decode(answer["tag"])
        return AESGCM(SECRET).decrypt(decode(answer["iv"]), sealed, None) == _TEXTS[which]

    return Work(name, key.container.target, requests, check)


def decrypt_gcm(name: str, key: Key) -> Work:
    requests = []
    for number, text in enumerate(_TEXTS):
        iv = number.to_bytes(12, "big")
        sealed = AESGCM(SECRET).encrypt(iv, text, None)
        members = {"iv": encode(iv), "value": encode(sealed[:-16]), "tag": encode(sealed[-16:])}
        requests.append(key.post("decrypt", alg="A256GCM", **members))
    return Work(name, key.container.target, tuple(requests), _returns_texts)


_WRAPS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "A256KW": keywrap.aes_key_wrap,
    "CKM_AES_KEY_WRAP_PAD": keywrap.aes_key_wrap_with_padding,
}


def wrap_aes(name: str, key: Key, algorithm: str) -> Work:
    """Key wrap has no random part: the ciphertext is known."""
    wrap = _WRAPS[algorithm]
    requests = tuple(key.post("wrapkey", alg=algorithm, value=encode(text)) for text in _TEXTS)
    return Work(
        name,
        key.container.target,
        requests,
        lambda which, body: decode(json.loads(body)["value"]) == wrap(SECRET, _TEXTS[which]),
    )


def unwrap_aes(name: str, key: Key, algorithm: str) -> Work:
    wrap = _WRAPS[algorithm]
    requests = tuple(key.post("unwrapkey", alg=algorithm, value=encode(wrap(SECRET, text))) for text in _TEXTS)
    return Work(name, key.container.target, requests, _returns_texts)


def _returns_texts(which: int, body: bytes) -> bool:
    return decode(json.loads(body)["value"]) == _TEXTS[which]
