"""RSAES-PKCS1-v1_5 decryption in software that refuses a bad ciphertext, as tokens and the real service do.

Since OpenSSL 3.2 a bad padding is no error: decryption returns a *synthetic message* instead, which depends on the
ciphertext and the private exponent alone ("implicit rejection", draft-irtf-cfrg-rsa-guidance, 7; OpenSSL:
crypto/rsa/rsa_pk1.c). That protects protocols which never tell; ours has to tell, in one way for every cause.

OpenSSL returns exactly one of two things: the message of a good padding, or synthetic(d, ciphertext). Therefore:

1. Compute synthetic(d, ciphertext) here and compare. Different: the padding was good, and the result is the message.
2. Equal: bad padding, *or* a good message that happens to be the same. That is no theory: an empty message meets an
   empty synthetic one in one of some 250 ciphertexts. So decrypt once more with a *twin*: the same key, but with
   another number in the place of d, chosen so that its synthetic message differs from what came out. The result does
   not depend on that number, because OpenSSL computes with the CRT parameters; only the synthetic message does. The
   same result again: it is the message. Another one: the padding was bad.

So no good message is refused and no bad padding is accepted, by construction and not merely with high probability.

Timing. Success and refusal are told apart by the answer itself; what must look alike are the refusals. Each takes the
same way: one decryption with OpenSSL's constant-time unpadding, equal in step 1, one more by a twin. Which twin depends
on synthetic messages only, which what is in the padding does not influence. Comparisons take constant time.

How the synthetic message is made is OpenSSL's private affair and may change. So before a key is used here, a
ciphertext that is certainly bad (the number 1: for every key its message begins with zeros) must be answered with an
error, as before OpenSSL 3.2, or with our synthetic message, by the key and by a twin; and a twin must decrypt
a good ciphertext. When one of these is not so, nothing is decrypted at all.
"""

import hashlib
import hmac
from itertools import count

from cryptography.hazmat.primitives.asymmetric import rsa

from hsmvault.custody.primitives import PKCS1
from hsmvault.errors import CiphertextRefused, Unavailable

_PADDING_BYTES = 2 + 8  # 00 02 and at least eight bytes of padding string, before the 00 that ends it
_CANDIDATE_LENGTHS = 128
_PROBE = b"hsmvault known answer"


class Pkcs1Decryptor:
    """Decryption with one private key. CPU work: some three private-key operations to make it, one or two per use.

    May be used by one thread at a time.
    """

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        """Raises Unavailable when the linked OpenSSL rejects in a way that is not known here."""
        self._key = key
        self._numbers = key.private_numbers()
        self._modulus = self._numbers.public_numbers.n
        self._modulus_bytes = (self._modulus.bit_length() + 7) // 8
        self._seed = self._seed_of(self._numbers.d)
        self._explicit = self._prove()

    def decrypt(self, ciphertext: bytes) -> bytes:
        """ciphertext: as long as the modulus. Returns the message, which may be empty.

        Raises CiphertextRefused for everything that is not a well-padded message under this key.
        """
        if len(ciphertext) != self._modulus_bytes or int.from_bytes(ciphertext, "big") >= self._modulus:
            raise CiphertextRefused(detail="RSA1_5: length or range")  # public facts, no secret in the timing
        try:
            message = self._key.decrypt(ciphertext, PKCS1)
        except ValueError as error:
            raise CiphertextRefused(detail="RSA1_5") from error
        if self._explicit or not hmac.compare_digest(message, synthetic(self._seed, ciphertext, self._modulus_bytes)):
            return message
        if self._is_same_for_a_twin(message, ciphertext):
            return message
        raise CiphertextRefused(detail="RSA1_5")

    def _is_same_for_a_twin(self, message: bytes, ciphertext: bytes) -> bool:
        for number in count(1):
            d = self._numbers.d - 2 * number
            if not hmac.compare_digest(message, synthetic(self._seed_of(d), ciphertext, self._modulus_bytes)):
                return hmac.compare_digest(message, self._twin(d).decrypt(ciphertext, PKCS1))
        raise AssertionError("count() does not end")

    def _twin(self, d: int) -> rsa.RSAPrivateKey:
        own = self._numbers
        numbers = rsa.RSAPrivateNumbers(own.p, own.q, d, own.dmp1, own.dmq1, own.iqmp, own.public_numbers)
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)

    def _seed_of(self, d: int) -> bytes:
        return hashlib.sha256(d.to_bytes(self._modulus_bytes, "big")).digest()

    def _prove(self) -> bool:
        """Whether this OpenSSL rejects with an error. See the end of the file's docstring."""
        bad = (1).to_bytes(self._modulus_bytes, "big")
        try:
            message = self._key.decrypt(bad, PKCS1)
        except ValueError:
            return True
        twin_d = self._numbers.d - 2
        twin = self._twin(twin_d)
        good = self._key.public_key().encrypt(_PROBE, PKCS1)
        if (
            message != synthetic(self._seed, bad, self._modulus_bytes)
            or twin.decrypt(bad, PKCS1) != synthetic(self._seed_of(twin_d), bad, self._modulus_bytes)
            or twin.decrypt(good, PKCS1) != _PROBE
        ):
            raise Unavailable(
                "The algorithm RSA1_5 is not available.",
                detail="OpenSSL answers a bad PKCS#1 v1.5 padding neither with an error nor as versions 3.2 to 4.0 do",
            )
        return False


def synthetic(seed: bytes, ciphertext: bytes, modulus_bytes: int) -> bytes:
    """What OpenSSL returns for a bad padding (rsa_pk1.c, ossl_rsa_padding_check_PKCS1_type_2).

    seed: SHA-256 of the private exponent, as long as the modulus. ciphertext: as long as the modulus.
    """
    key = hmac.digest(seed, ciphertext, "sha256")
    longest = modulus_bytes - _PADDING_BYTES
    mask = (1 << longest.bit_length()) - 1
    lengths = _expand(key, b"length", 2 * _CANDIDATE_LENGTHS)
    chosen = 0
    for at in range(0, len(lengths), 2):
        candidate = int.from_bytes(lengths[at : at + 2], "big") & mask
        if candidate < longest:
            chosen = candidate
    return _expand(key, b"message", modulus_bytes)[modulus_bytes - chosen :]


def _expand(key: bytes, label: bytes, length: int) -> bytes:
    """OpenSSL's ossl_rsa_prf: HMAC-SHA-256 over a counter, the label and the length in bits, numbers in 16 bits."""
    suffix = label + (8 * length).to_bytes(2, "big")
    blocks = (hmac.digest(key, number.to_bytes(2, "big") + suffix, "sha256") for number in range(-(-length // 32)))
    return b"".join(blocks)[:length]
