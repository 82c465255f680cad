"""Credentials of applications and managed identities; part of the directory."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.principals import Credential, CredentialKind
from hsmvault.store.database import Transaction
from hsmvault.store.schema import credentials as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = (
    "id",
    "application_id",
    "kind",
    "display_name",
    "verifier",
    "thumbprint_sha1",
    "thumbprint_sha256",
    "expires",
    "starts",
    "hint",
)
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_OF_APPLICATION = Statement(sa.select(*_COLUMNS).where(same(table.c.application_id)).order_by(table.c.id))
_IDS_OF_APPLICATION = Statement(sa.select(table.c.id).where(same(table.c.application_id)))
_INSERT = Statement(sa.insert(table), _FIELDS)
_DELETE = Statement(sa.delete(table).where(same(table.c.application_id, table.c.id)))


async def credentials_of(tx: Transaction, application_id: str) -> list[Credential]:
    """Expired ones too, by id."""
    return [_decode(row) for row in await tx.rows(_OF_APPLICATION, application_id=application_id)]


async def credential_ids_of(tx: Transaction, application_id: str) -> frozenset[str]:
    return frozenset(row[0] for row in await tx.rows(_IDS_OF_APPLICATION, application_id=application_id))


async def insert_credential(tx: Transaction, credential: Credential) -> None:
    """Raises Conflicted when the id is taken."""
    await tx.run(
        _INSERT,
        id=credential.id,
        application_id=credential.application_id,
        kind=credential.kind.value,
        display_name=credential.display_name,
        verifier=credential.verifier,
        thumbprint_sha1=credential.thumbprint_sha1,
        thumbprint_sha256=credential.thumbprint_sha256,
        expires=credential.expires,
        starts=credential.starts,
        hint=credential.hint,
    )
    tx.changed("application", "", credential.application_id)


async def delete_credential(tx: Transaction, application_id: str, credential_id: str) -> bool:
    """Whether the application had it."""
    if await tx.run(_DELETE, application_id=application_id, id=credential_id) == 0:
        return False
    tx.changed("application", "", application_id)
    return True


def _decode(row: Row) -> Credential:
    values = dict(zip(_FIELDS, row, strict=True))
    return Credential(**{**values, "kind": CredentialKind(values["kind"])})
