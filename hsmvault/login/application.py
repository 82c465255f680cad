"""The issuer as an HTTP application: which path is answered by whom, and how a refusal becomes Entra's JSON.

Paths are matched on the raw target, before any decoding, each with or without one trailing slash. The main listener
sends every request here whose Host is the login host; nothing here looks at Host again.
"""

from dataclasses import dataclass

from aiohttp.web import BaseRequest, Response, StreamResponse

from hsmvault.clock import Clock, Identifiers
from hsmvault.login import discovery
from hsmvault.login.access_tokens import AccessTokens
from hsmvault.login.answers import json_answer, page
from hsmvault.login.attempts import AttemptNotes, RecordAttempt, guid_or_empty
from hsmvault.login.clients import Clients
from hsmvault.login.failures import as_refusal
from hsmvault.login.realms import Realm, find_realm, is_realm_name
from hsmvault.login.refusals import (
    NOT_FOUND,
    ONLY_GET,
    ONLY_POST,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_TENANT,
    UNKNOWN_TENANT_IN_DISCOVERY,
    UNSUPPORTED_GRANT,
    LoginRefused,
    Refusal,
    document,
)
from hsmvault.login.requests import Target, read_form, read_query, read_target, refuse_secrets_in
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.login.throttle import Throttle
from hsmvault.login.token_endpoint import Dialect, TokenEndpoint
from hsmvault.store.database import Database

_DISCOVERY_CACHE_SECONDS = 3600
_ALLOWED = {ONLY_POST: "POST", ONLY_GET: "GET, HEAD"}


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request. trace_id: ours. correlation_id: the client's, when it sent a GUID."""

    request: BaseRequest
    target: Target
    address: str
    trace_id: str
    correlation_id: str


class LoginApplication:
    """handle() answers every request for the login host."""

    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        keys: SigningKeys,
        clock: Clock,
        identifiers: Identifiers,
        record_attempt: RecordAttempt,
    ) -> None:
        self._settings = settings
        self._database = database
        self._keys = keys
        self._clock = clock
        self._identifiers = identifiers
        self._record_attempt = record_attempt
        self._token_endpoint = TokenEndpoint(
            settings,
            clients=Clients(database=database, clock=clock, throttle=Throttle(clock)),
            tokens=AccessTokens(origin=settings.origin, keys=keys, clock=clock, identifiers=identifiers),
        )

    async def handle(self, request: BaseRequest, client_address: str) -> StreamResponse:
        """client_address: of the client, as the listener has established it. Never raises but for cancellation."""
        trace_id = self._identifiers.guid()
        correlation_id = guid_or_empty(request.headers.get("client-request-id", "")) or trace_id
        try:
            target = read_target(request)
            response = await self._route(_Exchange(request, target, client_address, trace_id, correlation_id))
        except Exception as error:
            response = self._refusal(as_refusal(error), trace_id, correlation_id)
        response.headers["x-ms-request-id"] = trace_id
        response.headers["client-request-id"] = correlation_id
        return response

    async def _route(self, exchange: _Exchange) -> Response:
        match exchange.target.segments:
            case ("common", "discovery", "instance"):
                return self._instance(exchange)
            case (realm, "v2.0", ".well-known", "openid-configuration"):
                return await self._configuration(exchange, realm, "v2")
            case (realm, ".well-known", "openid-configuration"):
                return await self._configuration(exchange, realm, "v1")
            case (realm, "discovery", "v2.0", "keys") | (realm, "discovery", "keys"):
                return await self._key_set(exchange, realm)
            case (realm, "oauth2", "v2.0", "token"):
                return await self._token(exchange, realm, "v2")
            case (realm, "oauth2", "token"):
                return await self._token(exchange, realm, "v1")
            case (_, "oauth2", "v2.0", "devicecode") | (_, "oauth2", "devicecode"):
                raise LoginRefused(UNSUPPORTED_GRANT, grant="device_code")
            case (
                (_, "oauth2", "v2.0", "authorize" | "logout")
                | (_, "oauth2", "authorize" | "logout")
                | ("device",)
                | ("common", "deviceauth")
            ):
                return page(
                    "This server does not sign people in yet; applications and managed identities can.", status=501
                )
            case _:
                raise LoginRefused(NOT_FOUND)

    def _instance(self, exchange: _Exchange) -> Response:
        _refuse_writing(exchange.request)
        return json_answer(
            discovery.instance(self._settings.origin, read_query(exchange.target)),
            cache_seconds=_DISCOVERY_CACHE_SECONDS,
        )

    async def _configuration(self, exchange: _Exchange, segment: str, version: discovery.Version) -> Response:
        _refuse_writing(exchange.request)
        realm = await self._realm(segment, UNKNOWN_TENANT_IN_DISCOVERY)
        return json_answer(discovery.openid_configuration(realm, version), cache_seconds=_DISCOVERY_CACHE_SECONDS)

    async def _key_set(self, exchange: _Exchange, segment: str) -> Response:
        _refuse_writing(exchange.request)
        realm = await self._realm(segment, UNKNOWN_TENANT_IN_DISCOVERY)
        return json_answer(
            discovery.key_set(realm, await self._keys.published()),
            cache_seconds=self._settings.key_set_cache_seconds,
        )

    async def _token(self, exchange: _Exchange, segment: str, version: Dialect) -> Response:
        """Every attempt is recorded before its answer leaves, the refused ones too; no record, no answer."""
        request = exchange.request
        if request.method != "POST":
            raise LoginRefused(ONLY_POST)
        notes = AttemptNotes(exchange.address, exchange.trace_id, exchange.correlation_id)
        try:
            refuse_secrets_in(exchange.target)
            form = await read_form(request, body_seconds=self._settings.body_seconds)
            realm = await self._realm(segment, UNKNOWN_TENANT)
            notes.tenant_id = realm.tenant.id if realm.tenant else ""
            dialect: Dialect = "adfs" if realm.is_adfs else version
            authorization = request.headers.get("Authorization", "")
            response = json_answer(await self._token_endpoint.answer(realm, dialect, form, authorization, notes))
            code = 0
        except Exception as error:
            refused = as_refusal(error)
            response = self._refusal(refused, exchange.trace_id, exchange.correlation_id)
            code = refused.refusal.code
        attempt = notes.finished(time=self._clock.now(), result_code=code, status=response.status)
        await self._record_attempt(attempt)
        return response

    async def _realm(self, segment: str, refusal: Refusal) -> Realm:
        realm = await find_realm(self._database, self._settings, segment)
        if realm is None:
            raise LoginRefused(refusal, tenant=segment if is_realm_name(segment.lower()) else "")
        return realm

    def _refusal(self, refused: LoginRefused, trace_id: str, correlation_id: str) -> Response:
        body = document(
            refused,
            origin=self._settings.origin,
            now=self._clock.now(),
            trace_id=trace_id,
            correlation_id=correlation_id,
        )
        headers = {"Allow": _ALLOWED[refused.refusal]} if refused.refusal in _ALLOWED else {}
        if refused.retry_after_seconds:
            headers["Retry-After"] = str(refused.retry_after_seconds)
        response = json_answer(body, status=refused.refusal.status, headers=headers)
        if refused.refusal in (TOO_LARGE, TOO_SLOW):
            response.force_close()  # the rest of the body is not read
        return response


def _refuse_writing(request: BaseRequest) -> None:
    if request.method not in ("GET", "HEAD"):
        raise LoginRefused(ONLY_GET)
