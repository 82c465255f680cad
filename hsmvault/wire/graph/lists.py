"""Collections: $filter, $select, $top, $count, $search, and pages by $skiptoken, which is the last id of a page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import quote

from hsmvault.errors import BadRequest
from hsmvault.resources.directory.names import is_guid
from hsmvault.resources.directory.refusals import bad
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.graph import filters
from hsmvault.wire.graph.requests import GraphRequest

Row = TypeVar("Row")
Shown = dict[str, object]
_PAGE = 100
_LARGEST_PAGE = 999
_CHUNK = 200  # rows that are read at once, to be filtered
_UNSUPPORTED = ("$orderby", "$expand", "$apply", "$skip", "$compute")


class Listing(Generic[Row]):
    """How a collection is read and shown.

    page: rows by id, behind an id. id_of: of a row. shown: of rows that were read together, in their order.
    find: for a filter that names one object, its rows; None when the filter does not.
    complete: what is shown besides, and is costly: only for rows that are answered.
    """

    def __init__(
        self,
        fragment: str,
        page: Callable[[str, int], Awaitable[Sequence[Row]]],
        id_of: Callable[[Row], str],
        shown: Callable[[Sequence[Row]], Awaitable[list[Shown]]],
        *,
        find: Callable[[filters.Node | None], Awaitable[Sequence[Row] | None]] | None = None,
        complete: Callable[[list[Shown]], Awaitable[None]] | None = None,
    ) -> None:
        self._fragment = fragment
        self._page = page
        self._id_of = id_of
        self._shown = shown
        self._find = find
        self._complete = complete

    async def answer(self, request: GraphRequest) -> WireAnswer:
        """One page. Raises BadRequest."""
        query = request.query
        _check(query)
        test = _test_of(query)
        size = _size(query)
        found, next_id = await self._matching(test, _after(query), size, query)
        body: dict[str, object] = {"@odata.context": request.context(self._fragment)}
        if query.get("$count", "").lower() == "true":
            body["@odata.count"] = await self._count(test, query)
        if next_id is not None:
            body["@odata.nextLink"] = _next_link(request, next_id)
        if self._complete is not None:
            await self._complete(found)
        body["value"] = [select(one, query) for one in found]
        return ok(body)

    async def count(self, request: GraphRequest) -> WireAnswer:
        """The number as text."""
        _check(request.query)
        number = await self._count(_test_of(request.query), request.query)
        return WireAnswer(200, str(number).encode(), content_type="text/plain")

    async def _matching(
        self, test: filters.Node | None, after: str, size: int, query: Mapping[str, str]
    ) -> tuple[list[Shown], str | None]:
        """Objects, and the id behind which the next page begins, when there may be one."""
        rows = None if self._find is None else await self._find(test)
        if rows is not None:
            return [one for one in await self._shown(rows) if _passes(test, one, query)], None
        found: list[Shown] = []
        while True:
            rows = await self._page(after, _CHUNK)
            for row, one in zip(rows, await self._shown(rows), strict=True):
                if _passes(test, one, query):
                    if len(found) == size:
                        return found, after
                    found.append(one)
                after = self._id_of(row)
            if len(rows) < _CHUNK:
                return found, None

    async def _count(self, test: filters.Node | None, query: Mapping[str, str]) -> int:
        number, after = 0, ""
        while True:
            rows = await self._page(after, _CHUNK)
            number += sum(1 for one in await self._shown(rows) if _passes(test, one, query))
            if len(rows) < _CHUNK:
                return number
            after = self._id_of(rows[-1])


def each(shown: Callable[[Row], Shown]) -> Callable[[Sequence[Row]], Awaitable[list[Shown]]]:
    """How rows are shown that need nothing but themselves."""

    async def rows_shown(rows: Sequence[Row]) -> list[Shown]:
        return [shown(row) for row in rows]

    return rows_shown


def listed(request: GraphRequest, fragment: str, found: Sequence[Shown]) -> WireAnswer:
    """A short list, in one page."""
    _check(request.query)
    test = _test_of(request.query)
    value = [select(one, request.query) for one in found if _passes(test, one, request.query)]
    return ok({"@odata.context": request.context(fragment), "value": value})


def select(shown: Shown, query: Mapping[str, str]) -> Shown:
    """The members of $select, in any case; all of them without."""
    text = query.get("$select", "").strip()
    if not text or text == "*":
        return shown
    wanted = {name.strip().lower() for name in text.split(",")}
    return {name: value for name, value in shown.items() if name.lower() in wanted or name.startswith("@")}


def selects(query: Mapping[str, str], name: str) -> bool:
    """Whether $select names a member."""
    return name.lower() in {one.strip().lower() for one in query.get("$select", "").split(",")}


def _check(query: Mapping[str, str]) -> None:
    for name in _UNSUPPORTED:
        if query.get(name):
            raise BadRequest(f"The query option '{name}' is not supported here.", code="Request_UnsupportedQuery")


def _test_of(query: Mapping[str, str]) -> filters.Node | None:
    text = query.get("$filter", "")
    return filters.parse(text) if text.strip() else None


def _passes(test: filters.Node | None, shown: Shown, query: Mapping[str, str]) -> bool:
    if test is not None and not filters.matches(test, shown):
        return False
    search = query.get("$search", "").strip().strip('"')
    if not search:
        return True
    name, colon, text = search.partition(":")
    value = shown.get(name if colon else "displayName")
    return isinstance(value, str) and (text if colon else search).lower() in value.lower()


def _size(query: Mapping[str, str]) -> int:
    text = query.get("$top", "")
    if not text:
        return _PAGE
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= _LARGEST_PAGE):
        raise bad(f"Invalid page size specified: '{text[:16]}'. Must be between 1 and {_LARGEST_PAGE} inclusive.")
    return int(text)


def _after(query: Mapping[str, str]) -> str:
    text = query.get("$skiptoken", "")
    if text and not is_guid(text):
        raise BadRequest(
            "The specified page token value has expired and can no longer be included in your request.",
            code="Directory_ExpiredPageToken",
        )
    return text


def _next_link(request: GraphRequest, after: str) -> str:
    query = {name: value for name, value in request.query.items() if name != "$skiptoken"} | {"$skiptoken": after}
    text = "&".join(f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in query.items())
    return f"{request.root}{request.path}?{text}"
