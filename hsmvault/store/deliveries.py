"""How far each event subscription has come: one row for each, moved when its receiver has taken an event."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import event_deliveries as table
from hsmvault.store.schema import outbox
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("subscription", "delivered", "attempts", "retry_at", "error")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.subscription)))
_ALL = Statement(sa.select(*_COLUMNS))
_NEWEST = Statement(sa.select(sa.func.max(outbox.c.id)))
_INSERT = Statement(sa.insert(table), _FIELDS)
_SAVE = Statement(
    sa.update(table).where(same(table.c.subscription), table.c.delivered == sa.bindparam("was_delivered")),
    [name for name in _FIELDS if name != "subscription"],
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """subscription: its name. delivered: the number of the last event of the outbox that is done with.

    Of the event behind it: attempts: how often it was refused. retry_at: when it is tried again, seconds since 1970
    UTC; None: at once. error: why it was refused last, for an operator; empty when it was not.
    """

    subscription: str
    delivered: int
    attempts: int = 0
    retry_at: int | None = None
    error: str = ""


async def find(tx: Transaction, subscription: str) -> Cursor | None:
    row = await tx.row(_FIND, subscription=subscription)
    return None if row is None else Cursor(*row)


async def begin(tx: Transaction, subscription: str) -> Cursor:
    """Where a subscription is. One that is seen for the first time begins behind the newest event."""
    found = await find(tx, subscription)
    if found is not None:
        return found
    newest = await tx.row(_NEWEST)
    cursor = Cursor(subscription, 0 if newest is None or newest[0] is None else int(newest[0]))
    await tx.run(_INSERT, subscription=subscription, delivered=cursor.delivered, attempts=0, retry_at=None, error="")
    return cursor


async def save(tx: Transaction, was: Cursor, now: Cursor) -> None:
    """Raises Conflicted when somebody else has moved it since it was read."""
    await tx.swap(
        _SAVE,
        subscription=was.subscription,
        was_delivered=was.delivered,
        delivered=now.delivered,
        attempts=now.attempts,
        retry_at=now.retry_at,
        error=now.error,
    )


async def least_delivered(tx: Transaction, subscriptions: frozenset[str]) -> int | None:
    """The number up to which all of these are done with the outbox. None when there are none; 0 when one has not
    begun.
    """
    if not subscriptions:
        return None
    delivered = {row[0]: int(row[1]) for row in await tx.rows(_ALL)}
    return min(delivered.get(name, 0) for name in subscriptions)
