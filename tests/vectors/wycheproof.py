"""Project Wycheproof's vectors: the files of c2sp/ (source and licence stand there), as values.

The groups whose private or secret key is given, fields unchanged.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hsmvault.custody.admission import PrivateJwk, material_from_jwk, material_from_pkcs8
from hsmvault.custody.protocols import PrivateKeyMaterial
from hsmvault.model.algorithms import Curve, Family

_FOLDER = Path(__file__).parent / "c2sp"
DECRYPTION_FILES = {
    "rsa_oaep_sha1.json": "RSA-OAEP",
    "rsa_oaep_sha256.json": "RSA-OAEP-256",
    "rsa_oaep_sha256_3072.json": "RSA-OAEP-256",
    "rsa_pkcs1_2048_decrypt.json": "RSA1_5",
    "rsa_pkcs1_3072_decrypt.json": "RSA1_5",
}
SIGNATURE_FILE = "rsa_pkcs1_sign.json"
SIGNATURE_NAMES = {"SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512"}


AES_FILES = {"aes_gcm.json": "GCM", "aes_cbc_pad.json": "CBCPAD", "aes_wrap.json": "KW"}


@dataclass(frozen=True, slots=True)
class AesCase:
    """ciphertext: with the tag behind it. message: None when the ciphertext must be refused."""

    name: str
    ciphertext: bytes
    iv: bytes
    aad: bytes
    message: bytes | None


@dataclass(frozen=True, slots=True)
class Decryption:
    """message: None when the ciphertext must be refused."""

    name: str
    ciphertext: bytes
    message: bytes | None


@dataclass(frozen=True, slots=True)
class Signature:
    message: bytes
    signature: bytes


def decryptions(file: str) -> Iterator[tuple[PrivateKeyMaterial, list[Decryption]]]:
    for group in groups(file):
        cases = []
        for test in group["tests"]:
            good = test["result"] == "valid" and not test.get("label")  # ours has an empty label, always
            message = bytes.fromhex(test["msg"]) if good else None
            cases.append(Decryption(f"{test['tcId']} {test['comment']}", bytes.fromhex(test["ct"]), message))
        yield material_from_jwk(private_jwk(group["jwk"])), cases


def aes(file: str) -> Iterator[tuple[bytes, str, list[AesCase]]]:
    """Key, our name of the algorithm, and ciphertexts. Those of key wrap that are called acceptable hold 8 bytes, which
    RFC 3394 does not wrap: refused.
    """
    for group in groups(file):
        key = bytes.fromhex(group["key"])
        cases = [
            AesCase(
                f"{test['tcId']} {test['comment']}",
                bytes.fromhex(test["ct"] + test.get("tag", "")),
                bytes.fromhex(test.get("iv", "")),
                bytes.fromhex(test.get("aad", "")),
                bytes.fromhex(test["msg"]) if test["result"] == "valid" else None,
            )
            for test in group["tests"]
        ]
        yield key, f"A{8 * len(key)}{AES_FILES[file]}", cases


def signatures() -> Iterator[tuple[PrivateKeyMaterial, str, list[Signature]]]:
    """Key, our name of the algorithm, and signatures that must come out byte for byte."""
    for group in groups(SIGNATURE_FILE):
        if group["sha"] in SIGNATURE_NAMES:
            cases = [
                Signature(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
                for test in group["tests"]
                if test["result"] == "valid"
            ]
            yield material_from_pkcs8(bytes.fromhex(group["pkcs8"])), SIGNATURE_NAMES[group["sha"]], cases


def private_jwk(members: dict[str, str]) -> PrivateJwk:
    """From a JSON Web Key as it is written, base64url without padding."""
    names = ("x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi")
    numbers = {name: base64.urlsafe_b64decode(members[name] + "==") for name in names if name in members}
    curve = Curve(members["crv"]) if "crv" in members else None
    return PrivateJwk(Family(members["kty"]), curve, **numbers)


def groups(file: str) -> list[dict]:
    return json.loads((_FOLDER / file).read_text())["groups"]
