"""Role assignments in the store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.roles import RoleAssignment, covers
from hsmvault.store import roles
from hsmvault.store.database import Change, Conflicted, Database


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
    folded, at = roles._folded(scope), roles._folded(prefix)
    assert (folded == at or at + "/" <= folded < at + "0") == covers(prefix, scope)


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
