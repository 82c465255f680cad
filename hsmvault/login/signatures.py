"""Signing of JWTs with the issuer's key: access tokens and ID tokens."""

import hashlib
from typing import Final

import msgspec

from hsmvault.custody.self_signed import RS256
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model import base64url

_HEADER_CHARACTERS: Final = 144  # of the encoded header, nearly


class TokenSigner:
    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def sign(self, claims: msgspec.Struct) -> str:
        """A compact JWS, RS256 (RFC 7515). Raises Unavailable, Throttled."""
        key, handle = await self._keys.current()
        header = _part({"typ": "JWT", "alg": "RS256", "x5t": key.id, "kid": key.id})
        signed = f"{header}.{_part(claims)}"
        signature = await handle.sign(RS256, hashlib.sha256(signed.encode("ascii")).digest())
        return f"{signed}.{base64url.encode(signature)}"


def signed_characters(claims: msgspec.Struct) -> int:
    """How long a token without its signature will be."""
    return _HEADER_CHARACTERS + len(_part(claims))


def _part(value: object) -> str:
    return base64url.encode(msgspec.json.encode(value))
