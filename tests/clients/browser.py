"""A browser that is a script, for people who log in to the instance under test: forms, cookies, redirects."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests


class _Form(HTMLParser):
    """The one form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action = given["action"] or ""
        elif tag == "input":
            self.fields[given["name"] or ""] = given.get("value") or ""


@dataclass
class Browser:
    """name, password: of who sits in front of it."""

    name: str
    password: str
    session: requests.Session = field(default_factory=requests.Session)
    url: str = ""
    page: str = ""
    status: int = 0
    location: str = ""

    def open(self, url: str) -> None:
        self._keep(self.session.get(url, allow_redirects=False, timeout=30))

    def submit(self, action: str, **changes: str) -> None:
        form = _Form(self.page)
        members = {**form.fields, **({"action": action} if action else {}), **changes}
        self._keep(self.session.post(urljoin(self.url, form.action), members, allow_redirects=False, timeout=30))

    def sign_in(self) -> None:
        self.submit("sign-in", username=self.name, password=self.password)

    def approve(self, uri: str, user_code: str) -> None:
        """On the page for devices."""
        self.open(uri)
        self.submit("next", user_code=user_code)
        if "password" in _Form(self.page).fields:
            self.sign_in()
        self.submit("continue")
        assert "You have signed in" in self.page, self.page

    def go_through(self, url: str) -> None:
        """An authorization request, up to the application that listens on this machine, posted to as a button does."""
        self.open(url)
        if "password" in _Form(self.page).fields:
            self.sign_in()
        else:
            self.submit("continue")
        assert self.status == 200, self.page
        self.submit("")

    def replied(self) -> dict[str, str]:
        """What the redirect took to the application."""
        assert self.status == 303, self.page
        return {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}

    def close(self) -> None:
        self.session.close()

    def _keep(self, answer: requests.Response) -> None:
        self.url, self.page, self.status = answer.url, answer.text, answer.status_code
        self.location = answer.headers.get("Location", "")
