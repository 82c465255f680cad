"""Signing keys of the embedded issuer."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.schema import login_keys as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = (
    "id",
    "certificate_der",
    *columns.SPEC_COLUMNS,
    "public",
    "reference",
    "custody",
    "not_before",
    "signs_from",
    "retires_at",
    "created",
)

_ALL = Statement(sa.select(*[table.c[name] for name in _FIELDS]).order_by(table.c.signs_from, table.c.id))
_INSERT = Statement(sa.insert(table), _FIELDS)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


async def list_all(tx: Transaction) -> list[LoginKeyRow]:
    """In the order in which they sign."""
    return [_decode(row) for row in await tx.rows(_ALL)]


async def insert(tx: Transaction, row: LoginKeyRow) -> None:
    """Raises Conflicted when the id is taken."""
    await tx.run(
        _INSERT,
        id=row.id,
        certificate_der=row.certificate_der,
        **columns.spec_to_columns(row.spec),
        public=row.public,
        reference=row.reference,
        custody=row.custody,
        not_before=row.not_before,
        signs_from=row.signs_from,
        retires_at=row.retires_at,
        created=row.created,
    )
    tx.changed("login-key", "", row.id)


async def delete(tx: Transaction, key_id: str) -> bool:
    """Whether it was there."""
    if await tx.run(_DELETE, id=key_id) == 0:
        return False
    tx.changed("login-key", "", key_id)
    return True


def _decode(row: Row) -> LoginKeyRow:
    id, certificate_der, family, size_bits, curve, public_exponent, public, reference, custody, *times = row
    not_before, signs_from, retires_at, created = times
    return LoginKeyRow(
        id=id,
        certificate_der=certificate_der,
        spec=columns.spec_from_columns(family, size_bits, curve, public_exponent),
        public=public,
        reference=reference,
        custody=custody,
        not_before=not_before,
        signs_from=signs_from,
        retires_at=retires_at,
        created=created,
    )
