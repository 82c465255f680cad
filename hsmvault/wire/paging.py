"""Pages: maxresults, and skip tokens that nobody can make, read or carry elsewhere.

A skip token is the place in the list, sealed for its container, collection and name, so that a token of another
container, or a changed one, is refused.
"""

import re
from collections.abc import Mapping

from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, Damaged
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import from_base64url, to_base64url
from hsmvault.wire.requests import Request

MOST_RESULTS = 25
_SIZE = re.compile(r"[1-9][0-9]?", re.ASCII)  # no leading zeros: they would let a number be as long as a URL


def page_size(query: Mapping[str, str]) -> int:
    """maxresults, 1 to 25; 25 when it is not given. Raises BadRequest."""
    text = query.get("maxresults", "")
    if not text:
        return MOST_RESULTS
    if not _SIZE.fullmatch(text) or int(text) > MOST_RESULTS:
        raise invalid_property("maxresults")
    return int(text)


class SkipTokens:
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def read(self, query: Mapping[str, str], container_id: str, collection: str) -> str | None:
        """The place after which the page begins, or None for the first page. Raises BadRequest."""
        text = query.get("$skiptoken")
        if text is None:
            return None
        try:
            sealed = from_base64url(text, "$skiptoken")
            return (await self._sealer.open(sealed, _binding(container_id, collection))).decode()
        except (BadRequest, Damaged):
            raise BadRequest("The skip token is not valid.") from None

    async def answer(
        self, request: Request, collection: str, path: str, values: list[dict[str, object]], place: str | None
    ) -> WireAnswer:
        """One page. path: of the list, for its next link. place: of the last value when more follow."""
        link = None
        if place is not None:
            token = await self.write(place, request.container.id, collection)
            size = page_size(request.query)
            link = f"{request.origin}{path}?api-version={request.api_version}&$skiptoken={token}&maxresults={size}"
        return ok({"value": values, "nextLink": link}, request.origin + path)

    async def write(self, place: str, container_id: str, collection: str) -> str:
        return to_base64url(await self._sealer.seal(place.encode(), _binding(container_id, collection)))


def _binding(container_id: str, collection: str) -> Binding:
    return Binding(container_id, "page", collection, "")
