"""Backoff after failed proofs, for each principal and address, that does not lock out the true owner.

The proof is looked at first. A right one is accepted whatever others have tried before: a secret of 204 random bits, or
a signature, cannot be found by trying, so that refusing the owner would help nobody but the one who wants him locked
out. A wrong one is counted, and from the eleventh in a row on gets 429 with a growing Retry-After in place of 401,
which well-behaved clients obey and which tells the audit log apart from an honest mistake.

What people choose (passwords) can be found by trying: these are counted *before* the comparison, and not compared while
there is a wait, so that many attempts at once are no way around it. The key holds the address, so that the owner still
gets in from his own.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from hsmvault.clock import Clock

_FREE_FAILURES = 10
_LONGEST_WAIT_SECONDS = 60.0
_FORGET_SECONDS = 600.0
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class ThrottleKey:
    """address: as network_of() gives it, or ""."""

    principal: str
    address: str


def network_of(address: str) -> str:
    """Whom an address is counted for: of IPv6 the first 64 bits, behind which one client has every address there is
    (RFC 4291, 2.5.4; RFC 6177). What is no address stands for itself.
    """
    try:
        read = IPv6Address(address)
    except ValueError:
        return address
    return str(IPv6Network((int(read) >> 64 << 64, 64)))


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = -math.inf
    blocked_until: float = -math.inf


class Throttle:
    """Memory of one worker, bounded: the least recently used entry is forgotten first.

    free_failures: how many in a row get their own answer.
    """

    def __init__(self, clock: Clock, *, free_failures: int = _FREE_FAILURES) -> None:
        self._clock = clock
        self._free_failures = free_failures
        self._entries: OrderedDict[ThrottleKey, _Failures] = OrderedDict()

    def wait_seconds(self, key: ThrottleKey) -> int:
        """Whole seconds to wait before the next wrong proof gets an answer of its own; 0 when there is no need."""
        entry = self._entries.get(key)
        return 0 if entry is None else math.ceil(max(0.0, entry.blocked_until - self._clock.monotonic()))

    def failed(self, key: ThrottleKey) -> int:
        """Count a wrong proof. Returns 0 when it gets its own answer, else the seconds for Retry-After."""
        if wait := self.wait_seconds(key):
            return wait
        now = self._clock.monotonic()
        entry = self._entries.setdefault(key, _Failures())
        self._entries.move_to_end(key)
        if now - entry.last > _FORGET_SECONDS:
            entry.count = 0
        entry.count += 1
        entry.last = now
        over = entry.count - self._free_failures
        if over >= 0:
            entry.blocked_until = now + min(2.0 ** min(over, 16), _LONGEST_WAIT_SECONDS)
        if len(self._entries) > _MOST_ENTRIES:
            self._entries.popitem(last=False)
        return 0

    def succeeded(self, key: ThrottleKey) -> None:
        self._entries.pop(key, None)

    def forgive(self, key: ThrottleKey) -> None:
        """What was counted last was right. The failures before it stay: others may have made them."""
        if (entry := self._entries.get(key)) is not None:
            entry.count = max(0, entry.count - 1)
