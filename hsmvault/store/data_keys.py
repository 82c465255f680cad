"""Data keys, sealed; what custody's sealer asks of a store, by the shape of its protocol."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.data_keys import DataKeyRow
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.schema import data_keys as table
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("id", "container_id", "system_key_id", "sealed", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_CURRENT = Statement(sa.select(*_COLUMNS).where(same(table.c.container_id), table.c.superseded_at.is_(None)))
_GET = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_INSERT = Statement(sa.insert(table), _FIELDS)


async def current(tx: Transaction, container_id: str) -> DataKeyRow | None:
    """The one that seals what is new in this container."""
    row = await tx.row(_CURRENT, container_id=container_id)
    return None if row is None else DataKeyRow(*row)


async def insert_first(tx: Transaction, row: DataKeyRow) -> None:
    """Raises Conflicted when the container has a current data key, or the id is taken."""
    await tx.run(
        _INSERT,
        id=row.id,
        container_id=row.container_id,
        system_key_id=row.system_key_id,
        sealed=row.sealed,
        created=row.created,
    )


class DataKeys:
    """Each call is a transaction of its own: a data key is there before anything that it seals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, container_id: str) -> DataKeyRow | None:
        async with self._database.read() as tx:
            return await current(tx, container_id)

    async def get(self, data_key_id: str) -> DataKeyRow | None:
        """By the id that a sealed value carries; the sealer checks that it is of the value's container."""
        async with self._database.read() as tx:
            row = await tx.row(_GET, id=data_key_id)
            return None if row is None else DataKeyRow(*row)

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        """Returns the container's current row: this one, or that of whoever was first."""
        try:
            async with self._database.write() as tx:
                found = await current(tx, row.container_id)
                if found is None:
                    await insert_first(tx, row)
                    return row
                return found
        except Conflicted:
            found = await self.current(row.container_id)
            if found is None:
                raise
            return found
