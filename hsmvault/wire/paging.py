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


class SkipTokens:
    """Places in lists, sealed for the list."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def make(self, place: str, binding: Binding) -> str:
        return to_base64url(await self._sealer.seal(place.encode(), binding))

    async def read(self, text: str, binding: Binding, code: str = BadRequest.code) -> str:
        """The place. Raises BadRequest, with this code, for what was not made for this list."""
        try:
            return (await self._sealer.open(from_base64url(text, "$skiptoken"), binding)).decode()
        except (BadRequest, Damaged):
            raise BadRequest("The skip token is not valid.", code=code) from None


class Pages:
    """sealer: of the skip tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._tokens = SkipTokens(sealer)

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
        binding = Binding(request.container.id, "page", collection, "")
        text = request.query.get("$skiptoken")
        after = None if text is None else await self._tokens.read(text, binding)
        rows = await read(after, size + 1)
        link = None
        if len(rows) > size:
            token = await self._tokens.make(place_of(rows[size - 1]), binding)
            query = f"api-version={request.api_version}&$skiptoken={token}&maxresults={size}{kept}"
            link = f"{request.origin}{path}?{query}"
        return ok({"value": [shown(row) for row in rows[:size]], "nextLink": link}, request.origin + path)


def place_of_version(row: Numbered) -> str:
    """In the list of an object's versions."""
    return str(row.sequence)


def sequence_of(place: str | None) -> int | None:
    """The reverse."""
    return None if place is None else int(place)
