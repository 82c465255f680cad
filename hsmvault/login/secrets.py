"""Secrets that the issuer makes: client secrets of applications, headers of managed identities.

They carry 204 random bits, so that one round of SHA-256 with a salt is as good as a slow hash: there is nothing to
guess. What people choose goes through passwords.py instead.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from hsmvault.clock import Identifiers

_FORMAT = "sha256"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."
_MARK = "8Q~"  # Entra's own mark inside client secrets: secret scanners know it
_RANDOM_CHARACTERS = 34
_SALT_BYTES = 16
HINT_CHARACTERS = 3  # of a secret, kept in the clear to know it by; 204 random bits are behind them


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A secret that has just been made, to be shown once. Its repr shows nothing; reveal() is what to search for."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """40 characters: three, the mark, 34, all of them safe in a shell and in an environment file."""
        return self._text


def generate_secret(identifiers: Identifiers) -> GeneratedSecret:
    # 64 characters in the alphabet, so that six bits of each byte are uniform. The first three are of the first 32:
    # a secret that begins with a sign is taken for an option by command lines.
    head = "".join(_ALPHABET[byte & 31] for byte in identifiers.random(3))
    tail = "".join(_ALPHABET[byte & 63] for byte in identifiers.random(_RANDOM_CHARACTERS))
    return GeneratedSecret(head + _MARK + tail)


def hash_secret(identifiers: Identifiers, secret: GeneratedSecret) -> str:
    """What is stored: sha256$salt$digest, base64. Only for secrets that generate_secret has made."""
    salt = identifiers.random(_SALT_BYTES)
    parts = (salt, _digest(salt, secret.reveal()))
    return "$".join((_FORMAT, *(base64.b64encode(part).decode() for part in parts)))


def secret_matches(presented: str, stored: str) -> bool:
    """Compare in constant time. A stored value of an unknown format matches nothing."""
    name, _, rest = stored.partition("$")
    salt, _, expected = rest.partition("$")
    if name != _FORMAT or not expected:
        return False
    return hmac.compare_digest(_digest(base64.b64decode(salt), presented), base64.b64decode(expected))


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode("utf-8", "surrogatepass")).digest()
