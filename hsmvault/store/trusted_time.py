"""The fact about the time that jobs trust (jobs/trusted_time.py), which whoever deletes reads, too."""

from typing import Final

import msgspec

from hsmvault.store import meta
from hsmvault.store.database import Transaction

_FACT: Final = "trusted-time"


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The smallest distance of an hour of running. hour: its number. distance: by how many seconds the wall clock, in
    seconds since 1970 UTC, was ahead of the running time.
    """

    hour: int
    distance: float


class State(msgspec.Struct, frozen=True):
    """running: seconds. highest: the greatest distance that was ever trusted; None in rows of an earlier version."""

    running: float
    seen: list[Seen]
    highest: float | None = None

    @property
    def known_highest(self) -> float | None:
        if self.highest is None and self.seen:
            return self.seen[0].distance
        return self.highest


async def read(tx: Transaction) -> str | None:
    """As it was written; None in a database that has none."""
    return await meta.get(tx, _FACT)


async def write(tx: Transaction, state: State) -> str:
    """Returns what read() gives from now on."""
    text = msgspec.json.encode(state).decode()
    await meta.put(tx, _FACT, text)
    return text


def decode(text: str) -> State | None:
    """None for what is no such fact."""
    try:
        return msgspec.json.decode(text, type=State)
    except msgspec.MsgspecError:
        return None


async def high_water(tx: Transaction) -> int:
    """The latest time that was ever trusted, gone on with the running time up to the last tick of the jobs: seconds
    since 1970 UTC, 0 when nothing is known.

    A wall clock that stands behind it was set back; or it was ahead before, and for so long that it was trusted.
    """
    text = await read(tx)
    state = None if text is None else decode(text)
    highest = None if state is None else state.known_highest
    return 0 if state is None or highest is None else int(state.running + highest)
