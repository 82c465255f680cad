"""Headers and query of a request, as the planes read them."""

from aiohttp.web import BaseRequest

from hsmvault.errors import BadRequest
from hsmvault.wire.codec import parse_query


def one_authorization(request: BaseRequest) -> str | None:
    """Two headers, or one of another kind, are no token at all: the challenge is the answer."""
    given = request.headers.getall("Authorization", [])
    return given[0] if len(given) == 1 else None


def asked_version(request: BaseRequest) -> str:
    """api-version for the record, whoever asks; a query that cannot be read is refused later."""
    try:
        return parse_query(request.raw_path.partition("?")[2]).get("api-version", "")[:64]
    except BadRequest:
        return ""


def printable(text: str) -> str:
    """Headers may hold any byte. What is not UTF-8 is replaced: no record could hold it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
