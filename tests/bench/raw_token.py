"""The raw token: what a PKCS#11 token alone does through python-pkcs11, `python -m tests.bench.raw_token`.

A SoftHSM token of its own, session objects, one thread, no server: the bound that a service in front of the same
token can only come close to. SOFTHSM2_CONF names an empty token directory.

{"operation": …, "seconds": …} on standard input is answered with {"operations": …, "cpu_seconds": …}.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.mechanisms import GCMParams
from pkcs11.util.ec import encode_named_curve_parameters

RAW = {
    "sign-es256-hard": "P-256",
    "sign-es384-hard": "P-384",
    "sign-es512-hard": "P-521",
    "sign-es256k-hard": "P-256K",
    "sign-rs256-hard": "RSA-2048",
    "sign-rs256-3072-hard": "RSA-3072",
    "sign-rs256-4096-hard": "RSA-4096",
    "sign-ps256-hard": "PSS",
    "sign-hs256-hard": "HMAC",
    "decrypt-oaep-hard": "OAEP",
    "unwrap-oaep-hard": "OAEP",
    "encrypt-gcm-hard": "AES-GCM",
    "decrypt-gcm-hard": "AES-GCM open",
}
"""The name here of what the token does for an operation of the benchmark."""

Operation = Callable[[], object]
_PIN = "benchmark"
_LABEL = "benchmark"
_TEXT = hashlib.sha256(b"benchmark").digest()
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420") + _TEXT  # RFC 8017, 9.2, note 1
_OAEP = (Mechanism.SHA_1, MGF.SHA1, None)
_PSS = (Mechanism.SHA256, MGF.SHA256, 32)
_CURVES = {
    "P-256": ("secp256r1", 32),
    "P-384": ("secp384r1", 48),
    "P-521": ("secp521r1", 64),
    "P-256K": ("secp256k1", 32),
}
_GCM = GCMParams(bytes(12), b"", 128)


def open_session(module: str) -> pkcs11.Session:
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", _LABEL, "--pin", _PIN, "--so-pin", _PIN],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    token = pkcs11.lib(module).get_token(token_label=_LABEL)
    return token.open(rw=True, user_pin=_PIN)


def operation(session: pkcs11.Session, name: str) -> Operation:
    """With a key of its own."""
    if name in _CURVES:
        return _ecdsa(session, *_CURVES[name])
    if name in ("AES-GCM", "AES-GCM open", "HMAC"):
        return _secret(session, name)
    return _rsa(session, name)


def _ecdsa(session: pkcs11.Session, curve: str, digest_bytes: int) -> Operation:
    parameters = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
    )
    key: Any = parameters.generate_keypair(store=False)[1]  # its methods are not in the library's hints
    digest = bytes(range(digest_bytes))
    return lambda: key.sign(digest, mechanism=Mechanism.ECDSA)


def _rsa(session: pkcs11.Session, name: str) -> Operation:
    bits = int(name.partition("-")[2] or 2048)
    public_key, private_key = session.generate_keypair(KeyType.RSA, bits, store=False)
    key: Any = private_key
    if name == "PSS":
        return lambda: key.sign(_TEXT, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=_PSS)
    if name != "OAEP":
        return lambda: key.sign(_DIGEST_INFO, mechanism=Mechanism.RSA_PKCS)
    numbers = (int.from_bytes(public_key[each], "big") for each in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS))
    public = rsa.RSAPublicNumbers(*numbers).public_key()
    sealed = public.encrypt(_TEXT, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))  # noqa: S303  # RSA-OAEP
    assert key.decrypt(sealed, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP) == _TEXT
    return lambda: key.decrypt(sealed, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP)


def _secret(session: pkcs11.Session, name: str) -> Operation:
    kind = KeyType.GENERIC_SECRET if name == "HMAC" else KeyType.AES
    uses = (Attribute.SIGN,) if name == "HMAC" else (Attribute.ENCRYPT, Attribute.DECRYPT)
    template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: kind, Attribute.VALUE: _TEXT}
    key: Any = session.create_object(template | dict.fromkeys((*uses, Attribute.SENSITIVE), True))
    if name == "HMAC":
        return lambda: key.sign(_TEXT, mechanism=Mechanism.SHA256_HMAC)
    if name == "AES-GCM":
        return lambda: key.encrypt(_TEXT, mechanism=Mechanism.AES_GCM, mechanism_param=_GCM)
    sealed = key.encrypt(_TEXT, mechanism=Mechanism.AES_GCM, mechanism_param=_GCM)
    return lambda: key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_GCM)


def measure(made: Operation, seconds: float) -> dict[str, float]:
    made()
    ends = time.perf_counter() + seconds
    count, used = 0, time.process_time()
    while time.perf_counter() < ends:
        made()
        count += 1
    return {"operations": count, "cpu_seconds": time.process_time() - used}


def main() -> None:
    session = open_session(sys.argv[1])
    made: dict[str, Operation] = {}
    while line := sys.stdin.readline():
        order = json.loads(line)
        name = order["operation"]
        if name not in made:
            made[name] = operation(session, name)
        sys.stdout.write(json.dumps(measure(made[name], order["seconds"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
