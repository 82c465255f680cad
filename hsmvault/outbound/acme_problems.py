"""What can go wrong with an ACME server (RFC 8555, 6.7), as two kinds: worth trying again, or not.

    AcmeError
    ├── AcmeUnavailable    out of reach, overloaded, rate limited, or not to be understood: the same may work later
    └── AcmeRefused        the server has decided, or breaks the rules: the same will fail again

`kind` is the name of the problem as RFC 8555 has it ("rateLimited"), or one of ours for what has none. `text` is a
sentence for callers, `detail` what the operator's log has besides; what the server said is made harmless in both:
printable ASCII, of bounded length. Callers are not told what a server says of its attempts to validate a name, since
it quotes what it found there: an authority inside a network would show them hosts that they cannot reach themselves.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final

import msgspec

from hsmvault.errors import HsmvaultError

BAD_NONCE: Final = "badNonce"
ACCOUNT_DOES_NOT_EXIST: Final = "accountDoesNotExist"
MALFORMED: Final = "malformed"
NOT_FOUND: Final = "notFound"  # ours
FOREIGN_URL: Final = "foreignUrl"  # ours
UNREADABLE: Final = "unreadable"  # ours
UNREACHABLE: Final = "unreachable"  # ours

_PREFIX = "urn:ietf:params:acme:error:"
_AGAIN: Final = frozenset({BAD_NONCE, "rateLimited", "serverInternal"})
_AGAIN_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_VALIDATION: Final[Mapping[str, str]] = MappingProxyType(
    {
        "caa": "CAA records forbid it to issue for the name.",
        "connection": "It could not connect to where the name leads.",
        "dns": "Its DNS query for the name failed.",
        "incorrectResponse": "It did not find the answer to its challenge.",
        "tls": "It met a TLS error where the name leads.",
        "unauthorized": "It did not find the answer to its challenge, or does not authorize the account.",
    }
)
"""The meaning of the kinds in whose details a server tells what it found (RFC 8555, 6.7)."""

_LONGEST_KIND = 60
_LONGEST_TEXT = 800
_LONGEST_DETAIL = 300  # of what a server says
_MOST_SUBPROBLEMS = 5
_LONGEST_WAIT = 7 * 86_400  # seconds; the longest window of a public authority's rate limits


class AcmeError(HsmvaultError):
    """See the top of the file."""

    def __init__(self, kind: str, text: str, *, detail: str = "") -> None:
        self.kind = harmless(kind, _LONGEST_KIND)
        self.text = harmless(text, _LONGEST_TEXT)
        self.detail = harmless(detail, _LONGEST_TEXT)
        super().__init__(f"{self.kind}: {self.detail or self.text}")


class AcmeUnavailable(AcmeError):
    """retry_after_seconds: what the server asks for, at least 1; None when it does not say."""

    def __init__(self, kind: str, text: str, *, detail: str = "", retry_after_seconds: int | None = None) -> None:
        super().__init__(kind, text, detail=detail)
        self.retry_after_seconds = retry_after_seconds


class AcmeRefused(AcmeError):
    pass


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457) with the subproblems of RFC 8555, 6.7.1. Its texts are the server's own."""

    type: str = ""
    detail: str = ""
    subproblems: "tuple[Problem, ...]" = ()

    @property
    def kind(self) -> str:
        """Without the prefix of RFC 8555; made harmless."""
        return harmless(self.type.removeprefix(_PREFIX), _LONGEST_KIND) or "unknown"

    @property
    def text(self) -> str:
        """For callers."""
        return _sentence(self.kind, _VALIDATION.get(self.kind) or self.said)

    @property
    def log_text(self) -> str:
        return _sentence(self.kind, self.said)

    @property
    def said(self) -> str:
        details = [self.detail, *(inner.detail for inner in self.subproblems[:_MOST_SUBPROBLEMS])]
        return harmless(" ".join(dict.fromkeys(detail for detail in details if detail)), _LONGEST_DETAIL)


def harmless(text: str, longest: int) -> str:
    """Printable ASCII alone, in one line, cut with a mark."""
    text = " ".join("".join(one if " " <= one <= "~" else " " for one in text).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _sentence(kind: str, reason: str) -> str:
    return f"The ACME server answered {kind}" + (f": {reason}" if reason else ".")


def error_of(status: int, body: bytes, retry_after_seconds: int | None) -> AcmeError:
    """What an answer with an error status means. body: a problem document, or anything."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        problem = Problem()
    kind, text, detail = problem.kind, problem.text, problem.log_text
    if not problem.type:
        kind, text, detail = NOT_FOUND if status == 404 else f"http{status}", f"The ACME server answered {status}.", ""
    if kind in _AGAIN or status in _AGAIN_STATUS:
        return AcmeUnavailable(kind, text, detail=detail, retry_after_seconds=retry_after_seconds)
    return AcmeRefused(kind, text, detail=detail)


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """The header Retry-After (RFC 9110, 10.2.3) in whole seconds, between 1 and a week; None without a good one."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(max(int(value[:10]), 1), _LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return int(min(max(seconds + 1, 1), _LONGEST_WAIT))
