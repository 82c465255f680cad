"""Managed identities: the endpoints that a virtual machine (IMDS) and an App Service offer to what runs in them.

Served over plain http on loopback, and off unless identities are configured: whoever reaches IMDS *is* the identity. So
nothing that passed a proxy is answered (X-Forwarded-For), and IMDS wants the header `Metadata: true`, which a browser
cannot be made to send across origins. Nor may Host be a name that somebody's DNS has pointed at loopback: to a browser
that would be one origin (DNS rebinding). App Service wants its secret header besides.

"No such identity" is 400 and never 404: clients take 404, 410, 429 and 5xx for a start-up in progress and try again for
many seconds.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from aiohttp.web import BaseRequest, Response, StreamResponse

from hsmvault.clock import Clock, Identifiers
from hsmvault.login.access_tokens import AccessToken, AccessTokens, Subject
from hsmvault.login.answers import json_answer
from hsmvault.login.attempts import AttemptNotes, RecordAttempt, guid_or_empty
from hsmvault.login.audiences import audience
from hsmvault.login.clients import CERTIFICATE_STRENGTH
from hsmvault.login.failures import as_refusal
from hsmvault.login.refusals import (
    BAD_IDENTITY_HEADER,
    BAD_IDENTITY_REQUEST,
    IDENTITY_NOT_FOUND,
    NOT_FOUND,
    ONLY_GET,
    THROTTLED,
    LoginRefused,
)
from hsmvault.login.requests import Form, Target, read_query, read_target
from hsmvault.login.secrets import secret_matches
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.login.throttle import Throttle, ThrottleKey
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind
from hsmvault.store import directory
from hsmvault.store.database import Database, Transaction

HEALTH_PATH = ("healthstatus",)
IMDS_PATH = ("metadata", "identity", "oauth2", "token")
APP_SERVICE_PATH = ("msi", "token")
GRANT = "managed_identity"

_API_VERSION = re.compile(r"20\d\d-\d\d-\d\d(-preview)?", re.ASCII)
_APP_SERVICE_API_VERSION = "2019-08-01"

Flavour = Literal["imds", "app-service"]


@dataclass(frozen=True, slots=True)
class _Identity:
    principal: Principal
    headers: tuple[Credential, ...]
    groups: frozenset[str]


class IdentityEndpoints:
    """handle() answers every request of the managed-identity port; health to whoever asks, since it tells nothing."""

    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        keys: SigningKeys,
        clock: Clock,
        identifiers: Identifiers,
        record_attempt: RecordAttempt,
        named: Callable[[Transaction], Awaitable[tuple[str, ...]]] | None = None,
    ) -> None:
        """named: the ARM ids of the identities, asked at each request; absent: those of the settings."""
        self._settings = settings
        self._named = named
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._record_attempt = record_attempt
        self._throttle = Throttle(clock)
        self._tokens = AccessTokens(origin=settings.origin, keys=keys, clock=clock, identifiers=identifiers)

    @staticmethod
    def serves(raw_path: str) -> bool:
        """Whether a path, as it came, is in the part of the listener that is theirs, where they share it."""
        first = raw_path.partition("?")[0].lstrip("/").partition("/")[0]
        return first in (IMDS_PATH[0], APP_SERVICE_PATH[0])

    async def handle(self, request: BaseRequest, client_address: str) -> StreamResponse:
        """client_address: the peer's. Never raises but for cancellation."""
        flavour: Flavour = "imds"
        try:
            target = read_target(request)
            if target.segments == HEALTH_PATH and request.method == "GET":
                return json_answer({})
            if target.segments == APP_SERVICE_PATH:
                flavour = "app-service"
            elif target.segments != IMDS_PATH:
                raise LoginRefused(NOT_FOUND)
            return await self._attempt(request, target, flavour, client_address)
        except Exception as error:
            return _refusal(as_refusal(error), flavour)

    async def _attempt(self, request: BaseRequest, target: Target, flavour: Flavour, address: str) -> Response:
        """Recorded before its answer leaves, like every attempt. Probes (no Metadata header) ask for no token and are
        not attempts.
        """
        if request.method != "GET":
            raise LoginRefused(ONLY_GET)
        if not _is_local(request.headers.get("Host", "")):
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="The Host must be an address or localhost.")
        if request.headers.getall("X-Forwarded-For", []):
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="Requests that passed a proxy are refused.")
        if flavour == "imds" and request.headers.get("Metadata", "").lower() != "true":
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="Required metadata header not specified.")
        trace_id = self._identifiers.guid()
        notes = AttemptNotes(address, trace_id, trace_id, grant=GRANT, tenant_id=self._settings.default_tenant_id)
        try:
            query = read_query(target)
            if flavour == "imds":
                members = await self._imds(query, notes)
            else:
                members = await self._app_service(query, request.headers.get("X-IDENTITY-HEADER", ""), notes)
            response, code = json_answer(members), 0
        except Exception as error:
            refused = as_refusal(error)
            response, code = _refusal(refused, flavour), refused.refusal.code
        await self._record_attempt(notes.finished(time=self._clock.now(), result_code=code, status=response.status))
        return response

    async def _imds(self, query: Form, notes: AttemptNotes) -> dict[str, str]:
        if not _API_VERSION.fullmatch(query.get("api-version")):
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="The api-version is missing or not valid.")
        identity = _asked_for(query, await self._identities(), resource_id_name="msi_res_id")
        token = await self._issue(identity, query, notes, credential_id="")
        life = str(token.life_seconds)
        return _members(token, identity, notes.resource) | {"expires_in": life, "ext_expires_in": life}

    async def _app_service(self, query: Form, header: str, notes: AttemptNotes) -> dict[str, str]:
        if query.get("api-version") != _APP_SERVICE_API_VERSION:
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="The api-version is missing or not valid.")
        matching = [
            (identity, credential)
            for identity in await self._identities()
            for credential in identity.headers
            if header and secret_matches(header, credential.verifier)
        ]
        key = ThrottleKey(APP_SERVICE_PATH[0], notes.address)
        if not matching:
            if wait := self._throttle.failed(key):
                raise LoginRefused(THROTTLED, retry_after_seconds=wait)
            raise LoginRefused(BAD_IDENTITY_HEADER)
        self._throttle.succeeded(key)
        identity = _asked_for(query, [found for found, _ in matching], resource_id_name="mi_res_id")
        credential_id = next(credential.id for found, credential in matching if found is identity)
        token = await self._issue(identity, query, notes, credential_id=credential_id)
        return _members(token, identity, notes.resource)

    async def _issue(self, identity: _Identity, query: Form, notes: AttemptNotes, *, credential_id: str) -> AccessToken:
        principal = identity.principal
        notes.client_id, notes.object_id = principal.application_id, principal.object_id
        notes.credential_id = credential_id
        resource = query.get("resource")
        if not resource:
            raise LoginRefused(BAD_IDENTITY_REQUEST, reason="The resource is missing.")
        notes.resource = audience(self._settings, resource, tenant_id=principal.tenant_id)
        life = self._settings.identity_life_seconds
        token = await self._tokens.issue(
            Subject(principal, CERTIFICATE_STRENGTH, identity.groups, credential_id),
            audience=notes.resource,
            life_seconds=(life, life),
        )
        notes.token_id = token.id
        return token

    async def _identities(self) -> list[_Identity]:
        """Those that are served here, are there and are enabled, in their order."""
        now = self._clock.now()
        found = []
        async with self._database.read() as tx:
            for resource_id in await self._named(tx) if self._named else self._settings.managed_identities:
                principal = await directory.by_resource(tx, resource_id)
                if principal is None or not principal.enabled or principal.kind is not PrincipalKind.MANAGED_IDENTITY:
                    continue
                headers = tuple(
                    credential
                    for credential in await directory.credentials_of(tx, principal.application_id)
                    if credential.kind is CredentialKind.IDENTITY_HEADER and not 0 < credential.expires <= now
                )
                groups = await directory.groups_of(tx, principal.object_id)
                found.append(_Identity(principal, headers, groups))
        return found


def _is_local(host: str) -> bool:
    """Whether a Host header names an address, `localhost` or a name under it, whatever its port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or bool(ip_address(name))
    except ValueError:
        return False


def _asked_for(query: Form, identities: list[_Identity], *, resource_id_name: str) -> _Identity:
    """The identity that the query names, by whatever it names; the first one when it names none."""
    client_id, object_id = guid_or_empty(query.get("client_id")), guid_or_empty(query.get("object_id"))
    named = (query.get("client_id"), query.get("object_id"), query.get(resource_id_name))
    for identity in identities:
        principal = identity.principal
        is_named = (
            (not named[0] or client_id == principal.application_id)
            and (not named[1] or object_id == principal.object_id)
            and (not named[2] or named[2].lower() == principal.resource_id.lower())
        )
        if is_named:
            return identity
    raise LoginRefused(IDENTITY_NOT_FOUND)


def _members(token: AccessToken, identity: _Identity, resource: str) -> dict[str, str]:
    """What both flavours answer; numbers are strings here."""
    return {
        "access_token": token.text,
        "client_id": identity.principal.application_id,
        "expires_on": str(token.expires),
        "not_before": str(token.issued),
        "resource": resource,
        "token_type": "Bearer",
    }


def _refusal(refused: LoginRefused, flavour: Flavour) -> Response:
    status = refused.refusal.status
    headers = {"Retry-After": str(refused.retry_after_seconds)} if refused.retry_after_seconds else None
    if flavour == "app-service":
        return json_answer({"statusCode": status, "message": refused.text}, status=status, headers=headers)
    body = {"error": refused.refusal.error, "error_description": refused.text}
    return json_answer(body, status=status, headers=headers)
