"""PKCS#12 files as no honest program writes them: put together by hand, with one oddity each."""

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from hsmvault.custody import der
from hsmvault.custody import pkcs12_keys as names

SALT = bytes(range(8))
PASSWORD = "secret"
PBMAC1 = der.oid("1.2.840.113549.1.5.14")


def bag(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.explicit(0, value))


def certificate_bag(certificate: bytes) -> bytes:
    value = der.sequence(names.X509_CERTIFICATE, der.explicit(0, der.octet_string(certificate)))
    return bag(names.CERTIFICATE_BAG, value)


def key_bag(pkcs8: bytes) -> bytes:
    return bag(names.KEY_BAG, pkcs8)


def nested(levels: int, *bags: bytes) -> bytes:
    for _ in range(levels):
        bags = (bag(names.NESTED_BAG, der.sequence(*bags)),)
    return bags[0]


def pbes2(iterations: int, *, key_length: int | None = None, claims: int | None = None) -> tuple[bytes, bytes, bytes]:
    """AlgorithmIdentifier, key and IV. claims: iterations that are stated, when they differ from the true ones."""
    iv = os.urandom(16)
    length = b"" if key_length is None else der.integer(key_length)
    parameters = der.sequence(
        der.octet_string(SALT), der.integer(claims or iterations), length, der.sequence(names.HMAC_SHA256)
    )
    algorithm = der.sequence(
        names.PBES2,
        der.sequence(der.sequence(names.PBKDF2, parameters), der.sequence(names.AES_256_CBC, der.octet_string(iv))),
    )
    return algorithm, hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, iterations, 32), iv


def pbes1(algorithm: bytes, iterations: int) -> bytes:
    return der.sequence(algorithm, der.sequence(der.octet_string(SALT), der.integer(iterations)))


def shrouded_key_bag(pkcs8: bytes, scheme: tuple[bytes, bytes, bytes]) -> bytes:
    algorithm, key, iv = scheme
    return bag(names.SHROUDED_KEY_BAG, der.sequence(algorithm, der.octet_string(encrypted(pkcs8, key, iv))))


def plain(*bags: bytes) -> bytes:
    return der.sequence(names.DATA, der.explicit(0, der.octet_string(der.sequence(*bags))))


def sealed(scheme: tuple[bytes, bytes, bytes], *bags: bytes) -> bytes:
    algorithm, key, iv = scheme
    ciphertext = encrypted(der.sequence(*bags), key, iv)
    content = der.sequence(names.DATA, algorithm, der.tagged(der.CONTEXT, ciphertext))
    return der.sequence(names.ENCRYPTED_DATA, der.explicit(0, der.sequence(der.integer(0), content)))


def encrypted(plaintext: bytes, key: bytes, iv: bytes) -> bytes:
    padder, encryptor = PKCS7(128).padder(), Cipher(AES256(key), CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def mac_data(safe: bytes, *, iterations: int = 1, claims: int | None = None) -> bytes:
    """With SHA-256 and the derivation of PKCS#12."""
    password = names.password_of(PASSWORD)
    key = names.derived(password, "sha256", names.FOR_MAC, SALT, iterations, 32)
    digest = der.sequence(der.sequence(names.SHA256, der.NULL), der.octet_string(hmac.digest(key, safe, "sha256")))
    return der.sequence(digest, der.octet_string(SALT), der.integer(claims or iterations))


def pbmac1_data(safe: bytes, *, iterations: int, length: int = 32) -> bytes:
    """RFC 9579, 4."""
    derivation = der.sequence(
        names.PBKDF2,
        der.sequence(
            der.octet_string(SALT), der.integer(iterations), der.integer(length), der.sequence(names.HMAC_SHA256)
        ),
    )
    algorithm = der.sequence(PBMAC1, der.sequence(derivation, der.sequence(names.HMAC_SHA256, der.NULL)))
    key = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), SALT, iterations, length)
    digest = der.sequence(algorithm, der.octet_string(hmac.digest(key, safe, "sha256")))
    return der.sequence(digest, der.octet_string(b"NOT USED"), der.integer(1))


def pfx(parts: Sequence[bytes], mac: bytes | None = None, *, version: int = 3) -> bytes:
    """mac: None for the one that fits; b"" for none."""
    safe = safe_of(parts)
    info = der.sequence(names.DATA, der.explicit(0, der.octet_string(safe)))
    return der.sequence(der.integer(version), info, mac_data(safe) if mac is None else mac)


def safe_of(parts: Sequence[bytes]) -> bytes:
    return der.sequence(*parts)


def indefinite(encoded: bytes) -> bytes:
    """The same in BER, as older programs write: constructed elements without a length, OCTET STRINGs in pieces."""
    element = der.read(encoded, der.Budget(10_000))
    return _indefinite(element)


def _indefinite(element: der.Element) -> bytes:
    if element.tag == der.OCTET_STRING and len(element.content) > 20:
        pieces = [element.content[at : at + 17] for at in range(0, len(element.content), 17)]
        return b"\x24\x80" + b"".join(der.octet_string(piece) for piece in pieces) + b"\0\0"
    if element.tag & der.CONSTRUCTED:
        return bytes((element.tag, 0x80)) + b"".join(_indefinite(each) for each in element.elements) + b"\0\0"
    return element.encoded
