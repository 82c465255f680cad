"""Changes that meet each other: of one vault, and of what is assigned at a vault that goes meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.errors import NotFound
from hsmvault.model.containers import AuthorizationModel
from hsmvault.resources.roles.assignments import NewAssignment, RoleAssignments
from hsmvault.resources.vaults.access_policies import Change
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.store import roles
from hsmvault.store.migrations import migrate
from tests.resources.vault_stage import ACTOR, PLACE, PLAIN, SOMEBODY, TENANT, VaultStage, policy, vault_stage

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
NAME = "66666666-0000-0000-0000-000000000001"
MANY = 24


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def on(tmp_path: Path, empty: Path) -> AsyncIterator[VaultStage]:
    async with vault_stage(tmp_path / "hsmvault.db", empty) as stage:
        yield stage


async def test_however_many_change_a_vault_at_once_each_change_is_made_and_nobody_is_refused(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False))
    others = [f"55555555-0000-0000-0000-0000000000{number:02}" for number in range(MANY)]
    adding = [
        on.vaults.change_policies(PLACE, Change.ADD, [policy(one, keys=frozenset({"get"}))], ACTOR) for one in others
    ]
    tagging = [on.patch(VaultSettings(tags={"number": str(number)})) for number in range(MANY)]
    await asyncio.gather(*[one for pair in zip(adding, tagging, strict=True) for one in pair])
    found = await on.vaults.get(PLACE)
    assert {one.object_id for one in found.access_policies} == set(others)
    assert found.tags in [{"number": str(number)} for number in range(MANY)]  # whoever came last, wholly
    assert found.revision == 1 + 2 * MANY


async def test_a_change_of_the_permission_model_meets_the_vault_as_somebody_was_asked_about_it(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False))
    asked = 0

    async def adding() -> bool:
        """Whoever is asked first adds a policy meanwhile."""
        nonlocal asked
        asked += 1
        if asked == 1:
            await on.vaults.change_policies(PLACE, Change.ADD, [policy(SOMEBODY, keys=frozenset({"get"}))], ACTOR)
        return True

    switched = await on.vaults.patch(PLACE, VaultSettings(rbac=True), ACTOR, adding)
    assert (switched.authorization, asked) == (AuthorizationModel.RBAC, 2)
    assert [one.object_id for one in switched.access_policies] == [SOMEBODY]


async def test_what_is_assigned_at_a_vault_that_was_deleted_meanwhile_does_not_wait_for_its_return(
    on: VaultStage,
) -> None:
    vault = await on.put()
    assignments = RoleAssignments(on.database, on.clock)
    wanted = await assignments.read(TENANT, vault.resource_id, NAME, NewAssignment(READER, SOMEBODY, "User"))
    assert await on.vaults.delete(PLACE)
    with pytest.raises(NotFound) as refusal:
        await assignments.put(wanted, SOMEBODY)
    assert refusal.value.code == "ResourceNotFound"
    await on.put(VaultSettings(recover=True))
    async with on.database.read() as tx:
        assert await roles.list_at(tx, vault.resource_id) == []
