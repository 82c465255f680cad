"""Which iv, aad and tag each mode of AES takes, and which lengths: everything that is seen without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, EncryptionAlgorithm
from hsmvault.resources.aes_parameters import NONE, AesParameters, for_decryption, for_encryption, refuse_any

GCM, CBC, CBCPAD, KW, CKM_KW, KWP = (
    ENCRYPTION_ALGORITHMS[name]
    for name in ("A256GCM", "A128CBC", "A192CBCPAD", "A256KW", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD")
)
IDENTIFIERS = RandomIdentifiers()
IV = bytes(range(16))


def refused(algorithm: object, text: bytes, given: AesParameters, *, decrypt: bool = False) -> str:
    with pytest.raises(BadRequest) as caught:
        if decrypt:
            for_decryption(algorithm, text, given)  # type: ignore[arg-type]  # of the table above
        else:
            for_encryption(algorithm, text, given, IDENTIFIERS)  # type: ignore[arg-type]  # of the table above
    return caught.value.message.strip()


def invalid(member: str) -> str:
    return f"Property {member} has invalid value"


@given(text=st.binary(max_size=100), aad=st.binary(max_size=20))
def test_gcm_gets_an_iv_of_the_service_and_keeps_text_and_aad(text: bytes, aad: bytes) -> None:
    ready = [for_encryption(GCM, text, AesParameters(aad=aad), IDENTIFIERS) for _ in range(2)]
    assert {(one.text, one.aad, len(one.iv)) for one in ready} == {(text, aad, 12)}
    assert ready[0].iv != ready[1].iv


@given(text=st.binary(max_size=100), iv=st.binary(min_size=12, max_size=12), tag=st.binary(min_size=16, max_size=16))
def test_gcm_opens_the_text_with_the_tag_behind_it(text: bytes, iv: bytes, tag: bytes) -> None:
    ready = for_decryption(GCM, text, AesParameters(iv, b"aad", tag))
    assert (ready.text, ready.iv, ready.aad) == (text + tag, iv, b"aad")


@given(text=st.binary(min_size=1, max_size=100))
def test_cbc_fills_up_with_zeros_to_whole_blocks_and_opens_them_all(text: bytes) -> None:
    ready = for_encryption(CBC, text, AesParameters(IV), IDENTIFIERS)
    assert len(ready.text) % 16 == 0 and 0 <= len(ready.text) - len(text) < 16
    assert ready.text.startswith(text) and not any(ready.text[len(text) :])
    assert for_decryption(CBC, ready.text, AesParameters(IV)).text == ready.text


@given(text=st.binary(max_size=100))
def test_cbc_with_padding_leaves_the_padding_to_the_token(text: bytes) -> None:
    assert for_encryption(CBCPAD, text, AesParameters(IV), IDENTIFIERS).text == text


def test_a_callers_iv_for_gcm_and_a_tag_on_the_way_in_are_refused() -> None:
    assert refused(GCM, b"text", AesParameters(iv=bytes(12))) == invalid("iv")
    for algorithm, parameters in (
        (GCM, NONE),
        (CBC, AesParameters(IV)),
        (CBCPAD, AesParameters(IV)),
        (KW, NONE),
        (KWP, NONE),
    ):
        given = AesParameters(parameters.iv, parameters.aad, bytes(16))
        assert refused(algorithm, bytes(16), given) == invalid("tag")


def test_gcm_does_not_open_without_an_iv_of_12_and_a_tag_of_16_bytes() -> None:
    assert refused(GCM, b"text", AesParameters(tag=bytes(16)), decrypt=True) == invalid("iv")
    assert refused(GCM, b"text", AesParameters(iv=bytes(12)), decrypt=True) == invalid("tag")
    for length in (1, 4, 12, 15, 17, 32):
        message = refused(GCM, b"text", AesParameters(bytes(12), b"", bytes(length)), decrypt=True)
        assert message == f"Invalid length of 'tag': {length} bytes. A256GCM requires 16 bytes, encoded with base64url."
    for length in (1, 8, 11, 13, 16):
        message = refused(GCM, b"text", AesParameters(bytes(length), b"", bytes(16)), decrypt=True)
        assert message == f"Invalid length of 'iv': {length} bytes. A256GCM requires 12 bytes, encoded with base64url."


@pytest.mark.parametrize("algorithm", [CBC, CBCPAD])
def test_cbc_takes_an_iv_of_16_bytes_and_does_not_look_at_an_aad(algorithm: EncryptionAlgorithm) -> None:
    given, text = AesParameters(IV, b"aad"), bytes(16)
    for ready in (for_encryption(algorithm, text, given, IDENTIFIERS), for_decryption(algorithm, text, given)):
        assert (ready.text, ready.iv, ready.aad) == (text, IV, b"")
    for decrypt in (False, True):
        assert refused(algorithm, bytes(16), NONE, decrypt=decrypt) == invalid("iv")
        assert "requires 16 bytes" in refused(algorithm, bytes(16), AesParameters(bytes(12)), decrypt=decrypt)
        assert refused(algorithm, bytes(16), AesParameters(IV, b"", bytes(16)), decrypt=decrypt) == invalid("tag")
    for length in (0, 1, 15, 17):
        assert "a multiple of 16 bytes" in refused(algorithm, bytes(length), AesParameters(IV), decrypt=True)


def test_nothing_is_not_filled_up_and_not_wrapped() -> None:
    assert refused(CBC, b"", AesParameters(IV)) == invalid("value")
    assert refused(KWP, b"", NONE) == invalid("value")


@pytest.mark.parametrize("algorithm", [KW, CKM_KW])
def test_key_wrap_takes_whole_blocks_of_eight_bytes_and_no_parameter(algorithm: object) -> None:
    for length in (0, 8, 15, 17, 20):
        assert "a multiple of 8 bytes, at least 16" in refused(algorithm, bytes(length), NONE)
    for length in (0, 8, 16, 25):
        assert "a multiple of 8 bytes, at least 24" in refused(algorithm, bytes(length), NONE, decrypt=True)
    for decrypt in (False, True):
        assert refused(algorithm, bytes(24), AesParameters(IV), decrypt=decrypt) == invalid("iv")
        assert refused(algorithm, bytes(24), AesParameters(aad=b"a"), decrypt=decrypt) == invalid("aad")


@given(length=st.integers(1, 100))
def test_key_wrap_with_padding_takes_any_length_but_none(length: int) -> None:
    assert for_encryption(KWP, bytes(length), NONE, IDENTIFIERS).text == bytes(length)


def test_rsa_takes_none_of_them() -> None:
    refuse_any(NONE)
    for member in ("iv", "aad", "tag"):
        with pytest.raises(BadRequest) as caught:
            refuse_any(AesParameters(**{member: b"x"}))
        assert caught.value.message.strip() == invalid(member)


def test_no_repr_shows_a_byte() -> None:
    ready = for_encryption(CBC, b"secret secret", AesParameters(IV), IDENTIFIERS)
    assert (repr(ready), repr(AesParameters(b"i", b"a", b"t"))) == ("Prepared()", "AesParameters()")
