"""What the requests meet: containers in every state, objects in them, roles, and a principal for each permission."""

from dataclasses import replace
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from hsmvault.model import builtin_roles
from hsmvault.model.containers import AuthorizationModel, Container, ContainerKind, Properties
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting, LogSetting
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import ConnectionStatus, PrivateEndpointConnection
from hsmvault.model.principals import Principal, PrincipalKind, Tenant
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition
from hsmvault.model.subscriptions import ManagementGroup, ResourceGroup
from hsmvault.store import (
    containers,
    diagnostic_settings,
    directory,
    management_groups,
    management_operations,
    resource_groups,
    role_definitions,
    roles,
)
from hsmvault.store.management_operations import LongOperation
from tests.pipeline.world import OBJECT_ID, OTHER_TENANT, TENANT, VAULT
from tests.refusals_management.models import ENDPOINT, GUID
from tests.refusals_management.rig import Rig
from tests.refusals_management.rows import filled
from tests.refusals_management.table import ROWS
from tests.wire.management.stage import NOBODY, READER, SUBSCRIPTION, THEIRS
from tests.wire.management.surroundings import WORKSPACE

SIBLING: Final = "44444444-0000-0000-0000-0000000000b1"
"""Owns what stands beside everything that is asked about, under names that begin with the same letters."""
USER: Final = GUID
ROLE: Final = "bbbbbbbb-0000-0000-0000-000000000001"
FREE_ROLE: Final = "bbbbbbbb-0000-0000-0000-000000000002"
THEIR_ROLE: Final = "bbbbbbbb-0000-0000-0000-000000000003"
ASSIGNMENT: Final = "aaaaaaaa-0000-0000-0000-000000000001"
THEIR_ASSIGNMENT: Final = "aaaaaaaa-0000-0000-0000-000000000003"
OPERATION, THEIR_OPERATION = "cccccccc-0000-0000-0000-000000000001", "cccccccc-0000-0000-0000-000000000002"
_RULES: Final = Retention(7)
_GONE: Final[dict[str, Any]] = {"deleted_at": 1_700_000_000, "purge_at": 1_700_000_000 + 7 * 86_400}
_CONNECTION: Final = PrivateEndpointConnection("good", ENDPOINT, ConnectionStatus.PENDING)
_POLICIES: Final = AuthorizationModel.ACCESS_POLICIES


def but(action: str) -> str:
    """Who may do everything in the whole tenant but this."""
    return str(uuid5(NAMESPACE_OID, f"but {action}"))


def only(action: str) -> str:
    """Who may do this alone, in the whole tenant."""
    return str(uuid5(NAMESPACE_OID, f"only {action}"))


def _container(number: int, name: str, kind: ContainerKind = ContainerKind.VAULT, **changes: Any) -> Container:
    given: dict[str, Any] = {"resource_group": "rg", "location": "local", "retention": _RULES, "kind": kind} | changes
    return replace(VAULT, id=f"11111111-0000-0000-0000-0000000090{number:02}", name=name, **given)


def _pool(number: int, name: str, **changes: Any) -> Container:
    properties = Properties(sku_family="B", sku_name="Standard_B1", initial_admins=(GUID,))
    return _container(number, name, ContainerKind.POOL, **{"properties": properties} | changes)


_THEIRS: Final[dict[str, Any]] = {"tenant_id": OTHER_TENANT, "subscription_id": THEIRS}
_KEPT: Final = Retention(7, purge_protection=True)
CONTAINERS: Final = (
    _container(1, "good", connections=(_CONNECTION,)),
    _container(2, "goodness", resource_group="rg2"),
    _container(3, "policies", authorization=_POLICIES),
    _container(4, "protected", retention=_KEPT),
    _container(5, "gone", **_GONE),
    _container(6, "kept", retention=_KEPT, **_GONE),
    _container(7, "leaving", purging=True, **_GONE),
    _container(8, "theirs", **_THEIRS),
    _container(9, "theirs-gone", **_THEIRS, **_GONE),
    _container(10, "elsewhere", resource_group="rg2"),
    _container(11, "gone-elsewhere", resource_group="rg2", **_GONE),
    _container(12, "plain", premium=False),
    _pool(21, "goodhsm", arm_keys=True, connections=(_CONNECTION,)),
    _pool(22, "closedhsm"),
    _pool(23, "newhsm", activated=False, arm_keys=True),
    _pool(24, "protectedhsm", retention=_KEPT),
    _pool(25, "gonehsm", **_GONE),
    _pool(26, "kepthsm", retention=_KEPT, **_GONE),
    _pool(27, "leavinghsm", purging=True, **_GONE),
    _pool(28, "theirshsm", **_THEIRS),
    _pool(29, "theirs-gonehsm", **_THEIRS, **_GONE),
    _pool(30, "elsewherehsm", resource_group="rg2"),
)
AT: Final = {container.name: container.resource_id for container in CONTAINERS}


async def prepare(rig: Rig) -> None:
    """Fill the database, and make a key and a secret where they are read."""
    async with rig.service.database.write() as tx:
        await directory.insert_tenant(tx, Tenant(TENANT, "Ours", "ours.example"))
        await directory.insert_principal(tx, Principal(USER, TENANT, PrincipalKind.USER, "A", upn="a@ours.example"))
        for subscription, group in ((SUBSCRIPTION, "rg2"), (THEIRS, "rg")):
            await resource_groups.insert(tx, ResourceGroup(subscription, group, "local"))
        for container in CONTAINERS:
            await containers.insert(tx, container)
        for group in (ManagementGroup(TENANT, "good", "Good"), ManagementGroup(TENANT, "inner", "Inner", "good")):
            await management_groups.insert(tx, group)
        log = LogSetting(True, "AuditEvent")
        setting = DiagnosticSetting(AT["good"], "good", DiagnosticBody(workspace_id=WORKSPACE, logs=(log,)), 1)
        await diagnostic_settings.put(tx, setting)
        for id, tenant, subscription in ((OPERATION, TENANT, SUBSCRIPTION), (THEIR_OPERATION, OTHER_TENANT, THEIRS)):
            target = f"/subscriptions/{subscription}/something"
            await management_operations.insert(tx, LongOperation(id, tenant, subscription, "purge", "", target, 1))
        everything = Permission(("Microsoft.KeyVault/vaults/read",))
        for id, tenant, name in ((ROLE, TENANT, "Held"), (FREE_ROLE, TENANT, "Free"), (THEIR_ROLE, OTHER_TENANT, "T")):
            scope = (f"/subscriptions/{SUBSCRIPTION if tenant == TENANT else THEIRS}",)
            await role_definitions.insert(tx, RoleDefinition(id, name, (everything,), "", scope, tenant))
        for assignment in (
            RoleAssignment(ASSIGNMENT, AT["good"], ROLE, USER, 1, TENANT),
            RoleAssignment(THEIR_ASSIGNMENT, AT["theirs"], THEIR_ROLE, OBJECT_ID, 1, OTHER_TENANT),
        ):
            await roles.insert(tx, assignment)
        for id, role in ((OBJECT_ID, "Owner"), (READER, "Reader")):
            await roles.insert(tx, _assignment(rig, "/", builtin_roles.BY_NAME[role].id, id))
        for scope in _beside():
            await roles.insert(tx, _assignment(rig, scope, builtin_roles.BY_NAME["Owner"].id, SIBLING))
        for action in sorted({row.action for row in ROWS.values() if row.asks}):
            for holder, permission in (
                (but(action), Permission(("*",), (action,))),
                (only(action), Permission((action,))),
            ):
                role_id = rig.service.parts.identifiers.guid()
                definition = RoleDefinition(role_id, holder, (permission,), "", ("/",), TENANT)
                await role_definitions.insert(tx, definition)
                await roles.insert(tx, _assignment(rig, "/", role_id, holder))
    for action in {row.action for row in ROWS.values()}:
        for holder in (but(action), only(action), SIBLING, READER, NOBODY):
            rig.service.directory.put(holder)
    await rig.done("PUT", f"{AT['good']}/secrets/good", {"properties": {"value": "something"}})
    await rig.done("PUT", f"{AT['good']}/keys/good", {"properties": {"kty": "EC"}})


def _assignment(rig: Rig, scope: str, role_id: str, principal_id: str) -> RoleAssignment:
    return RoleAssignment(rig.service.parts.identifiers.guid(), scope, role_id, principal_id, 1, TENANT)


def _beside() -> list[str]:
    """Scopes that no request is about, and that a careless comparison would take for one that it is about."""
    vaults = filled("/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/")
    pools = vaults.replace("/vaults/", "/managedHSMs/")
    return [
        f"/subscriptions/{THEIRS}",
        filled("/subscriptions/{subscription}/resourceGroups/rg2"),
        filled("/subscriptions/{subscription}/resourceGroups/r"),
        f"{vaults}goo",
        f"{vaults}goodness",
        f"{vaults}good/keys/goodness",
        f"{pools}goodhsms",
        "/providers/Microsoft.Management/managementGroups/goods",
        "/providers/Microsoft.Management/managementGroups/inner",
    ]
