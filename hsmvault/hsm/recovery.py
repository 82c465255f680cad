"""The ladder back from a lost session, login or token (one step up only when the one below has failed).

    1  session dead                 another session, once more if the job may run twice (in the lane's thread: token.py)
    2  login or handles lost,       drain, close every session, log in again: a new generation
       and the canary fails
    3  token gone                   drain every token of the module, C_Finalize, C_Initialize with locking, log in;
                                    again and again, with growing pauses, for as long as it takes
    4  a call hangs                 C_Finalize would crash with a thread inside: the process has to go
    5  the PIN is refused           down for good; a token locks itself after a few wrong ones

Zero objects found for a key that the database knows is a lost token, never a lost key: when SoftHSM's folder
vanishes, searches find nothing without an error, and still do when it is back, until C_Initialize runs again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from hsmvault.errors import HsmRefusal
from hsmvault.hsm.module import Module, PinRefused
from hsmvault.hsm.returncodes import ModuleError, Verdict, describe, judge
from hsmvault.hsm.sessions import Generation, OpenSessions, in_thread
from hsmvault.hsm.world_keys import WorldMissing

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]
log = logging.getLogger(__name__)

_START_ATTEMPTS = 5
_START_PAUSE_SECONDS = 0.05


class Hanging(Exception):
    """A thread did not come out of the module in time."""


@dataclass(frozen=True, slots=True)
class Climber:
    """What the ladder needs of a token. open: blocks, logs in once. attempt_failed: called before each pause. inside:
    steps whose thread may be inside the module, also when nobody waits for them any more.
    """

    module: Module
    open: Callable[[], OpenSessions]
    attempt_failed: Callable[[str, float], None]
    pause: Pause
    inside: set[asyncio.Future[object]] = field(default_factory=set)

    async def are_out(self, seconds: float) -> bool:
        """Whether every thread of a step has come out by then. A step that was begun cannot be called back."""
        if not self.inside:
            return True
        _, stuck = await asyncio.wait(set(self.inside), timeout=seconds)
        return not stuck


async def open_first(climber: Climber, me: object) -> OpenSessions:
    """The attempt at the start. Raises what opening raises.

    A token that another process writes just now is not there, or half (turns.py). Should the lock not have kept that
    process away, as between two installations on one token, the module is initialised once more.
    """
    module = climber.module
    async with module.turn:
        for _ in range(_START_ATTEMPTS - 1):
            try:
                return await _step(climber, "hsm-start", climber.open)
            except PinRefused:
                raise
            except ModuleError as error:
                if judge(error) not in (Verdict.TOKEN_GONE, Verdict.AMBIGUOUS) or module.tenants != [me]:
                    raise
                log.info("the token is not there yet: %s", describe(error))
                await climber.pause(_START_PAUSE_SECONDS)
                await _step(climber, "hsm-start", module.reinitialize)
        return await _step(climber, "hsm-start", climber.open)


async def relogin(climber: Climber, old: Generation) -> OpenSessions | None:
    """Step 2, after drain. Returns None when it did not help. Raises PinRefused, Hanging."""
    async with climber.module.turn:
        if climber.module.epoch != old.epoch:
            return None  # another token's recovery has ended these sessions
        await _bounded(climber, old.close_sessions)
        return await _try_open(climber)


async def until_back(climber: Climber, me: object, lost_epoch: int | None) -> OpenSessions:
    """Step 3, after drain. lost_epoch: module.epoch when the token was lost; a later one means that another token's
    recovery has initialised the module anew, so that opening is tried first.
    Raises PinRefused, Hanging; otherwise returns when the token is back.
    """
    profile = climber.module.profile
    seconds = profile.retry_seconds
    while True:
        async with climber.module.turn:
            if lost_epoch is None or climber.module.epoch == lost_epoch:
                await _reinitialize(climber, me)
            lost_epoch = climber.module.epoch
            sessions = await _try_open(climber)
        if sessions is not None:
            return sessions
        await climber.pause(seconds)
        seconds = min(2 * seconds, profile.retry_longest_seconds)


async def awaited(climber: Climber, opening: asyncio.Task[OpenSessions]) -> OpenSessions | None:
    """What an attempt to open that began earlier comes to. Raises PinRefused, Hanging."""
    return await _judged(climber, bounded(opening, climber.module.profile.hang_seconds))


async def bounded(work: Awaitable[T], seconds: float) -> T:
    """Raises Hanging, and cancels the work, when it takes longer."""
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await work
    except TimeoutError:
        if not deadline.expired():
            raise
        raise Hanging from None


async def drain(generation: Generation, seconds: float, *, refuse_queued: bool = True) -> None:
    """Wait until no thread of the generation is inside the module. Raises Hanging."""
    await bounded(generation.drain(refuse_queued=refuse_queued), seconds)


async def _reinitialize(climber: Climber, me: object) -> None:
    """C_Finalize and C_Initialize, when everybody else is out. A module that does not start stays down till the next
    attempt.
    """
    others = [tenant for tenant in climber.module.tenants if tenant is not me]
    for other in others:
        if not await other.step_out():
            raise Hanging
    try:
        await _bounded(climber, climber.module.reinitialize)
    except (*ModuleError, HsmRefusal) as error:
        climber.attempt_failed(_reason(error), 0)
    finally:
        for other in others:
            other.step_in()


async def _try_open(climber: Climber) -> OpenSessions | None:
    return await _judged(climber, _bounded(climber, climber.open))


async def _judged(climber: Climber, attempt: Awaitable[OpenSessions]) -> OpenSessions | None:
    """None when the attempt fails in a way that time may mend."""
    try:
        return await attempt
    except PinRefused:
        raise
    except (*ModuleError, HsmRefusal, WorldMissing) as error:
        climber.attempt_failed(_reason(error), climber.module.profile.retry_seconds)
        return None


async def _bounded(climber: Climber, function: Callable[[], T]) -> T:
    return await bounded(_step(climber, "hsm-recovery", function), climber.module.profile.hang_seconds)


async def _step(climber: Climber, name: str, function: Callable[[], T]) -> T:
    """When we are cancelled the thread goes on, and `inside` says so until it has come out."""
    step = asyncio.ensure_future(in_thread(name, function))
    entered = cast(asyncio.Future[object], step)  # whose result nobody asks the set for
    climber.inside.add(entered)
    entered.add_done_callback(climber.inside.discard)
    return await asyncio.shield(step)


def _reason(error: Exception) -> str:
    if isinstance(error, WorldMissing):
        return f"the {error} is not found"
    return str(error) if isinstance(error, HsmRefusal) else describe(error)
