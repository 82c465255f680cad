"""Mail that is to be sent: written in the transaction of what it tells of, gone when a mail server has taken it."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import mails as table
from hsmvault.store.statements import Statement, same

_GIVEN: Final = ("container_id", "recipient", "subject", "body", "time")
_FIELDS: Final = (*_GIVEN, "attempts", "retry_at", "error")

_INSERT = Statement(sa.insert(table).inline(), _FIELDS)
_DUE = Statement(
    sa.select(table.c.id, *[table.c[name] for name in _GIVEN], table.c.attempts, table.c.retry_at, table.c.error)
    .where(sa.or_(table.c.retry_at <= sa.bindparam("now"), table.c.retry_at > sa.bindparam("believable")))
    .order_by(table.c.retry_at, table.c.id)
    .limit(sa.bindparam("limit"))
)
_NEXT = Statement(sa.select(sa.func.min(table.c.retry_at)))
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))
_POSTPONE = Statement(
    sa.update(table).where(same(table.c.id), table.c.attempts == sa.bindparam("was_attempts")),
    ["attempts", "retry_at", "error"],
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one recipient. recipient: a bare address (RFC 5321, 4.1.2). subject: one line. body: plain text.
    time: seconds since 1970 UTC. Holds no secret: it travels in the clear and lies in other people's mailboxes.
    """

    container_id: str
    recipient: str
    subject: str
    body: str
    time: int


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """id: its number. attempts: how often it could not be sent. retry_at: not before, seconds since 1970 UTC. error:
    why it could not be sent last; empty when it was not tried.
    """

    id: int
    mail: Mail
    attempts: int
    retry_at: int
    error: str


async def insert(tx: Transaction, mail: Mail) -> None:
    """Who sends mail is woken when this is committed, in whatever process (a change of the kind 'mails')."""
    await tx.run(
        _INSERT,
        container_id=mail.container_id,
        recipient=mail.recipient,
        subject=mail.subject,
        body=mail.body,
        time=mail.time,
        attempts=0,
        retry_at=0,
        error="",
    )
    tx.changed("mails")


async def due(tx: Transaction, now: int, longest_seconds: int, limit: int) -> list[WaitingMail]:
    """What is to be sent at this time, the longest due first. longest_seconds: nobody postpones by more; what seems to
    wait longer was postponed under a clock that was wrong, and is due.
    """
    rows = await tx.rows(_DUE, now=now, believable=now + longest_seconds, limit=limit)
    return [WaitingMail(row[0], Mail(*row[1:6]), *row[6:]) for row in rows]


async def next_due(tx: Transaction) -> int | None:
    """The time of the mail that is due first, which may have passed. None when none waits."""
    row = await tx.row(_NEXT)
    return None if row is None or row[0] is None else int(row[0])


async def done(tx: Transaction, one: WaitingMail) -> bool:
    """Sent, or given up. False when somebody else was first."""
    return await tx.run(_DELETE, id=one.id) == 1


async def postpone(tx: Transaction, one: WaitingMail, until: int, error: str) -> bool:
    """It could not be sent. until: seconds since 1970 UTC. error: for an operator. False when somebody else was
    first.
    """
    moved = await tx.run(
        _POSTPONE, id=one.id, was_attempts=one.attempts, attempts=one.attempts + 1, retry_at=until, error=error
    )
    return moved == 1
