"""Answers to http-01 challenges (RFC 8555, 8.3): written by the worker that enrols, read by whichever is asked."""

from typing import Final

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import acme_challenges as table
from hsmvault.store.statements import Statement, same

_FIELDS: Final = ("token", "authorization", "expires")

_FIND = Statement(sa.select(table.c.authorization).where(same(table.c.token)))
_INSERT = Statement(sa.insert(table), _FIELDS)
_UPDATE = Statement(sa.update(table).where(same(table.c.token)), ["authorization", "expires"])
_DELETE = Statement(sa.delete(table).where(same(table.c.token)))
_DELETE_EXPIRED = Statement(sa.delete(table).where(table.c.expires < sa.bindparam("now")))


async def find(tx: Transaction, token: str) -> str | None:
    """The key authorization, which is the whole body of the answer, in ASCII. None: no such challenge is open."""
    row = await tx.row(_FIND, token=token)
    return None if row is None else str(row[0])


async def put(tx: Transaction, token: str, authorization: str, expires: int) -> None:
    """A new answer, or the same again after a crash. expires: seconds since 1970 UTC; then anybody may drop it."""
    if await tx.run(_UPDATE, token=token, authorization=authorization, expires=expires) == 0:
        await tx.run(_INSERT, token=token, authorization=authorization, expires=expires)


async def delete(tx: Transaction, token: str) -> None:
    """Not an error when it is gone."""
    await tx.run(_DELETE, token=token)


async def delete_expired(tx: Transaction, now: int) -> int:
    """Drop what nobody took away, because its enrolment died. Returns how many."""
    return await tx.run(_DELETE_EXPIRED, now=now)
