"""Which generation of a world key each wrapped key is under: a walk over all rows, for whoever rotates world keys."""

from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import key_versions as table
from hsmvault.store.statements import Statement, same

Place = tuple[str, str, str]
START: Final[Place] = ("", "", "")

_AFTER = Statement(
    sa.select(table.c.container_id, table.c.folded, table.c.version, table.c.reference)
    .where(
        same(table.c.custody),
        sa.tuple_(table.c.container_id, table.c.folded, table.c.version)
        > sa.tuple_(sa.bindparam("after_container"), sa.bindparam("after_folded"), sa.bindparam("after_version")),
    )
    .order_by(table.c.container_id, table.c.folded, table.c.version)
    .limit(sa.bindparam("limit"))
)


async def references_after(tx: Transaction, custody: str, after: Place, *, limit: int) -> list[tuple[Place, bytes]]:
    """References of key versions of every container, deleted ones too, in the order of their places."""
    rows = await tx.rows(
        _AFTER, custody=custody, after_container=after[0], after_folded=after[1], after_version=after[2], limit=limit
    )
    return [((str(row[0]), str(row[1]), str(row[2])), bytes(row[3])) for row in rows]
