"""Facts about this database as a whole, by name: the instance it belongs to, and the like."""

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import meta as table
from hsmvault.store.statements import Statement, same

_GET = Statement(sa.select(table.c.value).where(same(table.c.name)))
_ALL = Statement(sa.select(table.c.name, table.c.value).order_by(table.c.name))
_INSERT = Statement(sa.insert(table), ["name", "value"])
_UPDATE = Statement(sa.update(table).where(same(table.c.name)), ["value"])


async def get(tx: Transaction, name: str) -> str | None:
    row = await tx.row(_GET, name=name)
    return None if row is None else str(row[0])


async def starting_with(tx: Transaction, prefix: str) -> list[str]:
    """The values of all facts whose name begins so, by name. There are few facts, so all are read."""
    return [str(row[1]) for row in await tx.rows(_ALL) if str(row[0]).startswith(prefix)]


async def put(tx: Transaction, name: str, value: str) -> None:
    """A new fact, or another value of a known one."""
    if await tx.run(_UPDATE, name=name, value=value) == 0:
        await tx.run(_INSERT, name=name, value=value)
