"""Resource groups, by subscription and name."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.subscriptions import ResourceGroup
from hsmvault.store.columns import text_map_from_column, text_map_to_column
from hsmvault.store.database import Transaction
from hsmvault.store.schema import resource_groups as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = ("subscription_id", "name", "location", "tags", "created", "revision")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.subscription_id, table.c.folded_name)))
_PAGE = Statement(
    sa.select(*_COLUMNS)
    .where(same(table.c.subscription_id), table.c.folded_name > sa.bindparam("after"))
    .order_by(table.c.folded_name)
    .limit(sa.bindparam("most"))
)
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_name"])
_UPDATE = Statement(
    sa.update(table).where(
        same(table.c.subscription_id, table.c.folded_name), table.c.revision == sa.bindparam("read_revision")
    ),
    ["tags", "revision"],
)
_DELETE = Statement(sa.delete(table).where(same(table.c.subscription_id, table.c.folded_name)))


async def find(tx: Transaction, subscription_id: str, name: str) -> ResourceGroup | None:
    """Both in any case."""
    row = await tx.row(_FIND, subscription_id=subscription_id.lower(), folded_name=name.lower())
    return None if row is None else _decode(row)


async def of_subscription(tx: Transaction, subscription_id: str, *, after: str, most: int) -> list[ResourceGroup]:
    """By name in lower case, behind the name `after`, which is in lower case too."""
    rows = await tx.rows(_PAGE, subscription_id=subscription_id.lower(), after=after, most=most)
    return [_decode(row) for row in rows]


async def insert(tx: Transaction, group: ResourceGroup) -> None:
    """Raises Conflicted when the name is taken in its subscription."""
    await tx.run(
        _INSERT,
        subscription_id=group.subscription_id.lower(),
        folded_name=group.name.lower(),
        name=group.name,
        location=group.location,
        tags=text_map_to_column(group.tags),
        created=group.created,
        revision=group.revision,
    )
    _tell(tx, group.subscription_id, group.name)


async def update(tx: Transaction, group: ResourceGroup) -> None:
    """The tags; the rest never changes. group.revision is the one that was read; the row gets the next.

    Raises Conflicted when the row has another revision by now, or is gone.
    """
    await tx.swap(
        _UPDATE,
        subscription_id=group.subscription_id.lower(),
        folded_name=group.name.lower(),
        tags=text_map_to_column(group.tags),
        read_revision=group.revision,
        revision=group.revision + 1,
    )
    _tell(tx, group.subscription_id, group.name)


async def delete(tx: Transaction, subscription_id: str, name: str) -> bool:
    """Whether it was there. The caller has seen to it that nothing is in it."""
    if await tx.run(_DELETE, subscription_id=subscription_id.lower(), folded_name=name.lower()) == 0:
        return False
    _tell(tx, subscription_id, name)
    return True


def _tell(tx: Transaction, subscription_id: str, name: str) -> None:
    tx.changed("resource-group", "", f"{subscription_id}/{name}".lower())


def _decode(row: Row) -> ResourceGroup:
    subscription_id, name, location, tags, created, revision = row
    return ResourceGroup(subscription_id, name, location, text_map_from_column(tags), int(created), int(revision))
