"""Encoded messages of RSA encryption, good and bad, each with what is wrong about it.

Our own vectors: built here from RFC 8017, 7.1.1 and 7.2.1, encrypted with Python's integers and with no cryptographic
library, so that they are also a second implementation of the padding. Deterministic.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """encoded: as long as the modulus. message: None when it must be refused."""

    name: str
    encoded: bytes
    message: bytes | None

    @property
    def good(self) -> bool:
        return self.message is not None

    def ciphertext(self, n: int, e: int) -> bytes:
        return pow(int.from_bytes(self.encoded, "big"), e, n).to_bytes(len(self.encoded), "big")


def pkcs1(length: int) -> Iterator[Encoding]:
    """RSAES-PKCS1-v1_5: 00 02, at least eight bytes that are not zero, 00, message."""

    def made(name: str, head: bytes, message: bytes, *, good: bool = False, fill: int = 0xA5) -> Encoding:
        padding = bytes([fill]) * (length - len(head) - 1 - len(message))
        return Encoding(name, head + padding + b"\0" + message, message if good else None)

    yield made("short message", b"\0\2", b"secret", good=True)
    yield made("empty message", b"\0\2", b"", good=True)
    yield made("message of zeros", b"\0\2", b"\0" * 16, good=True)
    yield made("longest message", b"\0\2", b"m" * (length - 11), good=True)
    yield made("first byte is 1", b"\1\2", b"secret")
    yield made("block type 1", b"\0\1", b"secret", fill=0xFF)
    yield made("block type 0", b"\0\0", b"secret")
    yield made("block type 3", b"\0\3", b"secret")
    yield made("block type 0x82", b"\0\x82", b"secret")
    yield Encoding("no padding string", b"\0\2\0" + b"m" * (length - 3), None)
    yield Encoding("seven bytes of padding", b"\0\2" + b"\xa5" * 7 + b"\0" + b"m" * (length - 10), None)
    yield Encoding("zero within the first eight", b"\0\2\xa5\xa5\0" + b"\xa5" * (length - 6) + b"\0", None)
    yield Encoding("no zero at all", b"\0\2" + b"\xa5" * (length - 2), None)
    yield Encoding("all zeros but the type", b"\0\2" + b"\0" * (length - 2), None)
    yield Encoding("zero", b"\0" * length, None)
    yield Encoding("one", b"\0" * (length - 1) + b"\1", None)


def oaep(length: int, function: str) -> Iterator[Encoding]:
    """RSAES-OAEP with MGF1 of the same hash. function: name in hashlib."""
    size = hashlib.new(function).digest_size
    empty_label = hashlib.new(function, b"").digest()
    longest = length - 2 * size - 2

    def masked(block: bytes, first: int = 0) -> bytes:
        seed = bytes(range(1, size + 1))
        hidden = _xor(block, _mgf1(seed, len(block), function))
        return bytes([first]) + _xor(seed, _mgf1(hidden, size, function)) + hidden

    def made(name: str, message: bytes, *, good: bool = True, label: bytes = empty_label, first: int = 0) -> Encoding:
        block = label + b"\0" * (longest - len(message)) + b"\1" + message
        return Encoding(name, masked(block, first), message if good else None)

    yield made("short message", b"secret")
    yield made("empty message", b"")
    yield made("message of zeros", b"\0" * 16)
    yield made("longest message", b"m" * longest)
    yield made("first byte is 1", b"secret", good=False, first=1)
    yield made("another label", b"secret", good=False, label=hashlib.new(function, b"label").digest())
    yield made(
        "one bit of the label's hash", b"secret", good=False, label=bytes([empty_label[0] ^ 1]) + empty_label[1:]
    )
    yield Encoding("no 01 before the message", masked(empty_label + b"\0" * (longest + 1)), None)
    yield Encoding("02 before the message", masked(empty_label + b"\0" * longest + b"\2"), None)
    yield Encoding("padding is not zero", masked(empty_label + b"\0\3" + b"\0" * (longest - 2) + b"\1"), None)
    yield Encoding("zero", b"\0" * length, None)


def _mgf1(seed: bytes, length: int, function: str) -> bytes:
    size = hashlib.new(function).digest_size
    blocks = (hashlib.new(function, seed + count.to_bytes(4, "big")).digest() for count in range(-(-length // size)))
    return b"".join(blocks)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
