"""Bytes to types at the edge: bodies, base64url, query strings. What cannot be read is the caller's BadRequest."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model import base64url
from hsmvault.model.strict_json import NotStrictJson, parse_object
from hsmvault.resources.refusals import invalid_property

Body = TypeVar("Body")
LARGE_BYTES = 64 * 1024
"""Bodies beyond it are read in another thread. Only what holds one long string is as long: a backup, or a secret with
many escapes."""
_MOST_MARKS = 4096
_LATEST_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z
_ENCODER = msgspec.json.Encoder()


def decode_body(content: bytes, kind: type[Body], *, most_marks: int = _MOST_MARKS, nul: bool = False) -> Body:
    """A JSON object as a frozen type. Unknown members are ignored, as the service does.

    Raises BadRequest: not JSON, a second meaning (see strict_json), a member of another type or missing. Also for a
    large body of many small parts: 24 MiB of them take more than a second, most of it with the interpreter's lock.

    most_marks: commas and backslashes that a large body may have. nul: see strict_json.
    """
    if len(content) > LARGE_BYTES and content.count(b",") + content.count(b"\\") > most_marks:
        raise BadRequest("The request body has too many members.")
    try:
        members = parse_object(content, nul=nul)
    except NotStrictJson:
        raise BadRequest("The request body is not valid JSON.") from None
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError:
        raise invalid_property("") from None


class Restore(msgspec.Struct, frozen=True):
    """The body of every restore. value: the backup in base64url."""

    value: str


async def decode_restore(content: bytes) -> bytes:
    """The backup in the body of a restore; a long one is read in another thread. Raises BadRequest."""
    return await asyncio.to_thread(_blob_of, content) if len(content) > LARGE_BYTES else _blob_of(content)


def _blob_of(content: bytes) -> bytes:
    return from_base64url(decode_body(content, Restore).value, "value")


def encode_body(value: object) -> bytes:
    return _ENCODER.encode(value)


def from_base64url(text: str, member: str) -> bytes:
    """RFC 4648, 5. Whole padding is tolerated, anything else outside the alphabet is not. Raises BadRequest."""
    try:
        bare = text.rstrip("=")
        if len(text) != len(bare) and (len(text) % 4 or len(text) - len(bare) > 2):
            raise ValueError
        return base64url.decode(bare)
    except ValueError:
        raise invalid_property(member) from None


to_base64url = base64url.encode


def from_any_base64(text: str, member: str) -> bytes:
    """base64url or plain base64 (RFC 4648, 4 and 5), not both in one. Raises BadRequest."""
    if "-" not in text and "_" not in text:
        text = text.replace("+", "-").replace("/", "_")
    return from_base64url(text, member)


@lru_cache(maxsize=1024)
def parse_query(text: str) -> Mapping[str, str]:
    """Names in lower case. Raises BadRequest when a name stands there twice, or too many do."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise BadRequest("The query string cannot be read.") from None
    query = {name.lower(): value for name, value in pairs}
    if len(query) != len(pairs):
        raise BadRequest("A query parameter is given twice.")
    return MappingProxyType(query)


def checked_tags(value: Mapping[str, str], longest: int = 256) -> Mapping[str, str]:
    """Tags: at most 15. longest: characters of a name and of a value. Raises BadRequest."""
    if len(value) > 15 or any(len(name) > longest or len(text) > longest for name, text in value.items()):
        raise invalid_property("tags")
    return MappingProxyType(dict(value))


def checked_time(seconds: int | None, member: str) -> int | None:
    """nbf and exp: since 1970 UTC, as far as every client's date type reaches. Raises BadRequest."""
    if seconds is not None and not 0 <= seconds <= _LATEST_TIME:
        raise invalid_property(member)
    return seconds
