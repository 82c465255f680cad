"""Passwords that people choose: scrypt (RFC 7914), off the event loop.

N = 2^15, r = 8, p = 1 takes 32 MiB and about a tenth of a second; parameters stand in the stored value, so that they
can be raised later without asking anybody for a new password.
"""

import asyncio
import base64
import hashlib
import hmac

from hsmvault.clock import Identifiers

_FORMAT = "scrypt"
_COST, _BLOCK, _PARALLEL = 2**15, 8, 1
_SALT_BYTES = 16
_DIGEST_BYTES = 32
_LARGEST_MEMORY_BYTES = 128 * 1024 * 1024
_LONGEST_PASSWORD_CHARACTERS = 1024

UNMATCHED = "$".join(
    (_FORMAT, str(_COST), str(_BLOCK), str(_PARALLEL), *(base64.b64encode(bytes(n)).decode() for n in (16, 32)))
)
"""A stored value that no password matches, and that takes as long to compare as another."""


async def hash_password(identifiers: Identifiers, password: str) -> str:
    """What is stored: scrypt$N$r$p$salt$digest, salt and digest in base64."""
    salt = identifiers.random(_SALT_BYTES)
    digest = await asyncio.to_thread(_digest, password, salt, _COST, _BLOCK, _PARALLEL)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join((_FORMAT, str(_COST), str(_BLOCK), str(_PARALLEL), *encoded))


async def password_matches(password: str, stored: str) -> bool:
    """Compare in constant time. A stored value of an unknown format, the empty one included, matches nothing."""
    parts = stored.split("$")
    if len(parts) != 6 or parts[0] != _FORMAT or len(password) > _LONGEST_PASSWORD_CHARACTERS:
        return False
    cost, block, parallel = (int(part) for part in parts[1:4])
    salt, expected = (base64.b64decode(part) for part in parts[4:])
    return hmac.compare_digest(await asyncio.to_thread(_digest, password, salt, cost, block, parallel), expected)


def _digest(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost,
        r=block,
        p=parallel,
        maxmem=_LARGEST_MEMORY_BYTES,
        dklen=_DIGEST_BYTES,
    )
