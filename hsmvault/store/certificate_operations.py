"""The operations that make versions of certificates: one for each name, the last."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.model.keys import NO_TAGS
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.schema import certificate_names, certificate_operations
from hsmvault.store.schema.installation import deleted_containers
from hsmvault.store.statements import Row, Statement, Value, same

_FIELDS: Final = (
    "container_id",
    "folded",
    "version",
    "request_id",
    "status",
    "policy",
    "csr",
    "enabled",
    "tags",
    "preserve_order",
    "is_renewal",
    "cancellation_requested",
    "details",
    "error_code",
    "error_message",
    "state",
    "attempts",
    "retry_at",
    "created",
    "updated",
    "revision",
)
_table: Final = certificate_operations
_joined: Final = certificate_names.join(
    _table,
    sa.and_(
        _table.c.container_id == certificate_names.c.container_id,
        _table.c.folded == certificate_names.c.folded,
    ),
)
# The spelling of the name is the name's own.
_COLUMNS: Final = [
    certificate_names.c.name.label("spelling") if name == "folded" else _table.c[name] for name in _FIELDS
]
_this: Final = same(_table.c.container_id, _table.c.folded)

_FIND = Statement(sa.select(*_COLUMNS).select_from(_joined).where(_this, certificate_names.c.deleted_at.is_(None)))
_ANY = Statement(sa.select(*_COLUMNS).select_from(_joined).where(_this))
_DUE = Statement(
    sa.select(*_COLUMNS)
    .select_from(_joined)
    .where(_table.c.retry_at <= sa.bindparam("now"), _table.c.container_id.not_in(deleted_containers()))
    .order_by(_table.c.retry_at, _table.c.container_id, _table.c.folded)
    .limit(sa.bindparam("limit"))
)
_NEXT = Statement(
    sa.select(sa.func.min(_table.c.retry_at)).where(
        _table.c.retry_at.is_not(None), _table.c.container_id.not_in(deleted_containers())
    )
)
_INSERT = Statement(sa.insert(_table), _FIELDS)
_UPDATE = Statement(
    sa.update(_table).where(_this, same(_table.c.request_id), _table.c.revision == sa.bindparam("read_revision")),
    [name for name in _FIELDS if name not in ("container_id", "folded", "version", "request_id", "created")],
)
_DELETE = Statement(sa.delete(_table).where(_this))


async def find(tx: Transaction, container_id: str, name: str) -> CertificateOperation | None:
    """Of an active name; None when it has none."""
    row = await tx.row(_FIND, container_id=container_id, folded=name.lower())
    return None if row is None else _decode(row)


async def find_any(tx: Transaction, container_id: str, name: str) -> CertificateOperation | None:
    """Of a name, deleted or not."""
    row = await tx.row(_ANY, container_id=container_id, folded=name.lower())
    return None if row is None else _decode(row)


async def due(tx: Transaction, now: int, limit: int) -> list[CertificateOperation]:
    """Of every container that is in use, those that are to go on by now, the longest due first; of names deleted or
    not."""
    return [_decode(row) for row in await tx.rows(_DUE, now=now, limit=limit)]


async def next_due(tx: Transaction) -> int | None:
    """When the next one is to go on; seconds since 1970 UTC."""
    row = await tx.row(_NEXT)
    return None if row is None else row[0]


async def begin(tx: Transaction, operation: CertificateOperation) -> None:
    """In place of the one before, if there was any."""
    await remove(tx, operation.container_id, operation.name)
    await tx.run(_INSERT, **_encode(operation))
    tx.changed("certificate-operation", operation.container_id, operation.folded)


async def update(tx: Transaction, operation: CertificateOperation) -> None:
    """operation: as it is to be, with the revision that was read; it goes up by one. Raises Conflicted when it has
    changed since, is another one, or is gone."""
    values = _encode(operation)
    del values["version"], values["created"]
    values["revision"] = operation.revision + 1
    await tx.swap(_UPDATE, **values, read_revision=operation.revision)
    tx.changed("certificate-operation", operation.container_id, operation.folded)


async def remove(tx: Transaction, container_id: str, name: str) -> bool:
    """Whether there was one."""
    return await tx.run(_DELETE, container_id=container_id, folded=name.lower()) == 1


def _encode(operation: CertificateOperation) -> dict[str, Value]:
    return {
        "container_id": operation.container_id,
        "folded": operation.folded,
        "version": operation.version,
        "request_id": operation.request_id,
        "status": operation.status.value,
        "policy": columns.value_to_column(operation.policy),
        "csr": operation.csr,
        "enabled": operation.enabled,
        "tags": columns.text_map_to_column(operation.tags),
        "preserve_order": operation.preserve_order,
        "is_renewal": operation.is_renewal,
        "cancellation_requested": operation.cancellation_requested,
        "details": operation.details,
        "error_code": operation.error_code,
        "error_message": operation.error_message,
        "state": operation.state,
        "attempts": operation.attempts,
        "retry_at": operation.retry_at,
        "created": operation.created,
        "updated": operation.updated,
        "revision": operation.revision,
    }


def _decode(row: Row) -> CertificateOperation:
    (
        container_id,
        name,
        version,
        request_id,
        status,
        policy_column,
        csr,
        enabled,
        tags,
        preserve_order,
        is_renewal,
        cancellation_requested,
        details,
        error_code,
        error_message,
        state,
        attempts,
        retry_at,
        created,
        updated,
        revision,
    ) = row
    policy = columns.value_from_column(policy_column, CertificatePolicy)
    assert policy is not None
    return CertificateOperation(
        container_id=container_id,
        name=name,
        version=version,
        request_id=request_id,
        status=Status(status),
        policy=policy,
        csr=csr,
        created=created,
        updated=updated,
        enabled=bool(enabled),
        tags=NO_TAGS if tags == "{}" else columns.text_map_from_column(tags),
        preserve_order=bool(preserve_order),
        is_renewal=bool(is_renewal),
        cancellation_requested=bool(cancellation_requested),
        details=details,
        error_code=error_code,
        error_message=error_message,
        state=state,
        attempts=attempts,
        retry_at=retry_at,
        revision=revision,
    )
