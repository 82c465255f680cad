"""The time that jobs go by: one that a jump of the wall clock does not move forward until it has stood for a day.

What the wall clock says is believed when it has said so for 24 hours of running. Running time is what the monotonic
clock has measured while the jobs were at work, added up over restarts; the distance between wall clock and running time
grows with every jump forward, and with every time that nobody ran. The trusted time is the running time plus the
smallest distance that was seen within its last 24 hours: so a jump forward, or a long stop, counts only when 24 more
hours of running have confirmed it, and a jump backward counts at once. A jump makes no job act.

The latest time that was ever trusted is kept, too, as a high-water mark that goes on with the running time: what is
deleted while the wall clock is behind is kept for its retention from that mark on (resources/retention.py).

The state is kept in the database by whoever holds the jobs' lease. A database without one begins with the wall clock;
with one that cannot be read, jobs begin anew and trust the wall clock after 24 hours of running.
See docs/decisions/2026-11-22-time-that-jobs-trust.md.
"""

import logging
from collections import deque
from typing import Final

from hsmvault.clock import Clock
from hsmvault.store import trusted_time as store
from hsmvault.store.database import Transaction
from hsmvault.store.trusted_time import Seen, State

LOG = logging.getLogger("hsmvault.jobs")
STANDING_SECONDS: Final = 24 * 3600
_STEP_SECONDS: Final = 3600  # distances are kept as the smallest of each hour of running
_BEHIND_SECONDS: Final = 3600  # guessed: by so much a clock is not corrected in passing


class TrustedTime:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running = 0.0
        self._measured_at = clock.monotonic()
        self._seen: deque[Seen] = deque()  # hours rise, and so do distances: the first is the smallest
        self._highest = float("-inf")  # distance of the high-water mark
        self._saved: str | None = None
        self._is_behind = False

    async def tick(self, tx: Transaction) -> None:
        """Write down how long we have been running: what is not written down does not count after a restart.

        To be called by the holder of the jobs' lease alone. When somebody else, or an earlier run, was the last to
        write, we go on from there, and what has passed since is not running time.
        """
        text = await store.read(tx)
        if text is None or text != self._saved:
            state = State(0.0, []) if text is None else store.decode(text) or self._begun_anew()
            self._running, self._seen = state.running, deque(state.seen)
            highest = state.known_highest
            self._highest = float("-inf") if highest is None else highest
            self._measured_at = self._clock.monotonic()
        self.now()
        self._highest = max(self._highest, self._seen[0].distance)
        self._saved = await store.write(tx, State(self._running, list(self._seen), self._highest))
        self._tell_behind()

    def _begun_anew(self) -> State:
        """A distance of nothing for the first hour: what follows is trusted when that is forgotten, after a day."""
        LOG.error("the time that jobs trust cannot be read; jobs trust the clock again after 24 hours of running")
        return State(0.0, [Seen(0, 0.0)], self._clock.now())

    def _tell_behind(self) -> None:
        """Once, for an operator who may not know."""
        is_behind = self._running + self._highest - self._clock.now() > _BEHIND_SECONDS
        if is_behind and not self._is_behind:
            LOG.warning(
                "the clock is behind a time that was trusted before; what is deleted now is kept for its retention "
                "from that time on (see 'When a clock was wrong' in docs/operations.md)"
            )
        self._is_behind = is_behind

    def now(self) -> int:
        """Seconds since 1970 UTC, never ahead of the wall clock."""
        monotonic = self._clock.monotonic()
        self._running += monotonic - self._measured_at
        self._measured_at = monotonic
        seen = Seen(int(self._running // _STEP_SECONDS), self._clock.now() - self._running)
        while self._seen and self._seen[-1].distance >= seen.distance:
            self._seen.pop()
        if not self._seen or self._seen[-1].hour < seen.hour:
            self._seen.append(seen)
        while (self._seen[0].hour + 1) * _STEP_SECONDS + STANDING_SECONDS <= self._running:
            self._seen.popleft()
        return int(self._running + self._seen[0].distance)
