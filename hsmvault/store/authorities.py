"""Certificate authorities of our own, and what they have issued.

Changes are told as kind 'authority' with the authority's name: to caches of revocation lists and of answers to OCSP.
"""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.authorities import AuthorityRole, AuthorityRow, IssuedRow
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.schema import authorities as table
from hsmvault.store.schema import authority_certificates as issued_table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = (
    "name",
    "role",
    *columns.SPEC_COLUMNS,
    "custody",
    "public",
    "reference",
    "version",
    "certificate",
    "created",
    "crl_number",
)
_ISSUED_FIELDS: Final = (
    "authority",
    "serial",
    "not_after",
    "issued",
    "container_id",
    "name",
    "version",
    "revoked_at",
    "reason",
)

_select = sa.select(*[table.c[name] for name in _FIELDS])
_ALL = Statement(_select.order_by(table.c.name, table.c.role))
_OF_NAME = Statement(_select.where(same(table.c.name)))
_REFERENCES = Statement(sa.select(table.c.reference).where(same(table.c.custody)))
_INSERT = Statement(sa.insert(table), _FIELDS)
_ADVANCE = Statement(
    sa.update(table).where(same(table.c.name, table.c.role), table.c.crl_number == sa.bindparam("known")),
    ["crl_number"],
)

_select_issued = sa.select(*[issued_table.c[name] for name in _ISSUED_FIELDS])
_FIND = Statement(_select_issued.where(same(issued_table.c.authority, issued_table.c.serial)))
_ISSUED = Statement(
    _select_issued.where(same(issued_table.c.authority), issued_table.c.serial > sa.bindparam("after"))
    .order_by(issued_table.c.serial)
    .limit(sa.bindparam("limit"))
)
_REVOKED = Statement(
    _select_issued.where(
        same(issued_table.c.authority),
        issued_table.c.revoked_at.is_not(None),
        issued_table.c.not_after >= sa.bindparam("ending_from"),
    ).order_by(issued_table.c.revoked_at, issued_table.c.serial)
)
_RECORD = Statement(sa.insert(issued_table), _ISSUED_FIELDS)
_REVOKE = Statement(
    sa.update(issued_table).where(
        same(issued_table.c.authority, issued_table.c.serial), issued_table.c.revoked_at.is_(None)
    ),
    ["revoked_at", "reason"],
)


async def list_all(tx: Transaction) -> list[AuthorityRow]:
    """By name; of one name the issuing key first."""
    return [_decode(row) for row in await tx.rows(_ALL)]


async def of_name(tx: Transaction, name: str) -> dict[AuthorityRole, AuthorityRow]:
    """Both keys of an authority; empty when it is not made yet."""
    rows = [_decode(row) for row in await tx.rows(_OF_NAME, name=name)]
    return {row.role: row for row in rows}


async def references(tx: Transaction, custody: str) -> list[bytes]:
    """HeldKey.reference of every authority's key in this class of custody."""
    return [row[0] for row in await tx.rows(_REFERENCES, custody=custody)]


async def insert(tx: Transaction, row: AuthorityRow) -> None:
    """Raises Conflicted when the authority has this key already."""
    await tx.run(
        _INSERT,
        name=row.name,
        role=row.role.value,
        **columns.spec_to_columns(row.spec),
        custody=row.custody,
        public=row.public,
        reference=row.reference,
        version=row.version,
        certificate=row.certificate_der,
        created=row.created,
        crl_number=row.crl_number,
    )
    tx.changed("authority", "", row.name)


async def advance_crl(tx: Transaction, row: AuthorityRow, number: int) -> bool:
    """Another number for the revocation list of this key. False when it has another one than row has."""
    if not await tx.run(_ADVANCE, name=row.name, role=row.role.value, known=row.crl_number, crl_number=number):
        return False
    tx.changed("authority", "", row.name)
    return True


async def record(tx: Transaction, row: IssuedRow) -> None:
    """Before the certificate is given to anybody. Raises Conflicted when the serial number is taken."""
    await tx.run(
        _RECORD,
        authority=row.authority,
        serial=row.serial,
        not_after=row.not_after,
        issued=row.issued,
        container_id=row.container_id,
        name=row.name,
        version=row.version,
        revoked_at=row.revoked_at,
        reason=row.reason,
    )


async def find(tx: Transaction, authority: str, serial: str) -> IssuedRow | None:
    row = await tx.row(_FIND, authority=authority, serial=serial)
    return None if row is None else _decode_issued(row)


async def issued(tx: Transaction, authority: str, *, after: str, limit: int) -> list[IssuedRow]:
    """In the order of serial numbers. after: a serial number, or ''."""
    return [_decode_issued(row) for row in await tx.rows(_ISSUED, authority=authority, after=after, limit=limit)]


async def revoked(tx: Transaction, authority: str, *, ending_from: int) -> list[IssuedRow]:
    """Those revoked, first come first, that end then or later: what a revocation list has."""
    return [_decode_issued(row) for row in await tx.rows(_REVOKED, authority=authority, ending_from=ending_from)]


async def revoke(tx: Transaction, authority: str, serial: str, *, now: int, reason: int) -> bool:
    """False when there is no such certificate, or it is revoked already: the first reason stays."""
    if not await tx.run(_REVOKE, authority=authority, serial=serial, revoked_at=now, reason=reason):
        return False
    tx.changed("authority", "", authority)
    return True


def _decode(row: Row) -> AuthorityRow:
    name, role, family, size_bits, curve, public_exponent, custody, public, reference, version, der, created, crl = row
    return AuthorityRow(
        name=name,
        role=AuthorityRole(role),
        spec=columns.spec_from_columns(family, size_bits, curve, public_exponent),
        custody=custody,
        public=public,
        reference=reference,
        version=version,
        certificate_der=der,
        created=created,
        crl_number=crl,
    )


def _decode_issued(row: Row) -> IssuedRow:
    authority, serial, not_after, issued_at, container_id, name, version, revoked_at, reason = row
    return IssuedRow(authority, serial, not_after, issued_at, container_id, name, version, revoked_at, reason)
