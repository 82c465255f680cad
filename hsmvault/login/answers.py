"""Answers: JSON that no cache keeps, and documents that one may. Pages are in pages.py."""

import msgspec
from aiohttp.web import Response

ALWAYS = {
    "Server": "hsmvault",  # aiohttp would name its own and Python's version
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def json_answer(
    document: object, *, status: int = 200, headers: dict[str, str] | None = None, cache_seconds: int = 0
) -> Response:
    """cache_seconds: 0 for answers that are for one client alone."""
    caching = {"Cache-Control": f"public, max-age={cache_seconds}"} if cache_seconds else NO_STORE
    return Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**ALWAYS, **caching, **(headers or {})},
    )
