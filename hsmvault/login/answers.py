"""Answers: JSON that no cache keeps, documents that one may, and a plain page for people."""

from html import escape

import msgspec
from aiohttp.web import Response

_ALWAYS = {
    "Server": "hsmvault",  # aiohttp would name its own and Python's version
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def json_answer(
    document: object, *, status: int = 200, headers: dict[str, str] | None = None, cache_seconds: int = 0
) -> Response:
    """cache_seconds: 0 for answers that are for one client alone."""
    caching = {"Cache-Control": f"public, max-age={cache_seconds}"} if cache_seconds else _NO_STORE
    return Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**_ALWAYS, **caching, **(headers or {})},
    )


def page(sentence: str, *, status: int) -> Response:
    """A page with one sentence of ours."""
    return Response(
        text=f"<!doctype html><html lang=en><meta charset=utf-8><title>Sign in</title><p>{escape(sentence)}</p>\n",
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={**_ALWAYS, **_NO_STORE, "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"},
    )
