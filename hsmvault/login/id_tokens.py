"""ID tokens and `client_info`: what tells an application who has signed in (OpenID Connect Core, 2).

Nobody lets one in anywhere: its audience is the application, and no plane accepts that.
"""

import msgspec

from hsmvault.clock import Clock
from hsmvault.login.access_tokens import pairwise_subject
from hsmvault.login.realms import token_issuer
from hsmvault.login.signatures import TokenSigner
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model import base64url
from hsmvault.model.principals import Principal

_LIFE_SECONDS = 3600


class IdClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """Members with a default are left out when they have it."""

    aud: str
    iss: str
    iat: int
    nbf: int
    exp: int
    name: str
    oid: str
    preferred_username: str
    sub: str
    tid: str
    upn: str
    unique_name: str
    ver: str
    auth_time: int = 0
    email: str = ""
    nonce: str = ""


class IdTokens:
    def __init__(self, *, origin: str, keys: SigningKeys, clock: Clock) -> None:
        self._origin = origin
        self._signer = TokenSigner(keys)
        self._clock = clock

    async def issue(
        self, principal: Principal, *, application_id: str, dialect: str, nonce: str = "", signed_in: int = 0
    ) -> str:
        """dialect: 'v1', 'v2' or 'adfs': their issuers differ. signed_in: seconds since 1970 UTC, 0 when unknown.

        Raises Unavailable, Throttled.
        """
        now = int(self._clock.now())
        claims = IdClaims(
            aud=application_id,
            iss=self._issuer(principal.tenant_id, dialect),
            iat=now,
            nbf=now,
            exp=now + _LIFE_SECONDS,
            name=principal.display_name,
            oid=principal.object_id,
            preferred_username=principal.upn,
            sub=pairwise_subject(principal, application_id),
            tid=principal.tenant_id,
            upn=principal.upn,
            unique_name=principal.upn,
            ver="2.0" if dialect == "v2" else "1.0",
            auth_time=signed_in,
            email=principal.details.mail,
            nonce=nonce,
        )
        return await self._signer.sign(claims)

    def _issuer(self, tenant_id: str, dialect: str) -> str:
        """As discovery names it."""
        match dialect:
            case "adfs":
                return f"{self._origin}/adfs"
            case "v1":
                return token_issuer(self._origin, tenant_id)
            case _:
                return f"{self._origin}/{tenant_id}/v2.0"


def client_info(principal: Principal) -> str:
    """base64url of JSON; MSAL names the account by it."""
    return base64url.encode(msgspec.json.encode({"uid": principal.object_id, "utid": principal.tenant_id}))
