"""Two small parts that sealing and soft custody share: a bounded cache, and one load for many askers."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from hsmvault.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps at most `limit` values, the longest unused goes first, and none longer than `seconds` after put().

    The age counts from put() and not from the last use, so that key material leaves the memory of a busy worker
    too. Belongs to one event loop.
    """

    def __init__(self, clock: Clock, *, limit: int, seconds: float) -> None:
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock.monotonic():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: Key, value: Value) -> None:
        self._entries.pop(key, None)
        if len(self._entries) >= self._limit:
            self._entries.popitem(last=False)
        self._entries[key] = (self._clock.monotonic() + self._seconds, value)

    def drop(self, key: Key) -> None:
        """Not an error when it is not there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def sweep(self) -> None:
        """Drop what is too old and was not asked for since; to be called now and then."""
        now = self._clock.monotonic()
        for key in [key for key, (end, _) in self._entries.items() if end <= now]:
            del self._entries[key]


class SingleFlight(Generic[Key, Value]):
    """At most one load per key at a time; whoever asks meanwhile gets the same result or the same exception.

    A load goes on when an asker hangs up. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Value]] = {}

    async def run(self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(load())
            self._running[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def _landed(self, key: Key, task: "asyncio.Task[Value]") -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not report it when nobody waits any more
