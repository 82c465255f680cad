"""Microsoft.Authorization: ids, scopes, principals, roles, conditions, and what is there already."""

from collections.abc import Mapping
from typing import Any

import pytest

from hsmvault.model import builtin_roles
from tests.pipeline.world import OBJECT_ID, OTHER_TENANT
from tests.refusals_management import words
from tests.refusals_management.grounds import (
    AT,
    FREE_ROLE,
    ROLE,
    THEIR_ASSIGNMENT,
    THEIR_ROLE,
    USER,
    but,
    only,
)
from tests.refusals_management.models import MODELS
from tests.refusals_management.rig import Rig
from tests.refusals_management.table import ROWS
from tests.refusals_management.words import Refusal
from tests.wire.management.stage import GROUP, NOBODY, SUBSCRIPTION, THEIRS

pytestmark = pytest.mark.asyncio(loop_scope="package")

ASSIGN, UNASSIGN = ROWS["role_assignments_create"], ROWS["role_assignments_delete"]
DEFINE, UNDEFINE = ROWS["role_definitions_create"], ROWS["role_definitions_delete"]
NEW = "aaaaaaaa-0000-0000-0000-00000000ffff"
READER_ROLE = builtin_roles.BY_NAME["Reader"].id
GOOD: Mapping[str, Any] = MODELS["Definition"].good
NO_GUIDS = ("x", NEW[:-1], f"{{{NEW}}}", NEW.replace("-", ""), "%20")
EXISTS = Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")


def assignment(role: str = READER_ROLE, principal_id: str = USER, **more: object) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": role, "principalId": principal_id, **more}}


def definition(**changes: object) -> dict[str, Any]:
    return {"properties": {**GOOD["properties"], **changes}}


# assignments


@pytest.mark.parametrize("id", NO_GUIDS)
async def test_the_name_of_an_assignment_is_a_guid(rig: Rig, id: str) -> None:
    expected = Refusal(400, "InvalidRoleAssignmentId")
    await rig.refused(expected, ASSIGN, ASSIGN.target(id=id), body=assignment())
    row = ROWS["role_assignments_get"]
    await rig.refused(Refusal(404, "RoleAssignmentNotFound"), row, row.target(id=id))
    with rig.unchanged():
        assert (await rig.ask("DELETE", UNASSIGN.target(id=id))).status == 204


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (assignment("x"), 400, "InvalidRoleDefinitionId"),
        (assignment(""), 400, "InvalidRoleDefinitionId"),
        (assignment("/subscriptions/"), 400, "InvalidRoleDefinitionId"),
        (assignment(NEW), 404, "RoleDefinitionDoesNotExist"),
        (assignment(THEIR_ROLE), 404, "RoleDefinitionDoesNotExist"),
        (assignment(principal_id=""), 400, "BadRequestFormat"),
        (assignment(principal_id="somebody"), 400, "BadRequestFormat"),
        (assignment(principal_id=NOBODY), 400, "PrincipalNotFound"),
        (assignment(principalType="Owner"), 400, "BadRequestFormat"),
        (assignment(principalType="Group"), 400, "UnmatchedPrincipalType"),
        (assignment(description="x" * 1025), 400, "BadRequestFormat"),
        (assignment(condition="true"), 400, "InvalidCondition"),
        (assignment(condition="((", conditionVersion="2.0"), 400, "InvalidCondition"),
        (assignment(condition="(" * 2000, conditionVersion="2.0"), 400, "InvalidCondition"),
        (assignment(condition="x" * 100_000, conditionVersion="2.0"), 400, "InvalidCondition"),
        (assignment(condition="@Resource[a:b] StringEquals 'x'", conditionVersion="1.0"), 400, "InvalidCondition"),
    ],
)
async def test_what_cannot_be_assigned_is_refused(rig: Rig, given: object, status: int, code: str) -> None:
    await rig.refused(Refusal(status, code), ASSIGN, ASSIGN.target(id=NEW), body=given)


async def test_an_assignment_changes_neither_role_nor_principal_nor_scope(rig: Rig) -> None:
    expected = Refusal(400, "RoleAssignmentUpdateNotPermitted")
    for given in (assignment(READER_ROLE), assignment(ROLE, OBJECT_ID, principalType="ServicePrincipal")):
        await rig.refused(expected, ASSIGN, ASSIGN.target(), body=given)
    await rig.refused(expected, ASSIGN, ASSIGN.target(scope=GROUP), body=assignment(ROLE))
    await rig.refused(EXISTS, ASSIGN, ASSIGN.target(id=NEW), body=assignment(ROLE))
    await rig.refused(EXISTS, ASSIGN, ASSIGN.target(id=NEW, scope=AT["good"].upper()), body=assignment(ROLE))
    for given in (assignment(ROLE), assignment(READER_ROLE)):
        await rig.refused(EXISTS, ASSIGN, ASSIGN.target(id=THEIR_ASSIGNMENT), body=given)


@pytest.mark.parametrize(
    ("scope", "status", "code"),
    [
        (f"{GROUP[:-2]}never-was", 404, "ResourceGroupNotFound"),
        (AT["good"].replace("good", "never-was"), 404, "ResourceNotFound"),
        (AT["gone"], 404, "ResourceNotFound"),
        (AT["good"].replace("/rg/", "/rg2/"), 404, "ResourceNotFound"),
        (AT["theirs"].replace(THEIRS, SUBSCRIPTION), 404, "ResourceNotFound"),
        (f"{GROUP}/providers/Microsoft.Web/sites/s", 404, "ResourceNotFound"),
        ("/providers/Microsoft.Management/managementGroups/never-was", 404, "NotFound"),
        (f"/providers/Microsoft.Management/managementGroups/{OTHER_TENANT}", 404, "NotFound"),
        ("/nowhere", 404, "MissingSubscription"),
        (f"/subscriptions/{SUBSCRIPTION}/nowhere", 404, "MissingSubscription"),
        (f"{AT['good']}/keys", 404, "MissingSubscription"),
        (f"{AT['good']}/keys/a/versions/b", 404, "MissingSubscription"),
        (f"{AT['good']}/keys/a_b", 404, "MissingSubscription"),
        (f"{AT['goodhsm']}/keys/a", 404, "MissingSubscription"),
        ("/local/11111111-0000-0000-0000-000000009021", 403, "AuthorizationFailed"),  # of a pool's local RBAC
    ],
)
async def test_a_scope_is_one_that_is_there(rig: Rig, scope: str, status: int, code: str) -> None:
    await rig.refused(Refusal(status, code), ASSIGN, ASSIGN.target(id=NEW, scope=scope), body=assignment())
    given = definition(assignableScopes=[scope])
    with rig.unchanged():
        answer = await rig.ask(DEFINE.method, DEFINE.target(id=NEW), given)
    assert answer.code in (code, "InvalidAssignableScope")


async def test_a_role_is_assigned_only_where_it_may_be(rig: Rig) -> None:
    for scope in ("", "/providers/Microsoft.Management/managementGroups/good"):
        expected = Refusal(404, "RoleDefinitionDoesNotExist")
        await rig.refused(expected, ASSIGN, ASSIGN.target(id=NEW, scope=scope), body=assignment(FREE_ROLE))


async def test_of_another_tenants_assignments_nothing_is_said(rig: Rig) -> None:
    row = ROWS["role_assignments_get"]
    for scope in (AT["good"], GROUP, ""):
        target = row.target(id=THEIR_ASSIGNMENT, scope=scope)
        await rig.refused(Refusal(404, "RoleAssignmentNotFound"), row, target)
        with rig.unchanged():
            assert (await rig.ask("DELETE", UNASSIGN.target(id=THEIR_ASSIGNMENT, scope=scope))).status == 204
    with rig.unchanged():  # at another scope than its own
        assert (await rig.ask("DELETE", UNASSIGN.target(scope=GROUP))).status == 204


# definitions


@pytest.mark.parametrize("id", NO_GUIDS)
async def test_the_name_of_a_definition_is_a_guid(rig: Rig, id: str) -> None:
    await rig.refused(Refusal(400, "InvalidRoleDefinitionId"), DEFINE, DEFINE.target(id=id), body=GOOD)
    row = ROWS["role_definitions_get"]
    await rig.refused(Refusal(404, "RoleDefinitionDoesNotExist"), row, row.target(id=id))
    with rig.unchanged():
        assert (await rig.ask("DELETE", UNDEFINE.target(id=id))).status == 204


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"roleName": ""}, "BadRequestFormat"),
        ({"roleName": "  "}, "BadRequestFormat"),
        ({"roleName": "x" * 513}, "BadRequestFormat"),
        ({"description": "x" * 2049}, "BadRequestFormat"),
        ({"permissions": []}, "BadRequestFormat"),
        ({"permissions": [{}] * 17}, "BadRequestFormat"),
        ({"permissions": [{"actions": ["a/b"] * 2049}]}, "BadRequestFormat"),
        ({"permissions": [{"actions": [""]}]}, "InvalidActionOrNotAction"),
        ({"permissions": [{"actions": ["read"]}]}, "InvalidActionOrNotAction"),
        ({"permissions": [{"actions": ["a/b c"]}]}, "InvalidActionOrNotAction"),
        ({"permissions": [{"notActions": ["a/" + "b" * 129]}]}, "InvalidActionOrNotAction"),
        ({"permissions": [{"dataActions": ["a/b/"]}]}, "InvalidActionOrNotAction"),
        ({"permissions": [{"actions": ["*"], "condition": "(("}]}, "InvalidCondition"),
        ({"assignableScopes": []}, "BadRequestFormat"),
        ({"assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"] * 2049}, "BadRequestFormat"),
        ({"assignableScopes": ["/"]}, "InvalidAssignableScope"),
        ({"assignableScopes": [""]}, "InvalidAssignableScope"),
        ({"assignableScopes": ["everywhere"]}, "InvalidAssignableScope"),
        ({"assignableScopes": [AT["good"]]}, "InvalidAssignableScope"),
        (
            {
                "assignableScopes": [
                    "/providers/Microsoft.Management/managementGroups/good",
                    "/providers/Microsoft.Management/managementGroups/inner",
                ]
            },
            "InvalidAssignableScope",
        ),
        (
            {
                "assignableScopes": ["/providers/Microsoft.Management/managementGroups/good"],
                "permissions": [{"dataActions": ["Microsoft.KeyVault/vaults/keys/read"]}],
            },
            "InvalidDataActionOrNotDataAction",
        ),
    ],
)
async def test_what_cannot_be_a_role_is_refused(rig: Rig, changes: dict[str, object], code: str) -> None:
    for id in (NEW, FREE_ROLE):
        await rig.refused(Refusal(400, code), DEFINE, DEFINE.target(id=id), body=definition(**changes))


async def test_built_in_roles_and_those_of_others_are_not_ours_to_change(rig: Rig) -> None:
    built_in = Refusal(403, "RoleDefinitionUpdateNotPermitted")
    for id in (READER_ROLE, READER_ROLE.upper()):
        await rig.refused(built_in, DEFINE, DEFINE.target(id=id), body=GOOD)
        await rig.refused(built_in, UNDEFINE, UNDEFINE.target(id=id))
    taken = Refusal(409, "RoleDefinitionWithSameNameExists")
    await rig.refused(taken, DEFINE, DEFINE.target(id=THEIR_ROLE), body=GOOD)
    with rig.unchanged():
        assert (await rig.ask("DELETE", UNDEFINE.target(id=THEIR_ROLE))).status == 204
    for name in ("held", "HELD", " Held ", "Reader", "key vault administrator"):
        await rig.refused(taken, DEFINE, DEFINE.target(id=NEW), body=definition(roleName=name))
    row = ROWS["role_definitions_get"]
    await rig.refused(Refusal(404, "RoleDefinitionDoesNotExist"), row, row.target(id=THEIR_ROLE))


async def test_a_role_that_somebody_holds_is_not_deleted(rig: Rig) -> None:
    expected = Refusal(400, "RoleDefinitionHasAssignments", "There are existing role assignments referencing role.")
    await rig.refused(expected, UNDEFINE, UNDEFINE.target(id=ROLE))


async def test_a_scope_of_another_tenant_is_none_to_assign_at(rig: Rig) -> None:
    given = definition(assignableScopes=[f"/subscriptions/{SUBSCRIPTION}", f"/subscriptions/{THEIRS}"])
    await rig.refused(words.no_subscription(THEIRS), DEFINE, DEFINE.target(id=NEW), body=given)


async def test_nobody_gives_itself_more_by_writing_a_role(rig: Rig) -> None:
    """Who may define roles and not assign them cannot widen one beyond what it may."""
    writer = rig.token(only(DEFINE.action))
    for id in (NEW, ROLE):
        await rig.refused(Refusal(403, "AuthorizationFailed"), DEFINE, DEFINE.target(id=id), body=GOOD, token=writer)
    other = but(DEFINE.action)
    expected = words.not_authorized(other, DEFINE.action, AT["good"])
    await rig.refused(expected, DEFINE, DEFINE.target(id=NEW), body=GOOD, token=rig.token(other))
