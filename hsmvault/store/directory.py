"""The embedded directory: tenants, principals, memberships of groups. Credentials are in credentials.py."""

from typing import Final

import sqlalchemy as sa

from hsmvault.errors import BadRequest
from hsmvault.model.principals import Principal, PrincipalKind, PrincipalState, Tenant
from hsmvault.store.columns import null_if_empty
from hsmvault.store.credentials import (
    credential_ids_of,
    credentials_of,
    delete_credential,
    insert_credential,
)
from hsmvault.store.database import Transaction
from hsmvault.store.schema import memberships, principals, tenants
from hsmvault.store.statements import Row, Statement, same

__all__ = [
    "add_member",
    "by_application",
    "by_resource",
    "credentials_of",
    "delete_credential",
    "groups_of",
    "insert_credential",
    "insert_principal",
    "insert_tenant",
    "list_tenants",
    "principal",
    "remove_member",
    "set_enabled",
    "state",
    "tenant",
    "user_by_name",
]

_TENANT_COLUMNS: Final = (tenants.c.id, tenants.c.display_name, tenants.c.domain)
_FIELDS: Final = (
    "object_id",
    "tenant_id",
    "kind",
    "display_name",
    "enabled",
    "application_id",
    "resource_id",
    "upn",
    "password_hash",
)
_COLUMNS: Final = [principals.c[name] for name in _FIELDS]

_TENANT = Statement(
    sa.select(*_TENANT_COLUMNS).where(
        sa.or_(tenants.c.id == sa.bindparam("folded"), tenants.c.folded_domain == sa.bindparam("folded"))
    )
)
_TENANTS = Statement(sa.select(*_TENANT_COLUMNS).order_by(tenants.c.id))
_INSERT_TENANT = Statement(sa.insert(tenants), ["id", "display_name", "domain", "folded_domain"])

_PRINCIPAL = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.object_id)))
_BY_APPLICATION = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.application_id)))
_USER_BY_NAME = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.folded_upn)))
_BY_RESOURCE = Statement(sa.select(*_COLUMNS).where(same(principals.c.folded_resource_id)))
_INSERT_PRINCIPAL = Statement(sa.insert(principals), [*_FIELDS, "folded_resource_id", "folded_upn"])
_SET_ENABLED = Statement(sa.update(principals).where(same(principals.c.tenant_id, principals.c.object_id)), ["enabled"])

_INSERT_MEMBER = Statement(sa.insert(memberships), ["group_id", "member_id"])
_DELETE_MEMBER = Statement(sa.delete(memberships).where(same(memberships.c.group_id, memberships.c.member_id)))
_BOTH = Statement(
    sa.select(principals.c.object_id, principals.c.tenant_id, principals.c.kind).where(
        principals.c.object_id.in_([sa.bindparam("group_id"), sa.bindparam("member_id")])
    )
)


def _groups_statement() -> Statement:
    """UNION, not UNION ALL: a group that was seen is not followed again, so that a circle ends."""
    seen = (
        sa.select(memberships.c.group_id)
        .where(memberships.c.member_id == sa.bindparam("object_id"))
        .cte("seen", recursive=True)
    )
    seen = seen.union(sa.select(memberships.c.group_id).where(memberships.c.member_id == seen.c.group_id))
    return Statement(sa.select(seen.c.group_id))


_GROUPS = _groups_statement()


async def tenant(tx: Transaction, id_or_domain: str) -> Tenant | None:
    """In any case."""
    row = await tx.row(_TENANT, folded=id_or_domain.lower())
    return None if row is None else Tenant(*row)


async def list_tenants(tx: Transaction) -> list[Tenant]:
    """By id."""
    return [Tenant(*row) for row in await tx.rows(_TENANTS)]


async def insert_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Raises Conflicted when the id or the domain is taken."""
    await tx.run(
        _INSERT_TENANT,
        id=tenant.id,
        display_name=tenant.display_name,
        domain=tenant.domain,
        folded_domain=tenant.domain.lower(),
    )
    tx.changed("directory")


async def principal(tx: Transaction, tenant_id: str, object_id: str) -> Principal | None:
    return _decode(await tx.row(_PRINCIPAL, tenant_id=tenant_id, object_id=object_id))


async def by_application(tx: Transaction, tenant_id: str, application_id: str) -> Principal | None:
    """The service principal or managed identity with this client id."""
    return _decode(await tx.row(_BY_APPLICATION, tenant_id=tenant_id, application_id=application_id))


async def user_by_name(tx: Transaction, tenant_id: str, upn: str) -> Principal | None:
    """upn: in any case."""
    return _decode(await tx.row(_USER_BY_NAME, tenant_id=tenant_id, folded_upn=upn.lower()))


async def by_resource(tx: Transaction, resource_id: str) -> Principal | None:
    """The managed identity of this ARM id, in any case."""
    return _decode(await tx.row(_BY_RESOURCE, folded_resource_id=resource_id.lower()))


async def insert_principal(tx: Transaction, principal: Principal) -> None:
    """Raises Conflicted when an id or the name is taken, or the tenant does not exist."""
    await tx.run(
        _INSERT_PRINCIPAL,
        object_id=principal.object_id,
        tenant_id=principal.tenant_id,
        kind=principal.kind.value,
        display_name=principal.display_name,
        enabled=principal.enabled,
        application_id=null_if_empty(principal.application_id),
        resource_id=null_if_empty(principal.resource_id),
        folded_resource_id=null_if_empty(principal.resource_id.lower()),
        upn=null_if_empty(principal.upn),
        folded_upn=null_if_empty(principal.upn.lower()),
        password_hash=principal.password_hash,
    )
    tx.changed("principal", "", principal.object_id)


async def set_enabled(tx: Transaction, tenant_id: str, object_id: str, enabled: bool) -> bool:
    """Whether there is such a principal."""
    if await tx.run(_SET_ENABLED, tenant_id=tenant_id, object_id=object_id, enabled=enabled) == 0:
        return False
    tx.changed("principal", "", object_id)
    return True


async def add_member(tx: Transaction, group_id: str, member_id: str) -> None:
    """Raises Conflicted when it is a member already, BadRequest unless both are there, in one tenant, and group_id is
    a group: a membership never reaches into another tenant.
    """
    rows = {row[0]: row for row in await tx.rows(_BOTH, group_id=group_id, member_id=member_id)}
    group, member = rows.get(group_id), rows.get(member_id)
    if group is None or member is None or group[2] != PrincipalKind.GROUP.value or group[1] != member[1]:
        raise BadRequest("A group and its members are principals of one tenant.")
    await tx.run(_INSERT_MEMBER, group_id=group_id, member_id=member_id)
    tx.changed("directory")


async def remove_member(tx: Transaction, group_id: str, member_id: str) -> bool:
    """Whether it was a member."""
    if await tx.run(_DELETE_MEMBER, group_id=group_id, member_id=member_id) == 0:
        return False
    tx.changed("directory")
    return True


async def groups_of(tx: Transaction, object_id: str) -> frozenset[str]:
    """Every group, through nested ones too."""
    return frozenset(row[0] for row in await tx.rows(_GROUPS, object_id=object_id))


async def state(tx: Transaction, tenant_id: str, object_id: str) -> PrincipalState | None:
    """What a permission check needs to know; None when the tenant has no such principal."""
    found = await principal(tx, tenant_id, object_id)
    if found is None:
        return None
    credentials = await credential_ids_of(tx, found.application_id) if found.application_id else frozenset()
    return PrincipalState(tenant_id, found.enabled, await groups_of(tx, object_id), credentials)


def _decode(row: Row | None) -> Principal | None:
    if row is None:
        return None
    object_id, tenant_id, kind, display_name, enabled, application_id, resource_id, upn, password_hash = row
    return Principal(
        object_id=object_id,
        tenant_id=tenant_id,
        kind=PrincipalKind(kind),
        display_name=display_name,
        enabled=bool(enabled),
        application_id=application_id or "",
        resource_id=resource_id or "",
        upn=upn or "",
        password_hash=password_hash,
    )
