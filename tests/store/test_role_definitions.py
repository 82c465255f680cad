"""Custom role definitions in the store."""

from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest, Damaged
from hsmvault.model.roles import Permission, RoleDefinition
from hsmvault.store import role_definitions
from hsmvault.store.database import Change, Conflicted, Database

BLOCK = Permission(("a/*",), ("a/b",), ("d/*",), ("d/e",), "ActionMatches{'*'}")
ROLE = RoleDefinition("r1", "Keepers", (BLOCK, Permission()), "d", ("/s", "/t"), "tenant", 1, "ada", 2, "bob")
POOL = "/local/p"


async def test_a_definition_is_read_as_it_was_written(database: Database) -> None:
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    async with database.write() as tx:
        await role_definitions.insert(tx, ROLE)
        await role_definitions.insert(tx, replace(ROLE, id="r2", name="Aarons"))
        await role_definitions.insert(tx, replace(ROLE, id="r3", tenant_id="other"))
        await role_definitions.insert(tx, replace(ROLE, id="r4"), POOL)
    async with database.read() as tx:
        assert await role_definitions.find(tx, "r1") == ROLE
        assert await role_definitions.find(tx, "r1", POOL) is None and await role_definitions.find(tx, "r4") is None
        assert await role_definitions.find(tx, "r4", POOL) == replace(ROLE, id="r4")
        assert await role_definitions.named(tx, "tenant", "KEEPERS") == ROLE
        assert await role_definitions.named(tx, "tenant", "nobody") is None
        assert [one.id for one in await role_definitions.of_tenant(tx, "tenant")] == ["r2", "r1"]
        assert await role_definitions.count(tx, "tenant") == 2 and await role_definitions.count(tx, "tenant", POOL) == 1
    assert heard == [Change("role-definition", "", f"r{n}") for n in (1, 2, 3, 4)]


async def test_a_definition_changes_and_goes(database: Database) -> None:
    changed = replace(ROLE, name="Others", permissions=(BLOCK,), assignable_scopes=("/u",), updated=9, updated_by="eve")
    async with database.write() as tx:
        await role_definitions.insert(tx, ROLE)
        await role_definitions.update(tx, replace(changed, tenant_id="stays", created=7))
    async with database.read() as tx:
        assert await role_definitions.find(tx, "r1") == changed
    async with database.write() as tx:
        assert await role_definitions.delete(tx, "r1") is True
        assert await role_definitions.delete(tx, "r1") is False
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await role_definitions.update(tx, changed)


async def test_a_name_is_taken_once_in_its_tenant_and_place(database: Database) -> None:
    async with database.write() as tx:
        await role_definitions.insert(tx, ROLE)
        await role_definitions.insert(tx, replace(ROLE, id="r2", tenant_id="other"))
        await role_definitions.insert(tx, replace(ROLE, id="r3", name="B"))
    for again in (replace(ROLE, id="r4", name="kEEPERS"), replace(ROLE, name="C")):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await role_definitions.insert(tx, again)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await role_definitions.update(tx, replace(ROLE, id="r3", name="KEEPERS"))


@pytest.mark.parametrize("bad", [replace(ROLE, permissions=(Permission(("a\0",)),)), replace(ROLE, name="a\0")])
async def test_what_some_database_would_not_keep_is_refused(database: Database, bad: RoleDefinition) -> None:
    with pytest.raises(BadRequest):
        async with database.write() as tx:
            await role_definitions.insert(tx, bad)


def test_a_definition_that_cannot_be_read_is_damaged_and_says_which() -> None:
    row = ("r1", "t", "n", "d", "{}", "[]", 0, "", 0, "")
    with pytest.raises(Damaged) as caught:
        role_definitions._decode(row)
    assert "r1" in (caught.value.detail or "")
