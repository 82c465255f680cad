"""Vaults as resources: made, changed, deleted, recovered, purged; what is refused stands in test_vault_rules.py."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.errors import BadRequest, Conflict, MethodNotAllowed, NotFound, RequestError
from hsmvault.model.containers import AuthorizationModel
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from hsmvault.model.roles import RoleAssignment
from hsmvault.resources.network_rules import IpRule, NetworkRuleSet
from hsmvault.resources.vaults.access_policies import Change
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.store import containers, management_operations, resource_groups, roles
from hsmvault.store.migrations import migrate
from tests.resources.vault_stage import (
    ACTOR,
    FOREIGN_SUBSCRIPTION,
    FOREIGN_TENANT,
    PLACE,
    PLAIN,
    SUBSCRIPTION,
    TENANT,
    VaultStage,
    policy,
    vault_stage,
)

RECOVER = VaultSettings(location="local", tenant_id=TENANT, sku_family="A", sku="standard", recover=True)
DAY = 86_400


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def on(tmp_path: Path, empty: Path) -> AsyncIterator[VaultStage]:
    async with vault_stage(tmp_path / "hsmvault.db", empty) as stage:
        yield stage


async def test_a_new_vault_has_what_its_maker_says_and_the_defaults_for_the_rest(on: VaultStage) -> None:
    made = await on.put()
    assert (made.name, made.properties.shown_name, made.tenant_id) == ("north", "North", TENANT)
    assert made.resource_id == PLACE.resource_id
    assert (made.premium, made.authorization, made.retention) == (False, AuthorizationModel.RBAC, Retention(90))
    assert made.network == NetworkRules()
    assert (made.properties.created_by, made.properties.created_by_type) == ("somebody@example.org", "User")
    assert await on.stored() == made == await on.vaults.get(PLACE)


async def test_the_permission_model_of_a_vault_whose_maker_names_none_is_that_of_the_api_version(
    on: VaultStage,
) -> None:
    assert (await on.put(rbac=False)).authorization is AuthorizationModel.ACCESS_POLICIES
    other = replace(PLACE, name="south")
    assert (await on.put(place=other, rbac=True)).authorization is AuthorizationModel.RBAC
    assert on.asked == []  # who makes a vault chooses


async def test_the_same_put_twice_changes_nothing(on: VaultStage) -> None:
    first = await on.put()
    on.clock.move(60)
    assert await on.put() == first
    assert await on.patch(VaultSettings()) == first
    assert await on.events() == []


async def test_a_put_replaces_what_may_change_and_keeps_what_nobody_names_of_the_rest(on: VaultStage) -> None:
    network = NetworkRuleSet(defaultAction="Deny", ipRules=[IpRule("1.2.3.4")])
    first = await on.put(
        replace(
            PLAIN,
            retention_days=7,
            purge_protection=True,
            enabled_for_deployment=True,
            network=network,
            rbac=False,
            policies=(policy(keys=frozenset({"get"})),),
        )
    )
    on.clock.move(60)
    after = await on.put(replace(PLAIN, tags=None, sku="Premium", rbac=None))
    assert dict(after.tags) == {}
    assert after.properties.enabled_for_deployment is None
    assert after.access_policies == ()
    assert after.premium
    assert (after.retention, after.authorization) == (first.retention, first.authorization)
    assert after.network == first.network, "no omission opens a firewall"
    assert (after.properties.modified, after.created) == (first.created + 60, first.created)


async def test_a_patch_changes_what_it_names_alone(on: VaultStage) -> None:
    first = await on.put(replace(PLAIN, enabled_for_deployment=True))
    after = await on.patch(VaultSettings(tags={"team": "red"}, enabled_for_disk_encryption=True))
    assert dict(after.tags) == {"team": "red"}
    assert (after.properties.enabled_for_deployment, after.properties.enabled_for_disk_encryption) == (True, True)
    assert (after.premium, after.access_policies, after.network) == (
        first.premium,
        first.access_policies,
        first.network,
    )
    assert after.revision == first.revision + 1


async def test_policies_of_a_vault_that_goes_over_to_rbac_are_kept(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False, policies=(policy(keys=frozenset({"get"})),)))
    after = await on.patch(VaultSettings(rbac=True))
    assert after.authorization is AuthorizationModel.RBAC
    assert after.access_policies == (policy(keys=frozenset({"get"})),)


@pytest.mark.parametrize("rbac", [True, False])
async def test_another_permission_model_is_for_those_who_may_assign_roles(on: VaultStage, rbac: bool) -> None:
    before = await on.put(replace(PLAIN, rbac=not rbac))
    on.may_switch = False
    for change in (on.patch(VaultSettings(rbac=rbac)), on.put(replace(PLAIN, rbac=rbac))):
        with pytest.raises(BadRequest, match="Caller is not allowed to change permission model") as refused:
            await change
        assert refused.value.code == "InsufficientPermissions"
    assert await on.stored() == before
    assert (await on.patch(VaultSettings(rbac=not rbac))) == before, "the same again is no change"


async def test_a_change_of_policies_or_of_the_model_is_an_event_and_other_changes_are_none(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False))
    await on.patch(VaultSettings(tags={}))
    await on.vaults.change_policies(PLACE, Change.ADD, [policy(keys=frozenset({"get"}))], ACTOR)
    await on.vaults.change_policies(PLACE, Change.ADD, [policy(keys=frozenset({"get"}))], ACTOR)
    await on.patch(VaultSettings(rbac=True))
    events = await on.events()
    assert [(one.type, one.object_type, one.name) for one in events] == [
        ("VaultAccessPolicyChanged", "Vault", "North")
    ] * 2


async def test_a_name_is_in_use_whoever_has_it(on: VaultStage) -> None:
    await on.put()
    elsewhere = [
        replace(PLACE, group="other"),
        replace(PLACE, name="NORTH", tenant_id=FOREIGN_TENANT, subscription_id=FOREIGN_SUBSCRIPTION),
    ]
    for place in elsewhere:
        with pytest.raises(Conflict) as refused:
            await on.put(replace(PLAIN, tenant_id=place.tenant_id), place)
        assert refused.value.code == "VaultAlreadyExists"
        with pytest.raises(NotFound):
            await on.vaults.get(place)
        assert not await on.vaults.delete(place)
    assert not await on.vaults.is_name_free("nORTH")
    assert await on.vaults.is_name_free("south")


async def test_a_vault_needs_a_resource_group(on: VaultStage) -> None:
    with pytest.raises(NotFound) as refused:
        await on.put(place=replace(PLACE, group="nowhere"))
    assert refused.value.code == "ResourceGroupNotFound"
    with pytest.raises(NotFound):
        await on.vaults.of_group(SUBSCRIPTION, "nowhere", "", 10)


async def test_a_vault_is_found_whatever_the_case_of_its_path(on: VaultStage) -> None:
    made = await on.put()
    shouted = replace(PLACE, group="GROUP", name="NORTH", subscription_id=SUBSCRIPTION.upper())
    assert await on.vaults.get(shouted) == made
    assert await on.put(place=shouted) == made


async def test_a_deleted_vault_is_gone_with_its_role_assignments_and_holds_its_name(on: VaultStage) -> None:
    made = await on.put()
    async with on.database.write() as tx:
        for number, scope in enumerate((made.resource_id, f"{made.resource_id}/keys/k", "/subscriptions/x")):
            await roles.insert(tx, RoleAssignment(f"id{number}", scope, "role", "somebody", tenant_id=TENANT))
    now = int(on.clock.now())
    assert await on.vaults.delete(PLACE)
    assert not await on.vaults.delete(PLACE)
    with pytest.raises(NotFound):
        await on.vaults.get(PLACE)
    assert await on.vaults.of_group(SUBSCRIPTION, "group", "", 10) == []
    assert await on.vaults.of_subscription(SUBSCRIPTION, "", 10) == []
    with pytest.raises(Conflict) as refused:
        await on.put()
    assert refused.value.code == "ConflictError"
    deleted = await on.deleted.get(SUBSCRIPTION, "Lo cal", "NORTH")
    assert (deleted.deleted_at, deleted.purge_at) == (now, now + 90 * DAY)
    assert await on.deleted.page(SUBSCRIPTION, "", 10) == [deleted]
    async with on.database.read() as tx:
        assert [one.id for one in await roles.list_at(tx, "/")] == ["id2"]


async def test_a_strangers_put_does_not_learn_that_a_vault_is_deleted(on: VaultStage) -> None:
    await on.put()
    await on.vaults.delete(PLACE)
    place = replace(PLACE, tenant_id=FOREIGN_TENANT, subscription_id=FOREIGN_SUBSCRIPTION)
    with pytest.raises(Conflict) as refused:
        await on.put(replace(PLAIN, tenant_id=FOREIGN_TENANT), place)
    assert refused.value.code == "VaultAlreadyExists"
    for subscription, location in ((FOREIGN_SUBSCRIPTION, "local"), (SUBSCRIPTION, "north")):
        with pytest.raises(NotFound) as missing:
            await on.deleted.get(subscription, location, "north")
        assert missing.value.code == "DeletedVaultNotFound"
    assert await on.deleted.page(FOREIGN_SUBSCRIPTION, "", 10) == []


async def test_a_recovered_vault_is_as_it_was_whatever_the_body_says(on: VaultStage) -> None:
    before = await on.put(replace(PLAIN, retention_days=7, rbac=False, policies=(policy(keys=frozenset({"all"})),)))
    await on.vaults.delete(PLACE)
    after = await on.put(
        replace(RECOVER, sku="premium", tags={"team": "red"}, policies=(), retention_days=9, rbac=True)
    )
    assert replace(after, revision=before.revision, properties=before.properties) == before
    assert await on.vaults.get(PLACE) == after
    assert await on.put(RECOVER) == after, "a client that did not get the answer asks once more"


async def test_only_a_deleted_vault_of_the_same_place_is_recovered(on: VaultStage) -> None:
    with pytest.raises(NotFound):
        await on.put(RECOVER)
    await on.put()
    await on.vaults.delete(PLACE)
    with pytest.raises(Conflict):
        await on.put(RECOVER, replace(PLACE, group="other"))
    with pytest.raises(Conflict) as refused:
        await on.put(replace(RECOVER, location="north"))
    assert refused.value.code == "InvalidResourceLocation"
    async with on.database.write() as tx:
        assert await resource_groups.delete(tx, SUBSCRIPTION, "group")
    with pytest.raises(NotFound) as missing:
        await on.put(RECOVER)
    assert missing.value.code == "ResourceGroupNotFound"


async def test_a_purge_is_one_operation_however_often_it_is_asked_for(on: VaultStage) -> None:
    await on.put()
    with pytest.raises(NotFound):
        await on.deleted.purge(SUBSCRIPTION, "local", "north")
    await on.vaults.delete(PLACE)
    operation = await on.deleted.purge(SUBSCRIPTION, "local", "north")
    assert await on.deleted.purge(SUBSCRIPTION, "local", "north") == operation
    async with on.database.read() as tx:
        assert await management_operations.find(tx, operation.id) == operation
    with pytest.raises(Conflict, match="being purged"):
        await on.put(RECOVER)


async def test_of_a_recovery_and_a_purge_at_the_same_time_one_wins(on: VaultStage) -> None:
    for _ in range(5):
        await on.put()
        await on.vaults.delete(PLACE)
        outcomes = await asyncio.gather(
            on.put(RECOVER), on.deleted.purge(SUBSCRIPTION, "local", "north"), return_exceptions=True
        )
        stored = await on.stored()
        assert stored is not None
        assert [isinstance(one, RequestError) for one in outcomes].count(True) == 1, outcomes
        assert stored.purging is (stored.deleted_at is not None) is isinstance(outcomes[0], RequestError)
        async with on.database.write() as tx:
            await containers.delete(tx, stored)


async def test_nobody_purges_a_protected_vault_before_its_time(on: VaultStage) -> None:
    await on.put(replace(PLAIN, purge_protection=True))
    await on.vaults.delete(PLACE)
    with pytest.raises(MethodNotAllowed, match="DeletedVaultPurge"):
        await on.deleted.purge(SUBSCRIPTION, "local", "north")
    assert (await on.put(RECOVER)).deleted_at is None


async def test_changes_at_the_same_time_are_all_made(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False))
    others = [f"55555555-0000-0000-0000-00000000000{number}" for number in range(4)]
    await asyncio.gather(
        *(on.vaults.change_policies(PLACE, Change.ADD, [policy(one, keys=frozenset({"get"}))], ACTOR) for one in others)
    )
    assert {one.object_id for one in (await on.vaults.get(PLACE)).access_policies} == set(others)


async def test_of_two_who_make_the_same_vault_one_makes_it_and_the_other_finds_it(on: VaultStage) -> None:
    first, second = await asyncio.gather(on.put(), on.put())
    assert first.id == second.id
    async with on.database.read() as tx:
        assert len(await containers.list_all(tx)) == 1


async def test_a_vault_that_changes_under_every_attempt_is_a_conflict_and_stays(on: VaultStage) -> None:
    await on.put(replace(PLAIN, rbac=False))

    async def meddling() -> bool:
        """Whoever is asked changes the vault meanwhile."""
        async with on.database.write() as tx:
            await containers.update(tx, await on.vaults.get(PLACE))
        return True

    with pytest.raises(Conflict, match="at the same time"):
        await on.vaults.patch(PLACE, VaultSettings(rbac=True), ACTOR, meddling)
    assert (await on.vaults.get(PLACE)).authorization is AuthorizationModel.ACCESS_POLICIES


async def test_lists_go_by_name_behind_a_place(on: VaultStage) -> None:
    for name in ("charlie", "Alpha", "bravo"):
        await on.put(place=replace(PLACE, name=name))
    await on.put(place=replace(PLACE, name="delta", group="other"))
    first = await on.vaults.of_group(SUBSCRIPTION, "GROUP", "", 2)
    assert [one.properties.shown_name for one in first] == ["Alpha", "bravo"]
    assert [one.name for one in await on.vaults.of_group(SUBSCRIPTION, "group", "bravo", 2)] == ["charlie"]
    assert [one.name for one in await on.vaults.of_subscription(SUBSCRIPTION, "bravo", 9)] == ["charlie", "delta"]
    assert await on.vaults.of_subscription(FOREIGN_SUBSCRIPTION, "", 9) == []
