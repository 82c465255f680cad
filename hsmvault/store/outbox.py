"""Events that are to be delivered: written in the transaction of what they tell of, so that none is lost or made up."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import outbox as table
from hsmvault.store.statements import Statement

_FIELDS: Final = (
    "event_id",
    "type",
    "time",
    "container_id",
    "object_type",
    "name",
    "version",
    "not_before",
    "expires",
)
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_INSERT = Statement(sa.insert(table).inline(), _FIELDS)
_PAGE = Statement(
    sa.select(table.c.id, *_COLUMNS)
    .where(table.c.id > sa.bindparam("after"))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit"))
)
_DELETE_OLD = Statement(
    sa.delete(table).where(table.c.time < sa.bindparam("before"), table.c.id <= sa.bindparam("newest"))
)
_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event of Azure Event Grid's Key Vault schema.

    event_id: a GUID. type: without its prefix `Microsoft.KeyVault.`, for instance KeyNewVersionCreated. time,
    not_before, expires: seconds since 1970 UTC. object_type: Key, Secret or Certificate.
    """

    event_id: str
    type: str
    time: int
    container_id: str
    object_type: str
    name: str
    version: str
    not_before: int | None
    expires: int | None


async def insert(tx: Transaction, event: Event) -> None:
    """Who delivers events is woken when this is committed, in whatever process (a change of the kind 'outbox')."""
    await tx.run(_INSERT, **{name: getattr(event, name) for name in _FIELDS})
    tx.changed("outbox")


async def page(tx: Transaction, after: int, limit: int) -> list[tuple[int, Event]]:
    """With their numbers, the oldest first. after: the number that ended the page before; 0 for the first."""
    return [(row[0], Event(*row[1:])) for row in await tx.rows(_PAGE, after=after, limit=limit)]


async def delete_older(tx: Transaction, before: int, newest: int = _LARGEST) -> int:
    """Drop events from before this time whose number is at most `newest`. Returns how many."""
    return await tx.run(_DELETE_OLD, before=before, newest=newest)
