"""Role assignments: who holds which role at which scope."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from hsmvault.model.roles import RoleAssignment, folded
from hsmvault.store.database import Transaction
from hsmvault.store.schema import role_assignments as table
from hsmvault.store.statements import Row, Statement, same

AssignmentsByScope = Mapping[str, tuple[RoleAssignment, ...]]
"""Assignments of one principal by folded scope."""

_FIELDS: Final = (
    "id",
    "scope",
    "role_id",
    "principal_id",
    "created",
    "tenant_id",
    "principal_type",
    "description",
    "condition",
    "condition_version",
    "delegated_identity",
    "created_by",
    "updated",
    "updated_by",
)
_CHANGEABLE: Final = ("principal_type", "description", "condition", "condition_version", "updated", "updated_by")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
# A fixed number of parameters is compiled once. Guessed: few callers are in more groups. No resource has more scopes:
# eight management groups, '/', subscription, group, resource and object.
_PRINCIPALS_A_STATEMENT: Final = 16
_SCOPES_A_STATEMENT: Final = 16

_SOME_PRINCIPALS: Final = table.c.principal_id.in_(
    [sa.bindparam(f"principal_{n}") for n in range(_PRINCIPALS_A_STATEMENT)]
)
# Everything below '/a/b' sorts from '/a/b/' to '/a/b0', '0' being the character after '/'.
_BELOW: Final = sa.and_(table.c.folded_scope >= sa.bindparam("first"), table.c.folded_scope < sa.bindparam("end"))

# Both are looked up in the index of principal and scope: however many assignments there are elsewhere, of these
# principals too, none of them is read.
_AT_SCOPES = Statement(
    sa.select(*_COLUMNS, table.c.folded_scope).where(
        _SOME_PRINCIPALS, table.c.folded_scope.in_([sa.bindparam(f"scope_{n}") for n in range(_SCOPES_A_STATEMENT)])
    )
)
_OF_PRINCIPALS_BELOW = Statement(sa.select(*_COLUMNS, table.c.folded_scope).where(_SOME_PRINCIPALS, _BELOW))
_OF_PRINCIPALS = Statement(sa.select(*_COLUMNS).where(_SOME_PRINCIPALS).order_by(table.c.id))
_BY_ID = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_AT = Statement(
    sa.select(*_COLUMNS)
    .where(sa.or_(table.c.folded_scope == sa.bindparam("scope"), _BELOW))
    .order_by(table.c.folded_scope, table.c.id)
)
# One page of what a tenant has at these scopes and below another, without what is assigned in pools.
_PAGE = Statement(
    sa.select(*_COLUMNS, table.c.folded_scope)
    .where(
        same(table.c.tenant_id),
        sa.or_(table.c.folded_scope.in_([sa.bindparam(f"scope_{n}") for n in range(_SCOPES_A_STATEMENT)]), _BELOW),
        sa.not_(sa.and_(table.c.folded_scope >= "/local/", table.c.folded_scope < "/local0")),
        sa.or_(
            table.c.folded_scope > sa.bindparam("after_scope"),
            sa.and_(table.c.folded_scope == sa.bindparam("after_scope"), table.c.id > sa.bindparam("after_id")),
        ),
    )
    .order_by(table.c.folded_scope, table.c.id)
    .limit(sa.bindparam("most"))
)
_SAME = Statement(sa.select(*_COLUMNS).where(same(table.c.folded_scope, table.c.role_id, table.c.principal_id)))
_OF_ROLE = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.role_id)).limit(1))
_COUNT_AT = Statement(
    sa.select(sa.func.count(table.c.id))
    .select_from(table)
    .where(sa.or_(table.c.folded_scope == sa.bindparam("scope"), _BELOW))
)
_COUNT_EXACTLY = Statement(
    sa.select(sa.func.count(table.c.id)).select_from(table).where(same(table.c.tenant_id, table.c.folded_scope))
)
_INSERT = Statement(sa.insert(table), [*_FIELDS, "folded_scope"])
_UPDATE = Statement(sa.update(table).where(same(table.c.id)), _CHANGEABLE)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))
_DELETE_AT = Statement(sa.delete(table).where(sa.or_(table.c.folded_scope == sa.bindparam("scope"), _BELOW)))
_DELETE_OF = Statement(sa.delete(table).where(same(table.c.principal_id)))


async def around(
    tx: Transaction, principal_ids: Collection[str], scopes: Sequence[str], below: str
) -> dict[str, AssignmentsByScope]:
    """Of each of these principals: the assignments at these scopes exactly, and those below the scope `below`.

    Scopes are folded ones, '' being '/'. below: "" for no such.
    """
    found: dict[str, dict[str, list[RoleAssignment]]] = {principal: {} for principal in principal_ids}
    for principals in _batches(sorted(found), "principal", _PRINCIPALS_A_STATEMENT):
        rows: list[Row] = []
        for some in _batches(list(scopes), "scope", _SCOPES_A_STATEMENT):
            rows += await tx.rows(_AT_SCOPES, **principals, **some)
        if below:
            rows += await tx.rows(_OF_PRINCIPALS_BELOW, **principals, first=below + "/", end=below + "0")
        for *values, scope in rows:
            one = _decode(tuple(values))
            found[one.principal_id].setdefault(scope, []).append(one)
    return {
        principal: {scope: tuple(assignments) for scope, assignments in by_scope.items()}
        for principal, by_scope in found.items()
    }


async def assignments_of(tx: Transaction, principal_ids: Collection[str]) -> list[RoleAssignment]:
    """Of any of these principals, at every scope: for the operator and for lists, not for a decision."""
    found: list[RoleAssignment] = []
    for principals in _batches(sorted(set(principal_ids)), "principal", _PRINCIPALS_A_STATEMENT):
        found += [_decode(row) for row in await tx.rows(_OF_PRINCIPALS, **principals)]
    return found


async def by_id(tx: Transaction, assignment_id: str) -> RoleAssignment | None:
    row = await tx.row(_BY_ID, id=assignment_id)
    return None if row is None else _decode(row)


async def same_grant(tx: Transaction, scope: str, role_id: str, principal_id: str) -> RoleAssignment | None:
    """The assignment of this role to this principal at this scope, which there is at most once."""
    row = await tx.row(_SAME, folded_scope=folded(scope), role_id=role_id, principal_id=principal_id)
    return None if row is None else _decode(row)


async def uses(tx: Transaction, tenant_id: str, role_id: str) -> bool:
    """Whether anybody in the tenant holds this role anywhere."""
    return await tx.row(_OF_ROLE, tenant_id=tenant_id, role_id=role_id) is not None


async def list_at(tx: Transaction, scope_prefix: str) -> list[RoleAssignment]:
    """At this scope and below it, by whole segments and without regard to case; '/' for all."""
    scope = folded(scope_prefix)
    return [_decode(row) for row in await tx.rows(_AT, scope=scope, first=scope + "/", end=scope + "0")]


async def page(
    tx: Transaction, tenant_id: str, scopes: Sequence[str], below: str | None, after: tuple[str, str], most: int
) -> list[RoleAssignment]:
    """Of a tenant, at these folded scopes and below another, by folded scope and id, behind the place `after`.

    Those of pools are not among them. below: a folded scope, "" for the whole tenant; None for nothing. after: folded
    scope and id of the last one of the page before; ("", "") for the first page. scopes: at most 16.
    """
    (some,) = _batches(list(scopes), "scope", _SCOPES_A_STATEMENT)
    first, end = ("/", "/") if below is None else (below + "/", below + "0")
    rows = await tx.rows(
        _PAGE, tenant_id=tenant_id, first=first, end=end, after_scope=after[0], after_id=after[1], most=most, **some
    )
    return [_decode(row[:-1]) for row in rows]


async def count_at(tx: Transaction, scope_prefix: str) -> int:
    """How many list_at() would find."""
    scope = folded(scope_prefix)
    row = await tx.row(_COUNT_AT, scope=scope, first=scope + "/", end=scope + "0")
    assert row is not None
    return int(row[0])


async def count_exactly_at(tx: Transaction, tenant_id: str, scope: str) -> int:
    """Of a tenant, at this scope and not below it."""
    row = await tx.row(_COUNT_EXACTLY, tenant_id=tenant_id, folded_scope=folded(scope))
    assert row is not None
    return int(row[0])


async def insert(tx: Transaction, assignment: RoleAssignment) -> None:
    """Raises Conflicted when the id is taken, or the principal has the role at that scope already."""
    values = {name: getattr(assignment, name) for name in _FIELDS}
    await tx.run(_INSERT, folded_scope=folded(assignment.scope), **values)
    tx.changed("role", "", assignment.principal_id)


async def update(tx: Transaction, assignment: RoleAssignment) -> None:
    """What may change: principal type, description and condition; scope, role and principal never do.

    Raises Conflicted when it is gone.
    """
    await tx.swap(_UPDATE, id=assignment.id, **{name: getattr(assignment, name) for name in _CHANGEABLE})
    tx.changed("role", "", assignment.principal_id)


async def delete(tx: Transaction, assignment_id: str) -> RoleAssignment | None:
    """Returns what was removed; None when there was nothing."""
    assignment = await by_id(tx, assignment_id)
    if assignment is None or await tx.run(_DELETE, id=assignment_id) == 0:
        return None
    tx.changed("role", "", assignment.principal_id)
    return assignment


async def delete_at(tx: Transaction, scope_prefix: str) -> list[RoleAssignment]:
    """Remove everything at this scope and below it, when what stands there is purged. Returns what was removed."""
    scope = folded(scope_prefix)
    removed = await list_at(tx, scope)
    await tx.run(_DELETE_AT, scope=scope, first=scope + "/", end=scope + "0")
    for principal_id in sorted({one.principal_id for one in removed}):
        tx.changed("role", "", principal_id)
    return removed


async def delete_of(tx: Transaction, principal_id: str) -> list[RoleAssignment]:
    """Remove everything of a principal that is deleted. Returns what was removed."""
    removed = await assignments_of(tx, [principal_id])
    if removed:
        await tx.run(_DELETE_OF, principal_id=principal_id)
        tx.changed("role", "", principal_id)
    return removed


def _batches(values: list[str], name: str, size: int) -> list[dict[str, str]]:
    """Parameters of statements that take so many values at once; the last value fills the last of them."""
    found: list[dict[str, str]] = []
    for start in range(0, len(values), size):
        some = values[start : start + size]
        some += some[-1:] * (size - len(some))
        found.append({f"{name}_{n}": some[n] for n in range(size)})
    return found


def _decode(row: Row) -> RoleAssignment:
    return RoleAssignment(*row)
