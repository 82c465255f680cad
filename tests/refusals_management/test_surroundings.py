"""What clients call around vaults: resource groups, providers, management groups, diagnostic settings, private
endpoints."""

from typing import Any

import pytest

from tests.pipeline.world import OTHER_TENANT, TENANT
from tests.refusals_management import words
from tests.refusals_management.grounds import AT, only
from tests.refusals_management.models import ENDPOINT, MODELS, SUBNET, with_member
from tests.refusals_management.rig import Rig
from tests.refusals_management.rows import ROOT_GROUP, Row
from tests.refusals_management.table import ROWS
from tests.refusals_management.words import Refusal
from tests.wire.management.stage import GROUP, SUBSCRIPTION, THEIRS

pytestmark = pytest.mark.asyncio(loop_scope="package")

# resource groups

PUT_GROUP, PATCH_GROUP, DELETE_GROUP = (ROWS[f"resource_groups_{one}"] for one in ("put", "patch", "delete"))


@pytest.mark.parametrize("name", ["x" * 91, "a%20b", "a.", "a%25", "a%3Cb", "a%2Cb", "%e2%82%ac"])
async def test_the_name_of_a_group_has_a_form(rig: Rig, name: str) -> None:
    target = PUT_GROUP.target(group=name)
    await rig.refused(Refusal(400, "InvalidResourceGroup"), PUT_GROUP, target, body={"location": "local"})


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({}, 400, "LocationRequired"),
        ({"location": ""}, 400, "LocationRequired"),
        ({"location": None}, 400, "LocationRequired"),
        ({"location": "nowhere"}, 400, "LocationNotAvailableForResourceGroup"),
        ({"location": "x" * 5000}, 400, "LocationNotAvailableForResourceGroup"),
        ({"location": "westeurope"}, 409, "InvalidResourceGroupLocation"),
    ],
)
async def test_a_group_is_in_a_known_place_and_stays(rig: Rig, given: object, status: int, code: str) -> None:
    if status == 400:
        await rig.refused(Refusal(status, code), PUT_GROUP, PUT_GROUP.target(group="coming-in"), body=given)
    if code in ("LocationRequired", "InvalidResourceGroupLocation"):
        await rig.refused(Refusal(status, code), PUT_GROUP, PUT_GROUP.target(), body=given)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({f"t{one}": "" for one in range(51)}, "TooManyTags"),
        ({"": "x"}, "InvalidTag"),
        ({"x" * 513: "x"}, "InvalidTag"),
        ({"x": "x" * 257}, "InvalidTag"),
        ({"Team": "a", "team": "b"}, "InvalidTag"),
    ],
)
async def test_tags_of_a_group_have_limits(rig: Rig, tags: dict[str, str], code: str) -> None:
    for group in ("rg", "coming-in"):
        target = PUT_GROUP.target(group=group)
        await rig.refused(Refusal(400, code), PUT_GROUP, target, body={"location": "local", "tags": tags})
    await rig.refused(Refusal(400, code), PATCH_GROUP, PATCH_GROUP.target(), body={"tags": tags})


async def test_a_group_with_something_that_one_may_not_delete_stays_whole(rig: Rig) -> None:
    token = rig.token(only(DELETE_GROUP.action))
    expected = Refusal(409, "ResourceGroupDeletionBlocked")
    await rig.refused(expected, DELETE_GROUP, DELETE_GROUP.target(), token=token)


# providers


@pytest.mark.parametrize("name", ["Microsoft.Web", "Microsoft.KeyVaults", "x" * 260, "%20"])
async def test_a_provider_that_is_none_is_not_found(rig: Rig, name: str) -> None:
    for operation in ("providers_get", "providers_register", "providers_unregister"):
        row = ROWS[operation]
        await rig.refused(Refusal(404, "InvalidResourceNamespace"), row, row.target(name=name))


async def test_a_provider_is_part_of_the_service(rig: Rig) -> None:
    row = ROWS["providers_unregister"]
    for name in ("Microsoft.KeyVault", "microsoft.authorization"):
        await rig.refused(Refusal(409, "CannotUnregisterProvider"), row, row.target(name=name))


# management groups

GROUPS = {
    name.removeprefix("management_groups_"): row for name, row in ROWS.items() if name.startswith("management_group")
}
PUT, PATCH, DELETE, GET = (GROUPS[one] for one in ("put", "patch", "delete", "get"))
MOVE, TAKE_OUT = (ROWS[f"management_group_subscriptions_{one}"] for one in ("put", "delete"))
NO_GROUP = Refusal(404, "NotFound", "The management group 'never-was' cannot be found.")


def under(parent: str) -> dict[str, Any]:
    return {"properties": {"details": {"parent": {"id": parent}}}}


@pytest.mark.parametrize("name", ["a%20b", "x" * 91, "a.", "a%3Cb", "%c3%a4", TENANT])
async def test_the_name_of_a_management_group_has_a_form(rig: Rig, name: str) -> None:
    await rig.refused(Refusal(400, "InvalidManagementGroupName"), PUT, PUT.target(name=name), body={})


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (under("/providers/Microsoft.Management/managementGroups/never-was"), 404, "NotFound"),
        (under(f"/providers/Microsoft.Management/managementGroups/{OTHER_TENANT}"), 404, "NotFound"),
        (under(f"/subscriptions/{SUBSCRIPTION}"), 400, "InvalidParent"),
        (under("/providers/Microsoft.Management/managementGroups/"), 400, "InvalidParent"),
        (under("/"), 400, "InvalidParent"),
        ({"properties": {"displayName": "x" * 257}}, 400, "InvalidDisplayName"),
        (under("/providers/Microsoft.Management/managementGroups/inner"), 400, "InvalidParent"),
        (under("/providers/Microsoft.Management/managementGroups/good"), 400, "InvalidParent"),
    ],
)
async def test_a_management_group_stands_below_another_one(rig: Rig, given: object, status: int, code: str) -> None:
    await rig.refused(Refusal(status, code), PUT, PUT.target(), body=given)
    properties = given["properties"]  # type: ignore[index]  # written above
    parent = properties.get("details", {}).get("parent", {}).get("id")
    flat = {"displayName": properties.get("displayName"), "parentGroupId": parent}
    await rig.refused(Refusal(status, code), PATCH, PATCH.target(), body=flat)


async def test_what_is_not_there_is_not_found(rig: Rig) -> None:
    for row in (PATCH, DELETE, GET, *(one for name, one in ROWS.items() if name.startswith("management_group_subs"))):
        if row is DELETE:
            with rig.unchanged():
                assert (await rig.ask("DELETE", row.target(name="never-was"))).status == 204
            continue
        target = row.target(name="never-was", id=SUBSCRIPTION)
        await rig.refused(NO_GROUP, row, target, body=MODELS[row.body].good if row.body else None)
    for expand in ("all", "children,path"):
        await rig.refused(Refusal(400, "InvalidExpand"), GET, f"{GET.target()}?api-version=2020-05-01&$expand={expand}")


async def test_the_root_group_and_what_holds_something_stay(rig: Rig) -> None:
    for name in ("good", TENANT):
        answer = await rig.ask("DELETE", DELETE.target(name=name))
        assert answer.status == 400, answer.body
    await rig.refused(Refusal(400, "InvalidManagementGroupName"), PATCH, PATCH.target(name=TENANT), body={})
    assert (await rig.ask("GET", ROOT_GROUP)).status == 200


@pytest.mark.parametrize("id", [THEIRS, "33333333-0000-0000-0000-000000000404", "x", "%20"])
async def test_only_subscriptions_of_the_tenant_are_moved(rig: Rig, id: str) -> None:
    expected = Refusal(404, "SubscriptionNotFound")
    for row in (MOVE, TAKE_OUT, ROWS["management_group_subscriptions_get"]):
        await rig.refused(expected, row, row.target(id=id))


async def test_who_moves_a_subscription_must_be_allowed_to_give_roles_in_it(rig: Rig) -> None:
    action = "Microsoft.Authorization/roleAssignments/write"
    for row in (MOVE, TAKE_OUT):
        holder = only(row.action)
        expected = words.not_authorized(holder, action, f"/subscriptions/{SUBSCRIPTION}")
        await rig.refused(expected, row, row.target(id=SUBSCRIPTION), token=rig.token(holder))
    writer = rig.token(only("Microsoft.KeyVault/vaults/write"))
    await rig.refused(Refusal(403, "AuthorizationFailed"), PUT, PUT.target(name="coming-in"), body={}, token=writer)


# diagnostic settings

DIAGNOSE = ROWS["diagnostic_settings_create_or_update"]
GOOD = MODELS["Diagnostics"].good


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        ("workspaceId", None, "BadRequest"),
        ("workspaceId", "", "BadRequest"),
        ("workspaceId", "elsewhere", "DestinationNotFound"),
        ("storageAccountId", "/subscriptions/s/storage", "DestinationNotFound"),
        ("logs.0", {"enabled": True}, "BadRequest"),
        ("logs.0", {"enabled": True, "category": "Audit"}, "BadRequest"),
        ("logs.0", {"enabled": True, "categoryGroup": "some"}, "BadRequest"),
        ("logs.0", {"enabled": True, "category": "AuditEvent", "categoryGroup": "audit"}, "BadRequest"),
        ("logs.0.retentionPolicy", {"enabled": True, "days": 366}, "BadRequest"),
        ("logs.0.retentionPolicy", {"enabled": True, "days": -1}, "BadRequest"),
        ("metrics.0", {"enabled": True, "category": "SomeMetrics"}, "BadRequest"),
        ("metrics.0.retentionPolicy", {"enabled": True, "days": 2**70}, "BadRequest"),
        ("logs", [{"enabled": True, "category": "AuditEvent"}] * 17, "BadRequest"),
    ],
)
async def test_a_diagnostic_setting_goes_somewhere_with_something(
    rig: Rig, place: str, value: object, code: str
) -> None:
    for name in ("good", "coming-in"):
        given = with_member(GOOD, f"properties.{place}", value)
        await rig.refused(Refusal(400, code), DIAGNOSE, DIAGNOSE.target(name=name), body=given)
    nothing = with_member(with_member(GOOD, "properties.logs", []), "properties.metrics", [])
    await rig.refused(words.BAD, DIAGNOSE, DIAGNOSE.target(), body=nothing)


@pytest.mark.parametrize("name", ["a%3Cb", "a%2Ab", "a%26b", "a%3Ab", "a%2Bb", "a%23b", "a%3Fb"])
async def test_the_name_of_a_diagnostic_setting_has_a_form(rig: Rig, name: str) -> None:
    await rig.refused(words.BAD, DIAGNOSE, DIAGNOSE.target(name=name), body=GOOD)


@pytest.mark.parametrize(
    ("scope", "status", "code"),
    [
        ("", 400, "ResourceTypeNotSupported"),
        (f"/subscriptions/{SUBSCRIPTION}", 400, "ResourceTypeNotSupported"),
        (GROUP, 400, "ResourceTypeNotSupported"),
        (f"{AT['good']}/keys/good", 400, "ResourceTypeNotSupported"),
        (AT["good"].replace("/rg/", "/never-was/"), 404, "ResourceGroupNotFound"),
        (AT["good"].replace("/rg/", "/rg2/"), 404, "ResourceNotFound"),
        (AT["gone"], 404, "ResourceNotFound"),
        (AT["theirs"].replace(THEIRS, SUBSCRIPTION), 404, "ResourceNotFound"),
        (AT["goodhsm"].replace("goodhsm", "never-was"), 404, "ResourceNotFound"),
    ],
)
async def test_only_vaults_and_pools_have_diagnostic_settings(rig: Rig, scope: str, status: int, code: str) -> None:
    for name, row in ROWS.items():
        if name.startswith("diagnostic_"):
            given = GOOD if row.body else None
            await rig.refused(Refusal(status, code), row, row.target(scope=scope), body=given)


async def test_a_pool_has_no_records_of_policies(rig: Rig) -> None:
    log = {"category": "AzurePolicyEvaluationDetails", "enabled": True}
    given = with_member(GOOD, "properties.logs", [log])
    await rig.refused(words.BAD, DIAGNOSE, DIAGNOSE.target(scope=AT["goodhsm"]), body=given)


async def test_a_destination_takes_the_records_of_a_vault_once(rig: Rig) -> None:
    await rig.refused(Refusal(409, "Conflict"), DIAGNOSE, DIAGNOSE.target(name="coming-in"), body=AUDIT)


AUDIT = {
    "properties": {
        "workspaceId": "/subscriptions/s/resourceGroups/site/providers/Microsoft.OperationalInsights/workspaces/logs",
        "logs": [{"categoryGroup": "allLogs", "enabled": True}],
    }
}


# private endpoint connections

CONNECTIONS = [ROWS["private_endpoint_connections_put"], ROWS["mhsm_private_endpoint_connections_put"]]


def connection(**properties: object) -> dict[str, Any]:
    return {"properties": {**MODELS["Connection"].good["properties"], **properties}}


@pytest.mark.parametrize("row", CONNECTIONS, ids=["vault", "pool"])
@pytest.mark.parametrize(
    "given",
    [
        connection(privateEndpoint={"id": "x"}),
        connection(privateEndpoint={"id": SUBNET}),
        connection(privateEndpoint={"id": f"{ENDPOINT}/more"}),
        connection(privateEndpoint={"id": f"{ENDPOINT}2 "}),
        connection(privateLinkServiceConnectionState={"description": "x" * 1025}),
        connection(privateLinkServiceConnectionState={"status": "approved!"}),
    ],
)
async def test_a_connection_has_rules(rig: Rig, row: Row, given: object) -> None:
    for name in ("good", "coming-in"):
        await rig.refused(words.BAD, row, row.target(name=name), body=given)


@pytest.mark.parametrize("row", CONNECTIONS, ids=["vault", "pool"])
async def test_a_connection_is_asked_for_by_an_endpoint_and_keeps_it(rig: Rig, row: Row) -> None:
    without = {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
    await rig.refused(Refusal(404, "ResourceNotFound"), row, row.target(name="never-was"), body=without)
    other = connection(privateEndpoint={"id": f"{ENDPOINT}2"})
    await rig.refused(words.BAD, row, row.target(), body=other)
    await rig.refused(Refusal(409, "Conflict"), row, row.target(), body={**connection(), "etag": '"old"'})
    for name in ("%20", "-", "a%3Cb", "x" * 81):
        await rig.refused(words.BAD, row, row.target(name=name), body=connection())


async def test_a_connection_is_approved_by_who_may_approve(rig: Rig) -> None:
    row = CONNECTIONS[0]
    holder = only(row.action)
    action = "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action"
    expected = words.not_authorized(holder, action, AT["good"])
    approved = {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
    await rig.refused(expected, row, row.target(), body=approved, token=rig.token(holder))
