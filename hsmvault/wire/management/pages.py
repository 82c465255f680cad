"""Pages of lists around vaults: $top, and a $skiptoken that is a place in the list.

The token needs no seal: it says behind which name to go on, and every page shows only what its caller may read.
"""

import re
from collections.abc import Awaitable, Sequence
from typing import TypeVar
from urllib.parse import quote

from hsmvault.errors import BadRequest, NotFound
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import from_base64url, to_base64url
from hsmvault.wire.management.requests import ManagementRequest

MOST_ITEMS = 1000
_READ_GROUP = "Microsoft.Resources/subscriptions/resourceGroups/read"
_TOP = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_KEPT = ("$filter", "$top", "$expand")


Found = TypeVar("Found")


async def of_group(request: ManagementRequest, reading: Awaitable[Found], nothing: Found) -> Found:
    """What was found in the resource group of a path. A list shows what its caller may read: to who may read nothing
    there, a group that is not there looks like one that is, and nothing is in it.

    Raises NotFound for who may read the group, or all that the list shows of it.
    """
    try:
        return await reading
    except NotFound:
        for action in (request.operation.action, _READ_GROUP):
            if await request.may(action, request.scope):
                raise
        return nothing


def asked_items(request: ManagementRequest) -> int:
    """How many items a page has at most. Raises BadRequest."""
    text = request.query.get("$top", "")
    if not text:
        return MOST_ITEMS
    if not _TOP.fullmatch(text):
        raise BadRequest(f"The value '{text[:32]}' of $top is invalid.", code="InvalidTopParameter")
    return min(int(text), MOST_ITEMS)


def asked_place(request: ManagementRequest) -> str:
    """The place that an earlier page ended at; "" for the first one. Raises BadRequest."""
    text = request.query.get("$skiptoken", "")
    try:
        return from_base64url(text, "$skiptoken").decode()
    except (BadRequest, UnicodeDecodeError):
        raise BadRequest("The skip token is not valid.", code="InvalidSkipToken") from None


def page_of(request: ManagementRequest, path: str, items: Sequence[object], place: str) -> WireAnswer:
    """path: of the list. place: that the next page begins behind; "" when there is none."""
    if not place:
        return ok({"value": items})
    kept = "".join(f"&{name}={quote(request.query[name])}" for name in _KEPT if name in request.query)
    token = to_base64url(place.encode())
    link = f"{request.origin}{path}?api-version={request.api_version}{kept}&$skiptoken={token}"
    return ok({"value": items, "nextLink": link})
