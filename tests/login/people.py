"""People for the tests of this folder: users with passwords that are quick to check, and a browser that is a script."""

import base64
import hashlib
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from hsmvault.clock import RandomIdentifiers
from hsmvault.login import bootstrap, passwords
from hsmvault.model import base64url
from hsmvault.model.directory import AZURE_CLI, Application, RedirectKind, RedirectUri
from hsmvault.model.principals import Principal
from hsmvault.store import applications, directory
from tests.login.world import Answer, World

PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "four green tortoises sing"
REDIRECT = "http://localhost:8400"
WEB_REDIRECT = "https://app.example/signed-in"
VERIFIER = "v" * 43
CHALLENGE = base64url.encode(hashlib.sha256(VERIFIER.encode()).digest())


def quick_hash(password: str) -> str:
    """As passwords.hash_password, at a cost that tests can pay."""
    salt = bytes(16)
    digest = passwords._digest(password, salt, 16, 8, 1)
    return "$".join(("scrypt", "16", "8", "1", *(base64.b64encode(part).decode() for part in (salt, digest))))


async def add_user(world: World, name: str, *, must_change: bool = False, tenant_id: str = "") -> Principal:
    async with world.database.write() as tx:
        user = await bootstrap.create_user(
            tx,
            RandomIdentifiers(),
            tenant_id=tenant_id or world.tenant.id,
            display_name=name.partition("@")[0].title(),
            upn=name,
            password_hash=quick_hash(PASSWORD),
        )
        if must_change:
            details = msgspec.structs.replace(user.details, must_change_password=True)
            user = replace(user, details=details)
            await directory.update_principal(tx, user)
    return user


async def add_redirects(world: World, application: Principal, *redirects: tuple[RedirectKind, str]) -> Application:
    async with world.database.write() as tx:
        found = await applications.find(tx, application.tenant_id, application.application_id)
        assert found is not None
        uris = tuple(RedirectUri(kind, uri) for kind, uri in redirects)
        changed = msgspec.structs.replace(found, redirect_uris=uris)
        await applications.update(tx, changed)
    return changed


@dataclass
class _Form(HTMLParser):
    """The one form of a page: where it goes and what it has."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = given["action"] or ""
        elif tag == "input":
            self.fields[given["name"] or ""] = given.get("value") or ""
        elif tag == "button" and given.get("name") == "action":
            self.buttons.append(given["value"] or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass
class Browser:
    """Keeps cookies as a browser does (on plain http, which a browser would not), and fills in forms."""

    world: World
    address: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    path: str = ""
    page: Answer | None = None

    @property
    def form(self) -> _Form:
        assert self.page is not None
        parser = _Form()
        parser.feed(self.page.text)
        return parser

    @property
    def text(self) -> str:
        return " ".join("".join(self.form.text).split())

    async def open(self, path: str) -> Answer:
        self.path = path
        return await self._keep(await self.world.get(path, headers=self._headers()))

    async def submit(self, action: str, /, headers: dict[str, str] | None = None, **changes: str) -> Answer:
        """Press a button of the page."""
        form = self.form
        target = self.path.partition("?")[0] + form.action if form.action.startswith("?") else form.action
        data = {**form.fields, "action": action, **changes}
        given = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self._keep(await self.world.post(_raw(target), urlencode(data), headers=given))

    async def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        return await self.submit("sign-in", username=name, password=password)

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookies} if cookies else {}

    async def _keep(self, answer: Answer) -> Answer:
        for line in answer.headers.getall("Set-Cookie", []):  # type: ignore[union-attr]  # it is a CIMultiDict
            for name, morsel in SimpleCookie(line).items():
                assert name.startswith("__Host-hsmvault-8443-")
                assert (morsel["secure"], morsel["httponly"], morsel["path"]) == (True, True, "/")
                assert (morsel["samesite"], morsel["domain"]) == ("Lax", "")
                self.cookies.pop(name, None)
                if morsel.value:
                    self.cookies[name] = morsel.value
        self.page = answer
        return answer


def _raw(path: str) -> str:
    return path


def authorize(world: World, realm: str = "", **changes: str) -> str:
    """The path that az sends a browser to. changes replace parameters or, when empty, remove them."""
    query = {
        "client_id": AZURE_CLI,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": f"{world.vault}/.default openid profile offline_access",
        "state": "a state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "nonce": "n1",
        "client_info": "1",
        **changes,
    }
    shown = urlencode({name: value for name, value in query.items() if value})
    return f"/{realm or world.tenant.id}/oauth2/v2.0/authorize?{shown}"


def reply(answer: Answer) -> dict[str, str]:
    """What a redirect takes to the application."""
    assert answer.status == 303, answer.text
    parts = urlsplit(str(answer.headers["Location"]))  # type: ignore[index]  # it is a CIMultiDict
    return {name: values[0] for name, values in parse_qs(parts.query or parts.fragment).items()}


async def code_of(world: World, name: str = "ada@dev.example", **changes: str) -> str:
    """A code for a person who has signed in with a new browser."""
    browser = Browser(world)
    await browser.open(authorize(world, **changes))
    return reply(await browser.sign_in(name))["code"]


async def redeem(world: World, code: str, /, **changes: str) -> Answer:
    form = {
        "grant_type": "authorization_code",
        "client_id": AZURE_CLI,
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        "client_info": "1",
        **changes,
    }
    return await world.post(world.token_path(), {name: value for name, value in form.items() if value})


async def refresh(world: World, token: object, path: str = "", **changes: str) -> Answer:
    form: dict[str, Any] = {
        "grant_type": "refresh_token",
        "client_id": AZURE_CLI,
        "refresh_token": token,
        "scope": f"{world.vault}/.default openid offline_access",
        **changes,
    }
    return await world.post(path or world.token_path(), {name: value for name, value in form.items() if value})
