"""People of an instance, each with a browser that signs in, and applications that redeem and refresh for them."""

import base64
import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.caller import Answer
from tests.clients.browser import Browser
from tests.faults.management_wire import Site

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
REDIRECT = "http://localhost:8400"
PASSWORD = "Vor-dem-Tor-steht-7-Linden"
VERIFIER = "v" * 43
_CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
_numbers = itertools.count(1)


@dataclass
class Person:
    """In front of a browser. id: object id."""

    site: Site
    id: str
    browser: Browser

    def open(self, client_id: str = AZURE_CLI, *, prompt: str = "") -> None:
        """An authorization request of a public client."""
        site = self.site
        query = {
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": f"{site.url('vault')}/.default openid offline_access",
            "code_challenge": _CHALLENGE,
            "code_challenge_method": "S256",
            **({"prompt": prompt} if prompt else {}),
        }
        self.browser.open(f"{site.url('login')}/{site.tenant}/oauth2/v2.0/authorize?{urlencode(query)}")

    def code(self) -> str:
        """As the application gets it, of who is not signed in yet."""
        self.open()
        self.browser.sign_in()
        return self.browser.replied()["code"]

    def quiet(self) -> dict[str, str]:
        """What the application hears when it asks whether somebody is signed in."""
        self.open(prompt="none")
        return self.browser.replied()

    def redeem(self, code: str, client_id: str = AZURE_CLI) -> Answer:
        members = {"code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return self.token("authorization_code", client_id, **members)

    def refresh(self, refresh_token: str, client_id: str = AZURE_CLI) -> Answer:
        return self.token("refresh_token", client_id, refresh_token=refresh_token)

    def token(self, grant: str, client_id: str = AZURE_CLI, **members: str) -> Answer:
        form = {"grant_type": grant, "client_id": client_id, **members}
        return self.site.post_form(f"/{self.site.tenant}/oauth2/v2.0/token", form)


@contextmanager
def new_person(site: Site) -> Iterator[Person]:
    """Who may read the vault dev. The names of the instance have to resolve (instance.names_resolved)."""
    name = f"person-{next(_numbers)}"
    upn = f"{name}@dev.hsmvault.invalid"
    body = {
        "displayName": name,
        "mailNickname": name,
        "userPrincipalName": upn,
        "accountEnabled": True,
        "passwordProfile": {"password": PASSWORD, "forceChangePasswordNextSignIn": False},
    }
    made = site.graph()("POST", "/v1.0/users", body)
    assert made.status == 201, made
    site.assign(site.vault_id("dev"), "Key Vault Reader", made.body["id"])
    browser = Browser(upn, PASSWORD)
    browser.session.trust_env, browser.session.verify = False, site.instance.environment["SSL_CERT_FILE"]
    try:
        yield Person(site, made.body["id"], browser)
    finally:
        browser.close()
