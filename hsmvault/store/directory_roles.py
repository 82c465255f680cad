"""Who has which role of the directory; part of the directory."""

from collections.abc import Collection

import sqlalchemy as sa

from hsmvault.model.directory import DirectoryRole
from hsmvault.store.database import Transaction
from hsmvault.store.schema import directory_roles as table
from hsmvault.store.schema import principals
from hsmvault.store.statements import Statement, same

_OF = Statement(sa.select(table.c.role_id).where(same(table.c.principal_id)))
_ALL = Statement(
    sa.select(table.c.principal_id, table.c.role_id)
    .join(principals, principals.c.object_id == table.c.principal_id)
    .where(same(principals.c.tenant_id))
    .order_by(table.c.principal_id, table.c.role_id)
)
_INSERT = Statement(sa.insert(table), ["principal_id", "role_id"])
_DELETE = Statement(sa.delete(table).where(same(table.c.principal_id, table.c.role_id)))


async def roles_of(tx: Transaction, principal_ids: Collection[str]) -> frozenset[DirectoryRole]:
    """Of a principal and its groups together: pass every id."""
    return frozenset([DirectoryRole(row[0]) for id in principal_ids for row in await tx.rows(_OF, principal_id=id)])


async def list_all(tx: Transaction, tenant_id: str) -> list[tuple[str, DirectoryRole]]:
    """Pairs of principal and role, by principal."""
    return [(row[0], DirectoryRole(row[1])) for row in await tx.rows(_ALL, tenant_id=tenant_id)]


async def insert(tx: Transaction, principal_id: str, role: DirectoryRole) -> None:
    """Raises Conflicted when it has the role already."""
    await tx.run(_INSERT, principal_id=principal_id, role_id=role.value)
    tx.changed("directory")


async def delete(tx: Transaction, principal_id: str, role: DirectoryRole) -> bool:
    """Whether it had the role."""
    if await tx.run(_DELETE, principal_id=principal_id, role_id=role.value) == 0:
        return False
    tx.changed("directory")
    return True
