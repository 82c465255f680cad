"""Access tokens in the shape that Entra gives to Key Vault and ARM (version 1.0), signed RS256 in custody.

One claim is our own: `cred`, the id of the credential that got the token, so that removing the credential ends its
tokens at once. A managed identity behind IMDS has no credential, and its token no such claim.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.self_signed import RS256
from hsmvault.login.realms import token_issuer
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model import base64url
from hsmvault.model.principals import Principal

_MOST_GROUPS = 200  # Entra's limit
_LONGEST_TOKEN_CHARACTERS = 7_500  # a header line of more than 8 kB is refused by most servers, ours included
_UTI_BYTES = 16
_AIO_BYTES = 24
_RH_BYTES = 27


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is signed. Members with a default are left out when they have it."""

    aud: str
    iss: str
    iat: int
    nbf: int
    exp: int
    aio: str
    appid: str
    appidacr: str
    idp: str
    idtyp: str
    oid: str
    rh: str
    sub: str
    tid: str
    uti: str
    ver: str
    cred: str = ""
    groups: tuple[str, ...] = ()
    xms_mirid: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token is for, proven. strength: `appidacr`. credential_id: empty for IMDS."""

    principal: Principal
    strength: str
    groups: frozenset[str]
    credential_id: str = ""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """issued, expires: seconds since 1970 UTC. id: `uti`. Its repr shows the text never."""

    text: str = field(repr=False)
    issued: int
    expires: int
    id: str

    @property
    def life_seconds(self) -> int:
        return self.expires - self.issued


class AccessTokens:
    """Makes access tokens."""

    def __init__(self, *, origin: str, keys: SigningKeys, clock: Clock, identifiers: Identifiers) -> None:
        self._origin = origin
        self._keys = keys
        self._clock = clock
        self._identifiers = identifiers

    async def issue(self, subject: Subject, *, audience: str, life_seconds: tuple[int, int]) -> AccessToken:
        """life_seconds: shortest and longest; one in between is drawn. Groups are left out above Entra's limit, and
        when the token would not fit into a header: whoever needs them asks the directory.
        Raises Unavailable, Throttled.
        """
        claims = self._claims(subject, audience, life_seconds)
        key, handle = await self._keys.current()
        header = _part({"typ": "JWT", "alg": "RS256", "x5t": key.id, "kid": key.id})
        signed = f"{header}.{_part(claims)}"
        if len(signed) > _LONGEST_TOKEN_CHARACTERS and claims.groups:
            signed = f"{header}.{_part(msgspec.structs.replace(claims, groups=()))}"
        signature = await handle.sign(RS256, hashlib.sha256(signed.encode("ascii")).digest())
        return AccessToken(f"{signed}.{base64url.encode(signature)}", claims.iat, claims.exp, claims.uti)

    def _claims(self, subject: Subject, audience: str, life_seconds: tuple[int, int]) -> Claims:
        principal = subject.principal
        now = int(self._clock.now())
        shortest, longest = life_seconds
        drawn = int.from_bytes(self._identifiers.random(4), "big") % (longest - shortest + 1)
        issuer = token_issuer(self._origin, principal.tenant_id)
        return Claims(
            aud=audience,
            iss=issuer,
            iat=now,
            nbf=now,
            exp=now + shortest + drawn,
            aio=base64url.encode(self._identifiers.random(_AIO_BYTES)),
            appid=principal.application_id,
            appidacr=subject.strength,
            idp=issuer,
            idtyp="app",
            oid=principal.object_id,
            rh=f"1.{base64url.encode(self._identifiers.random(_RH_BYTES))}.",
            sub=principal.object_id,
            tid=principal.tenant_id,
            uti=base64url.encode(self._identifiers.random(_UTI_BYTES)),
            ver="1.0",
            cred=subject.credential_id,
            groups=tuple(sorted(subject.groups)) if len(subject.groups) <= _MOST_GROUPS else (),
            xms_mirid=principal.resource_id,
        )


def _part(value: object) -> str:
    return base64url.encode(msgspec.json.encode(value))
