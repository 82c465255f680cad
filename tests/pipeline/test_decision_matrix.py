"""The decision matrix: every built-in role at every kind of scope, every permission of an access policy, against every
operation of both planes.

What is expected is worked out here, from tables of our own making in reference/: which actions a role has (roles.json:
name, id, actions, notActions, dataActions, notDataActions) and which an operation needs (operations.json: of the data
plane name, who serves it, kind and words of the access policy, data actions of which one is enough, kind of the object
in its path; of the management plane name, action, and at what it is asked for). They were read from the documentation
of Azure's roles and operations, not from the code. For securewrapkey and secureunwrapkey no data action is published:
they have those of wrapping. Scopes and what they reach are written down one by one.
"""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hsmvault.errors import Forbidden
from hsmvault.model import builtin_roles, management, operations
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import Placement, Subscription
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.azure_rbac import AzureRbac, Decision
from tests.pipeline.world import (
    OBJECT_ID,
    TENANT,
    VAULT,
    MemoryAssignments,
    MemoryPlaces,
    MemoryRoles,
    a_caller,
    authorization_of,
)

REFERENCE = Path(__file__).parent / "reference"
ROLES: list[list[Any]] = json.loads((REFERENCE / "roles.json").read_text())
OPERATIONS: dict[str, list[list[Any]]] = json.loads((REFERENCE / "operations.json").read_text())
CALLER = a_caller()
POOL = replace(VAULT, id="11111111-0000-0000-0000-00000000000a", kind=ContainerKind.POOL, name="north")
NAME = "key"

_SUBSCRIPTION = f"/subscriptions/{VAULT.subscription_id}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/Group"
_VAULT = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/north"
_POOL = f"{_GROUP}/providers/Microsoft.KeyVault/managedHSMs/north"
_MANAGEMENT_GROUPS = "/providers/Microsoft.Management/managementGroups"
_OBJECTS = frozenset({"keys", "secrets", "certificates"})
_IN_VAULT = frozenset({"vault"}) | _OBJECTS
_IN_GROUP = frozenset({"group", "pool"}) | _IN_VAULT
_IN_SUBSCRIPTION = frozenset({"subscription"}) | _IN_GROUP
# Each scope, and the places that an assignment at it reaches: tenant, subscription, group, pool, vault, and the objects
# of the vault whose name is NAME.
SCOPES: dict[str, frozenset[str]] = {
    "/": frozenset({"tenant"}) | _IN_SUBSCRIPTION,
    f"{_MANAGEMENT_GROUPS}/europe": _IN_SUBSCRIPTION,
    f"{_MANAGEMENT_GROUPS}/{TENANT}": _IN_SUBSCRIPTION,
    f"{_MANAGEMENT_GROUPS}/asia": frozenset(),
    _SUBSCRIPTION: _IN_SUBSCRIPTION,
    _SUBSCRIPTION[:-1] + "9": frozenset(),
    _GROUP: _IN_GROUP,
    _GROUP.upper(): _IN_GROUP,
    _GROUP + "2": frozenset(),
    _VAULT: _IN_VAULT,
    _VAULT + "ern": frozenset(),
    _VAULT[:-1]: frozenset(),
    f"{_SUBSCRIPTION}/resourceGroups/other/providers/Microsoft.KeyVault/vaults/north": frozenset(),
    f"{_VAULT}/keys/{NAME}": frozenset({"keys"}),
    f"{_VAULT}/secrets/{NAME.upper()}": frozenset({"secrets"}),
    f"{_VAULT}/certificates/{NAME}": frozenset({"certificates"}),
    f"{_VAULT}/keys/{NAME}2": frozenset(),
    f"{_VAULT}/secrets/{NAME[:-1]}": frozenset(),
    _POOL: frozenset({"pool"}),
    f"/local/{POOL.id}": frozenset(),
    f"/local/{VAULT.id}": frozenset(),
}
_PLACES = {"tenant": "/", "subscription": _SUBSCRIPTION, "group": _GROUP, "vault": _VAULT, "pool": _POOL}
# Operations around Microsoft.KeyVault that are in no published table: what authorization.md of our wire reference says
# about Microsoft.Authorization, and the actions of the resource manager itself. Asked for at the place of the scope.
_AROUND = [
    *[
        (f"{kind}_{name}", f"Microsoft.Authorization/{resource}/{verb}", place)
        for kind, resource in (("role_assignments", "roleAssignments"), ("role_definitions", "roleDefinitions"))
        for name, verb in (("create", "write"), ("get", "read"), ("delete", "delete"), ("list", "read"))
        for place in _PLACES
    ],
    ("permissions_list", "Microsoft.Authorization/permissions/read", "vault"),
    ("deny_assignments_get", "Microsoft.Authorization/denyAssignments/read", "subscription"),
    ("deny_assignments_list", "Microsoft.Authorization/denyAssignments/read", "subscription"),
    ("resource_groups_get", "Microsoft.Resources/subscriptions/resourceGroups/read", "group"),
    ("resource_groups_put", "Microsoft.Resources/subscriptions/resourceGroups/write", "group"),
    ("resource_groups_delete", "Microsoft.Resources/subscriptions/resourceGroups/delete", "group"),
    ("diagnostic_settings_get", "Microsoft.Insights/diagnosticSettings/read", "vault"),
    ("diagnostic_settings_create_or_update", "Microsoft.Insights/diagnosticSettings/write", "vault"),
]
_MAY_DELEGATE = "Key Vault Data Access Administrator"


@cache
def _has(action: str, patterns: tuple[str, ...]) -> bool:
    texts = [re.escape(pattern).replace(r"/\*/", "/(.*/)?").replace(r"\*", ".*") for pattern in patterns]
    return any(re.fullmatch(text, action, re.IGNORECASE) for text in texts)


def gives(actions: list[str], without: list[str], action: str) -> bool:
    return _has(action, tuple(actions)) and not _has(action, tuple(without))


def places() -> MemoryPlaces:
    ids = tuple(f"{_MANAGEMENT_GROUPS}/{name}" for name in ("europe", TENANT))
    return MemoryPlaces({VAULT.subscription_id: Placement(Subscription(VAULT.subscription_id, TENANT, "Ours"), ids)})


def assigned(scope: str, role_id: str) -> MemoryAssignments:
    return MemoryAssignments([RoleAssignment("a", scope, role_id, OBJECT_ID)])


async def may(authorization: Authorization, container: Container, operation: str, name: str) -> bool:
    try:
        await authorization.permit(CALLER, container, operations.BY_NAME[operation], name)
    except Forbidden:
        return False
    return True


def test_the_reference_has_every_role_and_every_operation() -> None:
    assert {(role[1], role[0]) for role in ROLES} == {(role.id, role.name) for role in builtin_roles.BUILT_IN}
    assert {row[0] for row in OPERATIONS["data"]} == set(operations.BY_NAME)
    known = {row[0] for row in OPERATIONS["management"]} | {name for name, _, _ in _AROUND}
    of_providers = {"Microsoft.KeyVault", "Microsoft.Authorization"}
    ours = {row.name for row in management.OPERATIONS if row.provider in of_providers}
    beyond = {"operation_results_get", "managed_hsm_operation_results_get"}  # a token is enough
    beyond |= {row.name for row in management.OPERATIONS if "networkSecurityPerimeter" in row.path}
    assert ours - known <= beyond


def test_built_in_roles_give_what_the_documentation_says() -> None:
    prefix = operations.VAULT_PREFIX
    for name, role_id, actions, without, data_actions, data_without in ROLES:
        (block,) = builtin_roles.BY_ID[role_id].permissions
        assert (list(block.actions), list(block.not_actions)) == (actions, without), name
        assert [action.removeprefix(prefix) for action in block.data_actions] == data_actions, name
        assert [action.removeprefix(prefix) for action in block.not_data_actions] == data_without, name
        assert bool(block.condition) is (name == _MAY_DELEGATE)


@pytest.mark.parametrize("role", ROLES, ids=[role[0] for role in ROLES])
async def test_what_a_role_gives_on_the_data_plane(role: list[Any]) -> None:
    _, role_id, _, _, data_actions, data_without = role
    wrong: list[tuple[str, str, bool]] = []
    for scope, reached in SCOPES.items():
        authorization = authorization_of(assigned(scope, role_id), places=places())
        for operation, served_by, _, _, wanted, object_kind in OPERATIONS["data"]:
            place = object_kind or "vault"
            expected = (
                served_by != "mhsm"
                and place in reached
                and any(gives(data_actions, data_without, action) for action in wanted)
            )
            if await may(authorization, VAULT, operation, NAME if object_kind else "") is not expected:
                wrong.append((scope, operation, expected))
    assert wrong == []


@pytest.mark.parametrize("container", [POOL, replace(VAULT, authorization=AuthorizationModel.ACCESS_POLICIES)])
async def test_no_role_of_azure_gives_anything_where_something_else_decides(container: Container) -> None:
    for _, role_id, *_ in ROLES:
        for scope in ("/", _VAULT, f"/local/{container.id}"):
            authorization = authorization_of(assigned(scope, role_id), places=places())
            allowed = [row[0] for row in OPERATIONS["data"] if await may(authorization, container, row[0], NAME)]
            assert allowed == []


@pytest.mark.parametrize("role", ROLES, ids=[role[0] for role in ROLES])
async def test_what_a_role_gives_on_the_management_plane(role: list[Any]) -> None:
    name, role_id, actions, without, _, _ = role
    wrong: list[tuple[str, str, bool]] = []
    for scope, reached in SCOPES.items():
        rbac = AzureRbac(assigned(scope, role_id), MemoryRoles(), places())
        for operation, action, place in (*OPERATIONS["management"], *_AROUND):
            row = management.BY_NAME[operation]
            resource = _PLACES[place] if row.is_extension else _asked_for_at(row)
            assert row.action.lower() == action.lower(), operation
            expected = place in reached and gives(actions, without, action)
            decision = await rbac.decide(CALLER, TENANT, row.action, resource)
            on_condition = name == _MAY_DELEGATE and action.endswith(
                ("roleAssignments/write", "roleAssignments/delete")
            )
            as_expected = Decision.DENIED if not expected else Decision.DEPENDS if on_condition else Decision.ALLOWED
            if decision is not as_expected:
                wrong.append((scope, operation, expected))
    assert wrong == []


def _asked_for_at(row: management.ManagementOperation) -> str:
    names = {
        "subscription": VAULT.subscription_id,
        "group": "group",
        "vault": "NORTH",
        "pool": "north",
        "location": "local",
        "name": "name",
        "version": "1",
        "kind": "add",
        "id": "1",
    }
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], management.permission_scope(row))


# access policies

WORDS = sorted({(row[2], word) for row in OPERATIONS["data"] for word in row[3]})


@pytest.mark.parametrize("kind", sorted(_OBJECTS))
async def test_what_a_permission_of_an_access_policy_gives(kind: str) -> None:
    granted = {word.lower() for of_kind, word in WORDS if of_kind == kind} | {"all", "none such"}
    wrong: list[tuple[str, str, bool]] = []
    for permission in sorted(granted):
        policy = AccessPolicy(TENANT, OBJECT_ID, **{kind: frozenset({permission})})  # type: ignore[arg-type]  # by kind
        vault = replace(VAULT, authorization=AuthorizationModel.ACCESS_POLICIES, access_policies=(policy,))
        authorization = authorization_of(MemoryAssignments())
        for operation, served_by, of_kind, words, _, object_kind in OPERATIONS["data"]:
            lowered = [word.lower() for word in words]
            expected = (
                served_by != "mhsm"
                and of_kind == kind
                and bool(words)
                and (permission == "all" or permission in lowered)
            )
            if await may(authorization, vault, operation, NAME if object_kind else "") is not expected:
                wrong.append((permission, operation, expected))
    assert wrong == []
