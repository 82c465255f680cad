"""What is to happen to an object by itself, and when: one row for each object and each thing that can happen to it.

Rows are written in the transaction that changes the object, and taken by the jobs (jobs/): a row that a job finds is a
hint, and what it names is decided on the object's own rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import schedule as table
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("container_id", "kind", "folded", "what", "due_at")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
_OBJECT: Final = same(table.c.container_id, table.c.kind, table.c.folded)

_DUE = Statement(
    sa.select(*_COLUMNS)
    .where(same(table.c.what), table.c.due_at <= sa.bindparam("now"))
    .order_by(table.c.due_at, table.c.container_id, table.c.kind, table.c.folded)
    .limit(sa.bindparam("limit"))
)
_OF_OBJECT = Statement(sa.select(table.c.what, table.c.due_at).where(_OBJECT))
_INSERT = Statement(sa.insert(table), _FIELDS)
_DELETE_ALL = Statement(sa.delete(table).where(_OBJECT))
_DELETE_ONE = Statement(sa.delete(table).where(_OBJECT, same(table.c.what, table.c.due_at)))


class What(Enum):
    ROTATE = "rotate"
    NEAR_EXPIRY = "near-expiry"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Due:
    """kind: of the object, as in model.operations.Kind. folded: its name in lower case. due_at: seconds since 1970."""

    container_id: str
    kind: str
    folded: str
    what: What
    due_at: int


async def replace(tx: Transaction, container_id: str, kind: str, folded: str, due: Mapping[What, int]) -> None:
    """All that is to happen to an object from now on. An empty map: nothing."""
    await tx.run(_DELETE_ALL, container_id=container_id, kind=kind, folded=folded)
    for what, due_at in due.items():
        await tx.run(_INSERT, container_id=container_id, kind=kind, folded=folded, what=what.value, due_at=due_at)


async def of_object(tx: Transaction, container_id: str, kind: str, folded: str) -> dict[What, int]:
    rows = await tx.rows(_OF_OBJECT, container_id=container_id, kind=kind, folded=folded)
    return {What(what): due_at for what, due_at in rows}


async def due(tx: Transaction, what: What, now: int, limit: int) -> list[Due]:
    """Of every container, the longest due first."""
    rows = await tx.rows(_DUE, what=what.value, now=now, limit=limit)
    return [Due(container_id, kind, folded, What(word), due_at) for container_id, kind, folded, word, due_at in rows]


async def done(tx: Transaction, one: Due) -> bool:
    """Take a row away. False when it is gone, or was replaced by another time meanwhile."""
    taken = await tx.run(
        _DELETE_ONE,
        container_id=one.container_id,
        kind=one.kind,
        folded=one.folded,
        what=one.what.value,
        due_at=one.due_at,
    )
    return taken == 1
