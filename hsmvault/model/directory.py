"""What the embedded directory keeps beside its principals: registrations of applications, federated credentials, and
the members of people, groups and service principals that clients set and read back.

An application is registered once, in its home tenant (an application object); where it acts it has a service
principal, which is what permissions name ("Application and service principal objects").
"""

from enum import Enum
from uuid import UUID, uuid5

import msgspec

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
MOST_FEDERATED_CREDENTIALS = 20  # of one application, as Entra's


class RedirectKind(Enum):
    """Where a code may go. WEB: a confidential client's page. SPA: a page's script. PUBLIC: an app on the machine of
    its user; `http://localhost` then means every port of it (RFC 8252, 7.3), with the path that is registered.
    """

    WEB = "web"
    SPA = "spa"
    PUBLIC = "publicClient"


class RedirectUri(msgspec.Struct, frozen=True):
    kind: RedirectKind
    uri: str


class ApplicationDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """identifier_uris: App ID URIs. kept: a JSON object of what a client has set, which means nothing to us."""

    identifier_uris: tuple[str, ...] = ()
    description: str = ""
    sign_in_audience: str = "AzureADMyOrg"
    kept: str = "{}"


class Application(msgspec.Struct, frozen=True):
    """A registration. application_id: the client id; object_id: of the registration, not of its service principal.

    public_client: it may use the flows of public clients (device code, code with PKCE and no secret, password).
    created: seconds since 1970 UTC.
    """

    application_id: str
    object_id: str
    tenant_id: str
    display_name: str
    public_client: bool = False
    redirect_uris: tuple[RedirectUri, ...] = ()
    details: ApplicationDetails = ApplicationDetails()
    created: int = 0


class FederatedCredential(msgspec.Struct, frozen=True):
    """Tokens of another issuer that prove this application. issuer, subject, audiences: compared exactly.

    application_id: of a registered application, or of a user-assigned identity. id: also the `cred` of the tokens that
    it got, so that removing it ends them.
    """

    id: str
    application_id: str
    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    description: str = ""


class PrincipalDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of every kind of principal; what a kind does not have stays empty.

    must_change_password: of a user, at the next sign-in.
    kept: a JSON object of what a client has set, which means nothing to us.
    """

    description: str = ""
    mail: str = ""
    mail_nickname: str = ""
    given_name: str = ""
    surname: str = ""
    job_title: str = ""
    must_change_password: bool = False
    kept: str = "{}"


NO_DETAILS = PrincipalDetails()


class DirectoryRole(Enum):
    """Built-in roles of the directory, by the ids of their templates at Microsoft."""

    GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
    USER_ADMINISTRATOR = "fe930be7-5e62-47db-91af-98c3a49a38b1"
    GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
    APPLICATION_ADMINISTRATOR = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"
    DIRECTORY_READERS = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"

    @property
    def title(self) -> str:
        """As the documentation writes it."""
        return self.name.replace("_", " ").title()


def public_client(tenant_id: str, application_id: str) -> Application | None:
    """A public client that every tenant knows without a registration; None for another one. application_id: in lower
    case. Whether an installation lets them in at all is login.public_clients of the configuration.
    """
    if application_id != AZURE_CLI:
        return None
    return Application(
        application_id=AZURE_CLI,
        object_id=str(uuid5(UUID(tenant_id), AZURE_CLI)),
        tenant_id=tenant_id,
        display_name="Microsoft Azure CLI",
        public_client=True,
        redirect_uris=(RedirectUri(RedirectKind.PUBLIC, "http://localhost"),),
        details=ApplicationDetails(sign_in_audience="AzureADMultipleOrgs"),
    )
