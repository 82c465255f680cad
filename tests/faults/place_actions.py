"""Roles, resource groups, management groups and diagnostic settings, changed while the process is killed."""

from collections.abc import Sequence

from hsmvault.audit.sinks import Destination
from hsmvault.model.containers import ContainerKind
from hsmvault.model.diagnostics import DiagnosticBody, LogSetting
from hsmvault.model.principals import Tenant
from hsmvault.model.roles import Permission
from hsmvault.model.subscriptions import ManagementGroup, ResourceGroup, Subscription
from hsmvault.resources.diagnostics import DiagnosticSettings
from hsmvault.resources.management_groups import ManagementGroups
from hsmvault.resources.resource_groups import ResourceGroups
from hsmvault.resources.roles.assignments import NewAssignment, RoleAssignments
from hsmvault.resources.roles.definitions import NewDefinition, RoleDefinitions
from hsmvault.resources.subscriptions import MayRead
from hsmvault.store import (
    containers,
    diagnostic_settings,
    directory,
    management_groups,
    resource_groups,
    role_definitions,
    roles,
    subscriptions,
)
from hsmvault.store.database import Transaction
from tests.faults.governed import Governed
from tests.faults.parts import VAULT, Parts

_SUBSCRIPTION = f"/subscriptions/{VAULT.subscription_id}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/group"
_ONE, _ROLE = "66666666-0000-0000-0000-000000000001", "66666666-0000-0000-0000-000000000002"
_READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
_DESTINATION = Destination("archive")


async def have_places(parts: Parts) -> None:
    """A tenant, a subscription, a resource group with a vault and a pool in it."""
    async with parts.database.write() as tx:
        await directory.insert_tenant(tx, Tenant(VAULT.tenant_id, "T", "t.example"))
        await subscriptions.insert(tx, Subscription(VAULT.subscription_id, VAULT.tenant_id, "test"))
        await resource_groups.insert(tx, ResourceGroup(VAULT.subscription_id, "group", "local"))
        await management_groups.insert(tx, ManagementGroup(VAULT.tenant_id, "north", "north"))


def _assignments(parts: Parts) -> RoleAssignments:
    return RoleAssignments(parts.database, parts.clock)


async def _assign(parts: Parts, description: str = "") -> None:
    asked = NewAssignment(_READER, _ONE, "User", description)
    wanted = await _assignments(parts).read(VAULT.tenant_id, _GROUP, _ONE, asked)
    await _assignments(parts).put(wanted, _ONE)


async def _reassign(parts: Parts) -> None:
    await _assign(parts, "again")


async def _unassign(parts: Parts) -> None:
    await _assignments(parts).delete(VAULT.tenant_id, _GROUP, _ONE)


async def _assigned(parts: Parts) -> None:
    await have_places(parts)
    await _assign(parts)


async def _look_at_assignment(tx: Transaction) -> Sequence[object]:
    return [(one.role_id, one.description) for one in await roles.list_at(tx, _SUBSCRIPTION)]


async def _permitted(*_: object) -> None:
    return


async def _define(parts: Parts, *actions: str) -> None:
    definitions = RoleDefinitions(parts.database, parts.clock)
    asked = NewDefinition("Keepers", "", (Permission(actions=actions or ("*/read",)),), (_SUBSCRIPTION,))
    await definitions.put(await definitions.read(VAULT.tenant_id, _ROLE, asked), _ONE, _permitted)


async def _redefine(parts: Parts) -> None:
    await _define(parts, "*")


async def _undefine(parts: Parts) -> None:
    await RoleDefinitions(parts.database, parts.clock).delete(VAULT.tenant_id, _ROLE, _permitted)


async def _defined(parts: Parts) -> None:
    await have_places(parts)
    await _define(parts)


async def _look_at_definition(tx: Transaction) -> Sequence[object]:
    found = await role_definitions.find(tx, _ROLE)
    return [] if found is None else [found.permissions]


async def _may(_: str, __: str) -> bool:
    return True


_MAY: MayRead = _may


def _groups(parts: Parts) -> ResourceGroups:
    return ResourceGroups(parts.database, parts.clock, ("local",))


async def _make_group(parts: Parts) -> None:
    await _groups(parts).put(VAULT.subscription_id, "other", "local", {})


async def _tag_group(parts: Parts) -> None:
    await _groups(parts).put(VAULT.subscription_id, "group", "local", {"a": "b"})


async def _remove_group(parts: Parts) -> None:
    await _groups(parts).delete(VAULT.subscription_id, "GROUP", _MAY)


async def _look_at_groups(tx: Transaction) -> Sequence[object]:
    """And at everything in them: it goes with its group, or stays."""
    found: list[object] = []
    for group in await resource_groups.of_subscription(tx, VAULT.subscription_id, after="", most=9):
        inside = [
            one.name
            for kind in ContainerKind
            for one in await containers.of_group(tx, VAULT.subscription_id, group.name, kind, after="", most=9)
        ]
        found.append((group.name, dict(group.tags), inside))
    deleted = [
        one.name
        for kind in ContainerKind
        for one in await containers.deleted(tx, VAULT.subscription_id, kind, after="", most=9)
    ]
    return [*found, ("deleted", deleted), ("assigned", [one.id for one in await roles.list_at(tx, _GROUP)])]


def _places(parts: Parts) -> ManagementGroups:
    return ManagementGroups(parts.database, parts.clock)


async def _move_subscription(parts: Parts) -> None:
    await _places(parts).move(VAULT.tenant_id, "north", VAULT.subscription_id)


async def _remove_management_group(parts: Parts) -> None:
    await _places(parts).delete(VAULT.tenant_id, "north")


async def _assigned_above(parts: Parts) -> None:
    await have_places(parts)
    scope = ManagementGroup(VAULT.tenant_id, "north", "").resource_id
    asked = NewAssignment(_READER, _ONE, "User")
    await _assignments(parts).put(await _assignments(parts).read(VAULT.tenant_id, scope, _ONE, asked), _ONE)


async def _look_above(tx: Transaction) -> Sequence[object]:
    found = await subscriptions.find(tx, VAULT.subscription_id)
    groups = await management_groups.of_tenant(tx, VAULT.tenant_id)
    assigned = await roles.list_at(tx, ManagementGroup(VAULT.tenant_id, "north", "").resource_id)
    return [found and found.management_group, [one.name for one in groups], len(assigned)]


def _settings(parts: Parts) -> DiagnosticSettings:
    return DiagnosticSettings(parts.database, parts.clock, (_DESTINATION,))


async def _export(parts: Parts, *, enabled: bool = True) -> None:
    body = DiagnosticBody(workspace_id="archive", logs=(LogSetting(enabled, category_group="audit"),))
    await _settings(parts).put(VAULT.resource_id, "out", body)


async def _change_export(parts: Parts) -> None:
    await _export(parts, enabled=False)


async def _end_export(parts: Parts) -> None:
    await _settings(parts).delete(VAULT.resource_id, "out")


async def _exported(parts: Parts) -> None:
    await have_places(parts)
    await _export(parts)


async def _look_at_settings(tx: Transaction) -> Sequence[object]:
    return [one.body for one in await diagnostic_settings.list_all(tx)]


GOVERNED = {
    "role: assign": Governed(have_places, _assign, _look_at_assignment),
    "role: describe": Governed(_assigned, _reassign, _look_at_assignment),
    "role: take": Governed(_assigned, _unassign, _look_at_assignment),
    "role: define": Governed(have_places, _define, _look_at_definition),
    "role: redefine": Governed(_defined, _redefine, _look_at_definition),
    "role: undefine": Governed(_defined, _undefine, _look_at_definition),
    "resource group: make": Governed(have_places, _make_group, _look_at_groups),
    "resource group: tag": Governed(have_places, _tag_group, _look_at_groups),
    "resource group: delete": Governed(_assigned, _remove_group, _look_at_groups, "NotFound"),
    "subscription: move": Governed(have_places, _move_subscription, _look_above),
    "management group: delete": Governed(_assigned_above, _remove_management_group, _look_above),
    "diagnostics: set": Governed(have_places, _export, _look_at_settings),
    "diagnostics: change": Governed(_exported, _change_export, _look_at_settings),
    "diagnostics: remove": Governed(_exported, _end_export, _look_at_settings),
}
