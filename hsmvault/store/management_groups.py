"""Management groups: a tree in each tenant, whose root has no row."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.subscriptions import ManagementGroup
from hsmvault.store.database import Transaction
from hsmvault.store.schema import management_groups as table
from hsmvault.store.statements import Row, Statement, same

MOST_LEVELS: Final = 6  # below the root, "Azure management groups"
_FIELDS: Final = ("tenant_id", "name", "display_name", "parent", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.folded_name)))
_OF_TENANT = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id)).order_by(table.c.folded_name))
_CHILDREN = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.parent)).order_by(table.c.folded_name))
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_name"])
_UPDATE = Statement(sa.update(table).where(same(table.c.tenant_id, table.c.folded_name)), ["display_name", "parent"])
_DELETE = Statement(sa.delete(table).where(same(table.c.tenant_id, table.c.folded_name)))


async def find(tx: Transaction, tenant_id: str, name: str) -> ManagementGroup | None:
    """name: in any case."""
    row = await tx.row(_FIND, tenant_id=tenant_id, folded_name=name.lower())
    return None if row is None else _decode(row)


async def of_tenant(tx: Transaction, tenant_id: str) -> list[ManagementGroup]:
    """By name in lower case."""
    return [_decode(row) for row in await tx.rows(_OF_TENANT, tenant_id=tenant_id)]


async def children(tx: Transaction, tenant_id: str, name: str) -> list[ManagementGroup]:
    """Those right below, by name in lower case. name: in any case; "" for the tenant's root group."""
    return [_decode(row) for row in await tx.rows(_CHILDREN, tenant_id=tenant_id, parent=name.lower())]


async def above(tx: Transaction, tenant_id: str, name: str) -> list[ManagementGroup]:
    """The group of this name and every one above it, the nearest first, without the root. name: "" for the root.

    Ends also when the rows make a circle, which nobody can write who goes through resources/management_groups.py.
    """
    found: list[ManagementGroup] = []
    while name and len(found) <= MOST_LEVELS:
        group = await find(tx, tenant_id, name)
        if group is None:
            break
        found.append(group)
        name = group.parent
    return found


async def insert(tx: Transaction, group: ManagementGroup) -> None:
    """Raises Conflicted when the name is taken in the tenant."""
    await tx.run(
        _INSERT,
        tenant_id=group.tenant_id,
        folded_name=group.name.lower(),
        name=group.name,
        display_name=group.display_name,
        parent=group.parent.lower(),
        created=group.created,
    )
    tx.changed("management-group", "", group.name.lower())


async def update(tx: Transaction, group: ManagementGroup) -> None:
    """Display name and parent. Raises Conflicted when it is gone."""
    await tx.swap(
        _UPDATE,
        tenant_id=group.tenant_id,
        folded_name=group.name.lower(),
        display_name=group.display_name,
        parent=group.parent.lower(),
    )
    tx.changed("management-group", "", group.name.lower())


async def delete(tx: Transaction, tenant_id: str, name: str) -> bool:
    """Whether it was there. The caller has seen to it that nothing is in it."""
    if await tx.run(_DELETE, tenant_id=tenant_id, folded_name=name.lower()) == 0:
        return False
    tx.changed("management-group", "", name.lower())
    return True


def _decode(row: Row) -> ManagementGroup:
    return ManagementGroup(*row)
