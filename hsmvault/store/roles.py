"""Role assignments: who holds which role at which scope."""

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from hsmvault.model.roles import RoleAssignment
from hsmvault.store.database import Transaction
from hsmvault.store.schema import role_assignments as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = ("id", "scope", "role_id", "principal_id", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
_PRINCIPALS_A_STATEMENT: Final = 16

_OF_PRINCIPALS = Statement(
    sa.select(*_COLUMNS)
    .where(table.c.principal_id.in_([sa.bindparam(f"principal_{n}") for n in range(_PRINCIPALS_A_STATEMENT)]))
    .order_by(table.c.id)
)
_BY_ID = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
# Everything below '/a/b' sorts from '/a/b/' to '/a/b0', '0' being the character after '/'.
_AT = Statement(
    sa.select(*_COLUMNS)
    .where(
        sa.or_(
            table.c.folded_scope == sa.bindparam("scope"),
            sa.and_(table.c.folded_scope >= sa.bindparam("first"), table.c.folded_scope < sa.bindparam("end")),
        )
    )
    .order_by(table.c.folded_scope, table.c.id)
)
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_scope"])
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


async def assignments_of(tx: Transaction, principal_ids: Collection[str]) -> list[RoleAssignment]:
    """Of any of these principals, at every scope."""
    wanted = sorted(set(principal_ids))
    found: list[RoleAssignment] = []
    for start in range(0, len(wanted), _PRINCIPALS_A_STATEMENT):
        some = wanted[start : start + _PRINCIPALS_A_STATEMENT]
        some += some[-1:] * (_PRINCIPALS_A_STATEMENT - len(some))  # a fixed number of parameters is compiled once
        rows = await tx.rows(_OF_PRINCIPALS, **{f"principal_{n}": some[n] for n in range(_PRINCIPALS_A_STATEMENT)})
        found += [_decode(row) for row in rows]
    return found


async def by_id(tx: Transaction, assignment_id: str) -> RoleAssignment | None:
    row = await tx.row(_BY_ID, id=assignment_id)
    return None if row is None else _decode(row)


async def list_at(tx: Transaction, scope_prefix: str) -> list[RoleAssignment]:
    """At this scope and below it, by whole segments and without regard to case; '/' for all."""
    scope = _folded(scope_prefix)
    return [_decode(row) for row in await tx.rows(_AT, scope=scope, first=scope + "/", end=scope + "0")]


async def insert(tx: Transaction, assignment: RoleAssignment) -> None:
    """Raises Conflicted when the id is taken, or the principal has the role at that scope already."""
    await tx.run(
        _INSERT,
        id=assignment.id,
        scope=assignment.scope,
        folded_scope=_folded(assignment.scope),
        role_id=assignment.role_id,
        principal_id=assignment.principal_id,
        created=assignment.created,
    )
    tx.changed("role", "", assignment.principal_id)


async def delete(tx: Transaction, assignment_id: str) -> RoleAssignment | None:
    """Returns what was removed; None when there was nothing."""
    assignment = await by_id(tx, assignment_id)
    if assignment is None or await tx.run(_DELETE, id=assignment_id) == 0:
        return None
    tx.changed("role", "", assignment.principal_id)
    return assignment


def _folded(scope: str) -> str:
    """'/a/b' for '/A/b', 'a//b/' and the like, empty for '/': as model.roles.covers() compares."""
    return "".join("/" + segment for segment in scope.lower().split("/") if segment)


def _decode(row: Row) -> RoleAssignment:
    return RoleAssignment(*row)
