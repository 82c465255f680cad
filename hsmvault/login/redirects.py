"""Where a code may go: redirect URIs, compared exactly, and the answers that take a code or an error there.

The only freedom is the port of a loopback address of an application on the person's own machine, which cannot know it
beforehand (RFC 8252, 7.3). Everything else is compared character by character, so that there is nothing to parse in two
ways (RFC 9700, 2.1).
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp.web import Response

from hsmvault.login import pages
from hsmvault.model.directory import Application, RedirectKind

_LOOPBACK: Final = re.compile(
    r"http://(localhost|127\.0\.0\.1)(?::([1-9][0-9]{0,4}))?(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?", re.ASCII
)
_HTTPS: Final = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?",
    re.ASCII,
)
_PRIVATE: Final = re.compile(r"([a-z][a-z0-9+.-]*):[A-Za-z0-9._~=:@%/?&-]+", re.ASCII)  # RFC 8252, 7.1
_NEVER: Final = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem"})
_LONGEST_CHARACTERS: Final = 2048
MODES: Final = ("query", "fragment", "form_post")


def kind_of(application: Application, uri: str) -> RedirectKind | None:
    """Under which kind the application has registered it; None when it has not."""
    if len(uri) > _LONGEST_CHARACTERS or not _is_sound(uri):
        return None
    for redirect in application.redirect_uris:
        if redirect.uri == uri or (redirect.kind is RedirectKind.PUBLIC and _is_same_loopback(redirect.uri, uri)):
            return redirect.kind
    return None


def _is_sound(uri: str) -> bool:
    """Also of what is registered: http for loopback alone, and no scheme that a browser carries out."""
    scheme = uri.partition(":")[0]
    if scheme in ("http", "https"):
        return (_LOOPBACK if scheme == "http" else _HTTPS).fullmatch(uri) is not None
    return scheme not in _NEVER and _PRIVATE.fullmatch(uri) is not None


def _is_same_loopback(registered: str, uri: str) -> bool:
    """Host and path are the same; no path and `/` are (RFC 3986, 6.2.3)."""
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(uri)
    if ours is None or theirs is None or int(theirs.group(2) or 0) > 65_535:
        return False
    return ours.group(1) == theirs.group(1) and (ours.group(3) or "/") == (theirs.group(3) or "/")


@dataclass(frozen=True, slots=True)
class Reply:
    """How the application is answered. mode: one of MODES. uri: registered."""

    uri: str
    mode: str
    state: str

    @property
    def source(self) -> str:
        """What a Content-Security-Policy calls it: browsers hold redirects after a form to form-action too."""
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"

    def send(self, members: dict[str, str]) -> Response:
        """303, so that a browser does not send the password form on; or a page that posts."""
        if self.state:
            members = members | {"state": self.state}
        if self.mode == "form_post":
            return pages.post_back(self.uri, self.source, members)
        before, separator = self.uri, "#" if self.mode == "fragment" else "?"
        if self.mode == "query" and "?" in before:
            separator = "&"
        return pages.see_other(f"{before}{separator}{urlencode(members)}")
