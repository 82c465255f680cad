"""Who calls, and who is known to the embedded directory.

The subject of every permission is the object id (`oid`) within its tenant; application id, `sub` and names are never
it. Rows of the directory never hold a secret in the clear: secrets of applications and passwords are stored hashed.
"""

from dataclasses import dataclass, field
from enum import Enum

from hsmvault.model.directory import NO_DETAILS, PrincipalDetails


@dataclass(frozen=True, slots=True)
class Caller:
    """What a validated access token proves.

    tenant_id, object_id, application_id: GUIDs in lower case; application_id may be empty.
    issuer: the `iss` of the token, for refusals and the audit record.
    groups: object ids of the groups it is a member of *now* (embedded directory), or by the token (outside issuer).
    delegated: a person through an application (scp present); applications act for themselves otherwise.
    expires: seconds since 1970 UTC. token_id: `uti`. credential_id: the directory's credential that got the token.
    """

    tenant_id: str
    object_id: str
    application_id: str
    issuer: str
    groups: frozenset[str] = frozenset()
    delegated: bool = False
    expires: int = 0
    token_id: str = ""
    name: str = ""
    upn: str = ""
    credential_id: str = ""

    @property
    def principal_ids(self) -> frozenset[str]:
        """Every id that a permission may name."""
        return self.groups | {self.object_id}


class PrincipalKind(Enum):
    USER = "User"
    GROUP = "Group"
    APPLICATION = "ServicePrincipal"
    MANAGED_IDENTITY = "ManagedIdentity"


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    display_name: str
    domain: str


@dataclass(frozen=True, slots=True)
class Principal:
    """A row of the embedded directory: user, service principal, managed identity or group.

    application_id: client id of a service principal or managed identity, else empty.
    resource_id: ARM id of the resource that a managed identity belongs to, else empty.
    upn: of a user, else empty. password_hash: of a user; see login/passwords.py for the format; never shown.
    created: seconds since 1970 UTC, 0 when it is not known. sessions_valid_from: seconds since 1970 UTC; what the
    embedded issuer has handed out before is not good any more.
    """

    object_id: str
    tenant_id: str
    kind: PrincipalKind
    display_name: str
    enabled: bool = True
    application_id: str = ""
    resource_id: str = ""
    upn: str = ""
    password_hash: str = field(default="", repr=False)
    details: PrincipalDetails = NO_DETAILS
    created: int = 0
    sessions_valid_from: int = 0

    def ended_at(self, now: int) -> int:
        """What sessions_valid_from becomes when every session ends now. Tokens know whole seconds, and say that they
        were issued at sessions_valid_from when that is still to come: those are to end, too, when this is the second
        end within a second.
        """
        return max(now, self.sessions_valid_from) + 1


class CredentialKind(Enum):
    SECRET = "secret"  # noqa: S105 - the kind, not a secret
    CERTIFICATE = "certificate"
    IDENTITY_HEADER = "identity-header"  # the App Service endpoint's X-IDENTITY-HEADER of a managed identity


@dataclass(frozen=True, slots=True)
class Credential:
    """How an application proves itself. A token carries the id of the credential that got it, so that removing the
    credential ends its tokens.

    verifier: SECRET, IDENTITY_HEADER: the hash of the secret; CERTIFICATE: the certificate in base64 of its DER.
    thumbprint_sha1, thumbprint_sha256: of the certificate, base64url without padding; empty for secrets.
    expires: seconds since 1970 UTC, 0 for never. starts: likewise, 0 for at once. hint: the first three characters of a
    secret, to know it by.
    """

    id: str
    application_id: str
    kind: CredentialKind
    display_name: str = ""
    verifier: str = field(default="", repr=False)
    thumbprint_sha1: str = ""
    thumbprint_sha256: str = ""
    expires: int = 0
    starts: int = 0
    hint: str = ""

    def is_good(self, now: float) -> bool:
        """now: seconds since 1970 UTC."""
        return self.starts <= now and (not self.expires or now < self.expires)


@dataclass(frozen=True, slots=True)
class PrincipalState:
    """What the pipeline asks the directory about a caller on every request, from a cache that follows changes.

    groups: every group, through nested ones too. credentials: ids of the credentials that still exist, federated ones
    too. sessions_valid_from: tokens that were issued before this second (since 1970 UTC) are not good any more.
    """

    tenant_id: str
    enabled: bool
    groups: frozenset[str]
    credentials: frozenset[str]
    sessions_valid_from: int = 0
