"""Everything that a container holds, to be removed a piece at a time when the container itself goes for good.

Nothing here looks at the state of an object: the container is deleted, and nobody recovers it any more. What is left
out is what others keep about it: the audit log, events, and what our own authorities have issued.
"""

from typing import Final

import sqlalchemy as sa

from hsmvault.store import schema
from hsmvault.store.database import Transaction
from hsmvault.store.statements import Statement, same

CERTIFICATES: Final = "certificate"
SECRETS: Final = "secret"
KEYS: Final = "key"
KINDS: Final = (CERTIFICATES, SECRETS, KEYS)
"""As changes call them."""


class _Kind:
    """word: of the schedule."""

    def __init__(self, word: str, names: sa.Table, versions: sa.Table) -> None:
        self.word = word
        self.names = Statement(
            sa.select(names.c.folded)
            .where(same(names.c.container_id))
            .order_by(names.c.folded)
            .limit(sa.bindparam("most"))
        )
        self.delete_versions = Statement(sa.delete(versions).where(same(versions.c.container_id, versions.c.folded)))
        self.delete_name = Statement(sa.delete(names).where(same(names.c.container_id, names.c.folded)))


_KINDS: Final = {
    CERTIFICATES: _Kind("certificates", schema.certificate_names, schema.certificate_versions),
    SECRETS: _Kind("secrets", schema.secret_names, schema.secret_versions),
    KEYS: _Kind("keys", schema.key_names, schema.key_versions),
}
_schedule: Final = schema.schedule
_operations: Final = schema.certificate_operations
_UNSCHEDULE = Statement(
    sa.delete(_schedule).where(same(_schedule.c.container_id, _schedule.c.kind, _schedule.c.folded))
)
_DELETE_OPERATION = Statement(sa.delete(_operations).where(same(_operations.c.container_id, _operations.c.folded)))
_OF_CONTAINER: Final = [
    Statement(sa.delete(table).where(table.c.container_id == sa.bindparam("container_id")))
    for table in (
        _operations,
        _schedule,
        schema.certificate_issuers,
        schema.certificate_contacts,
        schema.data_keys,
        schema.mails,
    )
]


async def names(tx: Transaction, kind: str, container_id: str, most: int) -> list[str]:
    """Some that are left, in lower case, active or deleted. kind: one of KINDS."""
    rows = await tx.rows(_KINDS[kind].names, container_id=container_id, most=most)
    return [str(folded) for (folded,) in rows]


async def remove(tx: Transaction, kind: str, container_id: str, folded: str) -> None:
    """A name with every version of it, and what was to happen to it. kind: one of KINDS."""
    one = _KINDS[kind]
    await tx.run(_UNSCHEDULE, container_id=container_id, kind=one.word, folded=folded)
    if kind == CERTIFICATES:
        await tx.run(_DELETE_OPERATION, container_id=container_id, folded=folded)
    await tx.run(one.delete_versions, container_id=container_id, folded=folded)
    await tx.run(one.delete_name, container_id=container_id, folded=folded)
    tx.changed(kind, container_id, folded)


async def is_empty(tx: Transaction, container_id: str) -> bool:
    """Whether no object is left."""
    for kind in KINDS:
        if await names(tx, kind, container_id, 1):
            return False
    return True


async def remove_rest(tx: Transaction, container_id: str) -> None:
    """What is no object: issuers, contacts, data keys, mail that waits, and rows that stand for an object that is
    gone."""
    for statement in _OF_CONTAINER:
        await tx.run(statement, container_id=container_id)
