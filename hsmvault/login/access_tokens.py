"""Access tokens in the shape that Entra gives to Key Vault and ARM (version 1.0), signed RS256 in custody.

One claim is our own: `cred`, the id of the credential that got the token, so that removing the credential ends its
tokens at once. A managed identity behind IMDS has no credential, and its token no such claim.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec

from hsmvault.clock import Clock, Identifiers
from hsmvault.login.realms import token_issuer
from hsmvault.login.signatures import TokenSigner, signed_characters
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model import base64url
from hsmvault.model.principals import Principal

_MOST_GROUPS = 200  # Entra's limit
_LONGEST_TOKEN_CHARACTERS = 7_500  # a header line of more than 8 kB is refused by most servers, ours included
_UTI_BYTES = 16
_AIO_BYTES = 24
_RH_BYTES = 27

USER_IMPERSONATION = "user_impersonation"
"""The one scope there is: the application may do what the person may."""


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
    acr: str = ""
    amr: tuple[str, ...] = ()
    cred: str = ""
    groups: tuple[str, ...] = ()
    ipaddr: str = ""
    name: str = ""
    scp: str = ""
    unique_name: str = ""
    upn: str = ""
    xms_mirid: str = ""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Through which application a person acts. address: where the person signed in from, as far as it is known."""

    application_id: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a token is for, proven. strength: `appidacr`. credential_id: empty for IMDS and for people.

    through: for people; an application that acts for itself has none.
    """

    principal: Principal
    strength: str
    groups: frozenset[str]
    credential_id: str = ""
    through: Delegation | None = None


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
        self._signer = TokenSigner(keys)
        self._clock = clock
        self._identifiers = identifiers

    async def issue(self, subject: Subject, *, audience: str, life_seconds: tuple[int, int]) -> AccessToken:
        """life_seconds: shortest and longest; one in between is drawn. Groups are left out above Entra's limit, and
        when the token would not fit into a header: whoever needs them asks the directory.
        Raises Unavailable, Throttled.
        """
        claims = self._claims(subject, audience, life_seconds)
        if claims.groups and signed_characters(claims) > _LONGEST_TOKEN_CHARACTERS:
            claims = msgspec.structs.replace(claims, groups=())
        return AccessToken(await self._signer.sign(claims), claims.iat, claims.exp, claims.uti)

    def _claims(self, subject: Subject, audience: str, life_seconds: tuple[int, int]) -> Claims:
        principal = subject.principal
        now = int(self._clock.now())
        shortest, longest = life_seconds
        drawn = int.from_bytes(self._identifiers.random(4), "big") % (longest - shortest + 1)
        issuer = token_issuer(self._origin, principal.tenant_id)
        claims = Claims(
            aud=audience,
            iss=issuer,
            iat=max(now, principal.sessions_valid_from),  # who signs in right after a reset is let in
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
        return claims if subject.through is None else _delegated(claims, principal, subject.through)


def _delegated(claims: Claims, principal: Principal, through: Delegation) -> Claims:
    """A person's: the rights are the person's, the application is told beside it."""
    return msgspec.structs.replace(
        claims,
        acr="1",
        amr=("pwd",),
        appid=through.application_id,
        idtyp="user",
        ipaddr=through.address,
        name=principal.display_name,
        scp=USER_IMPERSONATION,
        sub=pairwise_subject(principal, through.application_id),
        unique_name=principal.upn,
        upn=principal.upn,
    )


def pairwise_subject(principal: Principal, application_id: str) -> str:
    """The same person is another `sub` to every application (OpenID Connect Core, 8.1). 43 characters."""
    parts = "|".join((principal.tenant_id, principal.object_id, application_id))
    return base64url.encode(hashlib.sha256(parts.encode()).digest())
