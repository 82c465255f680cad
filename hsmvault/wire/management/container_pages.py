"""Pages of vaults and pools, and of what is in them: $top, and skip tokens that nobody can make, read or carry to
another list.

A list shows what its caller may read. What that leaves out is read all the same, in pieces, until the page is full: a
page that is short is the last one.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.pages import asked_items
from hsmvault.wire.management.requests import ManagementRequest
from hsmvault.wire.paging import SkipTokens

Row = TypeVar("Row")
_PIECE: Final = 200
_PLACE: Final = "management"  # where the data key of skip tokens belongs: no container has this id


class ManagementPages:
    """sealer: of the skip tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._tokens = SkipTokens(sealer)

    async def answer(
        self,
        request: ManagementRequest,
        path: str,
        read: Callable[[str, int], Awaitable[Sequence[Row]]],
        shown: Callable[[Row], object],
        place_of: Callable[[Row], str],
        may_see: Callable[[Row], Awaitable[bool]] | None = None,
    ) -> WireAnswer:
        """One page of the list at a path, which the link to the next one begins with. read: rows behind a place, "" for
        the first ones, and at most how many. place_of: of a row, for the next page. may_see: None when the permission
        for the list is one for all of it. Raises BadRequest.
        """
        size = asked_items(request)
        # Of this list and this tenant; whoever may read the list may go on where another one stopped.
        binding = Binding(_PLACE, "page", f"{request.tenant_id}{path.lower()}", "")
        text = request.query.get("$skiptoken")
        place = "" if text is None else await self._tokens.read(text, binding, "InvalidSkipToken")
        found: list[Row] = []
        while len(found) <= size:
            piece = await read(place, _PIECE)
            for row in piece:
                place = place_of(row)
                if may_see is None or await may_see(row):
                    found.append(row)
                    if len(found) > size:
                        break
            if len(piece) < _PIECE:
                break
        body: dict[str, object] = {"value": [shown(row) for row in found[:size]]}
        if len(found) > size:
            token = await self._tokens.make(place_of(found[size - 1]), binding)
            top = f"&$top={size}" if "$top" in request.query else ""
            body["nextLink"] = f"{request.origin}{path}?api-version={request.api_version}{top}&$skiptoken={token}"
        return ok(body, request.origin + path)
