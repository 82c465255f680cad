"""Registrations of applications; part of the directory. Their service principals are in directory.py, their
credentials in credentials.py and federated_credentials.py.
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.model.directory import Application, ApplicationDetails, RedirectUri
from hsmvault.store.columns import json_to_column
from hsmvault.store.database import Transaction
from hsmvault.store.schema import applications as table
from hsmvault.store.statements import Row, Statement, Value, same

_FIELDS: Final = (
    "application_id",
    "object_id",
    "tenant_id",
    "display_name",
    "public_client",
    "redirect_uris",
    "details",
    "created",
)
_CHANGEABLE: Final = ("display_name", "public_client", "redirect_uris", "details")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
_redirects = msgspec.json.Decoder(tuple[RedirectUri, ...])
_details = msgspec.json.Decoder(ApplicationDetails)

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.application_id)))
_ANYWHERE = Statement(sa.select(*_COLUMNS).where(same(table.c.application_id)))
_BY_OBJECT = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.object_id)))
_LIST = Statement(
    sa.select(*_COLUMNS)
    .where(same(table.c.tenant_id), table.c.object_id > sa.bindparam("after"))
    .order_by(table.c.object_id)
    .limit(sa.bindparam("most"))
)
_INSERT = Statement(sa.insert(table), _FIELDS)
_UPDATE = Statement(sa.update(table).where(same(table.c.tenant_id, table.c.application_id)), _CHANGEABLE)
_DELETE = Statement(sa.delete(table).where(same(table.c.tenant_id, table.c.application_id)))


async def find(tx: Transaction, tenant_id: str, application_id: str) -> Application | None:
    """application_id: in lower case. The built-in ones have no row: model/directory.py, public_client."""
    return _decode(await tx.row(_FIND, tenant_id=tenant_id, application_id=application_id))


async def anywhere(tx: Transaction, application_id: str) -> Application | None:
    """In whichever tenant; its tenant_id tells. application_id: in lower case."""
    return _decode(await tx.row(_ANYWHERE, application_id=application_id))


async def by_object(tx: Transaction, tenant_id: str, object_id: str) -> Application | None:
    """By the object id of the registration."""
    return _decode(await tx.row(_BY_OBJECT, tenant_id=tenant_id, object_id=object_id))


async def list_page(tx: Transaction, tenant_id: str, *, after: str, most: int) -> list[Application]:
    """By object id, behind `after`."""
    rows = await tx.rows(_LIST, tenant_id=tenant_id, after=after, most=most)
    return [found for row in rows if (found := _decode(row)) is not None]


async def insert(tx: Transaction, application: Application) -> None:
    """Raises Conflicted when an id is taken, in whichever tenant."""
    await tx.run(_INSERT, **_encode(application))
    tx.changed("application", "", application.application_id)


async def update(tx: Transaction, application: Application) -> bool:
    """Everything but ids and created. Whether there is such an application."""
    values = {name: value for name, value in _encode(application).items() if name in _CHANGEABLE}
    ids: dict[str, Value] = {"tenant_id": application.tenant_id, "application_id": application.application_id}
    if await tx.run(_UPDATE, **ids, **values) == 0:
        return False
    tx.changed("application", "", application.application_id)
    return True


async def delete(tx: Transaction, tenant_id: str, application_id: str) -> bool:
    """The registration alone. Whether there was one."""
    if await tx.run(_DELETE, tenant_id=tenant_id, application_id=application_id) == 0:
        return False
    tx.changed("application", "", application_id)
    return True


def _encode(application: Application) -> dict[str, Value]:
    return {
        "application_id": application.application_id,
        "object_id": application.object_id,
        "tenant_id": application.tenant_id,
        "display_name": application.display_name,
        "public_client": application.public_client,
        "redirect_uris": json_to_column(application.redirect_uris),
        "details": json_to_column(application.details),
        "created": application.created,
    }


def _decode(row: Row | None) -> Application | None:
    if row is None:
        return None
    application_id, object_id, tenant_id, display_name, public_client, redirect_uris, details, created = row
    return Application(
        application_id=application_id,
        object_id=object_id,
        tenant_id=tenant_id,
        display_name=display_name,
        public_client=bool(public_client),
        redirect_uris=_redirects.decode(redirect_uris),
        details=_details.decode(details),
        created=created,
    )
