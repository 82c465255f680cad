"""Hands the audit records of this node over to one destination: at least once, each series in its order, for as long as
it takes. No call ever waits for it.

It follows the files of the audit log (audit/following.py), sends what the routes say in batches, and keeps how far it
has come (audit/export_cursor.py) once the destination has taken a batch; a crash in between sends that batch again. A
batch that is not taken holds up those behind it and is tried again after 1 second, 2, 4 and so on up to 5 minutes; what
waits is safe in the log. Every node exports its own log, so it needs no lease.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hsmvault.audit import following
from hsmvault.audit.export_cursor import ExportCursor
from hsmvault.audit.following import LogPlace, Sizes
from hsmvault.audit.sinks import LoggedLine, Routes
from hsmvault.clock import Clock
from hsmvault.errors import RequestError
from hsmvault.jobs.audit_sinks import Sent, Sink

LOG = logging.getLogger("hsmvault.jobs")
INTERVAL_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 300.0
MOST_RECORDS: Final = 500  # of a batch
MOST_BYTES: Final = 512 * 1024
_MOST_READ: Final = 8 * 1024 * 1024  # bytes of the log, for one batch: in a thread that competes with the event loop
_RECOVERY_SECONDS: Final = 10.0
_KEPT_SECONDS: Final = 60.0  # places that are passed without sending anything are kept this often

TAKEN, NOT_TAKEN = OUTCOMES = ("exported", "failed")


@dataclass(slots=True)
class _Batch:
    """records: to send. places: behind them, by series. read: bytes, with those of records that nobody wants here."""

    places: dict[str, LogPlace]
    records: list[LoggedLine] = field(default_factory=list)
    size: int = 0
    read: int = 0
    is_end: bool = True

    def is_full(self, most: int) -> bool:
        return len(self.records) >= most or self.size >= MOST_BYTES or self.read >= _MOST_READ


class ExportAudit:
    """One destination. log: directory of the audit log. routes: asked at each turn. count: called with one of OUTCOMES
    and how many records, or 1 for an attempt that failed. pause: waits so many seconds.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        log: Path,
        cursor: ExportCursor,
        routes: Callable[[], Awaitable[Routes]],
        clock: Clock,
        *,
        count: Callable[[str, int], None] = lambda _, __: None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Raises ConfigurationError when the cursor cannot be read."""
        self.name = name
        self._sink = sink
        self._log = log
        self._cursor = cursor
        self._routes = routes
        self._clock = clock
        self._count = count
        self._pause = pause
        self._places = cursor.load()
        self._kept = dict(self._places)
        self._kept_at = clock.monotonic()
        self._seen: Sizes = {}  # at the last look: so far files may be read now
        self._most = MOST_RECORDS
        self._failures = 0
        self._behind_since: float | None = None  # monotonic; None while nothing waits

    def lag_seconds(self) -> float:
        """How long something has been waiting for this destination; 0 when nothing is."""
        return 0.0 if self._behind_since is None else self._clock.monotonic() - self._behind_since

    async def run(self) -> None:
        """Until cancellation."""
        while True:
            try:
                wait = await self.turn()
            except RequestError as error:
                LOG.warning("audit records for %s wait: %s", self.name, error.detail or error)
                wait = _RECOVERY_SECONDS
            except OSError as error:
                LOG.warning("audit records for %s wait: %s", self.name, error.strerror or type(error).__name__)
                wait = _RECOVERY_SECONDS
            except Exception:
                LOG.exception("audit records for %s wait", self.name)
                wait = LONGEST_WAIT_SECONDS
            await self._pause(wait)

    async def turn(self) -> float:
        """Send at most one batch. Returns after how many seconds to come back. Raises OSError, RequestError."""
        routes = await self._routes()
        now_there = await asyncio.to_thread(following.look, self._log)
        may_be_read, self._seen = following.settled(self._seen, now_there), now_there
        if not routes.uses(self.name):
            self._places = await asyncio.to_thread(self._ends, may_be_read)
            self._behind_since = None
            await self._keep(soon=False)
            return INTERVAL_SECONDS
        batch = await asyncio.to_thread(self._collect, routes, may_be_read)
        if not batch.records:
            self._places = batch.places
            self._behind_since = None if batch.is_end else self._behind_since
            await self._keep(soon=False)
            return INTERVAL_SECONDS if batch.is_end else 0.0
        if self._behind_since is None:
            self._behind_since = self._clock.monotonic()
        sent = await self._sink.send(batch.records, self._clock.now())
        if sent.problem:
            return self._not_taken(sent, len(batch.records))
        self._places = batch.places
        await self._keep(soon=True)
        self._count(TAKEN, len(batch.records))
        self._failures, self._most = 0, MOST_RECORDS
        if batch.is_end:
            self._behind_since = None
        return INTERVAL_SECONDS if batch.is_end else 0.0

    def _ends(self, sizes: Sizes) -> dict[str, LogPlace]:
        """Behind everything; nobody wants what is passed."""
        ends = {
            series: following.end_of(self._log, series, files, self._places.get(series))
            for series, files in sizes.items()
        }
        return {**self._places, **ends}

    def _collect(self, routes: Routes, sizes: Sizes) -> _Batch:
        """Series after series, as much as a batch holds."""
        batch = _Batch(dict(self._places))
        for series, files in sorted(sizes.items()):
            while not batch.is_full(self._most):
                reading = following.read_behind(self._log, series, batch.places.get(series), files)
                if not self._take(batch, routes, series, reading):
                    break
            batch.is_end = batch.is_end and not batch.is_full(self._most)
        return batch

    def _take(self, batch: _Batch, routes: Routes, series: str, reading: following.Reading) -> bool:
        """Whether this series may have more for the batch."""
        for found in reading.found:
            if batch.is_full(self._most):
                return False
            batch.places[series] = found.behind
            batch.read += len(found.record.line)
            if routes.takes(self.name, found.record.head.resourceId):
                batch.records.append(found.record)
                batch.size += len(found.record.line)
        batch.places[series] = reading.behind
        return not reading.is_end

    def _not_taken(self, sent: Sent, records: int) -> float:
        self._count(NOT_TAKEN, 1)
        if sent.is_too_large and records > 1:
            self._most = max(1, records // 2)
            return 0.0
        wait = min(LONGEST_WAIT_SECONDS, INTERVAL_SECONDS * (1 << min(self._failures, 16)))
        if sent.retry_after_seconds is not None:
            wait = max(wait, min(LONGEST_WAIT_SECONDS, sent.retry_after_seconds))
        self._failures += 1
        LOG.warning(
            "audit destination %s did not take %d records (%s), which are tried again in %d s",
            self.name,
            records,
            sent.problem,
            wait,
        )
        return wait

    async def _keep(self, *, soon: bool) -> None:
        """soon: at once, because something was sent. Raises OSError."""
        now = self._clock.monotonic()
        if self._places == self._kept or not (soon or now - self._kept_at >= _KEPT_SECONDS):
            return
        await asyncio.to_thread(self._cursor.save, dict(self._places))
        self._kept, self._kept_at = dict(self._places), now
