"""AES key wrap of bytes, in its 64-bit steps: RFC 3394 (KW) and RFC 5649 (KWP). Whoever calls gives one block of AES,
which the token does (blocks.py); the rest is additions.

Why not C_WrapKey: it wraps objects, so that a caller's plaintext would have to become one, SoftHSM 2.6.1 leaves an
object behind for every refused C_UnwrapKey, and its CKM_AES_KEY_WRAP_PAD pads with zeros before it wraps.

What does not open gives None, whatever was wrong: all of it is looked at, always, without an early exit.
"""

import hmac
from collections.abc import Callable

Block = Callable[[bytes], bytes]
"""One block of AES, 16 bytes, one way."""

LONGEST_PLAINTEXT_BYTES = 4096
"""3,072 blocks: about 5 ms with SoftHSM in this process, two RSA-2048 signatures. A guess at what nobody needs more
of: RSA-4096 as PKCS#8 has some 2,400 bytes."""
OVERHEAD_BYTES = 8

_ROUNDS = 6
_IV = 0xA6A6A6A6A6A6A6A6  # RFC 3394, 2.2.3.1
_PADDED_IV = 0xA65959A6  # RFC 5649, 3


def wrap(encrypt: Block, plaintext: bytes) -> bytes:
    """RFC 3394, 2.2.1. plaintext: a multiple of 8 bytes, at least 16. Returns 8 bytes more."""
    assert len(plaintext) >= 16 and len(plaintext) % 8 == 0
    return _wrap(encrypt, _IV, plaintext)


def unwrap(decrypt: Block, ciphertext: bytes) -> bytes | None:
    """RFC 3394, 2.2.2. ciphertext: a multiple of 8 bytes, at least 24."""
    assert len(ciphertext) >= 24 and len(ciphertext) % 8 == 0
    found, plaintext = _unwrap(decrypt, ciphertext)
    return plaintext if hmac.compare_digest(found.to_bytes(8, "big"), _IV.to_bytes(8, "big")) else None


def wrap_padded(encrypt: Block, plaintext: bytes) -> bytes:
    """RFC 5649, 4.1. plaintext: at least one byte. Returns it padded to a multiple of 8 bytes, and 8 bytes more."""
    assert plaintext
    start = _PADDED_IV << 32 | len(plaintext)
    padded = plaintext + bytes(-len(plaintext) % 8)
    if len(padded) == 8:
        return encrypt(start.to_bytes(8, "big") + padded)
    return _wrap(encrypt, start, padded)


def unwrap_padded(decrypt: Block, ciphertext: bytes) -> bytes | None:
    """RFC 5649, 4.2. ciphertext: a multiple of 8 bytes, at least 16."""
    assert len(ciphertext) >= 16 and len(ciphertext) % 8 == 0
    if len(ciphertext) == 16:
        block = decrypt(ciphertext)
        found, padded = int.from_bytes(block[:8], "big"), block[8:]
    else:
        found, padded = _unwrap(decrypt, ciphertext)
    length = found & 0xFFFFFFFF
    padding = len(padded) - length  # 0 to 7, or the length is wrong
    tail = int.from_bytes(padded[-7:], "big") & ((1 << 8 * (padding & 7)) - 1)
    wrong = ((found >> 32) ^ _PADDED_IV) | tail | (padding & ~7)
    return padded[:length] if wrong == 0 else None


def _wrap(encrypt: Block, start: int, plaintext: bytes) -> bytes:
    parts = [plaintext[at : at + 8] for at in range(0, len(plaintext), 8)]
    step = 0
    for _ in range(_ROUNDS):
        for at, part in enumerate(parts):
            step += 1
            block = encrypt(start.to_bytes(8, "big") + part)
            start = int.from_bytes(block[:8], "big") ^ step
            parts[at] = block[8:]
    return start.to_bytes(8, "big") + b"".join(parts)


def _unwrap(decrypt: Block, ciphertext: bytes) -> tuple[int, bytes]:
    start = int.from_bytes(ciphertext[:8], "big")
    parts = [ciphertext[at : at + 8] for at in range(8, len(ciphertext), 8)]
    step = _ROUNDS * len(parts)
    for _ in range(_ROUNDS):
        for at in range(len(parts) - 1, -1, -1):
            block = decrypt((start ^ step).to_bytes(8, "big") + parts[at])
            start = int.from_bytes(block[:8], "big")
            parts[at] = block[8:]
            step -= 1
    return start, b"".join(parts)
