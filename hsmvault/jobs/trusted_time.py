"""The time that jobs go by: one that a jump of the wall clock does not move forward until it has stood for a day.

What the wall clock says is believed when it has said so for 24 hours of running. Running time is what the monotonic
clock has measured while the jobs were at work, added up over restarts; the distance between wall clock and running time
grows with every jump forward, and with every time that nobody ran. The trusted time is the running time plus the
smallest distance that was seen within its last 24 hours: so a jump forward, or a long stop, counts only when 24 more
hours of running have confirmed it, and a jump backward counts at once. Nothing is ever early because of a clock.

The state is kept in the database by whoever holds the jobs' lease. A database without one begins with the wall clock.
See docs/decisions/2026-11-22-time-that-jobs-trust.md.
"""

from collections import deque
from typing import Final

import msgspec

from hsmvault.clock import Clock
from hsmvault.store import meta
from hsmvault.store.database import Transaction

STANDING_SECONDS: Final = 24 * 3600
_STEP_SECONDS: Final = 3600  # distances are kept as the smallest of each hour of running
_FACT: Final = "trusted-time"


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    """The smallest distance of an hour of running. hour: its number."""

    hour: int
    distance: float


class _State(msgspec.Struct, frozen=True):
    """running: seconds."""

    running: float
    seen: list[_Seen]


class TrustedTime:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running = 0.0
        self._measured_at = clock.monotonic()
        self._seen: deque[_Seen] = deque()  # hours rise, and so do distances: the first is the smallest
        self._saved: str | None = None

    async def tick(self, tx: Transaction) -> None:
        """Write down how long we have been running: what is not written down does not count after a restart.

        To be called by the holder of the jobs' lease alone. When somebody else, or an earlier run, was the last to
        write, we go on from there, and what has passed since is not running time.
        """
        text = await meta.get(tx, _FACT)
        if text is None or text != self._saved:
            state = _State(0.0, []) if text is None else msgspec.json.decode(text, type=_State)
            self._running, self._seen = state.running, deque(state.seen)
            self._measured_at = self._clock.monotonic()
        self.now()
        self._saved = msgspec.json.encode(_State(self._running, list(self._seen))).decode()
        await meta.put(tx, _FACT, self._saved)

    def now(self) -> int:
        """Seconds since 1970 UTC, never ahead of the wall clock."""
        monotonic = self._clock.monotonic()
        self._running += monotonic - self._measured_at
        self._measured_at = monotonic
        seen = _Seen(int(self._running // _STEP_SECONDS), self._clock.now() - self._running)
        while self._seen and self._seen[-1].distance >= seen.distance:
            self._seen.pop()
        if not self._seen or self._seen[-1].hour < seen.hour:
            self._seen.append(seen)
        while (self._seen[0].hour + 1) * _STEP_SECONDS + STANDING_SECONDS <= self._running:
            self._seen.popleft()
        return int(self._running + self._seen[0].distance)
