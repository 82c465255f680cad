"""The authorization endpoint: from a browser that an application has sent, to a code that goes back to it (RFC 6749,
4.1; OpenID Connect Core, 3.1.2).

The request stands in the URL, for the GET and for every form after it, and is read anew each time: nothing is kept
about an unfinished sign-in. Application and redirect URI come first; what is wrong before they are known is shown to
the person, everything else is the application's to hear.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp.web import Response

from hsmvault.clock import Clock
from hsmvault.login import redirects
from hsmvault.login.attempts import AttemptNotes, guid_or_empty
from hsmvault.login.audiences import delegated_resource_in, openid_scopes
from hsmvault.login.browsers import Browsers, SignedIn, Visit
from hsmvault.login.grants import CODE_SECONDS, Grants
from hsmvault.login.person_grants import audience_for_people
from hsmvault.login.realms import Realm
from hsmvault.login.redirects import Reply
from hsmvault.login.refusals import (
    ACCESS_DENIED,
    BAD_REDIRECT,
    INTERACTION_REQUIRED,
    LOGIN_REQUIRED,
    PKCE_NEEDED,
    UNSUPPORTED_RESPONSE_TYPE,
    LoginRefused,
    document,
    malformed,
)
from hsmvault.login.registrations import Registrations
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings
from hsmvault.login.sign_in import CANCEL, CHANGE, CONTINUE, OTHER, SIGN_IN, Entered, Errand, SignIn
from hsmvault.model.directory import Application, RedirectKind
from hsmvault.model.login_grants import GrantDetails, GrantKind
from hsmvault.store.database import Database

GRANT: Final = "authorization"
_CHALLENGE_CHARACTERS: Final = 43  # of SHA-256 in base64url
_LONGEST_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """max_age: seconds; None for any age. prompt: the values that were sent."""

    realm: Realm
    application: Application
    reply: Reply
    details: GrantDetails
    prompt: frozenset[str]
    login_hint: str
    max_age: int | None

    def is_met_by(self, signed_in: SignedIn, now: float) -> bool:
        """Whether this session will do without the password again."""
        if "login" in self.prompt or (self.max_age is not None and now - signed_in.since > self.max_age):
            return False
        return not self.login_hint or self.login_hint.lower() == signed_in.person.principal.upn.lower()


class AuthorizationEndpoint:
    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        clock: Clock,
        grants: Grants,
        registrations: Registrations,
        browsers: Browsers,
        sign_in: SignIn,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._grants = grants
        self._registrations = registrations
        self._browsers = browsers
        self._sign_in = sign_in

    async def answer(
        self,
        realm: Realm,
        dialect: str,
        query: Form,
        raw_query: str,
        visit: Visit,
        form: Form | None,
        notes: AttemptNotes,
    ) -> Response:
        """form: of a POST. raw_query: as it came, for the next form. Raises LoginRefused for what the person sees."""
        notes.client_id = guid_or_empty(query.get("client_id"))
        application = await self._registrations.find(
            realm.tenant.id if realm.tenant else "", query.require("client_id")
        )
        uri = query.require("redirect_uri")
        kind = redirects.kind_of(application, uri)
        if kind is None:
            raise LoginRefused(BAD_REDIRECT, application=application.application_id)
        mode = query.get("response_mode") or "query"
        reply = Reply(uri, mode if mode in redirects.MODES else "query", query.get("state"))
        try:
            asked = await self._read(realm, dialect, application, kind, reply, query)
            return await self._proceed(asked, raw_query, visit, form, notes)
        except LoginRefused as refused:
            return self._refuse(reply, refused, notes)

    async def _read(
        self, realm: Realm, dialect: str, application: Application, kind: RedirectKind, reply: Reply, query: Form
    ) -> AuthorizationRequest:
        if query.require("response_type") != "code":
            raise LoginRefused(UNSUPPORTED_RESPONSE_TYPE)
        if query.get("response_mode") not in ("", *redirects.MODES):
            raise malformed("The response_mode must be query, fragment or form_post.")
        if max(len(query.get(name)) for name in ("state", "nonce", "login_hint")) > _LONGEST_CHARACTERS:
            raise malformed("A parameter is too long.")
        challenge, method = query.get("code_challenge"), query.get("code_challenge_method")
        needs_proof = kind is RedirectKind.WEB
        if challenge and (method != "S256" or len(challenge) != _CHALLENGE_CHARACTERS):
            raise malformed("The code_challenge must be of the method S256.")
        if not challenge and not needs_proof:
            raise LoginRefused(PKCE_NEEDED)
        resource = delegated_resource_in(query, dialect=dialect)
        home = realm.tenant.id if realm.tenant else application.tenant_id
        details = GrantDetails(
            audience=await audience_for_people(self._settings, self._database, resource, home),
            scopes=openid_scopes(query),
            redirect_uri=reply.uri,
            challenge=challenge,
            nonce=query.get("nonce"),
            application_name=application.display_name,
            needs_proof=needs_proof,
        )
        prompt = frozenset(query.get("prompt").split())
        if "none" in prompt and len(prompt) > 1:
            raise malformed("The prompt none stands alone.")
        return AuthorizationRequest(
            realm, application, reply, details, prompt, query.get("login_hint"), _max_age(query.get("max_age"))
        )

    async def _proceed(
        self, asked: AuthorizationRequest, raw_query: str, visit: Visit, form: Form | None, notes: AttemptNotes
    ) -> Response:
        errand = Errand(
            realm=asked.realm,
            purpose=f"You go on to {asked.application.display_name}, on {_shown(asked.reply.uri)}.",
            action=f"?{raw_query}",
            hidden={},
            sources=(asked.reply.source,),
            grant=GRANT,
        )
        signed_in = await self._browsers.signed_in(visit, asked.realm)
        if form is None:
            return await self._arrive(asked, errand, visit, signed_in, notes)
        if not self._browsers.is_ours(visit, form):
            return self._sign_in.too_old(visit, errand)
        match form.get("action"):
            case action if action in (SIGN_IN, CHANGE):
                entered = await self._sign_in.enter(visit, errand, form, notes)
                if not isinstance(entered, Entered):
                    return entered
                response = await self._send_code(asked, entered.signed_in, notes)
                return self._browsers.set_cookies(response, entered.visit)
            case action if action == CONTINUE and signed_in is not None and asked.is_met_by(signed_in, self._now()):
                return await self._send_code(asked, signed_in, notes)
            case action if action == CANCEL:
                raise LoginRefused(ACCESS_DENIED)
            case action if action == OTHER:
                return self._sign_in.sign_in_page(visit, errand)
            case _:
                return self._sign_in.sign_in_page(visit, errand, user_name=asked.login_hint)

    async def _arrive(
        self, asked: AuthorizationRequest, errand: Errand, visit: Visit, signed_in: SignedIn | None, notes: AttemptNotes
    ) -> Response:
        """Without a page only to where the person has been in this session: an application that somebody has
        registered gets no code, with all rights of the person, because a link was followed.
        """
        is_met = signed_in is not None and asked.is_met_by(signed_in, self._now())
        is_silent = "none" in asked.prompt
        if signed_in is None or not is_met:
            if is_silent:
                raise LoginRefused(LOGIN_REQUIRED)
            return self._sign_in.sign_in_page(visit, errand, user_name=asked.login_hint)
        has_been_there = asked.application.application_id in signed_in.applications
        if is_silent and not has_been_there:
            raise LoginRefused(INTERACTION_REQUIRED)
        if not has_been_there or asked.prompt & {"select_account", "consent"}:
            return self._sign_in.choose_page(visit, errand, signed_in)
        return await self._send_code(asked, signed_in, notes)

    async def _send_code(self, asked: AuthorizationRequest, signed_in: SignedIn, notes: AttemptNotes) -> Response:
        principal = signed_in.person.principal
        notes.tenant_id, notes.object_id = principal.tenant_id, principal.object_id
        details = GrantDetails(
            audience=asked.details.audience,
            scopes=asked.details.scopes,
            redirect_uri=asked.details.redirect_uri,
            challenge=asked.details.challenge,
            nonce=asked.details.nonce,
            application_name=asked.details.application_name,
            needs_proof=asked.details.needs_proof,
            address=notes.address,
            signed_in=signed_in.since,
        )
        async with self._database.write() as tx:
            code = await self._grants.give(
                tx,
                GrantKind.CODE,
                life_seconds=CODE_SECONDS,
                tenant_id=principal.tenant_id,
                object_id=principal.object_id,
                application_id=asked.application.application_id,
                details=details,
            )
            await self._browsers.remember(tx, signed_in, asked.application.application_id)
        session_state = str(UUID(signed_in.session_id[:32]))
        return asked.reply.send({"code": code.reveal(), "session_state": session_state})

    def _refuse(self, reply: Reply, refused: LoginRefused, notes: AttemptNotes) -> Response:
        """As the token endpoint words it, in the members of RFC 6749, 4.1.2.1."""
        body = document(
            refused,
            origin=self._settings.origin,
            now=self._now(),
            trace_id=notes.trace_id,
            correlation_id=notes.correlation_id,
        )
        names = ("error", "error_description", "error_uri")
        return reply.send({name: str(body[name]) for name in names})

    def _now(self) -> float:
        return self._clock.now()


def _shown(uri: str) -> str:
    """Where the code will go, as a person reads it."""
    parts = urlsplit(uri)
    return "this computer" if parts.hostname in ("localhost", "127.0.0.1") else parts.netloc or f"{parts.scheme}:"


def _max_age(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise malformed("The max_age must be a number of seconds.")
    return int(text)
