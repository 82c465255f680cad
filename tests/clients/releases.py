"""What was released, as the environment that receives it reads it."""

import base64
import json
from typing import Any

import jwt
from azure.keyvault.keys import KeyExportEncryptionAlgorithm, KeyReleasePolicy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.resources.test_key_release import without_filling

HASHES = {
    None: hashes.SHA1(),  # noqa: S303 - RSA-OAEP
    KeyExportEncryptionAlgorithm.ckm_rsa_aes_key_wrap: hashes.SHA1(),  # noqa: S303
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256: hashes.SHA256(),
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_384: hashes.SHA384(),
}
"""By the algorithm that was asked for; None for none."""


def policy_of(authority: str, conditions: object, **more: Any) -> KeyReleasePolicy:
    """conditions: {"allOf": […]} or {"anyOf": […]}."""
    document = {"anyOf": [{"authority": authority, **conditions}], "version": "1.0.0"}  # type: ignore[dict-item]  # JSON
    return KeyReleasePolicy(json.dumps(document).encode(), **more)


def statement(value: str) -> Any:
    """The payload, once the certificate in its header has been seen to have signed it."""
    certificate = x509.load_der_x509_certificate(base64.b64decode(jwt.get_unverified_header(value)["x5c"][0]))
    return jwt.decode(value, certificate.public_key(), algorithms=["RS256"])


def material(payload: Any, algorithm: KeyExportEncryptionAlgorithm | None, environment: rsa.RSAPrivateKey) -> bytes:
    """What the wrapped key opens as: PKCS#8, perhaps with zeros behind it, or the bytes of an oct key."""
    blob = json.loads(unbase64(payload["response"]["key"]["key"]["key_hsm"]))
    assert blob["header"]["enc"] == payload["request"]["enc"] == (algorithm or "CKM_RSA_AES_KEY_WRAP")
    ciphertext, function = unbase64(blob["ciphertext"]), HASHES[algorithm]
    size = environment.key_size // 8
    transport = environment.decrypt(ciphertext[:size], padding.OAEP(padding.MGF1(function), function, None))
    return keywrap.aes_key_unwrap_with_padding(transport, ciphertext[size:])


def private_key(pkcs8: bytes) -> Any:
    return load_der_private_key(without_filling(pkcs8), None)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
