"""The raw token: what a PKCS#11 token alone does through python-pkcs11, `python -m tests.bench.raw_token`.

A SoftHSM token of its own, session objects, one thread, no server: the bound that a service in front of the same
token can only come close to. SOFTHSM2_CONF names an empty token directory.

{"operation": …, "seconds": …} on standard input is answered with {"operations": …, "cpu_seconds": …}.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from pkcs11 import MGF, Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters

OPERATIONS = ("sign-es256", "sign-rs256", "decrypt-oaep")
_PIN = "benchmark"
_LABEL = "benchmark"
_DIGEST = sha256(b"benchmark").digest()
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420") + _DIGEST  # RFC 8017, 9.2, note 1
_OAEP = (Mechanism.SHA_1, MGF.SHA1, None)


def open_session(module: str) -> pkcs11.Session:
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", _LABEL, "--pin", _PIN, "--so-pin", _PIN],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    token = pkcs11.lib(module).get_token(token_label=_LABEL)
    return token.open(rw=True, user_pin=_PIN)


def operations(session: pkcs11.Session) -> dict[str, Callable[[], object]]:
    curve = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    ec_key: Any = curve.generate_keypair(store=False)[1]  # its methods are not in the library's hints
    rsa_public, rsa_private = session.generate_keypair(KeyType.RSA, 2048, store=False)
    rsa_key: Any = rsa_private
    numbers = (int.from_bytes(rsa_public[name], "big") for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS))
    public = rsa.RSAPublicNumbers(*numbers).public_key()
    ciphertext = public.encrypt(_DIGEST, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))  # noqa: S303  # RSA-OAEP
    assert rsa_key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP) == _DIGEST
    return {
        "sign-es256": lambda: ec_key.sign(_DIGEST, mechanism=Mechanism.ECDSA),
        "sign-rs256": lambda: rsa_key.sign(_DIGEST_INFO, mechanism=Mechanism.RSA_PKCS),
        "decrypt-oaep": lambda: rsa_key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP),
    }


def measure(operation: Callable[[], object], seconds: float) -> dict[str, float]:
    operation()
    ends = time.perf_counter() + seconds
    count, used = 0, time.process_time()
    while time.perf_counter() < ends:
        operation()
        count += 1
    return {"operations": count, "cpu_seconds": time.process_time() - used}


def main() -> None:
    served = operations(open_session(sys.argv[1]))
    while line := sys.stdin.readline():
        order = json.loads(line)
        sys.stdout.write(json.dumps(measure(served[order["operation"]], order["seconds"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
