"""What the store asks of a database driver: one connection, whose transactions are ours. sqlite.py has the first."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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


class Statements(Protocol):
    async def run(self, statement: Statement, values: dict[str, Value]) -> Outcome:
        """The first run of a transaction begins it. After an error nothing of the transaction remains, and the caller
        runs nothing more in it: whatever came next would be a transaction of its own.
        """
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a group came to. results: of each work what it returned, or in Failed what it raised. changes: of all that
    did not fail, each once, with the ids of their rows.
    """

    results: list["Any | Failed"]
    changes: list[tuple[int, Change]]


@dataclass(frozen=True, slots=True)
class Failed:
    error: BaseException


Work = Callable[[Statements], tuple[Any, Sequence[Change]]]
"""A whole transaction, and what it changed. Called in the connection's thread; the statements that it is given never
suspend. What it raises undoes it."""


class Connection(Statements, Protocol):
    """One connection, used by one transaction at a time. Errors of the driver come out as Conflicted, Unavailable
    or what the fault is; never as the driver's own for a fault of the database's surroundings.
    """

    async def read_at_once(self, work: Work) -> Any:
        """A reading transaction in one go: its result, or what it raised. For connections that no other transaction
        uses."""
        ...

    def write_together(self, works: Sequence[Work]) -> "asyncio.Future[Written]":
        """Writing transactions in one go, each undone alone by what it raises, and made durable by one commit. When
        that fails nothing of any of them remains. Queued before this returns. Shield it.
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
