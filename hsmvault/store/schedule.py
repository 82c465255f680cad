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
from hsmvault.store.schema import key_names, key_versions
from hsmvault.store.schema import schedule as table
from hsmvault.store.schema.installation import deleted_containers
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("container_id", "kind", "folded", "what", "due_at")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
_OBJECT: Final = same(table.c.container_id, table.c.kind, table.c.folded)

# Those of a deleted container wait for its recovery, or go with it.
_DUE = Statement(
    sa.select(*_COLUMNS)
    .where(
        same(table.c.kind, table.c.what),
        table.c.due_at <= sa.bindparam("now"),
        table.c.container_id.not_in(deleted_containers()),
    )
    .order_by(table.c.due_at, table.c.container_id, table.c.kind, table.c.folded)
    .limit(sa.bindparam("limit"))
)
_OF_OBJECT = Statement(sa.select(table.c.what, table.c.due_at).where(_OBJECT))
_INSERT = Statement(sa.insert(table), _FIELDS)
_DELETE_ALL = Statement(sa.delete(table).where(_OBJECT))
_MOVE = Statement(
    sa.update(table)
    .where(_OBJECT, same(table.c.what), table.c.due_at == sa.bindparam("was_due_at"))
    .values(due_at=sa.bindparam("next_due_at"))
)
_DELETE_ONE = Statement(sa.delete(table).where(_OBJECT, same(table.c.what, table.c.due_at)))

_EXPIRING_KEYS = Statement(
    sa.select(key_names.c.container_id, key_names.c.folded)
    .select_from(
        key_names.join(
            key_versions,
            sa.and_(
                key_versions.c.container_id == key_names.c.container_id,
                key_versions.c.folded == key_names.c.folded,
                key_versions.c.version == key_names.c.latest_version,
            ),
        )
    )
    .where(
        key_names.c.deleted_at.is_(None),
        key_versions.c.expires > sa.bindparam("now"),
        sa.tuple_(key_names.c.container_id, key_names.c.folded)
        > sa.tuple_(sa.bindparam("container_id"), sa.bindparam("folded")),
    )
    .order_by(key_names.c.container_id, key_names.c.folded)
    .limit(sa.bindparam("limit"))
)


class What(Enum):
    """The first is for keys alone, the last three for certificates."""

    ROTATE = "rotate"
    NEAR_EXPIRY = "near-expiry"
    EXPIRED = "expired"
    RENEW = "renew"
    EMAIL = "email"
    RENEWED = "renewed"


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


async def due(tx: Transaction, kind: str, what: What, now: int, limit: int) -> list[Due]:
    """Of every container that is in use, the longest due first."""
    rows = await tx.rows(_DUE, kind=kind, what=what.value, now=now, limit=limit)
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


async def postpone(tx: Transaction, one: Due, until: int) -> bool:
    """Look at it again later. False when it is gone, or was replaced by another time meanwhile."""
    moved = await tx.run(
        _MOVE,
        container_id=one.container_id,
        kind=one.kind,
        folded=one.folded,
        what=one.what.value,
        was_due_at=one.due_at,
        next_due_at=until,
    )
    return moved == 1


async def expiring_keys(tx: Transaction, now: int, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """Container and name of the keys whose latest version expires after `now`, in that order. after: the pair that
    ended the page before; of empty texts for the first.
    """
    rows = await tx.rows(_EXPIRING_KEYS, now=now, container_id=after[0], folded=after[1], limit=limit)
    return [(container_id, folded) for container_id, folded in rows]
