"""Subscriptions, resource groups, management groups and diagnostic settings in the store."""

from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting, LogSetting, MetricSetting, RetentionPolicy
from hsmvault.model.subscriptions import ManagementGroup, ResourceGroup, Subscription, SubscriptionState
from hsmvault.pipeline.caches import SubscriptionCache
from hsmvault.store import diagnostic_settings, management_groups, resource_groups, subscriptions
from hsmvault.store.database import Change, Conflicted, Database

TENANT = "22222222-0000-0000-0000-000000000001"
OTHER = "22222222-0000-0000-0000-000000000002"
ONE = Subscription("33333333-0000-0000-0000-000000000001", TENANT, "One", created=5)
TWO = Subscription("33333333-0000-0000-0000-000000000002", OTHER, "Two", SubscriptionState.DISABLED, "left")
GROUP = ResourceGroup(ONE.id, "Team", "local", {"Größe": "x", "a": ""}, 7)
VAULT = f"{GROUP.resource_id}/providers/Microsoft.KeyVault/vaults/V"


def heard_by(database: Database) -> list[Change]:
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    return heard


async def test_a_subscription_comes_back_and_changes_and_goes(database: Database) -> None:
    heard = heard_by(database)
    async with database.write() as tx:
        await subscriptions.insert(tx, ONE)
        await subscriptions.insert(tx, TWO)
    async with database.read() as tx:
        assert await subscriptions.find(tx, ONE.id.upper()) == ONE
        assert await subscriptions.find(tx, "nobody") is None
        assert await subscriptions.of_tenant(tx, TENANT) == [ONE]
        assert await subscriptions.list_all(tx) == [ONE, TWO]
        assert await subscriptions.in_management_group(tx, OTHER, "LEFT") == [TWO]
        assert await subscriptions.in_management_group(tx, TENANT, "left") == []
    changed = replace(ONE, display_name="Eins", management_group="left")
    async with database.write() as tx:
        await subscriptions.update(tx, replace(changed, tenant_id="else", created=9))
        assert await subscriptions.find(tx, ONE.id) == changed
        assert await subscriptions.delete(tx, TWO.id)
        assert not await subscriptions.delete(tx, TWO.id)
    assert {(change.kind, change.name) for change in heard} == {("subscription", ONE.id), ("subscription", TWO.id)}
    for write in (subscriptions.insert, subscriptions.update):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await write(tx, ONE if write is subscriptions.insert else TWO)


async def test_a_resource_group_has_one_name_in_any_case(database: Database) -> None:
    heard = heard_by(database)
    async with database.write() as tx:
        await resource_groups.insert(tx, GROUP)
        await resource_groups.insert(tx, replace(GROUP, name="B", tags={}))
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await resource_groups.insert(tx, replace(GROUP, name="TEAM"))
    async with database.write() as tx:
        assert await resource_groups.find(tx, ONE.id.upper(), "team") == GROUP
        names = [one.name for one in await resource_groups.of_subscription(tx, ONE.id, after="", most=10)]
        assert names == ["B", "Team"]
        assert await resource_groups.of_subscription(tx, ONE.id, after="b", most=1) == [GROUP]
        await resource_groups.update(tx, replace(GROUP, tags={"b": "c"}, location="else"))
        assert await resource_groups.find(tx, ONE.id, "Team") == replace(GROUP, tags={"b": "c"}, revision=2)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await resource_groups.update(tx, GROUP)
    async with database.write() as tx:
        assert await resource_groups.delete(tx, ONE.id, "TEAM")
        assert not await resource_groups.delete(tx, ONE.id, "TEAM")
    assert {(change.kind, change.name) for change in heard} == {
        ("resource-group", f"{ONE.id}/team"),
        ("resource-group", f"{ONE.id}/b"),
    }
    with pytest.raises(BadRequest):
        async with database.write() as tx:
            await resource_groups.insert(tx, replace(GROUP, tags={"a": "\0"}))


async def test_management_groups_are_a_tree_in_each_tenant(database: Database) -> None:
    top, left = ManagementGroup(TENANT, "Top", "The top", created=3), ManagementGroup(TENANT, "Left", "L", "Top")
    async with database.write() as tx:
        for group in (top, left, replace(left, tenant_id=OTHER)):
            await management_groups.insert(tx, group)
    stored = replace(left, parent="top")
    async with database.write() as tx:
        assert await management_groups.find(tx, TENANT, "LEFT") == stored
        assert await management_groups.of_tenant(tx, TENANT) == [stored, top]
        assert await management_groups.children(tx, TENANT, "TOP") == [stored]
        assert await management_groups.children(tx, TENANT, "") == [top]
        assert await management_groups.above(tx, TENANT, "left") == [stored, top]
        assert await management_groups.above(tx, TENANT, "") == []
        await management_groups.update(tx, replace(top, parent="left"))  # a circle, which nobody else can make
        assert len(await management_groups.above(tx, TENANT, "left")) == management_groups.MOST_LEVELS + 1
        assert await management_groups.delete(tx, TENANT, "LEFT")
        assert not await management_groups.delete(tx, TENANT, "LEFT")
        assert await management_groups.find(tx, OTHER, "left") is not None


async def test_the_cache_knows_what_is_above_a_subscription(database: Database) -> None:
    async with database.write() as tx:
        await management_groups.insert(tx, ManagementGroup(TENANT, "Top", "T"))
        await management_groups.insert(tx, ManagementGroup(TENANT, "Left", "L", "Top"))
        await subscriptions.insert(tx, replace(ONE, management_group="left"))
    cache, root = SubscriptionCache(database), f"/providers/Microsoft.Management/managementGroups/{TENANT}"
    placement = await cache.placement(ONE.id.upper())
    assert placement is not None
    above = tuple(f"/providers/Microsoft.Management/managementGroups/{name}" for name in ("Left", "Top"))
    assert placement.management_groups == (*above, root)
    assert await cache.management_groups(TENANT, "TOP") == (above[1], root)
    assert await cache.management_groups(TENANT, "unknown") == (root,)
    assert await cache.find("unknown") is None
    async with database.write() as tx:
        await subscriptions.update(tx, ONE)
        await management_groups.delete(tx, TENANT, "top")
    assert await cache.placement(ONE.id) == placement
    cache.forget(ONE.id)
    cache.forget_all()
    found = await cache.placement(ONE.id)
    assert found is not None and found.management_groups == (root,)
    assert await cache.management_groups(TENANT, "top") == (root,)


async def test_a_diagnostic_setting_comes_back_as_it_was_written(database: Database) -> None:
    heard = heard_by(database)
    body = DiagnosticBody(
        storage_account_id="archive",
        event_hub_name="hub",
        logs=(LogSetting(enabled=True, category="AuditEvent", retention_policy=RetentionPolicy(True, 30)),),
        metrics=(MetricSetting(enabled=False, category="AllMetrics", time_grain="PT1M"),),
    )
    setting = DiagnosticSetting(VAULT, "One", body, 9)
    async with database.write() as tx:
        await diagnostic_settings.put(tx, setting)
        await diagnostic_settings.put(tx, replace(setting, name="two"))
        await diagnostic_settings.put(tx, replace(setting, resource_id=VAULT + "2"))
    changed = replace(setting, name="ONE", body=DiagnosticBody(workspace_id="logs"), created=10)
    async with database.write() as tx:
        assert await diagnostic_settings.find(tx, VAULT.upper(), "ONE") == setting
        await diagnostic_settings.put(tx, changed)
        assert await diagnostic_settings.of_resource(tx, VAULT) == [changed, replace(setting, name="two")]
        assert len(await diagnostic_settings.list_all(tx)) == 3
        assert await diagnostic_settings.delete(tx, VAULT, "TWO")
        assert not await diagnostic_settings.delete(tx, VAULT, "TWO")
        await diagnostic_settings.delete_all(tx, VAULT)
        assert [one.resource_id for one in await diagnostic_settings.list_all(tx)] == [VAULT + "2"]
    assert {change.kind for change in heard} == {"diagnostic-settings"}
