"""What AES takes beside the text: iv, aad and tag, by mode; and what goes to the token for it.

The iv of GCM is made here and nowhere else: two texts under one iv give away the key of the tag (SP 800-38D, 8). A
caller's iv is therefore refused, and what decrypts is what was made here: 12 bytes of iv, 16 of tag.
CBC without padding fills up with zero bytes on the way in, as the service does, and leaves them on the way out. An aad
beside it is not looked at: nothing would authenticate it, but the official clients' own tests send one, both ways, and
the service takes it. Empty members count as absent.
"""

from dataclasses import dataclass

from hsmvault.clock import Identifiers
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import EncryptionAlgorithm, EncryptionMode
from hsmvault.resources import refusals

GCM_IV_BYTES = 12
GCM_TAG_BYTES = 16
BLOCK_BYTES = 16
_CBC = frozenset({EncryptionMode.CBC, EncryptionMode.CBC_PAD})


@dataclass(frozen=True, slots=True)
class AesParameters:
    """As they came with a request; b"" when they did not. Not secret, but of no use in a log."""

    iv: bytes = b""
    aad: bytes = b""
    tag: bytes = b""

    def __repr__(self) -> str:
        return "AesParameters()"


NONE = AesParameters()


@dataclass(frozen=True, slots=True)
class Prepared:
    """For KeyHandle.encrypt and decrypt: text is the plaintext, or the ciphertext with the tag behind it."""

    text: bytes
    iv: bytes
    aad: bytes

    def __repr__(self) -> str:
        return "Prepared()"


def refuse_any(given: AesParameters) -> None:
    """For RSA. Raises BadRequest."""
    for member, value in (("iv", given.iv), ("aad", given.aad), ("tag", given.tag)):
        if value:
            raise refusals.invalid_property(member)


def for_encryption(
    algorithm: EncryptionAlgorithm, plaintext: bytes, given: AesParameters, identifiers: Identifiers
) -> Prepared:
    """Raises BadRequest: a member that the mode does not take, or a length that it does not."""
    if given.tag:
        raise refusals.invalid_property("tag")
    if algorithm.mode is EncryptionMode.GCM:
        if given.iv:
            raise refusals.invalid_property("iv")
        return Prepared(plaintext, identifiers.random(GCM_IV_BYTES), given.aad)
    if algorithm.mode in _CBC:
        _check_iv(algorithm, given.iv, BLOCK_BYTES)
        if algorithm.mode is EncryptionMode.CBC_PAD:
            return Prepared(plaintext, given.iv, b"")
        if not plaintext:
            raise refusals.invalid_property("value")
        return Prepared(plaintext + bytes(-len(plaintext) % BLOCK_BYTES), given.iv, b"")
    for member, value in (("aad", given.aad), ("iv", given.iv)):
        if value:
            raise refusals.invalid_property(member)
    if algorithm.mode is EncryptionMode.KW and (len(plaintext) % 8 or len(plaintext) < 16):
        raise _wrong_length("value", plaintext, algorithm, "a multiple of 8 bytes, at least 16")
    if not plaintext:
        raise refusals.invalid_property("value")
    return Prepared(plaintext, b"", b"")


def for_decryption(algorithm: EncryptionAlgorithm, ciphertext: bytes, given: AesParameters) -> Prepared:
    """Raises BadRequest as for_encryption does. What is refused here is seen without the key."""
    if algorithm.mode is EncryptionMode.GCM:
        _check_iv(algorithm, given.iv, GCM_IV_BYTES)
        if not given.tag:
            raise refusals.invalid_property("tag")
        if len(given.tag) != GCM_TAG_BYTES:
            raise _wrong_length("tag", given.tag, algorithm, f"{GCM_TAG_BYTES} bytes")
        return Prepared(ciphertext + given.tag, given.iv, given.aad)
    if given.tag:
        raise refusals.invalid_property("tag")
    if algorithm.mode in _CBC:
        _check_iv(algorithm, given.iv, BLOCK_BYTES)
        if len(ciphertext) % BLOCK_BYTES or not ciphertext:
            raise _wrong_length("value", ciphertext, algorithm, f"a multiple of {BLOCK_BYTES} bytes")
        return Prepared(ciphertext, given.iv, b"")
    for member, value in (("aad", given.aad), ("iv", given.iv)):
        if value:
            raise refusals.invalid_property(member)
    least = 24 if algorithm.mode is EncryptionMode.KW else 16
    if len(ciphertext) % 8 or len(ciphertext) < least:
        raise _wrong_length("value", ciphertext, algorithm, f"a multiple of 8 bytes, at least {least}")
    return Prepared(ciphertext, b"", b"")


def _check_iv(algorithm: EncryptionAlgorithm, iv: bytes, length: int) -> None:
    if not iv:
        raise refusals.invalid_property("iv")
    if len(iv) != length:
        raise _wrong_length("iv", iv, algorithm, f"{length} bytes")


def _wrong_length(member: str, value: bytes, algorithm: EncryptionAlgorithm, required: str) -> BadRequest:
    return BadRequest(
        f"Invalid length of '{member}': {len(value)} bytes. {algorithm.name} requires {required}, encoded with "
        "base64url."
    )
