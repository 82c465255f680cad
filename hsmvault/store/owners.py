"""Who owns which group, registration or service principal; part of the directory."""

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import owners as table
from hsmvault.store.statements import Statement, same

_OF = Statement(sa.select(table.c.owner_id).where(same(table.c.object_id)).order_by(table.c.owner_id))
_OWNED = Statement(sa.select(table.c.object_id).where(same(table.c.owner_id)).order_by(table.c.object_id))
_INSERT = Statement(sa.insert(table), ["object_id", "owner_id"])
_DELETE = Statement(sa.delete(table).where(same(table.c.object_id, table.c.owner_id)))
_DELETE_ALL = Statement(sa.delete(table).where(same(table.c.object_id)))


async def owners_of(tx: Transaction, object_id: str) -> list[str]:
    """Object ids, in order."""
    return [row[0] for row in await tx.rows(_OF, object_id=object_id)]


async def owned_by(tx: Transaction, owner_id: str) -> list[str]:
    """Object ids, in order."""
    return [row[0] for row in await tx.rows(_OWNED, owner_id=owner_id)]


async def insert(tx: Transaction, object_id: str, owner_id: str) -> None:
    """Raises Conflicted when it is an owner already."""
    await tx.run(_INSERT, object_id=object_id, owner_id=owner_id)


async def delete(tx: Transaction, object_id: str, owner_id: str) -> bool:
    """Whether it was an owner."""
    return await tx.run(_DELETE, object_id=object_id, owner_id=owner_id) > 0


async def delete_all(tx: Transaction, object_id: str) -> None:
    """Of an object that is deleted."""
    await tx.run(_DELETE_ALL, object_id=object_id)
