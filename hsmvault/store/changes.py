"""The feed of changes: what keeps the caches of every process honest.

A commit of this process is told to the subscribers at once; those of the node's other workers are shown by the board
(board.py) and read before the next request; those of other nodes are found by reading the `changes` table every quarter
of a second. A cache holds whatever it likes as long as it forgets what it is told
to forget, and as long as the feed is not stale. Two traps are the caches':

- A value that was read before a change and stored after the news of it would stay for ever. Note feed.epoch before
  reading, and do not keep the value when it has moved on.
- While the table cannot be read, nothing is known about other processes. Once that has lasted for trusted_seconds,
  every subscriber forgets everything at each failed reading; staleness() says how long it has lasted.

Rows are followed by id, so ids must become visible in their order: SQLite has one writer at a time; a driver for a
database with more must take a lock between writing its rows and committing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from hsmvault.errors import RequestError
from hsmvault.store.board import ChangeBoard
from hsmvault.store.database import Change, Database, Transaction
from hsmvault.store.drivers import CHANGES_KEPT
from hsmvault.store.schema import changes as table
from hsmvault.store.statements import Row, Statement

_log = logging.getLogger(__name__)

Callback = Callable[[str, str], None]
ForgetEverything = Callable[[], None]

INTERVAL_SECONDS = 0.25
TRUSTED_SECONDS = 1.0  # the documented time within which a change is obeyed everywhere
_LONGEST_WAIT_SECONDS = 1.0  # of a request for a reading
_BATCH = 1_000

# Two subqueries: SQLite finds a lone min or max in the index, and reads the whole table for both at once.
_BOUNDS = Statement(
    sa.select(
        sa.select(sa.func.min(table.c.id)).scalar_subquery(), sa.select(sa.func.max(table.c.id)).scalar_subquery()
    )
)
_SINCE = Statement(
    sa.select(table.c.id, table.c.kind, table.c.container_id, table.c.name)
    .where(table.c.id > sa.bindparam("after"))
    .order_by(table.c.id)
    .limit(_BATCH)
)
_FULL = _BATCH - 1  # the first row of a batch is one that was seen


class _Read(NamedTuple):
    """oldest, newest: ids of the rows that there are; 0 for none. found: those behind the last one seen, or not all."""

    oldest: int
    newest: int
    found: list[tuple[int, Change]]


async def _rows_behind(last: int | None, tx: Transaction) -> _Read:
    if last is not None:
        rows = await tx.rows(_SINCE, after=last - 1)
        if rows and rows[0][0] == last:  # the usual case: none is missing
            return _Read(last, rows[-1][0], [_numbered(row) for row in rows[1:]])
    bounds = await tx.row(_BOUNDS)
    assert bounds is not None
    oldest, newest = (0, 0) if bounds[0] is None else (int(bounds[0]), int(bounds[1]))
    rows = [] if last is None or newest <= last else await tx.rows(_SINCE, after=last)
    return _Read(oldest, newest, [_numbered(row) for row in rows])


def _numbered(row: Row) -> tuple[int, Change]:
    return int(row[0]), Change(row[1], row[2], row[3])


class ChangeFeed:
    """Belongs to the Database's event loop. Callbacks are quick, and raise nothing.

    epoch: goes up with everything that is told. board: of this node; None where there is one worker.
    longest_wait_seconds: of catch_up(), by the event loop's clock.
    """

    def __init__(
        self,
        database: Database,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        trusted_seconds: float = TRUSTED_SECONDS,
        board: ChangeBoard | None = None,
        longest_wait_seconds: float = _LONGEST_WAIT_SECONDS,
    ) -> None:
        self.epoch = 0
        self._board = board
        self._behind = 0  # the newest id that the board showed and the database did not
        self._database = database
        self._interval_seconds = interval_seconds
        self._trusted_seconds = trusted_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._subscribers: dict[str, list[Callback]] = {}
        self._forgetters: list[ForgetEverything] = []
        self._last: int | None = None  # id of the newest row that was seen; None before the first reading
        self._told: set[int] = set()  # ids of this process's own rows that the table will show again
        self._good_since = database.clock.monotonic()
        self._polling = asyncio.Lock()
        self._catching: tuple[int, asyncio.Task[None]] | None = None  # what the board showed when it began
        self._task: asyncio.Task[None] | None = None
        database.listen(self._committed_here)

    def subscribe(self, kind: str, changed: Callback) -> None:
        """changed(container_id, name) is called for every change of this kind."""
        self._subscribers.setdefault(kind, []).append(changed)

    def subscribe_all(self, forget_everything: ForgetEverything) -> None:
        """forget_everything() is called when changes may have been missed."""
        self._forgetters.append(forget_everything)

    def staleness(self) -> float:
        """Seconds since the beginning of the last reading that succeeded; by the monotonic clock."""
        return self._database.clock.monotonic() - self._good_since

    async def start(self) -> None:
        """Read once, then follow. Start before the caches fill. Raises Unavailable."""
        await self._read()
        self._task = asyncio.create_task(self._follow(), name="changes")

    async def close(self) -> None:
        catching = None if self._catching is None else self._catching[1]
        for task in (self._task, catching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._task = None

    async def poll(self) -> bool:
        """Read what is new. Returns whether that succeeded."""
        try:
            await self._read()
        except RequestError:
            if self.staleness() > self._trusted_seconds:
                self._tell_all()
            return False
        return True

    def is_behind(self) -> bool:
        """Whether another worker of this node has committed something that is not read yet. Costs no SQL."""
        if self._board is None or self._last is None:
            return False
        return self._board.newest() > max(self._last, self._behind)

    async def catch_up(self) -> None:
        """Read what is_behind() saw: one reading for all who ask, which began after the board showed it to them.

        Returns also when the database is out of reach, or does not answer within a second: see staleness(). When that
        has lasted for trusted_seconds, everything is forgotten, as by a reading that failed.
        """
        assert self._board is not None
        shown = self._board.newest()
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                while shown > max(self._last or 0, self._behind):
                    began_at, reading = self._catching or self._begin_to_catch_up()
                    await asyncio.shield(reading)
                    if began_at >= shown:
                        break
        except TimeoutError:
            if self.staleness() > self._trusted_seconds:
                self._tell_all()

    def _begin_to_catch_up(self) -> tuple[int, asyncio.Task[None]]:
        assert self._board is not None
        shown = self._board.newest()

        async def read() -> None:
            try:
                if await self.poll():
                    # An older database was put in place of the one that the board speaks of: do not ask for ever.
                    self._behind = max(self._behind, shown)
            except Exception:  # as in _follow
                _log.exception("the changes could not be read")
            finally:
                self._catching = None

        self._catching = (shown, asyncio.create_task(read(), name="catch-up"))
        return self._catching

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.poll()
            except Exception:  # following must go on whatever it was; staleness() tells that it did not succeed
                _log.exception("the changes could not be read")

    async def _read(self) -> None:
        async with self._polling:
            begun = self._database.clock.monotonic()
            while not self._take(await self._database.read_at_once(partial(_rows_behind, self._last))):
                pass
            self._good_since = begun

    def _take(self, read: "_Read") -> bool:
        """Tell what was read. Returns whether that was all there is."""
        lost, found = self._news(read)
        if lost:
            self._tell_all()
        for id, change in found:
            if id in self._told:
                self._told.discard(id)
            else:
                self._tell(change)
        return len(found) < _FULL

    def _news(self, read: "_Read") -> tuple[bool, list[tuple[int, Change]]]:
        """Whether changes may have been missed, and those that follow the last one seen."""
        oldest, newest, found = read
        last = self._last
        if last is None:
            self._last = newest
            self._told.clear()
            return False, []
        if newest < last or oldest > last + 1:  # an older database was put in place, or rows were pruned unseen
            self._last = newest
            self._told.clear()
            return True, []
        if newest == last:
            return False, []
        self._last = found[-1][0]
        return False, found

    def _committed_here(self, changes: list[tuple[int, Change]]) -> None:
        for id, change in changes:
            if self._last is None or id > self._last:
                self._told.add(id)
                if len(self._told) > CHANGES_KEPT:
                    self._told.clear()  # nobody polls; to be told twice does no harm
            self._tell(change)
        if self._board is not None and changes:
            self._board.publish(changes[-1][0])

    def _tell(self, change: Change) -> None:
        self.epoch += 1
        for changed in self._subscribers.get(change.kind, ()):
            changed(change.container_id, change.name)

    def _tell_all(self) -> None:
        self.epoch += 1
        for forget in self._forgetters:
            forget()
