"""Bytes from strangers to values: the target of a request, its query, its form.

A parameter that comes twice is refused, because two readers would take different ones (RFC 6749, 3.2: "MUST NOT be
included more than once"). A parameter without a value counts as absent (the same section).
"""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp.web import BaseRequest

from hsmvault.login.refusals import PARAMETER_MISSING, TOO_LARGE, TOO_SLOW, LoginRefused, malformed

FORM_BYTES = 64 * 1024
_MOST_PARAMETERS = 100
_TARGET_CHARACTERS = 8 * 1024

SECRET_PARAMETERS = frozenset(
    {
        "client_secret",
        "client_assertion",
        "password",
        "code",
        "code_verifier",
        "refresh_token",
        "assertion",
        "device_code",
    }
)
"""What must never stand in a URL, where proxies and browsers write it down."""


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters by name. Its repr shows none of the values: some are secrets."""

    values: dict[str, str] = field(repr=False)

    def get(self, name: str) -> str:
        """The value, or the empty string when the parameter is absent or empty."""
        return self.values.get(name, "")

    def require(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise LoginRefused(PARAMETER_MISSING, parameter=name)
        return value


@dataclass(frozen=True, slots=True)
class Target:
    """segments: of the path, without one trailing slash; a path with percent signs or empty segments has none that
    matches anything. query: as it came, undecoded.
    """

    segments: tuple[str, ...]
    query: str = field(repr=False)


def read_target(request: BaseRequest) -> Target:
    """Split the raw target, never the decoded one: a path has one meaning (threat model, 5)."""
    raw = request.raw_path
    if not raw.startswith("/") or len(raw) > _TARGET_CHARACTERS:
        raise malformed("The request target must be a path.")
    path, _, query = raw.partition("?")
    return Target(tuple(path[1:].removesuffix("/").split("/")), query.partition("#")[0])


def read_query(target: Target) -> Form:
    return _parse(target.query)


def refuse_secrets_in(target: Target) -> None:
    """Refuse a query that carries a secret, under whatever case of its name and whether duplicated or not."""
    try:
        names = {name.lower() for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    except ValueError:
        raise malformed() from None
    if names & SECRET_PARAMETERS:
        raise malformed("Credentials must be sent in the request body.")


async def read_form(request: BaseRequest, *, body_seconds: float) -> Form:
    """The form in the body: at most FORM_BYTES, within body_seconds. Raises LoginRefused."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise malformed("The request body must be application/x-www-form-urlencoded.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise malformed("The request body must not be encoded.")
    try:
        async with asyncio.timeout(body_seconds):
            body = await _read_capped(request)
    except TimeoutError:
        raise LoginRefused(TOO_SLOW) from None
    try:
        return _parse(body.decode("ascii"))
    except UnicodeDecodeError:
        raise malformed("The request body must be percent-encoded.") from None


async def _read_capped(request: BaseRequest) -> bytes:
    if (request.content_length or 0) > FORM_BYTES:
        raise LoginRefused(TOO_LARGE)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > FORM_BYTES:
            raise LoginRefused(TOO_LARGE)
    return bytes(body)


def _parse(text: str) -> Form:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise malformed() from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise malformed("A parameter is duplicated.")
    return Form(values)
