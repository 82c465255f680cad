"""AES key wrap in its steps, against the standards' vectors and the cryptography library; AES is software here."""

import os

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.hsm import key_wrap
from hsmvault.hsm.key_wrap import Block

K = bytes(range(32))
D = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
RFC_3394 = [  # 4.1 to 4.6: key length, data length, ciphertext
    (16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
    (24, 16, "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"),
    (32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
    (24, 24, "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"),
    (32, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"),
    (32, 32, "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"),
]
RFC_5649_KEY = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
RFC_5649 = [  # 6
    (
        "c37b7e6492584340bed12207808941155068f738",
        "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
    ),
    ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
]


def encrypting(key: bytes) -> Block:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305  # single blocks


def decrypting(key: bytes) -> Block:
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update  # noqa: S305  # single blocks


@pytest.mark.parametrize(("key_bytes", "data_bytes", "ciphertext"), RFC_3394)
def test_the_vectors_of_rfc_3394(key_bytes: int, data_bytes: int, ciphertext: str) -> None:
    key, data = K[:key_bytes], D[:data_bytes]
    assert key_wrap.wrap(encrypting(key), data) == bytes.fromhex(ciphertext)
    assert key_wrap.unwrap(decrypting(key), bytes.fromhex(ciphertext)) == data


@pytest.mark.parametrize(("data", "ciphertext"), RFC_5649)
def test_the_vectors_of_rfc_5649(data: str, ciphertext: str) -> None:
    assert key_wrap.wrap_padded(encrypting(RFC_5649_KEY), bytes.fromhex(data)) == bytes.fromhex(ciphertext)
    assert key_wrap.unwrap_padded(decrypting(RFC_5649_KEY), bytes.fromhex(ciphertext)) == bytes.fromhex(data)


@settings(max_examples=200, deadline=None)
@given(key=st.binary(min_size=32, max_size=32), data=st.binary(min_size=1, max_size=100))
def test_whatever_is_wrapped_is_what_another_implementation_makes_and_unwraps(key: bytes, data: bytes) -> None:
    wrapped = key_wrap.wrap_padded(encrypting(key), data)
    assert wrapped == keywrap.aes_key_wrap_with_padding(key, data)
    assert key_wrap.unwrap_padded(decrypting(key), wrapped) == data
    whole = data.ljust(16 + len(data) // 8 * 8, b"\0")
    wrapped = key_wrap.wrap(encrypting(key), whole)
    assert wrapped == keywrap.aes_key_wrap(key, whole)
    assert key_wrap.unwrap(decrypting(key), wrapped) == whole


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=40), at=st.integers(min_value=0), change=st.integers(1, 255))
def test_a_changed_byte_never_opens(data: bytes, at: int, change: int) -> None:
    key = K
    for wrapped, undo in (
        (keywrap.aes_key_wrap_with_padding(key, data), key_wrap.unwrap_padded),
        (keywrap.aes_key_wrap(key, data.ljust(40, b"\0")), key_wrap.unwrap),
    ):
        where = at % len(wrapped)
        assert undo(decrypting(key), wrapped[:where] + bytes([wrapped[where] ^ change]) + wrapped[where + 1 :]) is None


@pytest.mark.parametrize(
    ("length", "padding"),
    [(0, 24), (15, 8), (16, 8), (25, 0), (1 << 31, 8), (8, 0), (2**32 - 1, 0)],
)
def test_a_length_that_does_not_fit_the_padding_is_refused(length: int, padding: int) -> None:
    """Made by hand, as another implementation never would: the right start, and a length that lies."""
    data = b"x" * (24 - padding) + bytes(padding)
    start = 0xA65959A6 << 32 | length
    assert key_wrap.unwrap_padded(decrypting(K), key_wrap._wrap(encrypting(K), start, data)) is None


@pytest.mark.parametrize("padding", range(1, 8))
def test_padding_that_is_not_zero_is_refused(padding: int) -> None:
    start = 0xA65959A6 << 32 | (24 - padding)
    for at in range(padding):
        tail = bytearray(padding)
        tail[at] = 1
        data = b"x" * (24 - padding) + bytes(tail)
        assert key_wrap.unwrap_padded(decrypting(K), key_wrap._wrap(encrypting(K), start, data)) is None
    good = key_wrap._wrap(encrypting(K), start, b"x" * (24 - padding) + bytes(padding))
    assert key_wrap.unwrap_padded(decrypting(K), good) == b"x" * (24 - padding)


def test_what_was_wrapped_the_one_way_does_not_open_the_other_way() -> None:
    data = os.urandom(32)
    assert key_wrap.unwrap(decrypting(K), keywrap.aes_key_wrap_with_padding(K, data)) is None
    assert key_wrap.unwrap_padded(decrypting(K), keywrap.aes_key_wrap(K, data)) is None
