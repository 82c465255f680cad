"""The token endpoint: from a form to a token, in the order client, resource, signature. Which grant is whose is one
table; the grants of people are in person_grants.py.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

from hsmvault.login.access_tokens import AccessToken, AccessTokens, Subject
from hsmvault.login.attempts import AttemptNotes, guid_or_empty
from hsmvault.login.audiences import audience, resource_in
from hsmvault.login.clients import Clients, read_presented
from hsmvault.login.person_grants import PersonGrants, TokenRequest
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import UNSUPPORTED_GRANT, LoginRefused
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings

Dialect = Literal["v1", "v2", "adfs"]
"""How resources are asked for and how numbers are written: v1 writes them as strings."""

Members = dict[str, str | int]

CLIENT_CREDENTIALS: Final = "client_credentials"
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
ON_BEHALF_OF: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenEndpoint:
    def __init__(
        self, settings: LoginSettings, *, clients: Clients, tokens: AccessTokens, people: PersonGrants
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._tokens = tokens
        self._grants: Mapping[str, Callable[[TokenRequest], Awaitable[Members]]] = {
            CLIENT_CREDENTIALS: self._client_credentials,
            "authorization_code": people.authorization_code,
            DEVICE_CODE: people.device_code,
            "device_code": people.device_code,  # msal-node's spelling
            "refresh_token": people.refresh_token,
            "password": people.password,
            ON_BEHALF_OF: people.on_behalf_of,
        }

    async def answer(
        self, realm: Realm, dialect: Dialect, form: Form, authorization: str, notes: AttemptNotes
    ) -> Members:
        """The JSON members of a success; notes are filled in as far as it gets.

        authorization: the header of that name, or empty. Raises LoginRefused, Unavailable, Throttled.
        """
        grant = form.require("grant_type")
        carry_out = self._grants.get(grant)
        notes.grant = grant if carry_out is not None else "unknown"
        if carry_out is None:
            raise LoginRefused(UNSUPPORTED_GRANT, grant=notes.grant)
        return await carry_out(TokenRequest(realm, dialect, form, authorization, notes))

    async def _client_credentials(self, request: TokenRequest) -> Members:
        notes = request.notes
        presented = read_presented(request.form, request.authorization)
        notes.client_id = guid_or_empty(presented.client_id)
        resource = resource_in(request.form, dialect=request.dialect)
        client = await self._clients.prove(request.realm, presented, address=notes.address)
        notes.object_id, notes.credential_id = client.principal.object_id, client.credential_id
        notes.resource = audience(self._settings, resource, tenant_id=client.principal.tenant_id)
        subject = Subject(client.principal, client.strength, client.groups, client.credential_id)
        token = await self._tokens.issue(
            subject, audience=notes.resource, life_seconds=self._settings.token_life_seconds
        )
        notes.token_id = token.id
        return _v1_members(token, notes.resource) if request.dialect == "v1" else _members(token)


def _members(token: AccessToken) -> Members:
    return {
        "token_type": "Bearer",
        "expires_in": token.life_seconds,
        "ext_expires_in": token.life_seconds,
        "access_token": token.text,
    }


def _v1_members(token: AccessToken, resource: str) -> Members:
    return {
        "token_type": "Bearer",
        "expires_in": str(token.life_seconds),
        "ext_expires_in": str(token.life_seconds),
        "expires_on": str(token.expires),
        "not_before": str(token.issued),
        "resource": resource,
        "access_token": token.text,
    }
