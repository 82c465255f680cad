"""Leases: one row per background job, so that one node at a time does it.

A lease is a promise between nodes whose clocks agree roughly, and nothing more: what a job writes is guarded by
compare-and-swap as everything else is. A lease that runs far longer than anybody asks for was taken under a clock that
was wrong, and counts as free: else a node whose clock was once a year ahead would stop every job for that year.
"""

import sqlalchemy as sa

from hsmvault.store.database import Transaction
from hsmvault.store.schema import leases as table
from hsmvault.store.statements import Statement, same

_CLOCKS_AGREE_SECONDS = 3_600  # guessed: nodes whose clocks differ by more are not one cluster

_TAKE = Statement(
    sa.update(table).where(
        same(table.c.job),
        sa.or_(
            table.c.owner == sa.bindparam("taker"),
            table.c.until <= sa.bindparam("now"),
            table.c.until > sa.bindparam("believable"),
        ),
    ),
    ["owner", "until"],
)
_FIND = Statement(sa.select(table.c.job).where(same(table.c.job)))
_INSERT = Statement(sa.insert(table), ["job", "owner", "until"])
_RELEASE = Statement(sa.delete(table).where(same(table.c.job, table.c.owner)))


async def acquire(tx: Transaction, job: str, owner: str, until: int, now: int) -> bool:
    """Take the lease, or prolong one's own. Times in seconds since 1970 UTC; the lease is free again at `until`.

    Returns False while another owner has it. Raises Conflicted when two nodes take a job's first lease at once.
    """
    believable = until + _CLOCKS_AGREE_SECONDS
    if await tx.run(_TAKE, job=job, taker=owner, now=now, believable=believable, owner=owner, until=until) == 1:
        return True
    if await tx.row(_FIND, job=job) is not None:
        return False
    await tx.run(_INSERT, job=job, owner=owner, until=until)
    return True


async def release(tx: Transaction, job: str, owner: str) -> bool:
    """Give it back early. Whether it was this owner's."""
    return await tx.run(_RELEASE, job=job, owner=owner) == 1
