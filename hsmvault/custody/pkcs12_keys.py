"""What PKCS#12 makes of a password: keys, IVs and MACs (RFC 7292, appendix B and 4; RFC 8018; RFC 9579), and the names
of the algorithms on both ways.
"""

import hashlib
import hmac
from dataclasses import dataclass

from hsmvault.custody import der

DATA = der.oid("1.2.840.113549.1.7.1")
ENCRYPTED_DATA = der.oid("1.2.840.113549.1.7.6")
KEY_BAG = der.oid("1.2.840.113549.1.12.10.1.1")
SHROUDED_KEY_BAG = der.oid("1.2.840.113549.1.12.10.1.2")
CERTIFICATE_BAG = der.oid("1.2.840.113549.1.12.10.1.3")
NESTED_BAG = der.oid("1.2.840.113549.1.12.10.1.6")
X509_CERTIFICATE = der.oid("1.2.840.113549.1.9.22.1")
LOCAL_KEY_ID = der.oid("1.2.840.113549.1.9.21")

PBE_SHA1_3DES = der.oid("1.2.840.113549.1.12.1.3")
PBE_SHA1_3DES_TWO_KEYS = der.oid("1.2.840.113549.1.12.1.4")
PBE_SHA1_RC2_128 = der.oid("1.2.840.113549.1.12.1.5")
PBE_SHA1_RC2_40 = der.oid("1.2.840.113549.1.12.1.6")
PBES2 = der.oid("1.2.840.113549.1.5.13")
PBKDF2 = der.oid("1.2.840.113549.1.5.12")
PBMAC1 = der.oid("1.2.840.113549.1.5.14")
AES_128_CBC = der.oid("2.16.840.1.101.3.4.1.2")
AES_192_CBC = der.oid("2.16.840.1.101.3.4.1.22")
AES_256_CBC = der.oid("2.16.840.1.101.3.4.1.42")
DES_EDE3_CBC = der.oid("1.2.840.113549.3.7")
SHA1 = der.oid("1.3.14.3.2.26")
SHA256 = der.oid("2.16.840.1.101.3.4.2.1")
HMAC_SHA1 = der.oid("1.2.840.113549.2.7")
HMAC_SHA256 = der.oid("1.2.840.113549.2.9")

HASHES = {
    SHA1: "sha1",
    SHA256: "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
HMACS = {
    HMAC_SHA1: "sha1",
    HMAC_SHA256: "sha256",
    der.oid("1.2.840.113549.2.10"): "sha384",
    der.oid("1.2.840.113549.2.11"): "sha512",
}

FOR_KEY, FOR_IV, FOR_MAC = 1, 2, 3  # RFC 7292, B.3


@dataclass(frozen=True, slots=True, repr=False)
class Password:
    """One password in its two codings. Its repr shows nothing.

    bmp: UTF-16, big-endian, with two zero bytes at the end (RFC 7292, B.1); no byte at all for "no password", which is
    not the same as an empty one. utf8: for PBKDF2, where both are the same.
    """

    bmp: bytes
    utf8: bytes

    def __repr__(self) -> str:
        return "Password()"


NO_PASSWORD = Password(b"", b"")
EMPTY_PASSWORD = Password(b"\0\0", b"")


def password_of(text: str) -> Password:
    """Raises UnicodeEncodeError for lone surrogates."""
    return Password(text.encode("utf-16-be") + b"\0\0", text.encode())


def derived(password: Password, hash_name: str, purpose: int, salt: bytes, iterations: int, length: int) -> bytes:
    """The key derivation of PKCS#12 (RFC 7292, B.2). length: of the result, in bytes; it takes derived_blocks() times
    `iterations` hashes, each about 0.4 µs, and lets other threads run.
    """
    block = hashlib.new(hash_name, usedforsecurity=False).block_size
    filled = _filled(salt, block) + _filled(password.bmp, block)
    result = b""
    while True:
        digest = hashlib.new(hash_name, bytes((purpose,)) * block + filled, usedforsecurity=False).digest()
        function = getattr(hashlib, hash_name)
        for _ in range(iterations - 1):
            digest = function(digest).digest()
        result += digest
        if len(result) >= length:
            return result[:length]
        addend = int.from_bytes(_filled(digest, block)[:block], "big") + 1
        filled = b"".join(
            ((int.from_bytes(filled[at : at + block], "big") + addend) % (1 << 8 * block)).to_bytes(block, "big")
            for at in range(0, len(filled), block)
        )


def derived_blocks(hash_name: str, length: int) -> int:
    """How often derived(), and PBKDF2, goes through all iterations for so many bytes."""
    return -(-length // hashlib.new(hash_name, usedforsecurity=False).digest_size)


def mac(key: bytes, hash_name: str, message: bytes) -> bytes:
    return hmac.digest(key, message, hash_name)


def _filled(value: bytes, block: int) -> bytes:
    """Repeated up to a multiple of the block; nothing stays nothing."""
    if not value:
        return b""
    length = -(-len(value) // block) * block
    return (value * (length // len(value) + 1))[:length]
