"""What the issuer hands out and can take back: authorization codes, device codes, refresh tokens, sessions of browsers.

Everything that follows from one code, one device code or one password grant is a family: what was redeemed twice ends
the whole family, because one of the two who redeemed it is not its owner (RFC 6749, 4.1.2 and RFC 9700, 4.14.2).
"""

from enum import Enum

import msgspec


class GrantKind(Enum):
    CODE = "code"
    DEVICE_CODE = "device-code"
    REFRESH_TOKEN = "refresh-token"  # noqa: S105 - the kind, not a token
    SESSION = "session"


class GrantStatus(Enum):
    """PENDING, APPROVED, DECLINED: of device codes, until a person has decided. OPEN: may be used. REDEEMED: was."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    OPEN = "open"
    REDEEMED = "redeemed"


class GrantDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked for and how it was proven; what a kind does not need stays empty.

    audience: of the access token. scopes: those of OpenID Connect alone. challenge: of PKCE (S256). nonce: of the
    authorization request. address: from where a device code was asked for. application_name: as the person was shown
    it. signed_in: when the person proved who it is, seconds since 1970 UTC. needs_proof: the client must prove itself.
    applications: client ids of those that a session has been to.
    """

    audience: str = ""
    scopes: tuple[str, ...] = ()
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str = ""
    address: str = ""
    application_name: str = ""
    signed_in: int = 0
    needs_proof: bool = False
    applications: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True):
    """id: SHA-256, in hexadecimal digits, of what the client holds. family: 32 hexadecimal digits.

    tenant_id, object_id: of the person; empty for a device code that waits for one (tenant_id may be given before).
    application_id: client id; empty for a session. user_code: of a device code, else empty.
    created, expires, redeemed_at: seconds since 1970 UTC; redeemed_at is 0 for what was not redeemed.
    """

    id: str
    kind: GrantKind
    family: str
    tenant_id: str
    object_id: str
    application_id: str
    status: GrantStatus
    created: int
    expires: int
    user_code: str = ""
    details: GrantDetails = GrantDetails()
    redeemed_at: int = 0
