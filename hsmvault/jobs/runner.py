"""Runs the jobs: one node at a time, each job at its interval or when it is woken, until it is asked to stop.

Whoever holds the lease does all jobs and keeps it from tick to tick, since the trusted time (trusted_time.py) counts
the hours of its running; another node takes over when it is gone. What a job does is guarded by compare-and-swap as
well: a lease is a promise between clocks, and two nodes may both believe in it for a while.

Jobs run one after the other, so that they need not think of each other. Those that wait for somebody else's answer run
apart: each in a task of its own, beside the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, Protocol

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
_SOONEST_SECONDS: Final = 1.0  # a job that asks for less would run in circles
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

    async def run(self, turn: Turn) -> float | None:
        """Do all that is due. What it raises is logged and counted, and the next tick tries again.

        Returns in how many seconds it wants to run again, when that is sooner than its interval.
        """
        ...


class Runner:
    """jobs: run in this order, one at a time. apart: run beside them and beside each other.

    owner: who holds the lease; unique to the process. count: called with the name of a job and one of OUTCOMES. pause:
    waits so many seconds.
    """

    def __init__(
        self,
        database: Database,
        jobs: Sequence[Job],
        clock: Clock,
        owner: str,
        *,
        apart: Sequence[Job] = (),
        count: Callable[[str, str], None] = lambda _, __: None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._jobs = tuple(jobs)
        self._apart = tuple(apart)
        self._clock = clock
        self._owner = owner
        self._count = count
        self._pause = pause
        self._trusted = TrustedTime(clock)
        self._next: dict[str, float] = {}  # monotonic, as is the following
        self._asked: dict[str, float] = {}  # by jobs for themselves; no tick is waited for
        self._wanted: set[str] = set()  # names that were woken and have not run since
        self._woken = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}  # of the jobs that run apart
        self._prolonged_at: float | None = None  # monotonic; None while the lease is somebody else's
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until stop() or cancellation; then the lease is given back."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                if await self._hold():
                    await self._run_due()
                tick_at = self._clock.monotonic() + TICK_SECONDS
                while await self._wants_to_run(tick_at, stopping):
                    if self._prolonged_at is not None:
                        await self._run_due()
            await self._until_alone()
        finally:
            stopping.cancel()
            for task in self._running.values():
                task.cancel()
            await self._until_alone()
            await self._release()

    def stop(self) -> None:
        """Soon: the item that a job is at is finished, nothing else is begun."""
        self._stopping.set()

    def wake(self, name: str) -> None:
        """The job of this name has something to do. It runs as soon as the jobs in front of it have ended; one that
        runs already runs once more behind that. Nothing happens where the lease is somebody else's.
        """
        self._wanted.add(name)
        self._woken.set()

    async def tick(self) -> None:
        """Run each job whose time has come, if the lease is ours, to its end. Raises nothing but cancellation."""
        if await self._hold():
            await self._run_due()
            await self._until_alone()

    async def _wants_to_run(self, tick_at: float, stopping: "asyncio.Task[Literal[True]]") -> bool:
        """Wait for the next tick. True: something wants to run before it. False: it has come, or we are to stop."""
        until = min([tick_at, *self._asked.values()])
        pausing = asyncio.ensure_future(self._pause(max(until - self._clock.monotonic(), 0.0)))
        waking = asyncio.ensure_future(self._woken.wait())
        waited: set[asyncio.Future[Any]] = {pausing, waking, stopping}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()
            waking.cancel()
        self._woken.clear()
        if pausing.done():
            due = {name for name, at in self._asked.items() if at <= until}
            self._wanted |= due  # asked once: who cannot run now, because the lease is away, waits for a tick
            for name in due:
                del self._asked[name]
        return not self._stopping.is_set() and not (pausing.done() and until == tick_at)

    async def _run_due(self) -> None:
        for job in self._apart:  # first, since the others may take their time
            if job.name not in self._running and self._is_due(job) and await self.goes_on():
                self._begin(job)
                task = self._running[job.name] = asyncio.create_task(self._run(job), name=f"job {job.name}")
                task.add_done_callback(partial(self._ended, job.name))
        for job in self._jobs:
            if self._is_due(job) and await self.goes_on():
                self._begin(job)
                await self._run(job)

    def _begin(self, job: Job) -> None:
        self._wanted.discard(job.name)
        self._asked.pop(job.name, None)

    def _ended(self, name: str, _: "asyncio.Task[None]") -> None:
        del self._running[name]
        self._woken.set()  # it may have asked for a time, or was woken while it ran

    def _is_due(self, job: Job) -> bool:
        return job.name in self._wanted or self._clock.monotonic() >= self._next.get(job.name, 0.0)

    async def _until_alone(self) -> None:
        if self._running:
            await asyncio.wait(self._running.values())

    def now(self) -> int:
        return self._trusted.now()

    async def goes_on(self) -> bool:
        if self._stopping.is_set():
            return False
        if self._prolonged_at is None or self._clock.monotonic() - self._prolonged_at >= _PROLONG_SECONDS:
            return await self._hold()
        return True

    async def _run(self, job: Job) -> None:
        outcome, asked = _FAILED, TICK_SECONDS
        try:
            wish = await job.run(self)
            outcome, asked = _DONE, job.interval_seconds if wish is None else wish
        except RequestError as error:
            LOG.warning("job %s stopped and is tried again: %s", job.name, error.detail or error.message)
        except Exception:
            LOG.exception("job %s failed and is tried again", job.name)
        self._count(job.name, outcome)
        now = self._clock.monotonic()
        self._next[job.name] = now + min(asked, job.interval_seconds)
        if asked < job.interval_seconds:
            self._next[job.name] = self._asked[job.name] = now + max(asked, _SOONEST_SECONDS)

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
