"""Who is in which group; part of the directory."""

from typing import Final

import sqlalchemy as sa

from hsmvault.errors import BadRequest
from hsmvault.model.principals import PrincipalKind
from hsmvault.store.database import Transaction
from hsmvault.store.schema import memberships as table
from hsmvault.store.schema import principals
from hsmvault.store.statements import Statement, same

_INSERT = Statement(sa.insert(table), ["group_id", "member_id"])
_DELETE = Statement(sa.delete(table).where(same(table.c.group_id, table.c.member_id)))
_BOTH = Statement(
    sa.select(principals.c.object_id, principals.c.tenant_id, principals.c.kind).where(
        principals.c.object_id.in_([sa.bindparam("group_id"), sa.bindparam("member_id")])
    )
)
_MEMBERS = Statement(
    sa.select(table.c.member_id)
    .where(same(table.c.group_id), table.c.member_id > sa.bindparam("after"))
    .order_by(table.c.member_id)
    .limit(sa.bindparam("most"))
)
_DIRECT_GROUPS: Final = Statement(sa.select(table.c.group_id).where(same(table.c.member_id)).order_by(table.c.group_id))


def _groups_statement() -> Statement:
    """UNION, not UNION ALL: a group that was seen is not followed again, so that a circle ends."""
    seen = sa.select(table.c.group_id).where(table.c.member_id == sa.bindparam("object_id")).cte("seen", recursive=True)
    seen = seen.union(sa.select(table.c.group_id).where(table.c.member_id == seen.c.group_id))
    return Statement(sa.select(seen.c.group_id))


def _below_statement() -> Statement:
    """As _groups_statement(), downwards."""
    seen = sa.select(table.c.member_id).where(same(table.c.group_id)).cte("seen", recursive=True)
    seen = seen.union(sa.select(table.c.member_id).where(table.c.group_id == seen.c.member_id))
    return Statement(
        sa.select(seen.c.member_id)
        .where(seen.c.member_id > sa.bindparam("after"))
        .order_by(seen.c.member_id)
        .limit(sa.bindparam("most"))
    )


_GROUPS = _groups_statement()
_BELOW = _below_statement()


async def add_member(tx: Transaction, group_id: str, member_id: str) -> None:
    """Raises Conflicted when it is a member already, BadRequest unless both are there, in one tenant, and group_id is
    a group: a membership never reaches into another tenant.
    """
    rows = {row[0]: row for row in await tx.rows(_BOTH, group_id=group_id, member_id=member_id)}
    group, member = rows.get(group_id), rows.get(member_id)
    if group is None or member is None or group[2] != PrincipalKind.GROUP.value or group[1] != member[1]:
        raise BadRequest("A group and its members are principals of one tenant.")
    await tx.run(_INSERT, group_id=group_id, member_id=member_id)
    tx.changed("directory")


async def remove_member(tx: Transaction, group_id: str, member_id: str) -> bool:
    """Whether it was a member."""
    if await tx.run(_DELETE, group_id=group_id, member_id=member_id) == 0:
        return False
    tx.changed("directory")
    return True


async def members_of(tx: Transaction, group_id: str, *, after: str, most: int) -> list[str]:
    """Object ids of the direct members, in order, behind `after`."""
    return [row[0] for row in await tx.rows(_MEMBERS, group_id=group_id, after=after, most=most)]


async def members_below(tx: Transaction, group_id: str, *, after: str, most: int) -> list[str]:
    """Object ids of the members, through nested groups too, each once and in order, behind `after`."""
    return [row[0] for row in await tx.rows(_BELOW, group_id=group_id, after=after, most=most)]


async def direct_groups_of(tx: Transaction, object_id: str) -> list[str]:
    """In order."""
    return [row[0] for row in await tx.rows(_DIRECT_GROUPS, member_id=object_id)]


async def groups_of(tx: Transaction, object_id: str) -> frozenset[str]:
    """Every group, through nested ones too."""
    return frozenset(row[0] for row in await tx.rows(_GROUPS, object_id=object_id))
