"""Objects in use and pages of lists, kept until a row of them changes anywhere: what the caches of keys and of secrets
share.

Warm reading rests on it: no SQL. It follows the `changes` table (store/changes.py): a change made by this worker drops
the entry at once, one of its node's other workers before the next request, another node's within a second.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from sys import getsizeof
from typing import Any, Generic, Protocol, TypeVar

from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.resources import refusals
from hsmvault.store.database import Database, Transaction

ROW_BYTES = 1024
"""What a row takes without its tags and what is heavy; measured with names and versions of a usual length."""
_MOST_NAMES = 16_384
_MOST_PAGES = 128  # of at most 26 rows
_MOST_PAGE_BYTES = 8 * 1024 * 1024  # of all of them: more than they take unless most rows have long tags
_VERSIONS_OF_A_NAME = 4  # that may be kept, on the average


class Tagged(Protocol):
    @property
    def tags(self) -> Mapping[str, str]: ...


Row = TypeVar("Row", bound=Tagged)
Used = TypeVar("Used")


class Source(Protocol[Row]):
    """The part of store/objects.py that is read here."""

    def version(
        self, tx: Transaction, container_id: str, name: str, version: str | None
    ) -> Coroutine[Any, Any, Row | None]: ...

    def page(
        self, tx: Transaction, container_id: str, after: str | None, limit: int
    ) -> Coroutine[Any, Any, list[Row]]: ...


class ObjectCache(ABC, Generic[Row, Used]):
    """Versions by their names, and pages of latest versions. Belongs to one event loop.

    most: names that are kept, and a quarter of the versions. most_bytes: of what _bytes_of() counts, together.
    """

    def __init__(
        self,
        database: Database,
        kind: Kind,
        source: Source[Row],
        *,
        most: int = _MOST_NAMES,
        most_bytes: int = 0,
    ) -> None:
        self._database = database
        self._kind = kind
        self._source = source
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._versions = 0
        self._names: OrderedDict[tuple[str, str], dict[str, Used]] = OrderedDict()
        self._pages: dict[tuple[str, str, int], tuple[Row, ...]] = {}
        self._page_bytes = 0
        self._epoch = 0
        self.hits = 0
        self.misses = 0

    async def find(self, container: Container, name: str, version: str | None) -> Used:
        """version None: the latest. Raises NotFound; Unavailable when the database is out of reach."""
        folded = name.lower()
        versions = self._names.get((container.id, folded))
        if versions is not None:
            found = versions.get(version or "")
            if found is not None:
                self.hits += 1
                return found
        self.misses += 1
        epoch = self._epoch
        row = await self._database.read_at_once(
            lambda tx: self._source.version(tx, container.id, folded, version),
        )
        if row is None:
            raise refusals.not_found(self._kind, name, version)
        used = self._open(container, row)
        if epoch == self._epoch:  # else: something changed while we read, and this row may be the old one
            self._keep(container.id, folded, version or "", used)
        return used

    async def page(self, container: Container, after: str | None, limit: int) -> tuple[Row, ...]:
        """Latest versions by name, those behind `after`, also disabled ones: until any object of the kind changes in
        the container."""
        place = (container.id, (after or "").lower(), limit)
        rows = self._pages.get(place)
        if rows is None:
            epoch = self._epoch
            rows = tuple(
                await self._database.read_at_once(lambda tx: self._source.page(tx, container.id, after, limit))
            )
            if epoch == self._epoch:
                self._keep_page(place, rows)
        return rows

    def forget(self, container_id: str, name: str) -> None:
        """The object of this name has changed, or is gone. name: in lower case."""
        self._epoch += 1
        if self._pages:
            for place in [place for place in self._pages if place[0] == container_id]:
                self._page_bytes -= _bytes_of_page(self._pages.pop(place))
        self._drop(self._names.pop((container_id, name), {}))

    def forget_all(self) -> None:
        self._epoch += 1
        self._pages.clear()
        self._page_bytes = 0
        while self._names:
            self._drop(self._names.popitem()[1])

    @abstractmethod
    def _open(self, container: Container, row: Row) -> Used:
        """What is kept of a row."""

    def _release(self, used: Used) -> None:
        """Of what is no longer kept."""

    def _bytes_of(self, used: Used) -> int:
        """What it counts against most_bytes; the same each time."""
        return 0

    def _keep(self, container_id: str, folded: str, version: str, used: Used) -> None:
        name = (container_id, folded)
        versions = self._names.setdefault(name, {})
        replaced = versions.get(version)
        if replaced is not None:
            self._bytes -= self._bytes_of(replaced)
            self._versions -= 1
        versions[version] = used
        self._bytes += self._bytes_of(used)
        self._versions += 1
        self._names.move_to_end(name)
        while self._names and self._is_too_much():
            self._drop(self._names.popitem(last=False)[1])

    def _is_too_much(self) -> bool:
        return (
            len(self._names) > self._most
            or self._versions > self._most * _VERSIONS_OF_A_NAME
            or self._bytes > self._most_bytes
        )

    def _keep_page(self, place: tuple[str, str, int], rows: tuple[Row, ...]) -> None:
        if place in self._pages:
            return  # it was read twice at the same time
        taken = _bytes_of_page(rows)
        if len(self._pages) >= _MOST_PAGES or self._page_bytes + taken > _MOST_PAGE_BYTES:
            self._pages.clear()
            self._page_bytes = 0
        self._pages[place] = rows
        self._page_bytes += taken

    def _drop(self, versions: dict[str, Used]) -> None:
        self._versions -= len(versions)
        for used in versions.values():
            self._bytes -= self._bytes_of(used)
            self._release(used)


def bytes_of_row(row: Tagged) -> int:
    """In memory, without what is heavy. Tags can be many times as long as the rest."""
    return ROW_BYTES + sum(getsizeof(name) + getsizeof(text) for name, text in row.tags.items())


def _bytes_of_page(rows: Sequence[Tagged]) -> int:
    return sum(bytes_of_row(row) for row in rows)
