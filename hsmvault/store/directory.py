"""The embedded directory: tenants and principals. Who is in which group is in memberships.py, who owns what in
owners.py, credentials in credentials.py and federated_credentials.py, registrations in applications.py.
"""

from collections.abc import Collection
from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.model.directory import PrincipalDetails, public_client
from hsmvault.model.principals import Principal, PrincipalKind, PrincipalState, Tenant
from hsmvault.store import applications, federated_credentials
from hsmvault.store.columns import json_to_column, null_if_empty
from hsmvault.store.credentials import (
    credential_ids_of,
    credentials_of,
    delete_credential,
    insert_credential,
)
from hsmvault.store.database import Transaction
from hsmvault.store.memberships import add_member, groups_of, remove_member
from hsmvault.store.schema import credentials, directory_roles, memberships, owners, principals, tenants
from hsmvault.store.statements import Row, Statement, Value, same

__all__ = [
    "add_member",
    "application_state",
    "by_application",
    "by_resource",
    "credentials_of",
    "delete_credential",
    "delete_principal",
    "groups_of",
    "insert_credential",
    "insert_principal",
    "insert_tenant",
    "list_page",
    "list_tenants",
    "principal",
    "principals_of",
    "remove_member",
    "revoke_sessions",
    "set_enabled",
    "state",
    "tenant",
    "update_principal",
    "update_tenant",
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
    "details",
    "created",
    "sessions_valid_from",
)
_CHANGEABLE: Final = (
    "display_name",
    "enabled",
    "upn",
    "folded_upn",
    "password_hash",
    "details",
    "sessions_valid_from",
)
_COLUMNS: Final = [principals.c[name] for name in _FIELDS]
_details = msgspec.json.Decoder(PrincipalDetails)

_TENANT = Statement(
    sa.select(*_TENANT_COLUMNS).where(
        sa.or_(tenants.c.id == sa.bindparam("folded"), tenants.c.folded_domain == sa.bindparam("folded"))
    )
)
_TENANTS = Statement(sa.select(*_TENANT_COLUMNS).order_by(tenants.c.id))
_INSERT_TENANT = Statement(sa.insert(tenants), ["id", "display_name", "domain", "folded_domain"])
_UPDATE_TENANT = Statement(sa.update(tenants).where(same(tenants.c.id)), ["display_name", "domain", "folded_domain"])

_PRINCIPAL = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.object_id)))
_BY_APPLICATION = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.application_id)))
_USER_BY_NAME = Statement(sa.select(*_COLUMNS).where(same(principals.c.tenant_id, principals.c.folded_upn)))
_BY_RESOURCE = Statement(sa.select(*_COLUMNS).where(same(principals.c.folded_resource_id)))
_INSERT_PRINCIPAL = Statement(sa.insert(principals), [*_FIELDS, "folded_resource_id", "folded_upn"])
_SET_ENABLED = Statement(sa.update(principals).where(same(principals.c.tenant_id, principals.c.object_id)), ["enabled"])

_UPDATE_PRINCIPAL = Statement(
    sa.update(principals).where(same(principals.c.tenant_id, principals.c.object_id)), _CHANGEABLE
)
_REVOKE_SESSIONS = Statement(
    sa.update(principals).where(same(principals.c.tenant_id, principals.c.object_id)), ["sessions_valid_from"]
)
_KIND_PARAMETERS: Final = ("kind0", "kind1", "kind2", "kind3")  # one for each kind there is
_LIST = Statement(
    sa.select(*_COLUMNS)
    .where(
        same(principals.c.tenant_id),
        principals.c.kind.in_([sa.bindparam(name) for name in _KIND_PARAMETERS]),
        principals.c.object_id > sa.bindparam("after"),
    )
    .order_by(principals.c.object_id)
    .limit(sa.bindparam("most"))
)
_DELETE_PRINCIPAL = Statement(sa.delete(principals).where(same(principals.c.tenant_id, principals.c.object_id)))
_FORGET = (
    Statement(
        sa.delete(memberships).where(
            sa.or_(
                memberships.c.group_id == sa.bindparam("object_id"),
                memberships.c.member_id == sa.bindparam("object_id"),
            )
        )
    ),
    Statement(
        sa.delete(owners).where(
            sa.or_(owners.c.object_id == sa.bindparam("object_id"), owners.c.owner_id == sa.bindparam("object_id"))
        )
    ),
    Statement(sa.delete(directory_roles).where(directory_roles.c.principal_id == sa.bindparam("object_id"))),
)
_DELETE_CREDENTIALS = Statement(sa.delete(credentials).where(same(credentials.c.application_id)))


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


async def update_tenant(tx: Transaction, tenant: Tenant) -> bool:
    """Names alone. Whether there is such a tenant. Raises Conflicted when the domain is taken."""
    names = {"display_name": tenant.display_name, "domain": tenant.domain, "folded_domain": tenant.domain.lower()}
    if await tx.run(_UPDATE_TENANT, id=tenant.id, **names) == 0:
        return False
    tx.changed("directory")
    return True


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


async def principals_of(tx: Transaction, tenant_id: str, object_ids: Collection[str]) -> list[Principal]:
    """Those that there are, in the order of object_ids."""
    return [found for id in object_ids if (found := await principal(tx, tenant_id, id)) is not None]


async def list_page(
    tx: Transaction, tenant_id: str, kinds: Collection[PrincipalKind], *, after: str, most: int
) -> list[Principal]:
    """By object id, behind `after`."""
    wanted = [kind.value for kind in kinds] * len(_KIND_PARAMETERS)
    names = dict(zip(_KIND_PARAMETERS, wanted, strict=False))
    rows = await tx.rows(_LIST, tenant_id=tenant_id, after=after, most=most, **names)
    return [found for row in rows if (found := _decode(row)) is not None]


async def insert_principal(tx: Transaction, principal: Principal) -> None:
    """Raises Conflicted when an id or the name is taken, or the tenant does not exist."""
    await tx.run(_INSERT_PRINCIPAL, **_encode(principal))
    tx.changed("principal", "", principal.object_id)


async def update_principal(tx: Transaction, principal: Principal) -> bool:
    """Names, password, details, enabled, sessions_valid_from; ids, kind and created stay. Whether there is such a
    principal. Raises Conflicted when the name is taken.
    """
    values = {name: value for name, value in _encode(principal).items() if name in _CHANGEABLE}
    ids: dict[str, Value] = {"tenant_id": principal.tenant_id, "object_id": principal.object_id}
    if await tx.run(_UPDATE_PRINCIPAL, **ids, **values) == 0:
        return False
    tx.changed("principal", "", principal.object_id)
    return True


async def revoke_sessions(tx: Transaction, tenant_id: str, object_id: str, valid_from: int) -> bool:
    """What was issued before the second valid_from (since 1970 UTC) is not good any more. Whether there is such a
    principal.
    """
    ids: dict[str, Value] = {"tenant_id": tenant_id, "object_id": object_id}
    if await tx.run(_REVOKE_SESSIONS, sessions_valid_from=valid_from, **ids) == 0:
        return False
    tx.changed("principal", "", object_id)
    return True


async def delete_principal(tx: Transaction, principal: Principal) -> bool:
    """With its memberships, members, owners, directory roles, and with the credentials of a managed identity; those of
    an application belong to its registration. Role assignments stay. Whether it was there.
    """
    for statement in _FORGET:
        await tx.run(statement, object_id=principal.object_id)
    if principal.kind is PrincipalKind.MANAGED_IDENTITY:
        await tx.run(_DELETE_CREDENTIALS, application_id=principal.application_id)
        for federated in await federated_credentials.of_application(tx, principal.application_id):
            await federated_credentials.delete(tx, principal.application_id, federated.id)
    if await tx.run(_DELETE_PRINCIPAL, tenant_id=principal.tenant_id, object_id=principal.object_id) == 0:
        return False
    tx.changed("directory", "", principal.object_id)
    return True


async def set_enabled(tx: Transaction, tenant_id: str, object_id: str, enabled: bool) -> bool:
    """Whether there is such a principal."""
    if await tx.run(_SET_ENABLED, tenant_id=tenant_id, object_id=object_id, enabled=enabled) == 0:
        return False
    tx.changed("principal", "", object_id)
    return True


async def state(tx: Transaction, tenant_id: str, object_id: str) -> PrincipalState | None:
    """What a permission check needs to know; None when the tenant has no such principal."""
    found = await principal(tx, tenant_id, object_id)
    if found is None:
        return None
    held = await _proofs_of(tx, found.application_id)
    return PrincipalState(tenant_id, found.enabled, await groups_of(tx, object_id), held, found.sessions_valid_from)


async def application_state(
    tx: Transaction, tenant_id: str, application_id: str, *, built_in: bool = True
) -> PrincipalState | None:
    """Of an application that people act through, without its groups. It needs no service principal for that; where it
    has one, disabling that closes it. None when the tenant knows no such application. built_in: whether tenants know
    the public clients without a registration.
    """
    held = await _proofs_of(tx, application_id)
    found = await by_application(tx, tenant_id, application_id)
    if found is not None:
        return PrincipalState(tenant_id, found.enabled, frozenset(), held)
    known = public_client(tenant_id, application_id) if built_in else None
    known = known or await applications.find(tx, tenant_id, application_id)
    return None if known is None else PrincipalState(tenant_id, True, frozenset(), held)


async def _proofs_of(tx: Transaction, application_id: str) -> frozenset[str]:
    """Ids of the credentials that there still are, federated ones too; none for the empty id."""
    if not application_id:
        return frozenset()
    federated = await federated_credentials.ids_of_application(tx, application_id)
    return await credential_ids_of(tx, application_id) | federated


def _encode(principal: Principal) -> dict[str, Value]:
    return {
        "object_id": principal.object_id,
        "tenant_id": principal.tenant_id,
        "kind": principal.kind.value,
        "display_name": principal.display_name,
        "enabled": principal.enabled,
        "application_id": null_if_empty(principal.application_id),
        "resource_id": null_if_empty(principal.resource_id),
        "folded_resource_id": null_if_empty(principal.resource_id.lower()),
        "upn": null_if_empty(principal.upn),
        "folded_upn": null_if_empty(principal.upn.lower()),
        "password_hash": principal.password_hash,
        "details": json_to_column(principal.details),
        "created": principal.created,
        "sessions_valid_from": principal.sessions_valid_from,
    }


def _decode(row: Row | None) -> Principal | None:
    if row is None:
        return None
    values = dict(zip(_FIELDS, row, strict=True))
    return Principal(
        object_id=values["object_id"],
        tenant_id=values["tenant_id"],
        kind=PrincipalKind(values["kind"]),
        display_name=values["display_name"],
        enabled=bool(values["enabled"]),
        application_id=values["application_id"] or "",
        resource_id=values["resource_id"] or "",
        upn=values["upn"] or "",
        password_hash=values["password_hash"],
        details=_details.decode(values["details"]),
        created=values["created"],
        sessions_valid_from=values["sessions_valid_from"],
    )
