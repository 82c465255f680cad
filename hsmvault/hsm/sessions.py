"""All sessions of one token in one generation, each with a thread of its own.

    keeper    logs in, and is never closed while others live: closing it logs everybody out. Runs the canary
    loader    owns the session objects (working copies of wrapped keys): they die with it
    work      W sessions that sign and decrypt
    making    generates RSA keys, which takes a quarter second and more: signing never waits behind it

A generation is opened and dropped as a whole. Whatever it made (handles, sessions) is refused afterwards.
A module that wants a single thread gets one lane and one session in all four roles.
"""

import asyncio
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import pkcs11

from hsmvault.hsm import mechanisms
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.returncodes import ModuleError
from hsmvault.hsm.work import WorkSession, WorldObjects
from hsmvault.hsm.world_keys import CANARY_MESSAGE, WorldIds, read_world
from hsmvault.lanes import Lane

T = TypeVar("T")
WorkLane = Lane[WorkSession]

_UNBOUNDED = 1 << 30  # the keeper and the loader serve requests that were admitted already


@dataclass(frozen=True, slots=True)
class OpenSessions:
    """What open_sessions made, before there are lanes."""

    keeper: WorkSession
    loader: WorkSession
    work: tuple[WorkSession, ...]
    making: WorkSession

    def all(self) -> tuple[WorkSession, ...]:
        """The keeper last: with it goes the login. Each session once."""
        return tuple(dict.fromkeys((*self.work, self.making, self.loader, self.keeper)))


def open_sessions(module: Module, selector: TokenSelector, pin: Pin, ids: WorldIds, number: int) -> OpenSessions:
    """Log in, once, open every session and read the world's keys. Blocks.

    Raises HsmRefusal (PIN, unlocked world key), WorldMissing, or the module's error; nothing stays open then.
    """
    token = module.find_token(selector)
    profile = module.profile
    opened: list[pkcs11.Session] = [module.login(token, pin)]

    def opener() -> pkcs11.Session:
        return module.open_session(token)

    def session(world: WorldObjects | None, *, keeps_objects: bool = False) -> WorkSession:
        opened.append(opener())
        return WorkSession(
            opener,
            opened[-1],
            generation=number,
            profile=profile,
            raw=module.raw,
            world=world,
            keeps_objects=keeps_objects,
        )

    try:
        keeper = WorkSession(
            opener, opened[0], generation=number, profile=profile, raw=module.raw, world=None, keeps_objects=True
        )
        world = keeper.world = read_world(keeper, ids)
        if profile.single_thread:
            return OpenSessions(keeper, keeper, (keeper,), keeper)
        return OpenSessions(
            keeper,
            session(world, keeps_objects=True),
            tuple(session(world) for _ in range(profile.work_sessions)),
            session(world),
        )
    except BaseException:
        for open_one in reversed(opened):
            with suppress(*ModuleError):
                open_one.close()
        raise


class Generation:
    """Open sessions with their threads. Made in the event loop; close() may be called again."""

    def __init__(self, number: int, sessions: OpenSessions, module: Module) -> None:
        profile = module.profile
        self.number = number
        self.epoch = module.epoch
        self._profile = profile
        self._sessions = sessions
        if profile.single_thread:
            only = Lane(f"hsm-{number}", sessions.keeper, limit=profile.work_queue)
            self.keeper = self.loader = self.making = only
            self.work: tuple[WorkLane, ...] = (only,)
        else:
            self.keeper = Lane(f"hsm-keeper-{number}", sessions.keeper, limit=_UNBOUNDED)
            self.loader = Lane(f"hsm-loader-{number}", sessions.loader, limit=_UNBOUNDED)
            self.making = Lane(f"hsm-making-{number}", sessions.making, limit=profile.generation_queue)
            self.work = tuple(
                Lane(f"hsm-work-{number}-{i}", session, limit=profile.work_queue, gathers=True)
                for i, session in enumerate(sessions.work)
            )
        assert sessions.keeper.world is not None
        self.world = sessions.keeper.world
        self.closing = False
        """Threads refuse what is still queued."""
        self.hung = False
        """A call did not return; whoever waits is answered by cancelling the future."""

    def lanes(self) -> tuple[WorkLane, ...]:
        return tuple(dict.fromkeys((*self.work, self.making, self.loader, self.keeper)))

    def least_busy(self) -> WorkLane:
        first = self.work[0]
        if first.busy_since is None and not first.waiting():
            return first
        return min(self.work, key=_load)

    def hangs(self) -> bool:
        """A call has been inside the module for longer than the profile allows."""
        now = time.monotonic()  # the lane stamps with the same clock
        for lane in self.lanes():
            limit = self._profile.generation_hang_seconds if lane is self.making else self._profile.hang_seconds
            since = lane.busy_since
            if since is not None and now - since > limit:
                return True
        return False

    async def canary(self) -> None:
        """Prove that the token serves and that the handle still names the same key: an HMAC with a *token object*,
        compared with the value at the start. (Random numbers would come without the token.) Raises what the module
        raises, or CanaryDied.
        """
        await self.keeper.submit(self._sing)

    def _sing(self, work: WorkSession) -> None:
        found = mechanisms.hmac_sha256(work, self.world.mac, CANARY_MESSAGE)
        if not hmac.compare_digest(found, self.world.canary):
            raise CanaryDied

    async def drain(self, *, refuse_queued: bool) -> None:
        """End every thread. Returns when all of them are out of the module; the caller sets the deadline."""
        self.closing = refuse_queued
        await asyncio.gather(*(lane.close() for lane in self.lanes()))

    def close_sessions(self) -> None:
        """Close every session, the login with the last. Blocks; only after drain()."""
        for work in self._sessions.all():
            with suppress(*ModuleError):
                work.session.close()


class CanaryDied(Exception):
    """The MAC key's handle names another key."""


async def in_thread(name: str, function: Callable[[], T]) -> T:
    """Run one blocking step of start or recovery in a daemon thread of its own, which ends with it."""
    lane: Lane[None] = Lane(name, None, limit=1)
    result = lane.submit(lambda _: function())
    ending = asyncio.ensure_future(lane.close())
    try:
        value = await result
    except asyncio.CancelledError:
        raise  # the thread may be stuck in the module: nobody waits for it
    except BaseException:
        await ending
        raise
    await ending
    return value


def _load(lane: WorkLane) -> int:
    return 2 * lane.waiting() + (lane.busy_since is not None)
