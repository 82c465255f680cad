"""Vaults on the wire: bodies in, answers out, pages, polls."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.resources.vault_stage import FOREIGN_TENANT, SOMEBODY, TENANT
from tests.wire.management.vault_rig import BODY, CALLER, KEY_VAULT, NORTH, ORIGIN, VAULTS, VaultRig, vault_rig

GUID = "44444444-0000-0000-0000-00000000000A"


@pytest.fixture
async def rig(tmp_path: Path, empty_database: Path) -> AsyncIterator[VaultRig]:
    async with vault_rig(tmp_path / "hsmvault.db", empty_database) as made:
        yield made


async def test_a_vault_is_shown_as_the_reference_has_it(rig: VaultRig) -> None:
    made = await rig.made(
        sku={"name": "Premium", "family": "A"},
        softDeleteRetentionInDays="7",
        enablePurgeProtection=True,
        enabledForDeployment=True,
        networkAcls={"defaultAction": "Deny", "ipRules": [{"value": "1.2.3.4"}]},
        publicNetworkAccess="disabled",
        accessPolicies=[{"tenantId": TENANT.upper(), "objectId": GUID, "permissions": {"keys": ["UnwrapKey", "Get"]}}],
        somethingNew={"of": "a later version"},
    )
    assert made == {
        "id": NORTH,
        "name": "North",
        "type": "Microsoft.KeyVault/vaults",
        "location": "local",
        "tags": {},
        "systemData": {
            "createdBy": CALLER.application_id,
            "createdByType": "Application",
            "createdAt": made["systemData"]["createdAt"],
            "lastModifiedBy": CALLER.application_id,
            "lastModifiedByType": "Application",
            "lastModifiedAt": made["systemData"]["createdAt"],
        },
        "properties": {
            "sku": {"family": "A", "name": "premium"},
            "tenantId": TENANT,
            "networkAcls": {
                "bypass": "AzureServices",
                "defaultAction": "Deny",
                "ipRules": [{"value": "1.2.3.4/32"}],
                "virtualNetworkRules": [],
            },
            "accessPolicies": [
                {"tenantId": TENANT, "objectId": GUID.lower(), "permissions": {"keys": ["get", "unwrapKey"]}}
            ],
            "enabledForDeployment": True,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 7,
            "enableRbacAuthorization": True,
            "enablePurgeProtection": True,
            "vaultUri": "https://north.vault.localhost:8443/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Disabled",
        },
    }
    assert (await rig.call("GET", NORTH)).body == made
    assert (await rig.call("GET", NORTH.upper().replace("NORTH", "North"))).body == made


@pytest.mark.parametrize(
    ("version", "rbac"), [("2025-05-01", False), ("2026-02-01", True), ("2026-03-01-preview", True)]
)
async def test_the_permission_model_that_nobody_names_is_that_of_the_api_version(
    rig: VaultRig, version: str, rbac: bool
) -> None:
    made = await rig.call("PUT", NORTH, BODY, version=version)
    assert made.body["properties"]["enableRbacAuthorization"] is rbac


async def test_what_is_answered_can_be_sent_back(rig: VaultRig) -> None:
    """az changes policies and rules by reading, editing, and putting the whole."""
    made = await rig.made(networkAcls={"ipRules": [{"value": "10.0.0.0/8"}]}, enablePurgeProtection=True)
    again = await rig.call("PUT", NORTH, made)
    assert (again.status, again.body) == (200, made)


async def test_an_empty_patch_is_legal_and_shows_the_vault(rig: VaultRig) -> None:
    made = await rig.made()
    empty: list[Any] = [{}, {"properties": {}}, None]
    for body in empty:
        assert (await rig.call("PATCH", NORTH, body)).body == made
    assert (await rig.call("PATCH", NORTH, {"tags": {"a": "b"}})).body["tags"] == {"a": "b"}


WRONG_BODIES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "InvalidRequestContent"),
    "a list": ([], "InvalidRequestContent"),
    "twice the same member": (b'{"location":"local","location":"local","properties":{}}', "InvalidRequestContent"),
    "no properties": ({"location": "local"}, "InvalidRequestContent"),
    "tags that are no texts": ({**BODY, "tags": {"a": 1}}, "InvalidRequestContent"),
    "a number for a truth": ({"enabledForDeployment": 1}, "InvalidRequestContent"),
    "policies that are none": ({"accessPolicies": {}}, "InvalidRequestContent"),
    "a policy without permissions": (
        {"accessPolicies": [{"tenantId": TENANT, "objectId": GUID}]},
        "InvalidRequestContent",
    ),
    "a tenant that is no GUID": ({"tenantId": "contoso"}, "BadRequest"),
    "a foreign tenant": ({"tenantId": FOREIGN_TENANT}, "BadRequest"),
    "a principal that is no GUID": (
        {"accessPolicies": [{"tenantId": TENANT, "objectId": "me", "permissions": {}}]},
        "BadRequest",
    ),
    "an unknown permission": (
        {"accessPolicies": [{"tenantId": TENANT, "objectId": GUID, "permissions": {"keys": ["rule"]}}]},
        "BadRequest",
    ),
    "a retention that is no number": ({"softDeleteRetentionInDays": "7d"}, "BadRequest"),
    "an unknown mode": ({"createMode": "again"}, "BadRequest"),
    "an unknown SKU": ({"sku": {"family": "A", "name": "gold"}}, "SkuNotSupported"),
    "an unreadable rule": ({"networkAcls": {"ipRules": [{"value": "::1"}]}}, "BadRequest"),
}


@pytest.mark.parametrize("case", WRONG_BODIES)
async def test_a_wrong_body_makes_nothing(rig: VaultRig, case: str) -> None:
    body, code = WRONG_BODIES[case]
    if isinstance(body, dict) and not {"location", "properties"} & body.keys():
        body = {**BODY, "properties": {**BODY["properties"], **body}}
    reply = await rig.call("PUT", NORTH, body)
    assert (reply.status, reply.code) == (400, code)
    assert reply.body["error"].keys() == {"code", "message"}
    assert await rig.stage.stored() is None


async def test_policies_are_added_replaced_and_removed(rig: VaultRig) -> None:
    await rig.made(enableRbacAuthorization=False)

    async def change(kind: str, **permissions: list[str]) -> Any:
        entry = {"tenantId": TENANT, "objectId": SOMEBODY, "permissions": permissions}
        reply = await rig.call("PUT", f"{NORTH}/accessPolicies/{kind}", {"properties": {"accessPolicies": [entry]}})
        assert reply.status == 200, reply
        assert (reply.body["id"], reply.body["type"]) == (
            f"{NORTH}/accessPolicies/",
            "Microsoft.KeyVault/vaults/accessPolicies",
        )
        assert "name" not in reply.body
        return [one["permissions"] for one in reply.body["properties"]["accessPolicies"]]

    assert await change("add", keys=["get"]) == [{"keys": ["get"]}]
    assert await change("ADD", keys=["List"], secrets=["all"]) == [{"keys": ["get", "list"], "secrets": ["all"]}]
    assert await change("replace", keys=["sign"]) == [{"keys": ["sign"]}]
    assert await change("remove", keys=["sign"]) == []
    body: Any = {"properties": {"accessPolicies": []}}
    assert (await rig.call("PUT", f"{NORTH}/accessPolicies/forget", body)).status == 400
    assert (await rig.call("PUT", f"{VAULTS}/south/accessPolicies/add", body)).code == "ResourceNotFound"


async def test_the_model_changes_for_those_alone_who_may_assign_roles(rig: VaultRig) -> None:
    await rig.made()
    asked: list[tuple[str, str]] = []

    def may(action: str, resource_id: str) -> bool:
        asked.append((action, resource_id))
        return False

    rig.may = may
    reply = await rig.call("PATCH", NORTH, {"properties": {"enableRbacAuthorization": False}})
    assert (reply.status, reply.code) == (400, "InsufficientPermissions")
    assert asked == [("Microsoft.Authorization/roleAssignments/write", NORTH)]


async def test_deletion_recovery_and_purge(rig: VaultRig) -> None:
    made = await rig.made(enableRbacAuthorization=False)
    deleted = await rig.call("DELETE", NORTH)
    assert (deleted.status, deleted.body) == (200, None)
    assert (await rig.call("DELETE", NORTH)).status == 204
    assert (await rig.call("GET", NORTH)).code == "ResourceNotFound"
    assert (await rig.call("PUT", NORTH, BODY)).code == "ConflictError"
    found = await rig.call("GET", f"{KEY_VAULT}/locations/local/deletedVaults/north")
    assert found.body == {
        "id": f"{KEY_VAULT}/locations/local/deletedVaults/North",
        "name": "North",
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": NORTH,
            "location": "local",
            "tags": {},
            "deletionDate": found.body["properties"]["deletionDate"],
            "scheduledPurgeDate": found.body["properties"]["scheduledPurgeDate"],
        },
    }
    assert (await rig.call("GET", f"{KEY_VAULT}/deletedVaults")).body == {"value": [found.body]}
    recover = {
        **BODY,
        "properties": {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}, "createMode": "Recover"},
    }
    recovered = await rig.call("PUT", NORTH, recover)
    assert recovered.body["properties"] == made["properties"]

    await rig.call("DELETE", NORTH)
    purge = await rig.call("POST", f"{KEY_VAULT}/locations/local/deletedVaults/North/purge")
    assert (purge.status, purge.body, purge.headers["Retry-After"]) == (202, None, "1")
    poll = await rig.call("GET", purge.headers["Location"])
    assert (poll.status, poll.body["status"], poll.headers["Location"]) == (
        202,
        "NotStarted",
        purge.headers["Location"],
    )
    assert (await rig.call("PUT", NORTH, recover)).code == "ConflictError"
    await rig.purge()
    poll = await rig.call("GET", purge.headers["Location"])
    assert (poll.status, poll.body["status"]) == (200, "Succeeded")
    assert (await rig.call("GET", f"{KEY_VAULT}/locations/local/deletedVaults/north")).code == "DeletedVaultNotFound"
    assert (await rig.made())["id"] == NORTH


async def test_a_protected_vault_is_not_purged(rig: VaultRig) -> None:
    await rig.made(enablePurgeProtection=True)
    await rig.call("DELETE", NORTH)
    purge = await rig.call("POST", f"{KEY_VAULT}/locations/local/deletedVaults/North/purge")
    assert (purge.status, purge.code) == (405, "MethodNotAllowed")
    found = await rig.call("GET", f"{KEY_VAULT}/locations/local/deletedVaults/north")
    assert found.body["properties"]["purgeProtectionEnabled"] is True


async def test_names_are_checked(rig: VaultRig) -> None:
    await rig.made()

    async def check(name: str, type: str = "Microsoft.KeyVault/vaults") -> Any:
        return (await rig.call("POST", f"{KEY_VAULT}/checkNameAvailability", {"name": name, "type": type})).body

    assert await check("south") == {"nameAvailable": True}
    taken = {"nameAvailable": False, "reason": "AlreadyExists", "message": "The name 'NORTH' is already in use."}
    assert await check("NORTH") == taken
    await rig.call("DELETE", NORTH)
    assert await check("NORTH") == taken
    assert (await check("a--b"))["reason"] == "AccountNameInvalid"
    assert (await check("south", "Microsoft.Storage/accounts"))["error"]["code"] == "BadRequest"


async def test_lists_are_paged_and_show_what_the_caller_may_read(rig: VaultRig) -> None:
    for name in ("alpha", "bravo", "charlie", "delta", "echo"):
        assert (await rig.call("PUT", f"{VAULTS}/{name}", BODY)).status == 200
    hidden = {"bravo", "delta"}
    rig.may = lambda action, resource: (
        action == "Microsoft.KeyVault/vaults/read" and resource[-5:].lstrip("/") not in hidden
    )
    for path in (VAULTS, f"{KEY_VAULT}/vaults"):
        names: list[str] = []
        link = f"{path}?$top=2"
        while link:
            reply = await rig.call("GET", link)
            assert reply.status == 200, reply
            names += [one["name"] for one in reply.body["value"]]
            link = reply.body.get("nextLink", "")
            assert not link or link.startswith(f"{ORIGIN}{path}?api-version=")
        assert names == ["alpha", "charlie", "echo"]
    assert (await rig.call("GET", f"{VAULTS}?$top=0")).status == 400
    assert (await rig.call("GET", VAULTS.replace("group/", "nowhere/"))).code == "ResourceGroupNotFound"


async def test_a_skip_token_is_good_for_its_own_list_alone(rig: VaultRig) -> None:
    for name in ("alpha", "bravo"):
        await rig.call("PUT", f"{VAULTS}/{name}", BODY)
    link = (await rig.call("GET", f"{VAULTS}?$top=1")).body["nextLink"]
    query = link.partition("?")[2]
    assert (await rig.call("GET", f"{VAULTS}?{query}")).status == 200
    for elsewhere in (f"{KEY_VAULT}/vaults?{query}", f"{VAULTS}?{query[:-2]}AA", f"{VAULTS}?$skiptoken=alpha"):
        assert (await rig.call("GET", elsewhere)).status == 400
