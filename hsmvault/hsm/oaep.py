"""RSA-OAEP-256 for modules that only know OAEP with SHA-1: the token does the raw RSA operation, we unpad.

The encoded message is encrypted again, raw, under a throwaway software key of the same size, and OpenSSL decrypts
that with OAEP-SHA256: its unpadding takes constant time and has one error, which Python's could not promise
(Manger's attack: on a key that may also sign, a padding oracle gives a forgery). The throwaway key protects nothing:
the message is in this process's memory anyway.

Source: RFC 8017, 7.1.2; only where the profile says oaep256_fallback = "raw". docs/divergences.md tells the user.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hsmvault.errors import CiphertextRefused

_OAEP_SHA256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class Unpadder:
    """For one modulus size. Making one generates an RSA key (0.1 to several seconds): never in the event loop."""

    def __init__(self, size_bits: int) -> None:
        self._bytes = size_bits // 8
        self._key = rsa.generate_private_key(65537, size_bits)
        numbers = self._key.public_key().public_numbers()
        self._exponent, self._modulus = numbers.e, numbers.n

    def unpad(self, encoded: bytes) -> bytes:
        """encoded: the result of the raw operation, as long as the modulus. Raises CiphertextRefused, one way.

        A value at or above the throwaway modulus wraps around and then fails as padding does; there is no branch.
        """
        again = pow(int.from_bytes(encoded, "big"), self._exponent, self._modulus)
        try:
            return self._key.decrypt(again.to_bytes(self._bytes, "big"), _OAEP_SHA256)
        except ValueError:
            raise CiphertextRefused(detail="OAEP-SHA256 padding") from None
