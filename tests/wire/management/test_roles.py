"""Microsoft.Authorization over real sockets: assignments and definitions made, listed and removed, who may do that, and
the refusals of bad input."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from hsmvault.model.builtin_roles import BY_NAME
from hsmvault.model.principals import Principal, PrincipalKind, Tenant
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import ManagementGroup
from hsmvault.resources.roles.assignments import RoleAssignments
from hsmvault.resources.roles.definitions import RoleDefinitions
from hsmvault.store import containers, directory, management_groups, roles
from hsmvault.wire.management.authorization import AuthorizationHandlers
from tests.pipeline.world import OBJECT_ID, OTHER_TENANT, TENANT, VAULT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import GROUP, NOBODY, READER, SUBSCRIPTION, THEIRS, ManagementService
from tests.wire.service import Answer

AT_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION}"
PROVIDER = "/providers/Microsoft.Authorization"
ONE, TWO = "aaaaaaaa-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000002"
ROLE = "bbbbbbbb-0000-0000-0000-000000000001"
USER, MACHINE = "44444444-0000-0000-0000-0000000000a1", "44444444-0000-0000-0000-0000000000a2"
PEOPLE, ALL_PEOPLE = "55555555-0000-0000-0000-0000000000b1", "55555555-0000-0000-0000-0000000000b2"
DELEGATE = "44444444-0000-0000-0000-0000000000c1"
VAULT_ID = f"{GROUP}/providers/Microsoft.KeyVault/vaults/north"


@pytest.fixture
async def service(govern: Govern) -> AsyncIterator[ManagementService]:
    async with govern(
        lambda parts: [
            AuthorizationHandlers(
                parts.rbac,
                RoleAssignments(parts.database, parts.clock, 40),
                RoleDefinitions(parts.database, parts.clock, 3),
            )
        ]
    ) as service:
        async with service.parts.database.write() as tx:
            await directory.insert_tenant(tx, Tenant(TENANT, "Ours", "ours.example"))
            for id, kind in (
                (USER, PrincipalKind.USER),
                (MACHINE, PrincipalKind.MANAGED_IDENTITY),
                (PEOPLE, PrincipalKind.GROUP),
                (ALL_PEOPLE, PrincipalKind.GROUP),
            ):
                upn = "ada@ours.example" if kind is PrincipalKind.USER else ""
                await directory.insert_principal(tx, Principal(id, TENANT, kind, "P", upn=upn))
            await directory.add_member(tx, ALL_PEOPLE, PEOPLE)
            await directory.add_member(tx, PEOPLE, USER)
            await containers.insert(tx, replace(VAULT, resource_group="rg"))
            await management_groups.insert(tx, ManagementGroup(TENANT, "Europe", "Europe"))
        yield service


def role_id(name: str) -> str:
    return f"{AT_SUBSCRIPTION}{PROVIDER}/roleDefinitions/{BY_NAME[name].id}"


def assignment(role: str = "Key Vault Secrets User", principal_id: str = USER, **more: object) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": role_id(role), "principalId": principal_id, **more}}


def definition(name: str = "Keepers", **changes: object) -> dict[str, Any]:
    properties: dict[str, object] = {
        "roleName": name,
        "description": "who keep",
        "type": "CustomRole",
        "assignableScopes": [AT_SUBSCRIPTION],
        "permissions": [{"actions": ["Microsoft.KeyVault/vaults/read"], "notActions": []}],
    }
    return {"properties": properties | changes}


def path(scope: str, id: str, kind: str = "roleAssignments") -> str:
    return f"{scope}{PROVIDER}/{kind}/{id}"


async def give(
    service: ManagementService, role: str, principal_id: str, scope: str = AT_SUBSCRIPTION, **more: str
) -> None:
    id = service.parts.identifiers.guid()
    async with service.parts.database.write() as tx:
        given = RoleAssignment(id, scope, BY_NAME[role].id, principal_id, tenant_id=TENANT, **more)
        await roles.insert(tx, given)


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body
    assert "innererror" not in answer.json["error"]


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [one["name"] for one in answer.json["value"]]


# assignments


async def test_an_assignment_is_made_read_and_removed(service: ManagementService) -> None:
    at = path(VAULT_ID, ONE)
    made = await service.ask("PUT", at, assignment(description="for the shop"))
    assert made.status == 201, made.body
    properties = made.json["properties"]
    assert made.json["id"] == at and made.json["name"] == ONE
    assert made.json["type"] == "Microsoft.Authorization/roleAssignments"
    assert properties["roleDefinitionId"] == role_id("Key Vault Secrets User")
    assert properties["principalType"] == "User" and properties["scope"] == VAULT_ID
    assert properties["description"] == "for the shop" and properties["condition"] is None
    assert properties["createdOn"] == properties["updatedOn"] == "2025-06-15T15:06:40.0000000Z"
    assert properties["createdBy"] == properties["updatedBy"] == OBJECT_ID
    told = f"role {BY_NAME['Key Vault Secrets User'].id} for {USER}"
    assert service.records()[-1]["resultDescription"] == told  # the URL names the assignment and not who got what
    again = await service.ask("PUT", at, assignment(description="for the shop"))
    assert (again.status, again.json) == (200, made.json)
    assert (await service.ask("GET", at)).json == made.json
    assert (await service.ask("GET", at.upper().replace("?API", "?api"))).status == 200
    removed = await service.ask("DELETE", at)
    assert (removed.status, removed.json) == (200, made.json)
    assert (await service.ask("DELETE", at)).status == 204
    refused(await service.ask("GET", at), 404, "RoleAssignmentNotFound")


async def test_a_description_and_a_condition_change_and_nothing_else_does(service: ManagementService) -> None:
    at = path(VAULT_ID, ONE)
    await service.ask("PUT", at, assignment())
    service.clock.move(60)
    condition = "@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'payroll'"
    changed = await service.ask("PUT", at, assignment(condition=condition, conditionVersion="2.0"))
    assert changed.status == 200
    assert changed.json["properties"]["condition"] == condition
    assert changed.json["properties"]["conditionVersion"] == "2.0"
    assert changed.json["properties"]["updatedOn"] > changed.json["properties"]["createdOn"]
    for other in (assignment("Reader"), assignment(principal_id=MACHINE)):
        refused(await service.ask("PUT", at, other), 400, "RoleAssignmentUpdateNotPermitted")
    refused(await service.ask("PUT", path(GROUP, ONE), assignment()), 400, "RoleAssignmentUpdateNotPermitted")
    refused(await service.ask("PUT", path(VAULT_ID, TWO), assignment()), 409, "RoleAssignmentExists")
    refused(await service.ask("GET", path(GROUP, ONE)), 404, "RoleAssignmentNotFound")
    assert (await service.ask("DELETE", path(GROUP, ONE))).status == 204
    assert (await service.ask("GET", at)).json == changed.json


BAD_ASSIGNMENTS = [
    (path(VAULT_ID, "not-a-guid"), assignment(), 400, "InvalidRoleAssignmentId"),
    (path(VAULT_ID, ONE), b"{", 400, "InvalidRequestContent"),
    (path(VAULT_ID, ONE), {"properties": {}}, 400, "InvalidRequestContent"),
    (path(GROUP, ONE), {"properties": {"roleDefinitionId": "", "principalId": USER}}, 400, "InvalidRoleDefinitionId"),
    (path(VAULT_ID, ONE), assignment(principal_id="ada"), 400, "BadRequestFormat"),
    (path(VAULT_ID, ONE), assignment(principal_id=NOBODY), 400, "PrincipalNotFound"),
    (path(VAULT_ID, ONE), assignment(principalType="Robot"), 400, "BadRequestFormat"),
    (path(VAULT_ID, ONE), assignment(principalType="Group"), 400, "UnmatchedPrincipalType"),
    (path(VAULT_ID, ONE), assignment(description="x" * 1025), 400, "BadRequestFormat"),
    (path(VAULT_ID, ONE), assignment(delegatedManagedIdentityResourceId="/" * 1025), 400, "BadRequestFormat"),
    (path(VAULT_ID, ONE), assignment(condition="1 = 1", conditionVersion="2.0"), 400, "InvalidCondition"),
    (path(VAULT_ID, ONE), assignment(condition="Exists @Request[a]", conditionVersion="1.0"), 400, "InvalidCondition"),
    (path(VAULT_ID + "2", ONE), assignment(), 404, "ResourceNotFound"),
    (path(GROUP + "2", ONE), assignment(), 404, "ResourceGroupNotFound"),
    (path(VAULT_ID + "/storage/x", ONE), assignment(), 404, "MissingSubscription"),
    (path(VAULT_ID + "/secrets/a_b", ONE), assignment(), 404, "MissingSubscription"),
    (path(AT_SUBSCRIPTION + "/providers/Microsoft.KeyVault", ONE), assignment(), 404, "MissingSubscription"),
    (path(f"/subscriptions/{TWO}", ONE), assignment(), 404, "SubscriptionNotFound"),
    (path(f"/subscriptions/{THEIRS}", ONE), assignment(), 401, "InvalidAuthenticationTokenTenant"),
    (path("", ONE), assignment(), 403, "AuthorizationFailed"),
    (path(f"/local/{VAULT.id}", ONE), assignment(), 403, "AuthorizationFailed"),
]  # fmt: skip


async def test_bad_input_is_refused_and_changes_nothing(service: ManagementService) -> None:
    async with service.parts.database.read() as tx:
        before = await roles.list_at(tx, "/")
    for at, body, status, code in BAD_ASSIGNMENTS:
        refused(await service.ask("PUT", at, body), status, code)
    async with service.parts.database.read() as tx:
        assert await roles.list_at(tx, "/") == before


async def test_a_role_that_is_none_cannot_be_assigned(service: ManagementService) -> None:
    body = assignment()
    body["properties"]["roleDefinitionId"] = f"{PROVIDER}/roleDefinitions/{ROLE}"
    refused(await service.ask("PUT", path(VAULT_ID, ONE), body), 404, "RoleDefinitionDoesNotExist")


async def test_a_principal_that_the_directory_does_not_know_yet_needs_a_type(service: ManagementService) -> None:
    made = await service.ask(
        "PUT", path(VAULT_ID, ONE), assignment(principal_id=NOBODY, principalType="serviceprincipal")
    )
    assert made.status == 201 and made.json["properties"]["principalType"] == "ServicePrincipal"


async def test_a_subscription_has_so_many_assignments_and_no_more(service: ManagementService) -> None:
    for number in range(38):  # two are there
        await give(service, "Reader", f"44444444-0000-0000-0001-{number:012}", GROUP)
    refused(await service.ask("PUT", path(VAULT_ID, ONE), assignment()), 400, "RoleAssignmentLimitExceeded")


async def test_lists_have_what_is_at_above_and_below_a_scope_as_the_filter_says(service: ManagementService) -> None:
    await give(service, "Owner", OBJECT_ID, "/")
    europe = "/providers/Microsoft.Management/managementGroups/Europe"
    await service.ask("PUT", path(europe, "aaaaaaaa-0000-0000-0000-0000000000e0"), assignment(principal_id=MACHINE))
    where = {1: AT_SUBSCRIPTION, 2: GROUP, 3: VAULT_ID, 4: f"{VAULT_ID}/secrets/payroll", 5: f"{VAULT_ID}/keys/k"}
    ids = {n: f"aaaaaaaa-0000-0000-0000-00000000000{n}" for n in where}
    for n, scope in where.items():
        made = await service.ask("PUT", path(scope, ids[n]), assignment(principal_id=PEOPLE if n == 2 else USER))
        assert made.status == 201, made.body

    async def shown(scope: str, query: str = "") -> set[int]:
        found = await service.ask("GET", f"{scope}{PROVIDER}/roleAssignments{query and '?$filter=' + query}")
        return {n for n, id in ids.items() if id in names(found)}

    assert await shown(AT_SUBSCRIPTION) == {1, 2, 3, 4, 5}
    assert await shown(AT_SUBSCRIPTION, "atScope()") == {1}
    assert await shown(VAULT_ID) == {1, 2, 3, 4, 5}
    assert await shown(VAULT_ID, "atScope()") == {1, 2, 3}
    assert await shown(f"{VAULT_ID}/secrets/payroll") == {1, 2, 3, 4}
    assert await shown(VAULT_ID, f"principalId%20eq%20'{USER}'") == {1, 3, 4, 5}
    assert await shown(VAULT_ID, f"atScope()%20and%20principalId%20eq%20'{PEOPLE.upper()}'") == {2}
    assert await shown(VAULT_ID, f"assignedTo('{USER}')") == {1, 2, 3, 4, 5}
    assert await shown(VAULT_ID, f"atScope()+and+assignedTo('{USER}')") == {1, 2, 3}
    assert await shown("") == {1, 2, 3, 4, 5}
    assert await shown("", f"principalId eq '{USER}'".replace(" ", "%20")) == {1, 3, 4, 5}
    for bad in ("nonsense", "atScope()%20or%20atScope()", "atScope()%20and", "type%20eq%20'BuiltInRole'"):
        refused(await service.ask("GET", f"{GROUP}{PROVIDER}/roleAssignments?$filter={bad}"), 400, "InvalidFilter")
    (owner,) = [
        one
        for one in (await service.ask("GET", f"{VAULT_ID}{PROVIDER}/roleAssignments?$filter=atScope()")).json["value"]
        if one["properties"]["scope"] == "/"
    ]
    assert owner["id"].startswith(f"{PROVIDER}/roleAssignments/")
    assert owner["properties"]["roleDefinitionId"] == role_id("Owner")


async def test_long_lists_come_in_pages(service: ManagementService) -> None:
    wanted = {f"{ONE[:-2]}{n:02}" for n in range(10, 17)}
    for id in wanted:
        made = await service.ask("PUT", path(f"{VAULT_ID}/secrets/s{id[-2:]}", id), assignment())
        assert made.status == 201, made.body
    for query in ("", f"&$filter=principalId%20eq%20'{USER}'"):
        target, found, pages = f"{VAULT_ID}{PROVIDER}/roleAssignments?$top=3{query}", [], 0
        while target:
            page = await service.ask("GET", target)
            found += names(page)
            target, pages = page.json.get("nextLink", "").removeprefix("https://management.localhost:8443"), pages + 1
        assert wanted <= set(found) and len(found) == len(set(found)) and pages >= 3
    refused(await service.ask("GET", f"{VAULT_ID}{PROVIDER}/roleAssignments?$skiptoken=_"), 400, "InvalidSkipToken")


async def test_assignments_of_pools_and_of_other_tenants_are_not_seen(service: ManagementService) -> None:
    await give(service, "Owner", OBJECT_ID, "/")
    async with service.parts.database.write() as tx:
        for id, scope, tenant in ((ONE, "/local/pool", TENANT), (TWO, "/", OTHER_TENANT)):
            await roles.insert(tx, RoleAssignment(id, scope, BY_NAME["Reader"].id, USER, tenant_id=tenant))
    for query in ("", f"?$filter=principalId%20eq%20'{USER}'"):
        assert not {ONE, TWO} & set(names(await service.ask("GET", f"{PROVIDER}/roleAssignments{query}")))
    for at in (path("/local/pool", ONE), path("", TWO)):
        answer = await service.ask("GET", at)
        assert answer.status in (403, 404) and USER.encode() not in answer.body
        assert (await service.ask("DELETE", at)).status in (204, 403)
    refused(await service.ask("PUT", path("", TWO), assignment()), 409, "RoleAssignmentExists")
    async with service.parts.database.write() as tx:  # as a configuration declares it
        declared = RoleAssignment(ROLE, GROUP, BY_NAME["Reader"].id, MACHINE, tenant_id=TENANT)
        await roles.insert(tx, declared)
    shown = await service.ask("GET", path(GROUP, ROLE))
    assert shown.json["properties"]["principalType"] == "ServicePrincipal"
    async with service.parts.database.read() as tx:
        assert {one.id for one in await roles.list_at(tx, "/")} >= {ONE, TWO}


# who may


async def test_who_may_not_assign_is_refused_before_the_body_is_looked_at(service: ManagementService) -> None:
    for token in (service.of(READER), service.of(NOBODY)):
        for method, body in (("PUT", b"{"), ("PUT", assignment()), ("DELETE", None)):
            answer = await service.ask(method, path(VAULT_ID, ONE), body, token=token)
            refused(answer, 403, "AuthorizationFailed")
            assert (
                f"/roleAssignments/{'write' if method == 'PUT' else 'delete'}' over scope '{VAULT_ID}'"
                in answer.message
            )
    assert (await service.ask("GET", f"{VAULT_ID}{PROVIDER}/roleAssignments", token=service.of(READER))).status == 200
    nobody = await service.ask("GET", f"{VAULT_ID}{PROVIDER}/roleAssignments", token=service.of(NOBODY))
    refused(nobody, 403, "AuthorizationFailed")


async def test_a_contributor_manages_everything_and_assigns_nothing(service: ManagementService) -> None:
    await give(service, "Contributor", DELEGATE)
    token = service.of(DELEGATE)
    refused(await service.ask("PUT", path(GROUP, ONE), assignment(), token=token), 403, "AuthorizationFailed")
    refused(
        await service.ask("PUT", path(GROUP, ROLE, "roleDefinitions"), definition(), token=token),
        403,
        "AuthorizationFailed",
    )


async def test_a_data_access_administrator_gives_and_takes_only_the_roles_of_its_condition(
    service: ManagementService,
) -> None:
    await give(service, "Key Vault Data Access Administrator", DELEGATE)
    token = service.of(DELEGATE)
    for role, expected in (("Owner", 403), ("Key Vault Contributor", 403), ("Key Vault Purge Operator", 403)):
        answer = await service.ask("PUT", path(VAULT_ID, ONE), assignment(role), token=token)
        assert answer.status == expected, role
    own = await service.ask(
        "PUT",
        path(GROUP, TWO),
        assignment("Key Vault Data Access Administrator", DELEGATE, principalType="User"),
        token=token,
    )
    refused(own, 403, "AuthorizationFailed")
    made = await service.ask("PUT", path(VAULT_ID, ONE), assignment("Key Vault Crypto User"), token=token)
    assert made.status == 201, made.body
    assert (await service.ask("DELETE", path(VAULT_ID, ONE), token=token)).status == 200
    await service.ask("PUT", path(VAULT_ID, TWO), assignment("Reader"))
    refused(await service.ask("DELETE", path(VAULT_ID, TWO), token=token), 403, "AuthorizationFailed")
    refused(
        await service.ask("PUT", path(VAULT_ID, TWO), assignment("Reader", description="x"), token=token),
        403,
        "AuthorizationFailed",
    )


async def test_a_delegate_may_be_limited_to_kinds_of_principals(service: ManagementService) -> None:
    condition = (
        "(!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
        "(@Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
        "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'})"
    )
    await give(service, "User Access Administrator", DELEGATE, condition=condition, condition_version="2.0")
    token = service.of(DELEGATE)
    refused(
        await service.ask("PUT", path(VAULT_ID, ONE), assignment("Reader", USER), token=token),
        403,
        "AuthorizationFailed",
    )
    assert (await service.ask("PUT", path(VAULT_ID, ONE), assignment("Reader", MACHINE), token=token)).status == 201
    unknown = assignment("Reader", NOBODY, principalType="User")
    refused(await service.ask("PUT", path(VAULT_ID, TWO), unknown, token=token), 403, "AuthorizationFailed")


async def test_a_right_that_is_taken_away_is_refused_on_the_next_request(service: ManagementService) -> None:
    token, lists = service.of(MACHINE), f"{VAULT_ID}{PROVIDER}/roleAssignments"
    refused(await service.ask("GET", lists, token=token), 403, "AuthorizationFailed")
    await service.ask("PUT", path(VAULT_ID, ONE), assignment("Reader", MACHINE))
    assert (await service.ask("GET", lists, token=token)).status == 200
    await service.ask("DELETE", path(VAULT_ID, ONE))
    refused(await service.ask("GET", lists, token=token), 403, "AuthorizationFailed")


# definitions


async def test_a_custom_role_is_made_changed_assigned_and_removed(service: ManagementService) -> None:
    at = path(AT_SUBSCRIPTION, ROLE, "roleDefinitions")
    made = await service.ask("PUT", at, definition())
    assert made.status == 201, made.body
    properties = made.json["properties"]
    assert made.json["id"] == at and made.json["name"] == ROLE
    assert properties["type"] == "CustomRole" and properties["assignableScopes"] == [AT_SUBSCRIPTION]
    assert properties["permissions"] == [
        {"actions": ["Microsoft.KeyVault/vaults/read"], "notActions": [], "dataActions": [], "notDataActions": []}
    ]
    body = assignment(principal_id=MACHINE)
    body["properties"]["roleDefinitionId"] = made.json["id"]
    assert (await service.ask("PUT", path(VAULT_ID, ONE), body)).status == 201
    token, lists = service.of(MACHINE), f"{VAULT_ID}{PROVIDER}/roleAssignments"
    refused(await service.ask("GET", lists, token=token), 403, "AuthorizationFailed")
    wider = definition(permissions=[{"actions": ["Microsoft.Authorization/*/read"]}, {"dataActions": ["*"]}])
    assert (await service.ask("PUT", at, wider)).status == 201
    assert (await service.ask("GET", lists, token=token)).status == 200
    refused(await service.ask("DELETE", at), 400, "RoleDefinitionHasAssignments")
    narrower = definition(permissions=[{"actions": ["*"], "notActions": ["Microsoft.Authorization/*"]}])
    assert (await service.ask("PUT", at, narrower)).status == 201
    refused(await service.ask("GET", lists, token=token), 403, "AuthorizationFailed")
    await service.ask("DELETE", path(VAULT_ID, ONE))
    assert (await service.ask("DELETE", at)).status == 200
    assert (await service.ask("DELETE", at)).status == 204
    refused(await service.ask("GET", at), 404, "RoleDefinitionDoesNotExist")


async def test_definitions_are_listed_where_they_can_be_assigned(service: ManagementService) -> None:
    await give(service, "Owner", OBJECT_ID, "/")
    await service.ask("PUT", path(GROUP, ROLE, "roleDefinitions"), definition(assignableScopes=[GROUP]))

    async def shown(scope: str, query: str = "") -> set[str]:
        found = await service.ask("GET", f"{scope}{PROVIDER}/roleDefinitions{query and '?$filter=' + query}")
        assert found.status == 200, found.body
        return {one["properties"]["roleName"] for one in found.json["value"]}

    assert await shown(VAULT_ID) == {*BY_NAME, "Keepers"}
    assert await shown(AT_SUBSCRIPTION) == set(BY_NAME)
    assert await shown(AT_SUBSCRIPTION, "atScopeAndBelow()") == {*BY_NAME, "Keepers"}
    assert await shown(GROUP, "roleName%20eq%20'keepers'") == {"Keepers"}
    assert await shown(GROUP, "type%20eq%20'CustomRole'") == {"Keepers"}
    assert await shown("", "type%20eq%20'BuiltInRole'") == set(BY_NAME)
    refused(await service.ask("GET", f"{GROUP}{PROVIDER}/roleDefinitions?$filter=atScope"), 400, "InvalidFilter")
    owner = await service.ask("GET", path("", BY_NAME["Owner"].id, "roleDefinitions"))
    assert owner.json["id"] == path("", BY_NAME["Owner"].id, "roleDefinitions")
    assert owner.json["properties"]["type"] == "BuiltInRole" and owner.json["properties"]["assignableScopes"] == ["/"]
    body = assignment()
    body["properties"]["roleDefinitionId"] = ROLE
    refused(await service.ask("PUT", path(AT_SUBSCRIPTION, ONE), body), 404, "RoleDefinitionDoesNotExist")
    assert (await service.ask("PUT", path(VAULT_ID, ONE), body)).status == 201


BAD_DEFINITIONS = [
    ("nonsense", definition(), 400, "InvalidRoleDefinitionId"),
    (ROLE, definition(""), 400, "BadRequestFormat"),
    (ROLE, definition("x" * 513), 400, "BadRequestFormat"),
    (ROLE, definition("owner"), 409, "RoleDefinitionWithSameNameExists"),
    (ROLE, definition(description="x" * 2049), 400, "BadRequestFormat"),
    (ROLE, definition(type="BuiltInRole"), 400, "BadRequestFormat"),
    (ROLE, definition(permissions=[]), 400, "BadRequestFormat"),
    (ROLE, definition(permissions=[{"actions": ["read everything"]}]), 400, "InvalidActionOrNotAction"),
    (ROLE, definition(permissions=[{"actions": ["Microsoft.KeyVault"]}]), 400, "InvalidActionOrNotAction"),
    (ROLE, definition(permissions=[{"actions": ["*"], "condition": "("}]), 400, "InvalidCondition"),
    (ROLE, definition(permissions=[{"actions": ["*"] * 513}]), 400, "BadRequestFormat"),
    (ROLE, definition(permissions=[{"actions": ["a" * 100 + "/" + "b" * 100] * 400}]), 400, "BadRequestFormat"),
    (ROLE, definition(assignableScopes=[]), 400, "BadRequestFormat"),
    (ROLE, definition(assignableScopes=[AT_SUBSCRIPTION] * 513), 400, "BadRequestFormat"),
    (ROLE, definition(assignableScopes=["/"]), 400, "InvalidAssignableScope"),
    (ROLE, definition(assignableScopes=[VAULT_ID]), 400, "InvalidAssignableScope"),
    (ROLE, definition(assignableScopes=["nonsense"]), 400, "InvalidAssignableScope"),
    (ROLE, definition(assignableScopes=[f"/subscriptions/{THEIRS}"]), 404, "SubscriptionNotFound"),
    (BY_NAME["Owner"].id, definition(), 403, "RoleDefinitionUpdateNotPermitted"),
]  # fmt: skip


async def test_a_bad_definition_is_refused(service: ManagementService) -> None:
    for id, body, status, code in BAD_DEFINITIONS:
        refused(await service.ask("PUT", path(AT_SUBSCRIPTION, id, "roleDefinitions"), body), status, code)
    listed = await service.ask("GET", f"{AT_SUBSCRIPTION}{PROVIDER}/roleDefinitions?$filter=type%20eq%20'CustomRole'")
    assert names(listed) == []


async def test_names_are_taken_once_and_a_tenant_has_so_many_roles(service: ManagementService) -> None:
    ids = [f"bbbbbbbb-0000-0000-0000-00000000000{n}" for n in range(1, 5)]
    at = [path(AT_SUBSCRIPTION, id, "roleDefinitions") for id in ids]
    assert (await service.ask("PUT", at[0], definition())).status == 201
    refused(await service.ask("PUT", at[1], definition("KEEPERS")), 409, "RoleDefinitionWithSameNameExists")
    for n in (1, 2):
        assert (await service.ask("PUT", at[n], definition(f"Keepers {n}"))).status == 201
    refused(await service.ask("PUT", at[3], definition("Keepers 3")), 400, "RoleDefinitionLimitExceeded")


async def test_data_actions_and_management_groups_do_not_go_together(service: ManagementService) -> None:
    await give(service, "Owner", OBJECT_ID, "/")
    europe = "/providers/Microsoft.Management/managementGroups/Europe"
    at = path(europe, ROLE, "roleDefinitions")
    assert (await service.ask("PUT", at, definition(assignableScopes=[europe]))).status == 201
    both = definition(assignableScopes=[europe], permissions=[{"dataActions": ["Microsoft.KeyVault/vaults/secrets/*"]}])
    refused(await service.ask("PUT", at, both), 400, "InvalidDataActionOrNotDataAction")
    root = f"/providers/Microsoft.Management/managementGroups/{TENANT}"
    refused(await service.ask("PUT", at, definition(assignableScopes=[europe, root])), 400, "InvalidAssignableScope")
    refused(await service.ask("PUT", at, definition(assignableScopes=[europe + "x"])), 404, "NotFound")


async def test_a_definition_needs_the_right_at_each_of_its_scopes(service: ManagementService) -> None:
    await give(service, "User Access Administrator", DELEGATE, GROUP)
    token, at = service.of(DELEGATE), path(GROUP, ROLE, "roleDefinitions")
    linked = await service.ask("PUT", at, definition(assignableScopes=[GROUP, AT_SUBSCRIPTION]), token=token)
    refused(linked, 403, "LinkedAuthorizationFailed")
    assert f"linked scope(s) '{AT_SUBSCRIPTION}'" in linked.message
    assert (await service.ask("PUT", at, definition(assignableScopes=[GROUP]), token=token)).status == 201
    assert (await service.ask("PUT", at, definition(assignableScopes=[AT_SUBSCRIPTION]))).status == 201
    refused(
        await service.ask("PUT", at, definition(assignableScopes=[GROUP]), token=token),
        403,
        "LinkedAuthorizationFailed",
    )
    refused(await service.ask("DELETE", at, token=token), 403, "LinkedAuthorizationFailed")


async def test_who_may_not_give_roles_away_does_not_widen_one_that_it_has(service: ManagementService) -> None:
    at = path(AT_SUBSCRIPTION, ROLE, "roleDefinitions")
    own = {
        "actions": ["Microsoft.Authorization/roleDefinitions/*", "Microsoft.KeyVault/vaults/*"],
        "notActions": ["Microsoft.KeyVault/vaults/delete"],
    }
    await service.ask("PUT", at, definition(permissions=[own]))
    body = assignment(principal_id=MACHINE)
    body["properties"]["roleDefinitionId"] = ROLE
    assert (await service.ask("PUT", path(AT_SUBSCRIPTION, ONE), body)).status == 201
    token = service.of(MACHINE)
    for wider in (
        [{"actions": ["*"]}],
        [own, {"dataActions": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"]}],
        [own, {"actions": ["Microsoft.Authorization/roleAssignments/write"]}],
        [{"actions": own["actions"]}],
    ):
        refused(await service.ask("PUT", at, definition(permissions=wider), token=token), 403, "AuthorizationFailed")
    for narrower in ([own], [own, {"actions": ["Microsoft.KeyVault/vaults/keys/*"], "notActions": own["notActions"]}]):
        assert (await service.ask("PUT", at, definition(permissions=narrower), token=token)).status == 201


async def test_permissions_are_those_of_the_caller(service: ManagementService) -> None:
    mine = await service.ask("GET", f"{GROUP}{PROVIDER}/permissions", token=service.of(READER))
    assert [block["actions"] for block in mine.json["value"]] == [["*/read"]]
    await give(service, "Key Vault Data Access Administrator", READER, VAULT_ID)
    mine = await service.ask("GET", f"{VAULT_ID}{PROVIDER}/permissions", token=service.of(READER))
    assert len(mine.json["value"]) == 2 and "GuidEquals" in mine.json["value"][1]["condition"]
    denied = await service.ask("GET", f"{GROUP}{PROVIDER}/denyAssignments")
    assert (denied.status, denied.json) == (200, {"value": []})
