"""RSAES-PKCS1-v1_5 in software: one refusal for every bad padding, and no good message refused."""

import hashlib
import random
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from hsmvault.custody import rsa_pkcs1
from hsmvault.custody.rsa_pkcs1 import Pkcs1Decryptor, synthetic
from hsmvault.errors import CiphertextRefused, Unavailable
from tests.vectors.encodings import pkcs1

KEYS = {bits: rsa.generate_private_key(65537, bits) for bits in (2048, 3072, 4096)}
KEY = KEYS[2048]


def seed_of(key: rsa.RSAPrivateKey) -> bytes:
    return hashlib.sha256(key.private_numbers().d.to_bytes(key.key_size // 8, "big")).digest()


def raw(key: rsa.RSAPrivateKey, encoded: bytes) -> bytes:
    public = key.public_key().public_numbers()
    return pow(int.from_bytes(encoded, "big"), public.e, public.n).to_bytes(len(encoded), "big")


def message_in(encoded: bytes) -> bytes | None:
    """RFC 8017, 7.2.2 step 3, read literally."""
    end = encoded.find(b"\0", 2)
    return encoded[end + 1 :] if encoded[:2] == b"\0\2" and end >= 10 else None


def decrypted(decryptor: Pkcs1Decryptor, ciphertext: bytes) -> bytes | None:
    try:
        return decryptor.decrypt(ciphertext)
    except CiphertextRefused as refusal:
        assert refusal.message == CiphertextRefused().message
        return None


@pytest.mark.parametrize("bits", KEYS)
def test_hand_made_encodings_give_their_message_or_the_refusal(bits: int) -> None:
    decryptor = Pkcs1Decryptor(KEYS[bits])
    for each in pkcs1(bits // 8):
        public = KEYS[bits].public_key().public_numbers()
        assert decrypted(decryptor, each.ciphertext(public.n, public.e)) == each.message, each.name


@pytest.mark.parametrize("bits", KEYS)
def test_random_encodings_give_what_the_standard_says(bits: int) -> None:
    """Random encodings of four shapes, so that many are good, many bad, and many on the border."""
    key, length, chance = KEYS[bits], bits // 8, random.Random(bits)  # noqa: S311 - a fixed sequence is wanted
    decryptor, seen = Pkcs1Decryptor(key), Counter[bool]()
    for number in range(400):
        encoded = bytearray(b"\0\2" + bytes(chance.randrange(1, 256) for _ in range(length - 2)))
        if number % 4 == 0:
            encoded = bytearray(b"\0" + chance.randbytes(length - 1))
        elif number % 4 == 1:
            encoded[chance.choice([0, 1])] ^= 1 << chance.randrange(7)
            encoded[0] &= 0x7F
        else:
            encoded[chance.choice([2, 8, 9, 10, 11, length // 2, length - 2, length - 1])] = 0
        expected = message_in(bytes(encoded))
        if int.from_bytes(encoded, "big") < key.public_key().public_numbers().n:
            assert decrypted(decryptor, raw(key, bytes(encoded))) == expected, encoded.hex()
            seen[expected is None] += 1
    assert min(seen.values()) > 50


def test_a_good_message_that_equals_the_synthetic_one_is_not_refused() -> None:
    """An empty message meets an empty synthetic one in one of some 250 ciphertexts: look for some."""
    decryptor, seed, met = Pkcs1Decryptor(KEY), seed_of(KEY), 0
    for _ in range(20_000):
        ciphertext = KEY.public_key().encrypt(b"", PKCS1v15())
        if synthetic(seed, ciphertext, 256) == b"":
            assert decryptor.decrypt(ciphertext) == b""
            met += 1
            if met == 3:
                return
    pytest.fail("no such ciphertext found")


def test_a_bad_padding_with_an_empty_synthetic_message_is_refused() -> None:
    decryptor, seed, met = Pkcs1Decryptor(KEY), seed_of(KEY), 0
    for number in range(20_000):
        ciphertext = raw(KEY, b"\0\1" + number.to_bytes(4, "big") + b"\xff" * 250)
        if synthetic(seed, ciphertext, 256) == b"":
            assert decrypted(decryptor, ciphertext) is None
            met += 1
            if met == 3:
                return
    pytest.fail("no such ciphertext found")


@pytest.mark.parametrize("length", [0, 255, 257, 512])
def test_a_ciphertext_of_another_length_gets_the_refusal(length: int) -> None:
    assert decrypted(Pkcs1Decryptor(KEY), bytes(length)) is None


def test_without_implicit_rejection_errors_become_the_refusal() -> None:
    """As with OpenSSL before 3.2, of which a stand-in is made: it raises where today's OpenSSL invents a message."""

    class Older:
        def private_numbers(self) -> rsa.RSAPrivateNumbers:
            return KEY.private_numbers()

        def public_key(self) -> rsa.RSAPublicKey:
            return KEY.public_key()

        def decrypt(self, ciphertext: bytes, padding: PKCS1v15) -> bytes:
            numbers = KEY.private_numbers()
            encoded = pow(int.from_bytes(ciphertext, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
            message = message_in(encoded)
            if message is None:
                raise ValueError("Decryption failed")
            return message

    decryptor = Pkcs1Decryptor(Older())  # type: ignore[arg-type]  # a stand-in
    assert decryptor.decrypt(KEY.public_key().encrypt(b"", PKCS1v15())) == b""
    assert decryptor.decrypt(KEY.public_key().encrypt(b"message", PKCS1v15())) == b"message"
    assert decrypted(decryptor, raw(KEY, b"\0\1" + b"\xff" * 250 + b"\0abc")) is None


def test_an_openssl_that_rejects_in_another_way_decrypts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsa_pkcs1, "_expand", lambda key, label, length: hashlib.shake_128(key + label).digest(length))
    with pytest.raises(Unavailable) as caught:
        Pkcs1Decryptor(KEY)
    assert "OpenSSL" in (caught.value.detail or "") and "OpenSSL" not in caught.value.message
