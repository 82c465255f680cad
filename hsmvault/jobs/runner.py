"""Runs the jobs: one node at a time, each job at its interval, until it is asked to stop.

Whoever holds the lease does all jobs and keeps it from tick to tick, since the trusted time (trusted_time.py) counts
the hours of its running; another node takes over when it is gone. What a job does is guarded by compare-and-swap as
well: a lease is a promise between clocks, and two nodes may both believe in it for a while.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from hsmvault.clock import Clock
from hsmvault.errors import RequestError
from hsmvault.jobs.trusted_time import TrustedTime
from hsmvault.store import jobs as leases
from hsmvault.store.database import Conflicted, Database

LOG = logging.getLogger("hsmvault.jobs")
LEASE: Final = "jobs"
LEASE_SECONDS: Final = 180
TICK_SECONDS: Final = 60.0
_PROLONG_SECONDS: Final = 60.0
_DONE, _FAILED = OUTCOMES = ("done", "failed")


class Turn(Protocol):
    """What a job is given at each run."""

    def now(self) -> int:
        """The time to go by, seconds since 1970 UTC: the trusted one."""
        ...

    async def goes_on(self) -> bool:
        """To be asked before each item. False: stop here and leave the rest to the next run."""
        ...


class Job(Protocol):
    """name: for logs and metrics. interval_seconds: from the end of a run that went well to the next."""

    @property
    def name(self) -> str: ...

    @property
    def interval_seconds(self) -> float: ...

    async def run(self, turn: Turn) -> None:
        """Do all that is due. What it raises is logged and counted, and the next tick tries again."""
        ...


class Runner:
    """owner: who holds the lease; unique to the process. count: called with the name of a job and one of OUTCOMES.
    pause: waits so many seconds.
    """

    def __init__(
        self,
        database: Database,
        jobs: Sequence[Job],
        clock: Clock,
        owner: str,
        *,
        count: Callable[[str, str], None] = lambda _, __: None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._jobs = tuple(jobs)
        self._clock = clock
        self._owner = owner
        self._count = count
        self._pause = pause
        self._trusted = TrustedTime(clock)
        self._next: dict[str, float] = {}
        self._prolonged_at: float | None = None  # monotonic; None while the lease is somebody else's
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until stop() or cancellation; then the lease is given back."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                await self.tick()
                pausing = asyncio.ensure_future(self._pause(TICK_SECONDS))
                await asyncio.wait({pausing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                pausing.cancel()
        finally:
            stopping.cancel()
            await self._release()

    def stop(self) -> None:
        """Soon: the item that a job is at is finished, nothing else is begun."""
        self._stopping.set()

    async def tick(self) -> None:
        """Run each job whose time has come, if the lease is ours. Raises nothing but cancellation."""
        if not await self._hold():
            return
        for job in self._jobs:
            if self._clock.monotonic() < self._next.get(job.name, 0.0) or not await self.goes_on():
                continue
            if await self._run(job):
                self._next[job.name] = self._clock.monotonic() + job.interval_seconds

    def now(self) -> int:
        return self._trusted.now()

    async def goes_on(self) -> bool:
        if self._stopping.is_set():
            return False
        if self._prolonged_at is None or self._clock.monotonic() - self._prolonged_at >= _PROLONG_SECONDS:
            return await self._hold()
        return True

    async def _run(self, job: Job) -> bool:
        try:
            await job.run(self)
        except RequestError as error:
            LOG.warning("job %s stopped and is tried again: %s", job.name, error.detail or error.message)
        except Exception:
            LOG.exception("job %s failed and is tried again", job.name)
        else:
            self._count(job.name, _DONE)
            return True
        self._count(job.name, _FAILED)
        return False

    async def _hold(self) -> bool:
        """Take the lease or prolong it, and write down how long we have been running."""
        monotonic = self._clock.monotonic()
        now = int(self._clock.now())
        try:
            async with self._database.write() as tx:
                held = await leases.acquire(tx, LEASE, self._owner, now + LEASE_SECONDS, now)
                if held:
                    await self._trusted.tick(tx)
        except Conflicted:  # another node takes the first lease at this moment
            held = False
        except Exception as error:  # jobs wait; whatever it is, calls meet it too and report it
            LOG.warning("the jobs' lease is out of reach: %s", error)
            return False
        self._prolonged_at = monotonic if held else None
        return held

    async def _release(self) -> None:
        if self._prolonged_at is None:
            return
        self._prolonged_at = None
        try:
            async with self._database.write() as tx:
                await self._trusted.tick(tx)
                await leases.release(tx, LEASE, self._owner)
        except Exception as error:
            LOG.warning("the jobs' lease was not given back, and ends by itself: %s", error)
