"""Diagnostic settings, by resource and name."""

from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting
from hsmvault.store.columns import value_to_column
from hsmvault.store.database import Transaction
from hsmvault.store.schema import diagnostic_settings as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = ("resource_id", "name", "body", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.folded_resource_id, table.c.folded_name)))
_OF_RESOURCE = Statement(sa.select(*_COLUMNS).where(same(table.c.folded_resource_id)).order_by(table.c.folded_name))
_ALL = Statement(sa.select(*_COLUMNS).order_by(table.c.folded_resource_id, table.c.folded_name))
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_resource_id", "folded_name"])
_DELETE = Statement(sa.delete(table).where(same(table.c.folded_resource_id, table.c.folded_name)))
_DELETE_OF_RESOURCE = Statement(sa.delete(table).where(same(table.c.folded_resource_id)))
_body_decoder = msgspec.json.Decoder(DiagnosticBody)


async def find(tx: Transaction, resource_id: str, name: str) -> DiagnosticSetting | None:
    """Both in any case."""
    row = await tx.row(_FIND, folded_resource_id=resource_id.lower(), folded_name=name.lower())
    return None if row is None else _decode(row)


async def of_resource(tx: Transaction, resource_id: str) -> list[DiagnosticSetting]:
    """By name. resource_id: in any case."""
    return [_decode(row) for row in await tx.rows(_OF_RESOURCE, folded_resource_id=resource_id.lower())]


async def list_all(tx: Transaction) -> list[DiagnosticSetting]:
    """Of every resource: for who exports records."""
    return [_decode(row) for row in await tx.rows(_ALL)]


async def put(tx: Transaction, setting: DiagnosticSetting) -> None:
    """In place of what was there under its name."""
    await _remove(tx, setting.resource_id, setting.name)
    await tx.run(
        _INSERT,
        folded_resource_id=setting.resource_id.lower(),
        folded_name=setting.name.lower(),
        resource_id=setting.resource_id,
        name=setting.name,
        body=value_to_column(setting.body),
        created=setting.created,
    )
    tx.changed("diagnostic-settings", "", setting.resource_id.lower())


async def delete(tx: Transaction, resource_id: str, name: str) -> bool:
    """Whether it was there."""
    if not await _remove(tx, resource_id, name):
        return False
    tx.changed("diagnostic-settings", "", resource_id.lower())
    return True


async def delete_all(tx: Transaction, resource_id: str) -> None:
    """Of a resource that is gone for good: another one of its id begins without any."""
    if await tx.run(_DELETE_OF_RESOURCE, folded_resource_id=resource_id.lower()):
        tx.changed("diagnostic-settings", "", resource_id.lower())


async def _remove(tx: Transaction, resource_id: str, name: str) -> bool:
    return await tx.run(_DELETE, folded_resource_id=resource_id.lower(), folded_name=name.lower()) > 0


def _decode(row: Row) -> DiagnosticSetting:
    resource_id, name, body, created = row
    return DiagnosticSetting(resource_id, name, _body_decoder.decode(body), int(created))
