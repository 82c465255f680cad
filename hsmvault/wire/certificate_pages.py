"""Pages of certificates and issuers: where one begins, and the link to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.paging import SkipTokens, page_size
from hsmvault.wire.requests import Request

_BOOLEANS = {"": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Place:
    """collection: what the page is of. after: where the page before ended, None for the first. limit: most values."""

    collection: str
    after: str | None
    limit: int


class Pages:
    def __init__(self, skip_tokens: SkipTokens) -> None:
        self._skip_tokens = skip_tokens

    async def place(self, request: Request, collection: str) -> Place:
        """Raises BadRequest."""
        limit = page_size(request.query)
        return Place(collection, await self._skip_tokens.read(request.query, request.container.id, collection), limit)

    async def answer(
        self, request: Request, place: Place, path: str, values: Sequence[dict[str, object]], last: str | None
    ) -> WireAnswer:
        """last: the place of the last value when more follow."""
        link = None
        if last is not None:
            token = await self._skip_tokens.write(last, request.container.id, place.collection)
            link = (
                f"{request.origin}{path}?api-version={request.api_version}&$skiptoken={token}&maxresults={place.limit}"
            )
            if includes_pending(request):
                link += "&includePending=true"
        return ok({"value": values, "nextLink": link}, request.origin + path)


def includes_pending(request: Request) -> bool:
    """includePending of the query. Raises BadRequest."""
    wanted = _BOOLEANS.get(request.query.get("includepending", "").lower())
    if wanted is None:
        raise invalid_property("includePending")
    return wanted
