"""az account, group, role, resource, provider and monitor: where vaults stand, and who may do what there."""

import json
from pathlib import Path

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def test_the_account(az: Az) -> None:
    shown = az("account", "show")
    assert shown["id"] == az.environment["AZURE_SUBSCRIPTION_ID"]
    assert shown["tenantId"] == az.environment["AZURE_TENANT_ID"]
    assert [one["id"] for one in az("account", "list")] == [shown["id"]]
    assert [one["name"] for one in az("account", "list-locations")] == ["local"]
    token = az("account", "get-access-token")
    assert token["tenant"] == shown["tenantId"]
    assert az("cloud", "show")["name"] == "hsmvault"


def test_resource_groups(az: Az) -> None:
    made = az("group", "create", "-n", "az-Group", "-l", "local", "--tags", "team=red")
    assert made["tags"] == {"team": "red"}
    assert az("group", "exists", "-n", "AZ-group") is True
    assert az("group", "show", "-n", "az-group")["name"] == "az-Group"
    assert "az-Group" in {one["name"] for one in az("group", "list")}
    assert az("group", "update", "-n", "az-group", "--set", "tags.team=blue")["tags"] == {"team": "blue"}
    az("group", "delete", "-n", "az-group", "--yes")
    assert az("group", "exists", "-n", "az-group") is False
    with pytest.raises(AzFailed, match="could not be found"):
        az("group", "show", "-n", "az-group")


def test_a_group_is_deleted_with_what_is_in_it(az: Az) -> None:
    az("group", "create", "-n", "az-full", "-l", "local")
    az("keyvault", "create", "-n", "az-inside", "-g", "az-full", "-l", "local", "--retention-days", "7")
    az("group", "delete", "-n", "az-full", "--yes")
    assert "az-inside" in {one["name"] for one in az("keyvault", "list-deleted", "--resource-type", "vault")}
    az("keyvault", "purge", "-n", "az-inside", "-l", "local")


def test_providers_and_resources(az: Az) -> None:
    shown = az("provider", "show", "-n", "Microsoft.KeyVault")
    assert shown["registrationState"] == "Registered"
    assert "vaults" in {one["resourceType"] for one in shown["resourceTypes"]}
    assert "Microsoft.KeyVault" in {one["namespace"] for one in az("provider", "list")}
    az("provider", "register", "-n", "Microsoft.KeyVault")
    found = az("resource", "list", "--resource-type", "Microsoft.KeyVault/vaults")
    assert "dev" in {one["name"] for one in found}
    dev = next(one for one in found if one["name"] == "dev")
    assert az("resource", "show", "--ids", dev["id"])["name"] == "dev"


def test_role_definitions(az: Az, tmp_path: Path) -> None:
    (secrets_user,) = az("role", "definition", "list", "--name", "Key Vault Secrets User")
    assert (secrets_user["name"], secrets_user["roleType"]) == (SECRETS_USER, "BuiltInRole")
    scope = f"/subscriptions/{az.environment['AZURE_SUBSCRIPTION_ID']}"
    body = {
        "Name": "Az Key Lister",
        "Description": "Lists keys",
        "Actions": [],
        "DataActions": ["Microsoft.KeyVault/vaults/keys/read"],
        "AssignableScopes": [scope],
    }
    file = tmp_path / "role.json"
    file.write_text(json.dumps(body))
    made = az("role", "definition", "create", "--role-definition", str(file))
    assert (made["roleName"], made["roleType"]) == ("Az Key Lister", "CustomRole")
    assert [one["name"] for one in az("role", "definition", "list", "--custom-role-only", "true")] == [made["name"]]
    file.write_text(json.dumps(body | {"Description": "Lists keys and nothing else"}))
    assert az("role", "definition", "update", "--role-definition", str(file))["description"].endswith("nothing else")
    assert az("role", "definition", "show", "--name", made["name"], "--scope", scope)["roleName"] == "Az Key Lister"
    az("role", "definition", "delete", "--name", "Az Key Lister")
    assert az("role", "definition", "list", "--custom-role-only", "true") == []


def test_role_assignments_are_obeyed_at_once(az: Az, tmp_path: Path) -> None:
    environment = az.environment
    nobody = Az(tmp_path, environment)
    nobody("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", environment["ARM_ENDPOINT"])
    nobody("cloud", "set", "-n", "hsmvault")
    nobody(
        *("login", "--service-principal", "-u", environment["HSMVAULT_NOBODY_CLIENT_ID"]),
        *("-p", environment["HSMVAULT_NOBODY_CLIENT_SECRET"], "--tenant", environment["AZURE_TENANT_ID"]),
        "--allow-no-subscriptions",
    )
    az("keyvault", "secret", "set", "--vault-name", "dev", "-n", "az-shared", "--value", "for somebody")
    show = ("keyvault", "secret", "show", "--vault-name", "dev", "-n", "az-shared")
    with pytest.raises(AzFailed, match="not authorized to perform action"):
        nobody(*show)
    scope = az("keyvault", "show", "-n", "dev")["id"]
    secret = f"{scope}/secrets/az-shared"
    given = az(
        *("role", "assignment", "create", "--role", "Key Vault Secrets User", "--scope", secret),
        *("--assignee", environment["HSMVAULT_NOBODY_CLIENT_ID"]),
    )
    assert given["scope"] == secret
    assert nobody(*show)["value"] == "for somebody"
    with pytest.raises(AzFailed, match="not authorized to perform action"):
        nobody("keyvault", "secret", "list", "--vault-name", "dev")
    listed = az("role", "assignment", "list", "--scope", secret, "--assignee", environment["HSMVAULT_NOBODY_CLIENT_ID"])
    assert [one["id"] for one in listed] == [given["id"]]
    assert listed[0]["roleDefinitionName"] == "Key Vault Secrets User"
    az("role", "assignment", "delete", "--ids", given["id"])
    with pytest.raises(AzFailed, match="not authorized to perform action"):
        nobody(*show)
    assert az("role", "assignment", "list", "--all", "--query", f"[?id=='{given['id']}']") == []


def test_diagnostic_settings(az: Az) -> None:
    vault = az("keyvault", "show", "-n", "dev")["id"]
    categories = az("monitor", "diagnostic-settings", "categories", "list", "--resource", vault)
    assert "AuditEvent" in {one["name"] for one in categories["value"]}
    with pytest.raises(AzFailed):
        az(
            *("monitor", "diagnostic-settings", "create", "-n", "to-nowhere", "--resource", vault),
            *("--workspace", f"{vault}/nowhere", "--logs", '[{"category": "AuditEvent", "enabled": true}]'),
        )
    assert az("monitor", "diagnostic-settings", "list", "--resource", vault) == []


def test_an_assignment_is_updated_and_nothing_is_denied(az: Az, tmp_path: Path) -> None:
    vault = az("keyvault", "show", "-n", "dev")["id"]
    given = az(
        *("role", "assignment", "create", "--role", "Reader", "--scope", vault, "--description", "for a while"),
        *("--assignee", az.environment["HSMVAULT_NOBODY_CLIENT_ID"]),
    )
    assert given["description"] == "for a while"
    file = tmp_path / "assignment.json"
    file.write_text(json.dumps(given | {"description": "for good"}))
    assert az("role", "assignment", "update", "--role-assignment", str(file))["description"] == "for good"
    assert az("role", "deny-assignment", "list", "--scope", vault) == []
    with pytest.raises(AzFailed, match="DenyAssignmentNotFound"):
        az("role", "deny-assignment", "show", "--name", given["name"], "--scope", vault)
    az("role", "assignment", "delete", "--ids", given["id"])


def test_roles_of_a_management_group_reach_the_subscriptions_in_it(az: Az, newcomer: Az) -> None:
    environment, group = az.environment, ("account", "management-group")
    subscription = environment["AZURE_SUBSCRIPTION_ID"]
    made = az(*group, "create", "-n", "az-europe", "--display-name", "Europe")
    assert "az-europe" in {one["name"] for one in az(*group, "list")}
    given = az(
        *("role", "assignment", "create", "--role", "Reader", "--scope", made["id"]),
        *("--assignee", environment["HSMVAULT_NOBODY_CLIENT_ID"]),
    )
    newcomer(
        *("login", "--service-principal", "-u", environment["HSMVAULT_NOBODY_CLIENT_ID"]),
        *("-p", environment["HSMVAULT_NOBODY_CLIENT_SECRET"], "--tenant", environment["AZURE_TENANT_ID"]),
        "--allow-no-subscriptions",
    )
    with pytest.raises(AzFailed, match=r"Subscription .\S+ not found"):
        newcomer("group", "list", "--subscription", subscription)
    az(*group, "subscription", "add", "-n", "az-europe", "-s", subscription)
    assert [one["name"] for one in az(*group, "show", "-n", "az-europe", "-e")["children"]] == [subscription]
    newcomer("account", "list", "--refresh")
    assert "hsmvault" in {one["name"] for one in newcomer("group", "list", "--subscription", subscription)}
    az(*group, "subscription", "remove", "-n", "az-europe", "-s", subscription)
    assert newcomer("group", "list", "--subscription", subscription) == []
    az("role", "assignment", "delete", "--ids", given["id"])
    assert az(*group, "update", "-n", "az-europe", "--display-name", "EU")["displayName"] == "EU"
    az(*group, "delete", "-n", "az-europe")
