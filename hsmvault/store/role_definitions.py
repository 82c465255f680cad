"""Custom role definitions: those of Azure RBAC in a tenant, and those of one pool's local RBAC.

scope: "" for Azure RBAC, else the stored scope of the pool (model/local_roles.py). A name is unique, in any case, in
its tenant and scope.
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.errors import Damaged
from hsmvault.model.roles import Permission, RoleDefinition
from hsmvault.store.database import Transaction
from hsmvault.store.schema import role_definitions as table
from hsmvault.store.statements import Row, Statement, Value, checked, same

_FIELDS: Final = (
    "id",
    "tenant_id",
    "name",
    "description",
    "permissions",
    "assignable_scopes",
    "created",
    "created_by",
    "updated",
    "updated_by",
)
_CHANGEABLE: Final = (
    "name",
    "folded_name",
    "description",
    "permissions",
    "assignable_scopes",
    "updated",
    "updated_by",
)
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.id, table.c.scope)))
_OF_TENANT = Statement(
    sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.scope)).order_by(table.c.folded_name, table.c.id)
)
_COUNT = Statement(
    sa.select(sa.func.count(table.c.id)).select_from(table).where(same(table.c.tenant_id, table.c.scope))
)
_NAMED = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.scope, table.c.folded_name)))
_INSERT = Statement(sa.insert(table), [*_FIELDS, "scope", "folded_name"])
_UPDATE = Statement(sa.update(table).where(same(table.c.id)), _CHANGEABLE)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))

_encoder = msgspec.json.Encoder()
_permissions = msgspec.json.Decoder(tuple[Permission, ...])
_texts = msgspec.json.Decoder(tuple[str, ...])


async def find(tx: Transaction, role_id: str, scope: str = "") -> RoleDefinition | None:
    """role_id: in lower case. Of any tenant: ask the definition for its own. Raises Damaged."""
    row = await tx.row(_FIND, id=role_id, scope=scope)
    return None if row is None else _decode(row)


async def named(tx: Transaction, tenant_id: str, name: str, scope: str = "") -> RoleDefinition | None:
    """name: in any case. Raises Damaged."""
    row = await tx.row(_NAMED, tenant_id=tenant_id, scope=scope, folded_name=name.lower())
    return None if row is None else _decode(row)


async def of_tenant(tx: Transaction, tenant_id: str, scope: str = "") -> list[RoleDefinition]:
    """By name in lower case. Raises Damaged."""
    return [_decode(row) for row in await tx.rows(_OF_TENANT, tenant_id=tenant_id, scope=scope)]


async def count(tx: Transaction, tenant_id: str, scope: str = "") -> int:
    row = await tx.row(_COUNT, tenant_id=tenant_id, scope=scope)
    assert row is not None
    return int(row[0])


async def insert(tx: Transaction, definition: RoleDefinition, scope: str = "") -> None:
    """Raises Conflicted when the id or the name is taken, BadRequest for what the database would not keep."""
    values = _encode(definition)
    await tx.run(_INSERT, scope=scope, **values)
    tx.changed("role-definition", "", definition.id)


async def update(tx: Transaction, definition: RoleDefinition) -> None:
    """Everything but id, tenant and created. Raises Conflicted when the name is taken or the row is gone."""
    values = {name: value for name, value in _encode(definition).items() if name in _CHANGEABLE}
    await tx.swap(_UPDATE, id=definition.id, **values)
    tx.changed("role-definition", "", definition.id)


async def delete(tx: Transaction, role_id: str) -> bool:
    """Whether it was there. The caller has seen to it that nobody holds it."""
    if await tx.run(_DELETE, id=role_id) == 0:
        return False
    tx.changed("role-definition", "", role_id)
    return True


def _encode(definition: RoleDefinition) -> dict[str, Value]:
    texts = {
        "permissions": _encoder.encode(definition.permissions).decode(),
        "assignable_scopes": _encoder.encode(definition.assignable_scopes).decode(),
    }
    for text in texts.values():
        if "\\u0000" in text:  # PostgreSQL keeps no NUL, escaped in JSON neither
            checked("\0")
    plain = {name: getattr(definition, name) for name in _FIELDS if name not in texts}
    return {**plain, **texts, "folded_name": definition.name.lower()}


def _decode(row: Row) -> RoleDefinition:
    role_id, tenant_id, name, description, permissions, scopes, created, created_by, updated, updated_by = row
    try:
        return RoleDefinition(
            id=role_id,
            name=name,
            permissions=_permissions.decode(permissions),
            description=description,
            assignable_scopes=_texts.decode(scopes),
            tenant_id=tenant_id,
            created=created,
            created_by=created_by,
            updated=updated,
            updated_by=updated_by,
        )
    except msgspec.DecodeError as error:
        raise Damaged("A stored role definition cannot be read.", detail=f"role definition {role_id}") from error
