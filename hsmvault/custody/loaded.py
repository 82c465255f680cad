"""Keys that are loaded in a token: a bounded cache of handles, least recently used out first.

Hits cost no await. A miss loads in the loader's session, once for all who ask at the same time. An evicted copy is
destroyed behind the work that was queued when it left the cache, because a queued signature may still use it.
When the token's generation moves on, everything here is forgotten: those handles are dead or name other keys.

What is forgotten while it is being loaded goes to those who asked, and is not kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from hsmvault.errors import HsmvaultError
from hsmvault.hsm.objects import destroy
from hsmvault.hsm.returncodes import ModuleError
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import KeyObject, WorkSession

_TURNS_UNTIL_USED = 3  # of the event loop: whoever was just given a handle has queued its job by then
_TOGETHER = 32  # evicted copies destroyed in one go; a guess that makes the hop cheap and the excess small


@dataclass(slots=True)
class LoadedCounters:
    """Since the start of the process; for telemetry. SoftHSM leaks about 300 bytes for each miss."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0


class LoadedKeys:
    """For one token. capacity: loaded keys; None for token objects, which cost nothing and are never destroyed here."""

    def __init__(self, token: Token, capacity: int | None) -> None:
        self.token = token
        self.counters = LoadedCounters()
        self._capacity = capacity
        self._generation = 0
        self._keys: OrderedDict[bytes, KeyObject] = OrderedDict()
        self._loading: dict[bytes, asyncio.Task[KeyObject]] = {}
        self._retired: list[KeyObject] = []
        self._due = False  # the retired are to be destroyed now
        self._burying: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, name: bytes) -> KeyObject | None:
        """A key that is loaded in the token's present generation."""
        key = self._keys.get(name)
        if key is None or key.generation != self.token.generation:
            return None
        self.counters.hits += 1
        self._keys.move_to_end(name)
        return key

    async def load(self, name: bytes, job: Callable[[WorkSession], KeyObject]) -> KeyObject:
        """Load with the job, in the loader's thread. Raises what Token.load raises."""
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._load(name, job))
        return await asyncio.shield(task)

    def forget(self, name: bytes) -> None:
        """Drop a key; its copy is destroyed when no queued job can use it. Does nothing when it is not loaded."""
        self._loading.pop(name, None)
        key = self._keys.pop(name, None)
        if key is not None and self._capacity is not None:
            self._retire(key, at_once=True)

    def forget_all(self) -> None:
        for name in [*self._keys, *self._loading]:
            self.forget(name)

    async def settle(self) -> None:
        """Return when evicted copies are destroyed."""
        if self._burying is not None:
            await self._burying

    async def _load(self, name: bytes, job: Callable[[WorkSession], KeyObject]) -> KeyObject:
        me = asyncio.current_task()
        try:
            key = await self.token.load(job)
        finally:
            wanted = self._loading.get(name) is me  # else it was forgotten meanwhile
            if wanted:
                del self._loading[name]
        self.counters.misses += 1
        if key.generation != self._generation:
            self._keys.clear()
            self._retired.clear()
            self._generation = key.generation
        if not wanted:
            if self._capacity is not None:
                self._retire(key, at_once=True)
            return key
        self._keys[name] = key
        if self._capacity is not None and len(self._keys) > self._capacity:
            _, oldest = self._keys.popitem(last=False)
            self.counters.evictions += 1
            self._retire(oldest, at_once=False)
        return key

    def _retire(self, key: KeyObject, *, at_once: bool) -> None:
        self._retired.append(key)
        self._due = self._due or at_once or len(self._retired) >= _TOGETHER
        if self._due and (self._burying is None or self._burying.done()):
            self._burying = asyncio.create_task(self._bury())

    async def _bury(self) -> None:
        while self._due:
            for _ in range(_TURNS_UNTIL_USED):
                await asyncio.sleep(0)
            dead, self._retired, self._due = self._retired, [], False
            try:
                await self.token.behind_the_work()
                await self.token.load(partial(_destroy, dead=dead))
            except HsmvaultError:
                self._retired += [key for key in dead if key.generation == self.token.generation]  # next time


def _destroy(work: WorkSession, *, dead: list[KeyObject]) -> None:
    for key in dead:
        if key.generation == work.generation:
            with suppress(*ModuleError):
                destroy(key)
