"""Federated credentials: which tokens of other issuers prove an application; part of the directory."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.directory import FederatedCredential
from hsmvault.store.columns import texts_from_column, texts_to_column
from hsmvault.store.database import Transaction
from hsmvault.store.schema import federated_credentials as table
from hsmvault.store.statements import Row, Statement, Value, same

_FIELDS: Final = ("id", "application_id", "name", "issuer", "subject", "audiences", "description")
_CHANGEABLE: Final = ("issuer", "subject", "audiences", "description")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_OF_APPLICATION = Statement(sa.select(*_COLUMNS).where(same(table.c.application_id)).order_by(table.c.folded_name))
_IDS = Statement(sa.select(table.c.id).where(same(table.c.application_id)))
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_name"])
_UPDATE = Statement(sa.update(table).where(same(table.c.application_id, table.c.id)), _CHANGEABLE)
_DELETE = Statement(sa.delete(table).where(same(table.c.application_id, table.c.id)))


async def of_application(tx: Transaction, application_id: str) -> list[FederatedCredential]:
    """By name."""
    return [_decode(row) for row in await tx.rows(_OF_APPLICATION, application_id=application_id)]


async def ids_of_application(tx: Transaction, application_id: str) -> frozenset[str]:
    return frozenset(row[0] for row in await tx.rows(_IDS, application_id=application_id))


async def insert(tx: Transaction, credential: FederatedCredential) -> None:
    """Raises Conflicted when the application has the name (in any case), or this issuer and subject, already."""
    await tx.run(_INSERT, **_encode(credential), folded_name=credential.name.lower())
    tx.changed("application", "", credential.application_id)


async def update(tx: Transaction, credential: FederatedCredential) -> bool:
    """Everything but ids and name. Whether the application has it. Raises Conflicted as insert."""
    values = {name: value for name, value in _encode(credential).items() if name in _CHANGEABLE}
    if await tx.run(_UPDATE, application_id=credential.application_id, id=credential.id, **values) == 0:
        return False
    tx.changed("application", "", credential.application_id)
    return True


async def delete(tx: Transaction, application_id: str, credential_id: str) -> bool:
    """Whether the application had it."""
    if await tx.run(_DELETE, application_id=application_id, id=credential_id) == 0:
        return False
    tx.changed("application", "", application_id)
    return True


def _encode(credential: FederatedCredential) -> dict[str, Value]:
    return {
        "id": credential.id,
        "application_id": credential.application_id,
        "name": credential.name,
        "issuer": credential.issuer,
        "subject": credential.subject,
        "audiences": texts_to_column(credential.audiences),
        "description": credential.description,
    }


def _decode(row: Row) -> FederatedCredential:
    id, application_id, name, issuer, subject, audiences, description = row
    return FederatedCredential(id, application_id, name, issuer, subject, texts_from_column(audiences), description)
