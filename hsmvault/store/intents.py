"""Intents: what is about to be made in a token, or to be destroyed there, so that a crash in between can be undone.

A token and a database have no common transaction. So the intent is committed before the token object is made, and goes
in the transaction that commits the object's row; and it comes in the transaction that removes a row, and goes once the
object is destroyed. What is left after a crash names exactly the objects that nobody answers for.
"""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.intents import Intent
from hsmvault.store.database import Transaction
from hsmvault.store.schema import intents as table
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("id", "kind", "owner", "created")

_OF = Statement(sa.select(*[table.c[name] for name in _FIELDS]).where(same(table.c.owner)).order_by(table.c.id))
_INSERT = Statement(sa.insert(table), _FIELDS)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


async def insert(tx: Transaction, intent: Intent) -> None:
    """Raises Conflicted when the object has one already."""
    await tx.run(_INSERT, id=intent.id, kind=intent.kind, owner=intent.owner, created=intent.created)


async def delete(tx: Transaction, id: str) -> None:
    """Not an error when it is gone."""
    await tx.run(_DELETE, id=id)


async def of_owner(tx: Transaction, owner: str) -> list[Intent]:
    """owner: the run whose processes made them. Another node's may be in the middle of it."""
    return [Intent(*row) for row in await tx.rows(_OF, owner=owner)]
