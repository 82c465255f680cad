"""What the store asks of a database driver: one connection, whose transactions are ours. sqlite.py has the first."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hsmvault.errors import HsmvaultError
from hsmvault.store.statements import Row, Statement, Value

CHANGES_KEPT = 10_000  # rows of `changes`; a follower that is further behind forgets everything it knows


class Conflicted(HsmvaultError):
    """A compare-and-swap on a revision was lost, or a unique or foreign key was violated; nothing was changed.

    The caller knows what that means for a client: read again, or errors.Conflict.
    """


@dataclass(frozen=True, slots=True)
class Change:
    """kind: what changed ('key', 'container', 'role', ...). container_id and name are empty where it has none."""

    kind: str
    container_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """rows: of a query. count: of rows that were inserted, updated or deleted."""

    rows: list[Row]
    count: int


class Connection(Protocol):
    """One connection, used by one transaction at a time. Errors of the driver come out as Conflicted, Unavailable
    or what the fault is; never as the driver's own for a fault of the database's surroundings.
    """

    async def run(self, statement: Statement, values: dict[str, Value]) -> Outcome:
        """The first run of a transaction begins it. After an error nothing of the transaction remains, and the caller
        runs nothing more in it: whatever came next would be a transaction of its own.
        """
        ...

    def commit(self, changes: Sequence[Change]) -> "asyncio.Future[list[int]]":
        """Write the changes, then commit. Queued before this returns; durable when the future is done, whose result
        is the ids of the changes in their order. On any error nothing of the transaction remains. Shield it.
        """
        ...

    def end(self) -> None:
        """Roll back what is not committed, in the background and before whatever comes next. Never fails."""
        ...

    async def close(self) -> None: ...
