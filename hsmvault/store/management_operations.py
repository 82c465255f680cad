"""Long-running operations of the management plane: what is still going on, for whoever polls.

A row is written in the transaction that begins the work, and finished in the one that ends it. It is kept for a while
behind its end, so that a client that comes late still hears of it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import management_operations as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = (
    "id",
    "tenant_id",
    "subscription_id",
    "kind",
    "container_id",
    "target",
    "status",
    "created",
    "finished",
    "error_code",
    "error_message",
)
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_OF_CONTAINER = Statement(
    sa.select(*_COLUMNS).where(same(table.c.container_id, table.c.kind)).order_by(table.c.created, table.c.id)
)
_FINISHED = Statement(
    sa.select(*_COLUMNS)
    .where(table.c.finished.is_not(None), table.c.finished < sa.bindparam("before"))
    .order_by(table.c.finished, table.c.id)
    .limit(sa.bindparam("most"))
)
_INSERT = Statement(sa.insert(table), _FIELDS)
_FINISH = Statement(
    sa.update(table).where(same(table.c.id), table.c.finished.is_(None)),
    ["status", "finished", "error_code", "error_message"],
)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


class OperationStatus(Enum):
    """As the resource manager writes them."""

    NOT_STARTED = "NotStarted"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class LongOperation:
    """id: a GUID. kind: one word of whoever began it, for instance 'purge'. container_id: or empty. target: ARM id of
    what it is done to. created, finished: seconds since 1970 UTC; None while it goes on. The error is of a failed one,
    for the caller.
    """

    id: str
    tenant_id: str
    subscription_id: str
    kind: str
    container_id: str
    target: str
    created: int
    status: OperationStatus = OperationStatus.NOT_STARTED
    finished: int | None = None
    error_code: str = ""
    error_message: str = ""


async def insert(tx: Transaction, operation: LongOperation) -> None:
    """Whoever does the work is woken when this is committed (a change of the kind 'management-operation')."""
    await tx.run(
        _INSERT,
        id=operation.id,
        tenant_id=operation.tenant_id,
        subscription_id=operation.subscription_id,
        kind=operation.kind,
        container_id=operation.container_id,
        target=operation.target,
        status=operation.status.value,
        created=operation.created,
        finished=operation.finished,
        error_code=operation.error_code,
        error_message=operation.error_message,
    )
    tx.changed("management-operation", operation.container_id, operation.kind)


async def find(tx: Transaction, operation_id: str) -> LongOperation | None:
    row = await tx.row(_FIND, id=operation_id)
    return None if row is None else _decode(row)


async def of_container(tx: Transaction, container_id: str, kind: str) -> list[LongOperation]:
    """Going on and finished, the oldest first."""
    return [_decode(row) for row in await tx.rows(_OF_CONTAINER, container_id=container_id, kind=kind)]


async def finish(
    tx: Transaction, operation_id: str, status: OperationStatus, now: int, *, code: str = "", message: str = ""
) -> bool:
    """code, message: of a failed one. False when it is finished already, or gone."""
    finished = await tx.run(
        _FINISH, id=operation_id, status=status.value, finished=now, error_code=code, error_message=message
    )
    return finished == 1


async def finished_before(tx: Transaction, before: int, most: int) -> list[LongOperation]:
    """Those that ended before this time, the oldest first."""
    return [_decode(row) for row in await tx.rows(_FINISHED, before=before, most=most)]


async def delete(tx: Transaction, operation_id: str) -> None:
    await tx.run(_DELETE, id=operation_id)


def _decode(row: Row) -> LongOperation:
    values = dict(zip(_FIELDS, row, strict=True))
    values["status"] = OperationStatus(values["status"])
    return LongOperation(**values)
