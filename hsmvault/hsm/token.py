"""A token at work: the asynchronous face of its sessions, and what happens when they fail.

Jobs are functions of a WorkSession that run in the thread of a lane. What the module raises is judged here by its
code (returncodes.py), and callers see only our own errors: CiphertextRefused, BadRequest, Unavailable, Throttled,
and StaleHandle for whoever keeps handles.

While the token is down every call is refused at once, without touching the module; it comes back by itself.

A token that nobody needs yet sleeps: it has no session and no thread until its first job, which waits for it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from hsmvault.errors import BadRequest, CiphertextRefused, HsmRefusal, HsmvaultError, Throttled, Unavailable
from hsmvault.hsm import recovery
from hsmvault.hsm.module import Module, PinRefused, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.returncodes import ModuleError, ModuleMisused, StaleHandle, Verdict, describe, judge
from hsmvault.hsm.sessions import (
    CanaryDied,
    Generation,
    OpenSessions,
    WorkLane,
    in_thread,
    open_sessions,
)
from hsmvault.hsm.work import WorkSession, WorldObjects, replaced
from hsmvault.hsm.world_keys import WorldIds, WorldMissing

T = TypeVar("T")
log = logging.getLogger(__name__)

_WATCH_SECONDS = 1.0
_FAREWELL_SECONDS = 0.25  # between the last answers and the end of the process
_UNAVAILABLE = "The service is temporarily unavailable. Please retry the request."


@dataclass(slots=True)
class TokenCounters:
    """Since the start of the process; for telemetry."""

    canaries: int = 0
    canaries_failed: int = 0
    recoveries: int = 0
    jobs_refused: int = 0
    queue_full: int = 0


class Token:
    """Make one with start(), or asleep(); it belongs to the event loop of that moment."""

    def __init__(
        self,
        module: Module,
        selector: TokenSelector,
        pin: Pin,
        ids: WorldIds,
        *,
        on_fatal: Callable[[str], None],
        pause: recovery.Pause,
    ) -> None:
        self.module = module
        self.profile = module.profile
        self.selector = selector
        self.ids = ids
        self.counters = TokenCounters()
        self._pin = pin
        self._on_fatal = on_fatal
        self._number = 0
        self._generation: Generation | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._retry_after_seconds = 1
        self._why_down = "starting"
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._out = asyncio.Event()  # no thread of ours is inside the module
        self._out.set()
        self._closed = False
        self._pin_refused = False
        self._leaving = False
        self._left_epoch: int | None = None
        self._asleep = False
        self._waking: asyncio.Task[None] | None = None
        self._climber = recovery.Climber(module, self._open, self._attempt_failed, pause)

    @classmethod
    async def start(
        cls,
        module: Module,
        selector: TokenSelector,
        pin: Pin,
        ids: WorldIds,
        *,
        on_fatal: Callable[[str], None],
        may_be_down: bool = False,
        pause: recovery.Pause = asyncio.sleep,
    ) -> "Token":
        """Log in (one attempt), open the sessions, find the world's keys, in at most the profile's hang_seconds.

        on_fatal: called with a reason when a call hangs in the module; the process must end soon after.
        may_be_down: a worker that is replaced while the token is away starts without it and waits.
        Raises HsmRefusal.
        """
        token = cls(module, selector, pin, ids, on_fatal=on_fatal, pause=pause)
        await token._begin(may_be_down=may_be_down)
        return token

    @classmethod
    def asleep(
        cls,
        module: Module,
        selector: TokenSelector,
        pin: Pin,
        ids: WorldIds,
        *,
        on_fatal: Callable[[str], None],
        pause: recovery.Pause = asyncio.sleep,
    ) -> "Token":
        """A token that logs in (one attempt) and opens its sessions for its first job. When that fails it is down, and
        comes back as one that was lost; a refused PIN keeps it down for good.
        """
        token = cls(module, selector, pin, ids, on_fatal=on_fatal, pause=pause)
        token._asleep = True
        token._why_down = "asleep"
        return token

    async def _begin(self, *, may_be_down: bool) -> None:
        """See start()."""
        module, selector = self.module, self.selector
        module.tenants.append(self)
        opening = asyncio.create_task(recovery.open_first(self._climber, self))
        try:
            self._take(await recovery.bounded(asyncio.shield(opening), module.profile.hang_seconds))
        except recovery.Hanging:
            if not may_be_down:
                opening.cancel()
                module.tenants.remove(self)
                module.has_lost_thread = True
                raise HsmRefusal(
                    f"The PKCS#11 module does not answer: opening the token {selector} takes longer than "
                    f"{module.profile.hang_seconds:g} seconds; check the HSM and the way to it."
                ) from None
            self._why_down = "the module does not answer"
            self._task = asyncio.create_task(self._climb(None, deep=True, opening=opening))
        except PinRefused:
            module.tenants.remove(self)
            raise
        except (*ModuleError, HsmRefusal, WorldMissing) as error:
            reason = f"the {error} is not found" if isinstance(error, WorldMissing) else str(describe(error))
            if not may_be_down:
                module.tenants.remove(self)
                if isinstance(error, HsmRefusal):
                    raise
                raise HsmRefusal(
                    f"The token {selector} cannot be used ({reason}); check that it is there and is the one that this "
                    "installation was made with."
                ) from error
            self._why_down = reason
            self._task = asyncio.create_task(self._climb(None, deep=True))
        self._watch = asyncio.create_task(self._watch_for_hanging())

    async def _wake(self) -> None:
        try:
            await self._begin(may_be_down=True)
        except PinRefused as error:
            self._pin_refused = True
            self._why_down = str(error)
            self._retry_after_seconds = 60
            log.critical("token %s stays down: %s", self.selector, error)
        finally:
            self._asleep = False

    async def awake(self) -> None:
        """Wait for a token that sleeps. Raises Unavailable when it is down then."""
        if self._asleep and not self._closed:
            if self._waking is None:
                self._waking = asyncio.create_task(self._wake())
            await asyncio.shield(self._waking)
        self._current()

    # -- use ------------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        return self._generation is not None

    @property
    def is_asleep(self) -> bool:
        """Nobody has needed it so far."""
        return self._asleep

    @property
    def generation(self) -> int:
        """Number of the generation in use, 0 while the token is down. Handles of another are dead."""
        return self._generation.number if self._generation is not None else 0

    @property
    def world(self) -> WorldObjects:
        """The world's keys in this generation. Raises Unavailable while the token is down."""
        return self._current().world

    def adopt(self, ids: WorldIds) -> None:
        """The world has another generation of a key: from now on these ids are what a new generation of sessions must
        find. The sessions that are open go on; what they use beside their first keys they locate().
        """
        self.ids = ids

    def waiting(self) -> int:
        """Jobs in the queues of the work lanes."""
        return sum(lane.waiting() for lane in self._generation.work) if self._generation is not None else 0

    async def run(self, job: Callable[[WorkSession], T], *, idempotent: bool = True, refusable: bool = False) -> T:
        """Run a job in the least busy work session.

        idempotent: it may run once more in a new session. refusable: it works on a caller's ciphertext, so that an
        ambiguous refusal of the module, with a good canary, is the caller's (CiphertextRefused).
        Raises Unavailable, Throttled, StaleHandle, CiphertextRefused, BadRequest.
        """
        generation = self._generation or await self._awaken()
        return await self._run(generation, generation.least_busy(), job, idempotent, refusable)

    async def run_once(self, job: Callable[[WorkSession], T]) -> T:
        """As run, for a job that makes something: never twice."""
        return await self.run(job, idempotent=False)

    async def admit(self, job: Callable[[WorkSession], T]) -> T:
        """As run_once, for a job that makes something out of a caller's bytes."""
        return await self.run(job, idempotent=False, refusable=True)

    async def make(self, job: Callable[[WorkSession], T]) -> T:
        """As run, in the thread that generates RSA keys, and never twice."""
        generation = self._generation or await self._awaken()
        return await self._run(generation, generation.making, job, False, False)

    async def make_of(self, job: Callable[[WorkSession], T]) -> T:
        """As make, for a job that makes something out of a caller's bytes."""
        generation = self._generation or await self._awaken()
        return await self._run(generation, generation.making, job, False, True)

    async def load(self, job: Callable[[WorkSession], T]) -> T:
        """As run, in the session that owns the session objects."""
        generation = self._generation or await self._awaken()
        return await self._run(generation, generation.loader, job, False, False)

    async def behind_the_work(self) -> None:
        """Return when every job that is queued now has run: a handle that no later job can get is then unused."""
        generation = self._generation or await self._awaken()
        await asyncio.gather(
            *(self._run(generation, lane, _nothing, True, False) for lane in {*generation.work, generation.making})
        )

    # -- failure --------------------------------------------------------------------------------------------------

    async def _run(
        self,
        generation: Generation,
        lane: WorkLane,
        job: Callable[[WorkSession], T],
        idempotent: bool,
        refusable: bool,
    ) -> T:
        def guarded(work: WorkSession) -> T:
            if generation.closing:
                raise Unavailable(_UNAVAILABLE, detail="the token is being recovered")
            try:
                return job(work)
            except HsmvaultError:
                raise  # ours: the session saw nothing
            except Exception as error:
                if replaced(work, error, refusable) and idempotent:
                    return job(work)
                raise

        try:
            future = lane.submit(guarded)
        except Throttled:
            self.counters.queue_full += 1
            raise
        self._pending.add(future)
        try:
            return await future
        except ModuleError as error:
            raise await self._translate(generation, error, refusable) from error
        except asyncio.CancelledError:
            if generation.hung and future.cancelled():
                raise Unavailable(_UNAVAILABLE, detail="a call hangs in the module") from None
            raise
        finally:
            self._pending.discard(future)

    async def _translate(self, generation: Generation, error: Exception, refusable: bool) -> HsmvaultError:
        """Our error for the module's, after asking the canary where the code is ambiguous; starts recovery."""
        verdict = judge(error)
        detail = describe(error)
        self.counters.jobs_refused += 1
        if verdict is Verdict.CALLER:
            return CiphertextRefused(detail=detail) if refusable else BadRequest("The parameter is incorrect.")
        if verdict is Verdict.CAPACITY:
            return Unavailable(_UNAVAILABLE, retry_after_seconds=5, detail=detail)
        if verdict is Verdict.FAULT:
            return ModuleMisused(detail)
        if verdict in (Verdict.LOGIN_LOST, Verdict.AMBIGUOUS):
            verdict = await self._ask_canary(generation, verdict)
            if verdict is Verdict.LOGIN_LOST:
                return StaleHandle(detail)
            if verdict is Verdict.AMBIGUOUS:
                return CiphertextRefused(detail=detail) if refusable else Unavailable(_UNAVAILABLE, detail=detail)
        self._lose(generation, deep=verdict is Verdict.TOKEN_GONE, why=detail)
        return Unavailable(_UNAVAILABLE, retry_after_seconds=self._retry_after_seconds, detail=detail)

    async def _ask_canary(self, generation: Generation, verdict: Verdict) -> Verdict:
        """The verdict again when the token is well; TOKEN_GONE or SESSION_DEAD (log in again) when it is not."""
        if generation is not self._generation:
            return Verdict.SESSION_DEAD  # lost by somebody else meanwhile
        self.counters.canaries += 1
        try:
            await generation.canary()
        except CanaryDied:
            self.counters.canaries_failed += 1
            return Verdict.TOKEN_GONE
        except HsmvaultError:
            return Verdict.SESSION_DEAD
        except ModuleError as error:
            self.counters.canaries_failed += 1
            return Verdict.SESSION_DEAD if judge(error) is Verdict.LOGIN_LOST else Verdict.TOKEN_GONE
        return verdict

    def _lose(self, generation: Generation, *, deep: bool, why: str) -> None:
        """Stop intake and climb the ladder in the background; only the first call for a generation does."""
        if generation is not self._generation or self._closed:
            return
        log.error("token %s is down: %s", self.selector, why)
        self._generation = None
        self._why_down = why
        self.counters.recoveries += 1
        self._task = asyncio.create_task(self._climb(generation, deep=deep))

    async def _climb(
        self, old: Generation | None, *, deep: bool, opening: asyncio.Task[OpenSessions] | None = None
    ) -> None:
        """The ladder of recovery.py, to its end. opening: the start's own attempt, which has not ended yet."""
        while not await self._climbed(old, deep, opening):
            deep, opening = True, None
            await self._climber.pause(self.profile.retry_seconds)

    async def _climbed(self, old: Generation | None, deep: bool, opening: asyncio.Task[OpenSessions] | None) -> bool:
        """Whether there is nothing more to try: the token is back, down for good, or the process ends."""
        try:
            if old is not None:
                await recovery.drain(old, self.profile.drain_seconds)
                self._out.set()
            sessions = None
            if opening is not None:
                sessions = await recovery.awaited(self._climber, opening)
            elif old is not None and not deep:
                sessions = await recovery.relogin(self._climber, old)
            if sessions is None:
                lost_epoch = old.epoch if old is not None else self._left_epoch
                sessions = await recovery.until_back(self._climber, self, lost_epoch)
            self._take(sessions)
        except PinRefused as error:
            self._pin_refused = True
            self._why_down = str(error)
            self._retry_after_seconds = 60
            log.critical("token %s stays down: %s", self.selector, error)
        except recovery.Hanging:
            self._fatal(old, "a thread does not come out of the PKCS#11 module")
        except Exception:
            log.exception("token %s: recovery failed; it begins again", self.selector)
            return False
        else:
            log.warning("token %s is back, generation %d", self.selector, self._number)
        return True

    def _open(self) -> OpenSessions:
        with self.module.alone():
            return open_sessions(self.module, self.selector, self._pin, self.ids, self._number + 1)

    def _take(self, sessions: OpenSessions) -> None:
        self._number += 1
        self._out.clear()
        self._retry_after_seconds = 1
        self._generation = Generation(self._number, sessions, self.module)

    def _attempt_failed(self, why: str, seconds: float) -> None:
        log.warning("token %s does not come back: %s", self.selector, why)
        self._why_down = why
        self._retry_after_seconds = max(1, round(seconds))

    async def _awaken(self) -> Generation:
        """For whoever finds no generation. Raises Unavailable."""
        await self.awake()
        return self._current()

    def _current(self) -> Generation:
        if self._generation is None:
            raise Unavailable(
                _UNAVAILABLE, retry_after_seconds=self._retry_after_seconds, detail=f"token down: {self._why_down}"
            )
        return self._generation

    # -- other tokens of the same module ---------------------------------------------------------------------------

    async def step_out(self) -> bool:
        """See Tenant. The generation ends; step_in() opens the next."""
        generation, self._generation = self._generation, None
        if generation is not None:
            self._left_epoch = generation.epoch
            self._why_down = "the module is initialised anew"
            try:
                await recovery.drain(generation, self.profile.drain_seconds)
            except recovery.Hanging:
                self._fatal(generation, "a thread does not come out of the PKCS#11 module")
                return False
            self._out.set()
        await self._out.wait()
        return True

    def step_in(self) -> None:
        if (
            not self._closed
            and not self._pin_refused
            and not self._leaving
            and (self._task is None or self._task.done())
        ):
            self._task = asyncio.create_task(self._climb(None, deep=True))

    # -- hanging and ending ------------------------------------------------------------------------------------------

    def check_for_hanging(self) -> None:
        """Give up when a call has been inside the module for too long: answer the waiting, and a moment later, when the
        answers are on their way, on_fatal.
        """
        generation = self._generation
        if generation is not None and generation.hangs():
            self._fatal(generation, "a call hangs in the PKCS#11 module")

    async def _watch_for_hanging(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self.check_for_hanging()

    def _fatal(self, generation: Generation | None, why: str) -> None:
        self._generation = None
        self._why_down = why
        if generation is not None:
            generation.hung = True
        for future in list(self._pending):
            future.cancel()  # _run turns it into Unavailable
        if not self._leaving:
            self._leaving = True
            log.critical("token %s: %s; this process ends", self.selector, why)
            asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._on_fatal, why)

    async def close(self) -> None:
        """Finish what is queued, log out, close every session. The module itself is finalised by its owner, which is
        why we wait for a recovery that initialises it at this moment.
        """
        self._closed = True
        generation, self._generation = self._generation, None
        self._why_down = "stopped"
        for task in (self._waking, self._watch, self._task):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if not await self._climber.are_out(self.profile.drain_seconds):
            self.module.has_lost_thread = True
        if generation is not None:
            await recovery.drain(generation, self.profile.drain_seconds, refuse_queued=False)
            async with self.module.turn:
                await in_thread("hsm-close", generation.close_sessions)
            self._out.set()
        if self in self.module.tenants:
            self.module.tenants.remove(self)


def _nothing(_: WorkSession) -> None:
    return None
