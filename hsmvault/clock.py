"""Time, randomness and identifiers, as objects that a test replaces.

Deadlines and durations go by the monotonic clock; what clients see goes by the wall clock. The order of versions
and of audit records never depends on either (threat model, 9).
"""

import os
import secrets
import time
from dataclasses import dataclass
from struct import iter_unpack
from typing import Protocol

_GUID_VERSION_4 = (0x4 << 76) | (0x2 << 62)
_DRAWN_BYTES = 256 * 16
_GUID_RANDOM = ~((0xF << 76) | (0x3 << 62))


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class MovedClock:
    """A clock that stands still until a test moves it."""

    wall: float = 1_750_000_000.0
    steady: float = 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def move(self, seconds: float) -> None:
        """Both clocks go forward together, as time does."""
        self.wall += seconds
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock alone is set to another time, as an operator or NTP does."""
        self.wall += seconds


class Identifiers(Protocol):
    def version(self) -> str:
        """32 lower-case hex digits: the version of a key, secret or certificate."""
        ...

    def guid(self) -> str: ...

    def random(self, length: int) -> bytes: ...


class RandomIdentifiers:
    """From the operating system."""

    def __init__(self) -> None:
        self._drawn = iter_unpack("16s", b"")
        self._process = 0  # that drew: what a fork inherits is not its own

    def version(self) -> str:
        return self._next().hex()

    def guid(self) -> str:
        """RFC 9562, 5.4, as uuid.uuid4() and its str() would, in a fraction of their time: every request has one."""
        number = int.from_bytes(self._next(), "big") & _GUID_RANDOM | _GUID_VERSION_4
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def random(self, length: int) -> bytes:
        """Drawn when it is asked for: a copy of this machine that is woken elsewhere must not have the same IVs."""
        return secrets.token_bytes(length)

    def _next(self) -> bytes:
        """16 bytes, for names alone. They are drawn for many at once, since each draw hands the interpreter's lock to
        whoever waits for it. From any thread: a step of the iterator is one step for all of them.
        """
        process = os.getpid()
        drawn = next(self._drawn, None) if process == self._process else None
        if drawn is None:
            fresh = iter_unpack("16s", os.urandom(_DRAWN_BYTES))
            drawn = next(fresh)
            self._drawn, self._process = fresh, process
        content: bytes = drawn[0]
        return content
