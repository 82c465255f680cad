"""Data keys, sealed; what custody's sealer asks of a store, by the shape of its protocol."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.data_keys import DataKeyRow, SystemKeyGone
from hsmvault.model.worlds import ACTIVE, RETIRED
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.schema import data_keys as table
from hsmvault.store.schema import system_keys
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("id", "container_id", "system_key_id", "sealed", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_CURRENT = Statement(sa.select(*_COLUMNS).where(same(table.c.container_id), table.c.superseded_at.is_(None)))
_GET = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_INSERT = Statement(sa.insert(table), _FIELDS)
_STATE = Statement(sa.select(system_keys.c.state).where(same(system_keys.c.id)))
_UNDER = Statement(
    sa.select(*_COLUMNS)
    .where(same(table.c.system_key_id), table.c.id > sa.bindparam("after"))
    .order_by(table.c.id)
    .limit(sa.bindparam("limit"))
)
_COUNT = Statement(sa.select(sa.func.count(table.c.id)).where(same(table.c.system_key_id)))
_RESEAL = Statement(
    sa.update(table).where(same(table.c.id), table.c.system_key_id == sa.bindparam("read_system_key_id")),
    ["system_key_id", "sealed"],
)


async def current(tx: Transaction, container_id: str) -> DataKeyRow | None:
    """The one that seals what is new in this container."""
    row = await tx.row(_CURRENT, container_id=container_id)
    return None if row is None else DataKeyRow(*row)


async def insert_first(tx: Transaction, row: DataKeyRow) -> None:
    """Raises Conflicted when the container has a current data key, or the id is taken; SystemKeyGone when its system
    key is about to be destroyed, or is: whoever counts what that key still opens and finds nothing relies on it.
    """
    state = await tx.row(_STATE, id=row.system_key_id)
    if state is None or state[0] not in (ACTIVE, RETIRED):
        raise SystemKeyGone(
            "The service is temporarily unavailable. Please retry the request.",
            detail=f"system key {row.system_key_id} seals nothing any more",
        )
    await tx.run(
        _INSERT,
        id=row.id,
        container_id=row.container_id,
        system_key_id=row.system_key_id,
        sealed=row.sealed,
        created=row.created,
    )


async def count_under(tx: Transaction, system_key_id: str) -> int:
    """How many data keys only this system key opens."""
    row = await tx.row(_COUNT, system_key_id=system_key_id)
    return 0 if row is None else int(row[0])


async def under(tx: Transaction, system_key_id: str, *, after: str = "", limit: int) -> list[DataKeyRow]:
    """Data keys that this system key sealed, current and superseded, by id. after: the last id seen."""
    rows = await tx.rows(_UNDER, system_key_id=system_key_id, after=after, limit=limit)
    return [DataKeyRow(*row) for row in rows]


async def reseal(tx: Transaction, row: DataKeyRow, read_system_key_id: str) -> bool:
    """The same data key, sealed by another system key. False when somebody else has done so, or deleted it."""
    found = await tx.run(
        _RESEAL,
        id=row.id,
        read_system_key_id=read_system_key_id,
        system_key_id=row.system_key_id,
        sealed=row.sealed,
    )
    return found == 1


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
        """Returns the container's current row: this one, or that of whoever was first. Raises SystemKeyGone."""
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
