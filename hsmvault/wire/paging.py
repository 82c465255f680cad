"""Pages: maxresults, and skip tokens that nobody can make, read or carry elsewhere.

A skip token is the place in the list, sealed for its container, collection and name, so that a token of another
container, or a changed one, is refused.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, Damaged
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import from_base64url, to_base64url
from hsmvault.wire.requests import Request

Row = TypeVar("Row")
MOST_RESULTS = 25
_SIZE = re.compile(r"[1-9][0-9]?", re.ASCII)  # no leading zeros: they would let a number be as long as a URL


class Numbered(Protocol):
    @property
    def sequence(self) -> int: ...


def page_size(query: Mapping[str, str]) -> int:
    """maxresults, 1 to 25; 25 when it is not given. Raises BadRequest."""
    text = query.get("maxresults", "")
    if not text:
        return MOST_RESULTS
    if not _SIZE.fullmatch(text) or int(text) > MOST_RESULTS:
        raise invalid_property("maxresults")
    return int(text)


class Pages:
    """sealer: of the skip tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def answer(
        self,
        request: Request,
        path: str,
        read: Callable[[str | None, int], Awaitable[Sequence[Row]]],
        shown: Callable[[Row], dict[str, object]],
        place_of: Callable[[Row], str],
        *,
        kept: str = "",
    ) -> WireAnswer:
        """One page of the list at a path, which the link to the next one begins with. read: rows behind a place, None
        for the first ones, and at most how many. place_of: of a row, for the next page. kept: what the link has behind
        its other parameters. Raises BadRequest.
        """
        collection = path[1:].lower()
        size = page_size(request.query)
        after = await self._read(request.query, request.container.id, collection)
        rows = await read(after, size + 1)
        link = None
        if len(rows) > size:
            place = place_of(rows[size - 1]).encode()
            token = to_base64url(await self._sealer.seal(place, _binding(request.container.id, collection)))
            query = f"api-version={request.api_version}&$skiptoken={token}&maxresults={size}{kept}"
            link = f"{request.origin}{path}?{query}"
        return ok({"value": [shown(row) for row in rows[:size]], "nextLink": link}, request.origin + path)

    async def _read(self, query: Mapping[str, str], container_id: str, collection: str) -> str | None:
        """The place after which the page begins, or None for the first page. Raises BadRequest."""
        text = query.get("$skiptoken")
        if text is None:
            return None
        try:
            sealed = from_base64url(text, "$skiptoken")
            return (await self._sealer.open(sealed, _binding(container_id, collection))).decode()
        except (BadRequest, Damaged):
            raise BadRequest("The skip token is not valid.") from None


def place_of_version(row: Numbered) -> str:
    """In the list of an object's versions."""
    return str(row.sequence)


def sequence_of(place: str | None) -> int | None:
    """The reverse."""
    return None if place is None else int(place)


def _binding(container_id: str, collection: str) -> Binding:
    return Binding(container_id, "page", collection, "")
