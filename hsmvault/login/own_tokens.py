"""Access tokens of this issuer that come back: the assertion of the on-behalf-of flow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.clock import Clock
from hsmvault.login.attempts import guid_or_empty
from hsmvault.login.realms import token_issuer
from hsmvault.login.refusals import BAD_ON_BEHALF_ASSERTION, LoginRefused
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model import base64url, strict_json

_LONGEST_CHARACTERS = 8192
_LEEWAY_SECONDS = 60
_JWS = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class UserToken:
    """What a person's access token says. issued: seconds since 1970 UTC. address: `ipaddr`, or empty."""

    tenant_id: str
    object_id: str
    application_id: str
    issued: int
    address: str


class OwnTokens:
    def __init__(self, *, origin: str, keys: SigningKeys, clock: Clock) -> None:
        self._origin = origin
        self._keys = keys
        self._clock = clock

    async def read(self, token: str, *, tenant_id: str, is_audience: Callable[[str], bool]) -> UserToken:
        """A person's token of this tenant, for an audience that is_audience knows. Raises LoginRefused (50013)."""
        claims = strict_claims(await self._verified(token))
        now = self._clock.now()
        if claims.get("iss") != token_issuer(self._origin, tenant_id) or claims.get("tid") != tenant_id:
            _refuse("the token is of another tenant or issuer.")
        audience, scope = claims.get("aud"), claims.get("scp")
        if not isinstance(audience, str) or not is_audience(audience):
            _refuse("the audience is another application.")
        if not isinstance(scope, str) or not scope or "nonce" in claims:
            _refuse("it is not the access token of a user.")
        expires, not_before, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
        if not isinstance(expires, int) or not isinstance(not_before, int) or not isinstance(issued, int):
            _refuse("its times are missing.")
        if now >= expires or now < not_before - _LEEWAY_SECONDS:
            _refuse("the token has expired, or is not valid yet.")
        address = claims.get("ipaddr")
        return UserToken(
            tenant_id=tenant_id,
            object_id=guid_or_empty(str(claims.get("oid"))),
            application_id=guid_or_empty(str(claims.get("appid"))),
            issued=issued,
            address=address if isinstance(address, str) else "",
        )

    async def _verified(self, token: str) -> bytes:
        """The payload, signed by one of the published keys."""
        try:
            if len(token) > _LONGEST_CHARACTERS:
                _refuse("it is too long.")
            header = strict_json.parse_object(base64url.decode(token.partition(".")[0]))
            if header.get("alg") != "RS256" or "crit" in header or "b64" in header:
                _refuse("its algorithm is not accepted.")
            published = {key.id: key for key in await self._keys.published()}
            found = published.get(str(header.get("kid")))
            if found is None:
                _refuse("its key is not known.")
            key = load_der_public_key(found.public)
            assert isinstance(key, RSAPublicKey)  # published() leaves others out
            payload: bytes = _JWS.decode_complete(token, key, algorithms=["RS256"])["payload"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            _refuse("it is no token of this issuer.")
        return payload


def strict_claims(payload: bytes) -> dict[str, object]:
    try:
        claims: dict[str, object] = strict_json.parse_object(payload)
    except strict_json.NotStrictJson:
        _refuse("its claims cannot be read.")
    return claims


def _refuse(reason: str) -> NoReturn:
    raise LoginRefused(BAD_ON_BEHALF_ASSERTION, reason=reason)
