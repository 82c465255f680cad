"""RC2 in CBC mode, decryption alone (RFC 2268): old PKCS#12 files have their certificates under it, with a key of 40
bits. It protects nothing and is never written. The `cryptography` library has no RC2 with fewer than 128 bits.
"""

BLOCK_BYTES = 8

# The permutation of the bytes that is made from the digits of pi (RFC 2268, 2).
_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)
_ROTATIONS = (1, 2, 3, 5)


def decrypt_cbc(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """key: at most 128 bytes, all of whose bits count. iv: 8 bytes. ciphertext: a multiple of 8 bytes; about 20 µs a
    block. Returns the padded plaintext.
    """
    words = _expanded(key)
    blocks: list[bytes] = []
    for at in range(0, len(ciphertext), BLOCK_BYTES):
        block = ciphertext[at : at + BLOCK_BYTES]
        blocks.append(bytes(a ^ b for a, b in zip(_decrypted(words, block), iv, strict=True)))
        iv = block
    return b"".join(blocks)


def _expanded(key: bytes) -> list[int]:
    """64 words of 16 bits (RFC 2268, 2)."""
    octets = bytearray(key.ljust(128, b"\0"))
    for i in range(len(key), 128):
        octets[i] = _PI[(octets[i - 1] + octets[i - len(key)]) & 0xFF]
    first = 128 - len(key)
    octets[first] = _PI[octets[first]]
    for i in range(first - 1, -1, -1):
        octets[i] = _PI[octets[i + 1] ^ octets[i + len(key)]]
    return [octets[i] | octets[i + 1] << 8 for i in range(0, 128, 2)]


def _decrypted(words: list[int], block: bytes) -> bytes:
    """One block (RFC 2268, 4)."""
    r = [block[i] | block[i + 1] << 8 for i in range(0, BLOCK_BYTES, 2)]
    at = 63
    for mixing_rounds in (5, 6, 5):
        if at != 63:
            for i in (3, 2, 1, 0):
                r[i] = (r[i] - words[r[i - 1] & 63]) & 0xFFFF
        for _ in range(mixing_rounds):
            for i in (3, 2, 1, 0):
                rotation, value = _ROTATIONS[i], r[i]
                value = (value << (16 - rotation) | value >> rotation) & 0xFFFF
                before, second, third = r[i - 1], r[i - 2], r[i - 3]
                r[i] = (value - words[at] - (before & second) - (~before & third)) & 0xFFFF
                at -= 1
    return b"".join(word.to_bytes(2, "little") for word in r)
