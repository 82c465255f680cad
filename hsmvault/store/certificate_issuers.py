"""Issuer objects and contacts of vaults. The issuer of a name in lower case; names compare so."""

from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.model.certificates import CertificateIssuer, Contact, Organization
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.schema import certificate_contacts, certificate_issuers
from hsmvault.store.statements import Row, Statement, Value, checked, same

_FIELDS: Final = (
    "container_id",
    "folded",
    "name",
    "provider",
    "account_id",
    "password",
    "organization",
    "enabled",
    "created",
    "updated",
    "revision",
)
_table: Final = certificate_issuers
_COLUMNS: Final = [_table.c[name] for name in _FIELDS if name != "folded"]
_this: Final = same(_table.c.container_id, _table.c.folded)

_FIND = Statement(sa.select(*_COLUMNS).where(_this))
_PAGE = Statement(
    sa.select(*_COLUMNS)
    .where(same(_table.c.container_id), _table.c.folded > sa.bindparam("after"))
    .order_by(_table.c.folded)
    .limit(sa.bindparam("limit"))
)
_INSERT = Statement(sa.insert(_table), _FIELDS)
_UPDATE = Statement(
    sa.update(_table).where(_this, _table.c.revision == sa.bindparam("read_revision")),
    [name for name in _FIELDS if name not in ("container_id", "folded", "name", "created")],
)
_DELETE = Statement(sa.delete(_table).where(_this, _table.c.revision == sa.bindparam("read_revision")))

_CONTACTS = Statement(sa.select(certificate_contacts.c.contacts).where(same(certificate_contacts.c.container_id)))
_INSERT_CONTACTS = Statement(sa.insert(certificate_contacts), ["container_id", "contacts"])
_UPDATE_CONTACTS = Statement(
    sa.update(certificate_contacts).where(same(certificate_contacts.c.container_id)), ["contacts"]
)
_DELETE_CONTACTS = Statement(sa.delete(certificate_contacts).where(same(certificate_contacts.c.container_id)))


async def find(tx: Transaction, container_id: str, name: str) -> CertificateIssuer | None:
    row = await tx.row(_FIND, container_id=container_id, folded=name.lower())
    return None if row is None else _decode(row)


async def page(tx: Transaction, container_id: str, after: str | None, limit: int) -> list[CertificateIssuer]:
    """By name in lower case. after: the name that ended the page before."""
    rows = await tx.rows(_PAGE, container_id=container_id, after=(after or "").lower(), limit=limit)
    return [_decode(row) for row in rows]


async def insert(tx: Transaction, issuer: CertificateIssuer) -> None:
    """Raises Conflicted when the name exists."""
    await tx.run(_INSERT, **_encode(issuer))


async def update(tx: Transaction, issuer: CertificateIssuer) -> None:
    """issuer: as it is to be, with the revision that was read; it goes up by one. Raises Conflicted when it has
    changed since, or is gone."""
    values = _encode(issuer)
    del values["name"], values["created"]
    values["revision"] = issuer.revision + 1
    await tx.swap(_UPDATE, **values, read_revision=issuer.revision)


async def delete(tx: Transaction, issuer: CertificateIssuer) -> None:
    """Raises Conflicted when it has changed since it was read, or is gone."""
    await tx.swap(_DELETE, container_id=issuer.container_id, folded=issuer.folded, read_revision=issuer.revision)


async def contacts(tx: Transaction, container_id: str) -> tuple[Contact, ...]:
    """Of a vault; none when they were never set, or were removed."""
    row = await tx.row(_CONTACTS, container_id=container_id)
    return () if row is None else msgspec.json.decode(row[0], type=tuple[Contact, ...])


async def set_contacts(tx: Transaction, container_id: str, contacts: tuple[Contact, ...]) -> None:
    """In place of those before."""
    column = msgspec.json.encode(contacts).decode()
    checked(column)
    if await tx.run(_UPDATE_CONTACTS, container_id=container_id, contacts=column) == 0:
        await tx.run(_INSERT_CONTACTS, container_id=container_id, contacts=column)


async def delete_contacts(tx: Transaction, container_id: str) -> None:
    await tx.run(_DELETE_CONTACTS, container_id=container_id)


def _encode(issuer: CertificateIssuer) -> dict[str, Value]:
    return {
        "container_id": issuer.container_id,
        "folded": issuer.folded,
        "name": issuer.name,
        "provider": issuer.provider,
        "account_id": issuer.account_id,
        "password": issuer.password,
        "organization": columns.value_to_column(issuer.organization),
        "enabled": issuer.enabled,
        "created": issuer.created,
        "updated": issuer.updated,
        "revision": issuer.revision,
    }


def _decode(row: Row) -> CertificateIssuer:
    container_id, name, provider, account_id, password, organization, enabled, created, updated, revision = row
    return CertificateIssuer(
        container_id=container_id,
        name=name,
        provider=provider,
        created=created,
        updated=updated,
        account_id=account_id,
        password=password,
        organization=columns.value_from_column(organization, Organization),
        enabled=bool(enabled),
        revision=revision,
    )
