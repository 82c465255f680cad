"""The issuer as an HTTP application: which path is answered by whom, and how a refusal becomes Entra's JSON, or a page
where a person reads it.

Paths are matched on the raw target, before any decoding, each with or without one trailing slash. The main listener
sends every request here whose Host is the login host; nothing here looks at Host again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp.web import BaseRequest, Response, StreamResponse

from hsmvault.clock import Clock, Identifiers
from hsmvault.login import discovery, pages
from hsmvault.login.answers import json_answer
from hsmvault.login.attempts import AttemptNotes, RecordAttempt, guid_or_empty
from hsmvault.login.failures import as_refusal
from hsmvault.login.federation import FederatedIssuers
from hsmvault.login.parts import make_parts
from hsmvault.login.realms import Realm, find_realm, is_realm_name
from hsmvault.login.refusals import (
    AUTHORIZATION_PENDING,
    NOT_FOUND,
    ONLY_GET,
    ONLY_POST,
    SLOW_DOWN,
    TOO_LARGE,
    TOO_SLOW,
    UNKNOWN_TENANT,
    UNKNOWN_TENANT_IN_DISCOVERY,
    LoginRefused,
    Refusal,
    document,
)
from hsmvault.login.requests import Form, Target, read_form, read_query, read_target, refuse_secrets_in
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.login.token_endpoint import Dialect
from hsmvault.store.database import Database

_DISCOVERY_CACHE_SECONDS = 3600
_ALLOWED = {ONLY_POST: "POST", ONLY_GET: "GET, HEAD"}
_Answer = Callable[[Realm, Dialect, Form, str, AttemptNotes], Awaitable[dict[str, str | int]]]


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
        federated: FederatedIssuers | None = None,
    ) -> None:
        """federated: issuers whose tokens may prove an application that has registered them."""
        self._settings = settings
        self._database = database
        self._keys = keys
        self._clock = clock
        self._identifiers = identifiers
        self._record_attempt = record_attempt
        parts = make_parts(
            settings,
            database=database,
            keys=keys,
            clock=clock,
            identifiers=identifiers,
            record_attempt=record_attempt,
            federated=federated,
        )
        self._token_endpoint, self._authorization = parts.token_endpoint, parts.authorization
        self._devices, self._browsers = parts.devices, parts.browsers

    async def handle(self, request: BaseRequest, client_address: str) -> StreamResponse:
        """client_address: of the client, as the listener has established it. Never raises but for cancellation."""
        trace_id = self._identifiers.guid()
        correlation_id = guid_or_empty(request.headers.get("client-request-id", "")) or trace_id
        is_for_people = False
        try:
            target = read_target(request)
            is_for_people = _is_page(target)
            response = await self._route(_Exchange(request, target, client_address, trace_id, correlation_id))
        except Exception as error:
            refused = as_refusal(error)
            answer = self._error_page if is_for_people else self._refusal
            response = answer(refused, trace_id, correlation_id)
        response.headers["x-ms-request-id"] = trace_id
        response.headers["client-request-id"] = correlation_id
        return response

    async def _route(self, exchange: _Exchange) -> Response:
        match exchange.target.segments:
            case ("common", "discovery", "instance"):
                return self._instance(exchange)
            case (_, "userrealm", user_name):
                return self._user_realm(exchange, user_name)
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
            case (realm, "oauth2", "v2.0", "devicecode"):
                return await self._device_code(exchange, realm, "v2")
            case (realm, "oauth2", "devicecode"):
                return await self._device_code(exchange, realm, "v1")
            case (realm, "oauth2", "v2.0", "authorize"):
                return await self._authorize(exchange, realm, "v2")
            case (realm, "oauth2", "authorize"):
                return await self._authorize(exchange, realm, "v1")
            case (_, "oauth2", "v2.0", "logout") | (_, "oauth2", "logout"):
                return await self._sign_out(exchange)
            case ("device",) | ("devicelogin",) | ("common", "oauth2", "deviceauth") | ("common", "deviceauth"):
                return await self._device_page(exchange)
            case _:
                raise LoginRefused(NOT_FOUND)

    def _instance(self, exchange: _Exchange) -> Response:
        _refuse_writing(exchange.request)
        return json_answer(
            discovery.instance(self._settings.origin, read_query(exchange.target)),
            cache_seconds=_DISCOVERY_CACHE_SECONDS,
        )

    def _user_realm(self, exchange: _Exchange, user_name: str) -> Response:
        _refuse_writing(exchange.request)
        return json_answer(discovery.user_realm(self._settings.origin, user_name))

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
        return await self._attempt(exchange, segment, version, self._token_endpoint.answer)

    async def _device_code(self, exchange: _Exchange, segment: str, version: Dialect) -> Response:
        async def start(
            realm: Realm, dialect: Dialect, form: Form, _: str, notes: AttemptNotes
        ) -> dict[str, str | int]:
            notes.grant = "device_authorization"
            return await self._devices.start(realm, dialect, form, notes)

        return await self._attempt(exchange, segment, version, start)

    async def _attempt(self, exchange: _Exchange, segment: str, version: Dialect, answer: _Answer) -> Response:
        """Every attempt is recorded before its answer leaves, the refused ones too; no record, no answer. A device that
        asks whether its person has decided is told to wait, and that is no attempt.
        """
        request = exchange.request
        if request.method != "POST":
            raise LoginRefused(ONLY_POST)
        notes = AttemptNotes(exchange.address, exchange.trace_id, exchange.correlation_id)
        try:
            refuse_secrets_in(exchange.target)
            form = await read_form(request, body_seconds=self._settings.body_seconds)
            realm = await self._realm(segment, UNKNOWN_TENANT)
            notes.tenant_id = realm.tenant.id if realm.tenant else ""
            authorization = request.headers.get("Authorization", "")
            response = json_answer(await answer(realm, _dialect(realm, version), form, authorization, notes))
            code = 0
        except Exception as error:
            refused = as_refusal(error)
            response = self._refusal(refused, exchange.trace_id, exchange.correlation_id)
            if refused.refusal in (AUTHORIZATION_PENDING, SLOW_DOWN):
                return response
            code = refused.refusal.code
        attempt = notes.finished(time=self._clock.now(), result_code=code, status=response.status)
        await self._record_attempt(attempt)
        return response

    async def _authorize(self, exchange: _Exchange, segment: str, version: Dialect) -> Response:
        form = await self._page_form(exchange)
        realm = await self._realm(segment, UNKNOWN_TENANT)
        notes = AttemptNotes(exchange.address, exchange.trace_id, exchange.correlation_id)
        notes.tenant_id = realm.tenant.id if realm.tenant else ""
        target, visit = exchange.target, self._browsers.visit(exchange.request)
        query = read_query(target)
        return await self._authorization.answer(
            realm, _dialect(realm, version), query, target.query, visit, form, notes
        )

    async def _device_page(self, exchange: _Exchange) -> Response:
        form = await self._page_form(exchange)
        notes = AttemptNotes(exchange.address, exchange.trace_id, exchange.correlation_id)
        return await self._devices.answer(self._browsers.visit(exchange.request), form, notes)

    async def _sign_out(self, exchange: _Exchange) -> Response:
        """Of this browser. Where to go on from here is not taken from the URL."""
        _refuse_writing(exchange.request)
        await self._browsers.sign_out(self._browsers.visit(exchange.request))
        text = "You are signed out here. Applications that you have signed in to before may still be signed in."
        return self._browsers.clear_session(pages.page("Signed out", pages.paragraph(text), forms=()))

    async def _page_form(self, exchange: _Exchange) -> Form | None:
        """None for a GET."""
        request = exchange.request
        refuse_secrets_in(exchange.target)
        if request.method == "POST":
            return await read_form(request, body_seconds=self._settings.body_seconds)
        _refuse_writing(request)
        return None

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
        return _finished(json_answer(body, status=refused.refusal.status), refused)

    def _error_page(self, refused: LoginRefused, trace_id: str, correlation_id: str) -> Response:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        members = {
            "Error": f"AADSTS{refused.refusal.code}",
            "Trace ID": trace_id,
            "Correlation ID": correlation_id,
            "Time": now.strftime("%Y-%m-%d %H:%M:%SZ"),
        }
        shown = pages.error_page("Sign-in is not possible", refused.text, members, status=refused.refusal.status)
        return _finished(shown, refused)


def _finished(response: Response, refused: LoginRefused) -> Response:
    if refused.refusal in _ALLOWED:
        response.headers["Allow"] = _ALLOWED[refused.refusal]
    if refused.retry_after_seconds:
        response.headers["Retry-After"] = str(refused.retry_after_seconds)
    if refused.refusal in (TOO_LARGE, TOO_SLOW):
        response.force_close()  # the rest of the body is not read
    return response


def _dialect(realm: Realm, version: Dialect) -> Dialect:
    return "adfs" if realm.is_adfs else version


def _is_page(target: Target) -> bool:
    """Whether a person reads what comes back."""
    return target.segments[-1:] in (("authorize",), ("logout",), ("device",), ("devicelogin",), ("deviceauth",))


def _refuse_writing(request: BaseRequest) -> None:
    if request.method not in ("GET", "HEAD"):
        raise LoginRefused(ONLY_GET)
