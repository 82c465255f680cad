"""Role assignments in the store."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.roles import RoleAssignment, covers, folded
from hsmvault.store import roles
from hsmvault.store.database import Change, Conflicted, Database
from hsmvault.store.sqlite import DIALECT
from hsmvault.store.statements import Statement


def assignment(number: int, scope: str, *, role: str = "role", principal: str = "p") -> RoleAssignment:
    return RoleAssignment(f"{number:04}", scope, role, principal, 5)


async def insert(database: Database, *assignments: RoleAssignment) -> None:
    async with database.write() as tx:
        for each in assignments:
            await roles.insert(tx, each)


async def test_assignments_are_found_by_any_of_many_principals(database: Database) -> None:
    given_ = [assignment(number, "/subscriptions/S", principal=f"p{number}") for number in range(50)]
    await insert(database, *given_)
    async with database.read() as tx:
        assert await roles.assignments_of(tx, []) == []
        assert await roles.assignments_of(tx, {"nobody"}) == []
        assert await roles.assignments_of(tx, ["p7", "p7", "p3"]) == [given_[3], given_[7]]
        found = await roles.assignments_of(tx, frozenset(f"p{number}" for number in range(50)))
        assert sorted(found, key=lambda each: each.id) == given_
        assert await roles.by_id(tx, "0007") == given_[7]
        assert await roles.by_id(tx, "none") is None


async def test_the_same_assignment_is_made_once_however_the_scope_is_spelled(database: Database) -> None:
    await insert(database, assignment(1, "/subscriptions/S/x"))
    for again in (
        assignment(2, "/SUBSCRIPTIONS/s/X"),
        assignment(3, "subscriptions//S/x/"),
        assignment(1, "/elsewhere"),
    ):
        with pytest.raises(Conflicted):
            await insert(database, again)
    await insert(
        database, assignment(4, "/subscriptions/S/x", role="other"), assignment(5, "/subscriptions/S/x", principal="q")
    )


async def test_assignments_at_a_scope_are_those_of_its_segments(database: Database) -> None:
    at = [
        assignment(1, "/"),
        assignment(2, "/subscriptions/s"),
        assignment(3, "/subscriptions/s/resourceGroups/g"),
        assignment(4, "/subscriptions/s2"),
        assignment(5, "/subscriptions/s-2"),
        assignment(6, "/subscriptions/s.2"),
    ]
    await insert(database, *at)
    async with database.read() as tx:
        assert await roles.list_at(tx, "/Subscriptions/S/") == at[1:3]
        assert await roles.list_at(tx, "/subscriptions/s/resourceGroups") == [at[2]]
        assert {each.id for each in await roles.list_at(tx, "/")} == {each.id for each in at}
        assert await roles.list_at(tx, "/sub") == []


_segment = st.text(alphabet="aB-./0~é", min_size=0, max_size=3)
_scope = st.lists(_segment, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(scope=_scope, prefix=_scope)
def test_the_range_of_a_scope_is_what_covers_says(scope: str, prefix: str) -> None:
    at_scope, at = folded(scope), folded(prefix)
    assert (at_scope == at or at + "/" <= at_scope < at + "0") == covers(prefix, scope)


async def test_a_removed_assignment_is_gone_and_its_principal_is_told(database: Database) -> None:
    await insert(database, assignment(1, "/subscriptions/s"))
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    async with database.write() as tx:
        assert await roles.delete(tx, "0001") == assignment(1, "/subscriptions/s")
        assert await roles.delete(tx, "0001") is None
    async with database.read() as tx:
        assert await roles.assignments_of(tx, ["p"]) == []
    assert heard == [Change("role", "", "p")]


async def test_around_a_place_are_the_assignments_at_its_scopes_and_below_it(database: Database) -> None:
    at = ["/", "/subscriptions/s", "/subscriptions/s/g", "/subscriptions/s/g/v", "/subscriptions/s/g/v/k", "/local/p"]
    mine = [assignment(number, scope, principal="p1") for number, scope in enumerate(at)]
    others = [assignment(100 + number, scope, principal="p2") for number, scope in enumerate(at)]
    elsewhere = [assignment(200, "/subscriptions/s/g/v2", principal="p1"), assignment(201, "/x", principal="p1")]
    await insert(database, *mine, *others, *elsewhere)
    async with database.read() as tx:
        found = await roles.around(
            tx, ["p1", "p3"], ["", "/subscriptions/s", "/subscriptions/s/g"], "/subscriptions/s/g"
        )
        assert found == {"p1": {folded(one.scope): (one,) for one in mine[:5] + elsewhere[:1]}, "p3": {}}
        found = await roles.around(tx, [f"p{n}" for n in range(40)], ["/local/p"], "")
        assert {principal: by_scope for principal, by_scope in found.items() if by_scope} == {
            "p1": {"/local/p": (mine[5],)},
            "p2": {"/local/p": (others[5],)},
        }
        assert await roles.around(tx, [], [""], "/subscriptions") == {}


async def test_pages_have_what_the_tenant_has_and_nothing_of_pools(database: Database) -> None:
    scopes = ["/", "/local/p", "/local/p/keys/k", "/providers/m", "/subscriptions/s", "/subscriptions/s/g"]
    rows = [replace(assignment(number, scope), tenant_id="t") for number, scope in enumerate(scopes)]
    await insert(database, *rows, replace(assignment(9, "/"), tenant_id="other"))
    shown = [rows[number] for number in (0, 3, 4, 5)]
    async with database.read() as tx:
        assert await roles.page(tx, "t", [""], "", ("", ""), 100) == shown
        assert await roles.page(tx, "t", ["", "/subscriptions/s"], None, ("", ""), 100) == [rows[0], rows[4]]
        assert await roles.page(tx, "t", [""], "/subscriptions/s", ("", ""), 100) == [rows[0], rows[5]]
        after, found = ("", ""), []
        while page := await roles.page(tx, "t", [""], "", after, 1):
            found += page
            after = (folded(page[0].scope), page[0].id)
        assert found == shown


async def test_tenants_do_not_stand_in_each_others_way(database: Database) -> None:
    ours, theirs = (replace(assignment(number, "/"), tenant_id=f"t{number}") for number in (1, 2))
    await insert(database, ours, theirs)
    async with database.read() as tx:
        assert await roles.count_exactly_at(tx, "t1", "/") == 1
        assert await roles.count_at(tx, "/") == 2
        assert await roles.uses(tx, "t1", "role") and not await roles.uses(tx, "t3", "role")


async def test_everything_at_a_scope_or_of_a_principal_goes_at_once_and_is_told(database: Database) -> None:
    at = [
        assignment(1, "/subscriptions/s", principal="p"),
        assignment(2, "/subscriptions/s/g", principal="q"),
        assignment(3, "/subscriptions/s/g", principal="p"),
        assignment(4, "/subscriptions/s2", principal="p"),
        assignment(5, "/subscriptions/s-", principal="q"),
    ]
    await insert(database, *at)
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    async with database.write() as tx:
        assert await roles.delete_at(tx, "/Subscriptions/S/") == at[:3]
        assert await roles.delete_at(tx, "/Subscriptions/S/") == []
    async with database.read() as tx:
        assert await roles.list_at(tx, "/") == [at[4], at[3]]
    assert heard == [Change("role", "", "p"), Change("role", "", "q")]
    async with database.write() as tx:
        assert await roles.delete_of(tx, "p") == [at[3]]
        assert await roles.delete_of(tx, "p") == []
    assert heard[2:] == [Change("role", "", "p")]


async def test_description_and_condition_change_and_the_rest_stays(database: Database) -> None:
    first = assignment(1, "/s")
    await insert(database, first)
    changed = replace(first, description="d", condition="c", condition_version="2.0", principal_type="User", updated=9)
    async with database.write() as tx:
        await roles.update(tx, replace(changed, scope="/other", role_id="x", principal_id="y"))
    async with database.read() as tx:
        assert await roles.by_id(tx, "0001") == changed
    async with database.write() as tx:
        await roles.delete(tx, "0001")
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await roles.update(tx, changed)


@pytest.mark.parametrize("statement", [roles._AT_SCOPES, roles._OF_PRINCIPALS_BELOW], ids=["at", "below"])
async def test_a_decision_reads_along_the_index_of_principal_and_scope(
    database: Database, path: Path, statement: Statement
) -> None:
    """Neither what the principal has elsewhere is read, nor what others have there."""
    connection = sqlite3.connect(path)
    compiled = statement.compiled(DIALECT)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {compiled.text}", ["x"] * len(compiled.names)).fetchall()
    connection.close()
    (step,) = [row[3] for row in plan]
    assert step.startswith("SEARCH role_assignments USING INDEX ix_role_assignments_principal_id (principal_id=? AND ")
    assert "folded_scope" in step
