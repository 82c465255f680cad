"""One browser's visit: its cookies, whether its form came from a page of ours, and who is signed in with it.

Cookies: `…-form`, random, for whoever opens a page, and `…-session`, for who has signed in. Both are __Host-, Secure,
HttpOnly and SameSite=Lax (a link from elsewhere must find the session, a form from elsewhere must not). A form carries
a hash of both: who can neither read nor set them cannot make one, not even one that signs somebody in as himself.
Cookies know no ports, so their names do: two instances on one host must not sign each other's people out.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from aiohttp.web import BaseRequest, Response

from hsmvault.clock import Clock, Identifiers
from hsmvault.login.grants import Grants
from hsmvault.login.people import People, Person
from hsmvault.login.realms import Realm
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings
from hsmvault.model import base64url
from hsmvault.model.login_grants import GrantDetails, GrantKind
from hsmvault.store import login_grants
from hsmvault.store.database import Database, Transaction

FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
_RANDOM_BYTES: Final = 32
_MOST_APPLICATIONS: Final = 100
_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is signed in with this browser. since: seconds since 1970 UTC. applications: client ids of those that the
    person has gone on to in this session."""

    person: Person
    since: int
    session_id: str
    applications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """form_cookie: what the browser has, or what it is given with the next answer (is_new)."""

    form_cookie: str = field(repr=False)
    session_cookie: str = field(repr=False)
    is_new: bool
    origin: str

    @property
    def form_token(self) -> str:
        return hashlib.sha256(f"form {self.form_cookie} {self.session_cookie}".encode()).hexdigest()

    @property
    def key(self) -> str:
        """Names the browser, for counting."""
        return hashlib.sha256(f"browser {self.form_cookie}".encode()).hexdigest()


class Browsers:
    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        grants: Grants,
        people: People,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._grants = grants
        self._people = people
        port = urlsplit(settings.origin).port or 443
        self._form_name = f"__Host-hsmvault-{port}-form"
        self._session_name = f"__Host-hsmvault-{port}-session"

    def visit(self, request: BaseRequest) -> Visit:
        form_cookie = _sound(request.cookies.get(self._form_name, ""))
        return Visit(
            form_cookie or base64url.encode(self._identifiers.random(_RANDOM_BYTES)),
            _sound(request.cookies.get(self._session_name, "")),
            is_new=not form_cookie,
            origin=request.headers.get("Origin", ""),
        )

    def is_ours(self, visit: Visit, form: Form) -> bool:
        """Whether the form came from a page that this browser got from us."""
        if visit.origin not in ("", self._settings.origin):
            return False
        return not visit.is_new and hmac.compare_digest(form.get(FORM_TOKEN).encode(), visit.form_token.encode())

    async def signed_in(self, visit: Visit, realm: Realm | None) -> SignedIn | None:
        """realm: only people of its tenant count, when it names one. Disabled people and those who were signed out
        everywhere are not signed in.
        """
        grant = await self._grants.look(GrantKind.SESSION, visit.session_cookie)
        if grant is None or grant.expires <= self._clock.now():
            return None
        if realm is not None and realm.tenant is not None and realm.tenant.id != grant.tenant_id:
            return None
        person = await self._people.find(grant.tenant_id, grant.object_id, since=grant.created)
        if person is None or not person.principal.enabled or person.principal.details.must_change_password:
            return None
        return SignedIn(person, grant.details.signed_in, grant.id, grant.details.applications)

    async def sign_in(self, visit: Visit, person: Person) -> tuple[Visit, SignedIn]:
        """A session of its own for each sign-in: one that was there before is not carried on (session fixation)."""
        await self.sign_out(visit)
        now = int(self._clock.now())
        async with self._database.write() as tx:
            session = await self._grants.give(
                tx,
                GrantKind.SESSION,
                life_seconds=self._settings.session_seconds,
                tenant_id=person.principal.tenant_id,
                object_id=person.principal.object_id,
                details=GrantDetails(signed_in=now),
            )
        form_cookie = base64url.encode(self._identifiers.random(_RANDOM_BYTES))
        entered = Visit(form_cookie, session.reveal(), is_new=True, origin=visit.origin)
        return entered, SignedIn(person, now, session.id)

    async def remember(self, tx: Transaction, signed_in: SignedIn, application_id: str) -> None:
        """The person has seen where it goes, and goes on: the next time nobody asks. The oldest is forgotten first."""
        if application_id not in signed_in.applications:
            applications = (*signed_in.applications, application_id)[-_MOST_APPLICATIONS:]
            details = GrantDetails(signed_in=signed_in.since, applications=applications)
            await login_grants.set_details(tx, signed_in.session_id, details)

    async def sign_out(self, visit: Visit) -> None:
        """This browser alone; tokens of applications go on until they are revoked."""
        grant = await self._grants.look(GrantKind.SESSION, visit.session_cookie)
        if grant is not None:
            async with self._database.write() as tx:
                await login_grants.delete(tx, grant.id)

    def set_cookies(self, response: Response, visit: Visit) -> Response:
        """What the browser does not have yet."""
        if visit.is_new:
            self._set(response, self._form_name, visit.form_cookie)
            if visit.session_cookie:
                self._set(response, self._session_name, visit.session_cookie)
        return response

    def clear_session(self, response: Response) -> Response:
        response.set_cookie(self._session_name, "", path="/", secure=True, httponly=True, samesite="Lax", max_age=0)
        return response

    def _set(self, response: Response, name: str, value: str) -> None:
        """Until the browser is closed; how long it counts is ours to say."""
        response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="Lax")


def _sound(cookie: str) -> str:
    return cookie if _COOKIE.fullmatch(cookie) else ""
