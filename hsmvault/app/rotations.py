"""What the rotations of system keys and of world keys share: who may work, what was begun, what an operator is told.

A rotation is a command of its own, beside an instance that runs or does not. Its steps are committed one by one in the
database, so that it can be killed anywhere; the next call of the command goes on. Two at a time exclude each other: on
one node by a locked file, which dies with the process, between nodes by a lease.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hsmvault.app.command_records import ROTATION_WRITER
from hsmvault.app.command_turns import alone
from hsmvault.app.token_files import sync_token
from hsmvault.app.worlds import KnownWorld, known_world
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError, HsmRefusal, RequestError
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.sessions import in_thread
from hsmvault.store import jobs, meta
from hsmvault.store.database import Conflicted, Database, Transaction

T = TypeVar("T")
LEASE_SECONDS = 60
MADE_ONLY = "It is made and not used yet. Back up the token now, then run the command again without --make-only."
BACK_UP = "Back up the token now, then the database: no earlier backup of the token opens what is made from now on."
_WAIT_SECONDS = 1.0


def _nothing(_: str) -> None:
    """No fault."""


@dataclass(frozen=True, slots=True)
class Rotating:
    """One rotation at work. job: names what is rotated, in the lease and in the fact of what was begun. owner: of the
    lease. say: a sentence for the operator. fault: called at each step; what it raises ends the process (tests).
    """

    settings: Settings
    database: Database
    clock: Clock
    identifiers: Identifiers
    job: str
    owner: str
    say: Callable[[str], None]
    fault: Callable[[str], None] = _nothing
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    async def take_lease(self) -> None:
        """Wait for another node's rotation to end, or for the lease of one that died. Raises HsmRefusal."""
        said = False
        for _ in range(int(LEASE_SECONDS / _WAIT_SECONDS) + 5):
            try:
                async with self.database.write() as tx:
                    if await self.prolong(tx):
                        return
            except Conflicted:
                pass  # another node takes the first lease at this moment
            if not said:
                self.say("Another node rotates this key, or did so a moment ago; waiting for it.")
                said = True
            await self.pause(_WAIT_SECONDS)
        raise HsmRefusal("Another node is rotating this key; let it finish.")

    async def prolong(self, tx: Transaction) -> bool:
        now = int(self.clock.now())
        return await jobs.acquire(tx, self.job, self.owner, now + LEASE_SECONDS, now)

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Transaction]:
        """A transaction of the rotation. Raises HsmRefusal when another node has taken it over."""
        self.fault("before commit")
        async with self.database.write() as tx:
            if not await self.prolong(tx):
                raise HsmRefusal("Another node has taken this rotation over; run the command again to see how it went.")
            yield tx
        self.fault("after commit")

    async def begun(self, tx: Transaction) -> bytes | None:
        """CKA_ID of the key that an earlier attempt planned and did not get done with."""
        return bytes.fromhex(await meta.get(tx, self.job) or "") or None

    async def begin(self, tx: Transaction, key_id: bytes) -> None:
        await meta.put(tx, self.job, key_id.hex())

    async def end(self, tx: Transaction) -> None:
        await meta.put(tx, self.job, "")
        await jobs.release(tx, self.job, self.owner)

    async def leave(self, tx: Transaction) -> None:
        """What was begun stays begun: the next call goes on with it."""
        await jobs.release(tx, self.job, self.owner)

    async def sync(self, profile: Profile) -> None:
        """The token's files are on the disk before a row relies on them. Raises HsmRefusal."""
        await in_thread("sync", lambda: sync_token(self.settings, profile))


async def wanted_world(database: Database, name: str) -> KnownWorld:
    """Raises ConfigurationError when there is no world of this name."""
    found = await known_world(database, name)
    if found is None:
        raise ConfigurationError(f"There is no security world '{name}' in this installation.")
    return found


def alone_on_node(settings: Settings) -> AbstractContextManager[None]:
    """Raises HsmRefusal when another rotation runs on this data directory."""
    at_work = HsmRefusal("Another rotation is at work on this data directory; let it finish.")
    return alone(settings, ROTATION_WRITER, refusal=at_work)


async def told(work: Awaitable[T]) -> T:
    """What the database or the token refuses in the middle, as a sentence for the operator."""
    try:
        return await work
    except (RequestError, Conflicted) as error:
        reason = (error.detail or error.message) if isinstance(error, RequestError) else str(error)
        raise HsmRefusal(
            f"The rotation was interrupted ({reason}); nothing is lost: run the command again to go on."
        ) from error
