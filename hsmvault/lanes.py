"""A lane: one thread that does blocking work for one event loop, in order, from a bounded queue.

Why not run_in_executor: a hop through an executor costs more than a P-256 signature, because every result wakes
the loop by itself (measured: 43 to 300 µs against 18). A lane takes what has piled up and wakes the loop once for
all results of about two milliseconds. A slow job does not hold back the results of those before it: while several jobs
are on their way the loop looks by itself, as often, for what is done. A lane that gathers is woken
once, too, for all jobs of one turn of the loop: for jobs that take less than to wake a thread, which then fights the
loop for the interpreter's lock. The queue is bounded, and full means a refusal *before* the hop.

A lane's resource (a PKCS#11 session, for instance) is touched by the lane's thread alone.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from hsmvault.errors import Throttled, Unavailable

Resource = TypeVar("Resource")
Result = TypeVar("Result")

_BATCH_SECONDS = 0.002  # results wait at most about this long for company: a few RSA-2048 signatures


class _Job(NamedTuple):
    future: "asyncio.Future[Any]"
    work: Callable[[Any], Any]


class _Outcome(NamedTuple):
    future: "asyncio.Future[Any]"
    value: Any
    error: BaseException | None


class Lane(Generic[Resource]):
    """One worker thread with a bounded queue; made inside a running event loop.

    resource: handed to every job as its only argument.
    limit: jobs that may wait; one more is refused with Throttled.
    gathers: jobs are handed over at the end of the loop's turn, together.
    """

    def __init__(self, name: str, resource: Resource, *, limit: int, gathers: bool = False) -> None:
        self.resource = resource
        self._limit = limit
        self._gathers = gathers
        self._gathered: list[_Job] = []
        self._jobs: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._submitted = 0  # written by the loop's thread alone
        self._begun = 0  # written by the lane's thread alone
        self._done: deque[_Outcome] = deque()
        self._on_their_way = 0  # submitted and not yet settled
        self._looking = False  # a timer is set
        self._closing = False
        self.refused = 0  # jobs for which the queue was full; for telemetry
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self.busy_since: float | None = None  # time.monotonic() when the job in hand began; None when idle
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def waiting(self) -> int:
        """Jobs that are not begun."""
        return self._submitted - self._begun

    def submit(self, work: Callable[[Resource], Result]) -> "asyncio.Future[Result]":
        """Queue a job; the future gets its result or its exception. Raises Throttled when the queue is full."""
        if self._closing:
            raise Unavailable("The service is stopping.", detail="lane closed")
        if self.waiting() >= self._limit:
            self.refused += 1
            raise _too_many()
        future: asyncio.Future[Result] = self._loop.create_future()
        self._submitted += 1
        if self._gathers and not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Job(future, work))
        if not self._gathers:
            self._hand_over()
        self._on_their_way += 1
        if self._on_their_way > 1 and not self._looking:
            self._looking = True
            self._loop.call_later(_BATCH_SECONDS, self._look)
        return future

    async def close(self) -> None:
        """Finish what is queued, then end the thread. May be called again."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._jobs.put(None)
        await asyncio.shield(self._ended)

    def _work(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            told = now = time.monotonic()
            while jobs is not None:
                for job in jobs:
                    self._begun += 1
                    self.busy_since = now
                    self._done.append(_do(job, self.resource))
                    now = time.monotonic()
                    if now - told > _BATCH_SECONDS:
                        self._call(self._deliver)
                        told = now
                if self._jobs.empty():
                    break
                jobs = self._jobs.get()
            self.busy_since = None
            if self._done:
                self._call(self._deliver)
            if jobs is None:
                break
        self._call(self._end)

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    # -- in the loop's thread -----------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self._gathered:
            jobs, self._gathered = self._gathered, []
            self._jobs.put(jobs)

    def _deliver(self) -> None:
        while self._done:
            self._on_their_way -= 1
            _settle(self._done.popleft())

    def _look(self) -> None:
        self._deliver()
        self._looking = self._on_their_way > 1
        if self._looking:
            self._loop.call_later(_BATCH_SECONDS, self._look)

    def _end(self) -> None:
        self._deliver()
        self._ended.set_result(None)


@dataclass(slots=True)
class _Share:
    """users: who has a turn or waits for one."""

    turns: asyncio.Semaphore
    users: int = 0


class Turns:
    """Shares of something scarce: each holder, a vault for instance, has at most `most` turns at once, so that none
    takes all of them. Who wants more waits, behind at most `waiting` others of the same holder; one more is refused
    with Throttled. Belongs to one event loop.
    """

    def __init__(self, most: int, *, waiting: int) -> None:
        self._most = most
        self._waiting = waiting
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def of(self, holder: str) -> AsyncIterator[None]:
        share = self._shares.setdefault(holder, _Share(asyncio.Semaphore(self._most)))
        if share.users >= self._most + self._waiting:
            raise _too_many()
        share.users += 1
        try:
            async with share.turns:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[holder]


def _too_many() -> Throttled:
    return Throttled(
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"
    )


def _do(job: _Job, resource: object) -> _Outcome:
    if job.future.cancelled():
        return _Outcome(job.future, None, None)
    try:
        return _Outcome(job.future, job.work(resource), None)
    except StopIteration as error:  # a future does not take it
        wrapped = RuntimeError("a job raised StopIteration")
        wrapped.__cause__ = error
        return _Outcome(job.future, None, wrapped)
    except BaseException as error:
        return _Outcome(job.future, None, error)  # the waiter gets whatever was raised


def _settle(outcome: _Outcome) -> None:
    future, value, error = outcome
    if future.done():
        return  # cancelled
    if error is None:
        future.set_result(value)
        return
    try:
        future.set_exception(error)
    except TypeError:  # asyncio refuses some; the others of the batch must not be lost with it
        future.set_exception(RuntimeError(f"a job raised {type(error).__name__}"))
