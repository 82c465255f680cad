"""The token endpoint: from a form to a token, in the order client, resource, signature.

Grants: client_credentials. Those of people (device code, authorization code, password, refresh, on behalf of) get
Entra's answer for a grant that is not supported.
"""

from typing import Literal

from hsmvault.login.access_tokens import AccessToken, AccessTokens, Subject
from hsmvault.login.attempts import AttemptNotes, guid_or_empty
from hsmvault.login.audiences import audience, resource_in
from hsmvault.login.clients import Clients, read_presented
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import UNSUPPORTED_GRANT, LoginRefused
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings

Dialect = Literal["v1", "v2", "adfs"]
"""How resources are asked for and how numbers are written: v1 writes them as strings."""

CLIENT_CREDENTIALS = "client_credentials"
_GRANTS_OF_PEOPLE = frozenset(
    {
        "password",
        "authorization_code",
        "refresh_token",
        "device_code",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    }
)


class TokenEndpoint:
    def __init__(self, settings: LoginSettings, *, clients: Clients, tokens: AccessTokens) -> None:
        self._settings = settings
        self._clients = clients
        self._tokens = tokens

    async def answer(
        self, realm: Realm, dialect: Dialect, form: Form, authorization: str, notes: AttemptNotes
    ) -> dict[str, str | int]:
        """The JSON members of a success; notes are filled in as far as it gets.

        authorization: the header of that name, or empty. Raises LoginRefused, Unavailable, Throttled.
        """
        grant = form.require("grant_type")
        if grant != CLIENT_CREDENTIALS:
            notes.grant = grant if grant in _GRANTS_OF_PEOPLE else "unknown"
            raise LoginRefused(UNSUPPORTED_GRANT, grant=notes.grant)
        notes.grant = grant
        presented = read_presented(form, authorization)
        notes.client_id = guid_or_empty(presented.client_id)
        resource = resource_in(form, dialect=dialect)
        client = await self._clients.prove(realm, presented, address=notes.address)
        notes.object_id, notes.credential_id = client.principal.object_id, client.credential.id
        notes.resource = audience(self._settings, resource, tenant_id=client.principal.tenant_id)
        subject = Subject(client.principal, client.strength, client.groups, client.credential.id)
        token = await self._tokens.issue(
            subject, audience=notes.resource, life_seconds=self._settings.token_life_seconds
        )
        notes.token_id = token.id
        return _v1_members(token, notes.resource) if dialect == "v1" else _members(token)


def _members(token: AccessToken) -> dict[str, str | int]:
    return {
        "token_type": "Bearer",
        "expires_in": token.life_seconds,
        "ext_expires_in": token.life_seconds,
        "access_token": token.text,
    }


def _v1_members(token: AccessToken, resource: str) -> dict[str, str | int]:
    return {
        "token_type": "Bearer",
        "expires_in": str(token.life_seconds),
        "ext_expires_in": str(token.life_seconds),
        "expires_on": str(token.expires),
        "not_before": str(token.issued),
        "resource": resource,
        "access_token": token.text,
    }
