"""az ad: users, groups, applications with their secrets, certificates and federated credentials, service principals."""

import json
from pathlib import Path

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow


def test_users_and_groups(az: Az) -> None:
    domain = az.environment["HSMVAULT_USER_NAME"].partition("@")[2]
    name = f"az-ann@{domain}"
    user = az(
        *("ad", "user", "create", "--display-name", "Ann", "--user-principal-name", name),
        *("--password", "Correct-horse-battery-9", "--force-change-password-next-sign-in", "true"),
    )
    assert az("ad", "user", "show", "--id", name)["id"] == user["id"]
    assert user["id"] in {one["id"] for one in az("ad", "user", "list")}
    assert az("ad", "user", "list", "--upn", name)[0]["id"] == user["id"]
    az("ad", "user", "update", "--id", name, "--display-name", "Ann B.")
    assert az("ad", "user", "show", "--id", user["id"])["displayName"] == "Ann B."

    group = az("ad", "group", "create", "--display-name", "az-keepers", "--mail-nickname", "az-keepers")
    outer = az("ad", "group", "create", "--display-name", "az-outer", "--mail-nickname", "az-outer")
    az("ad", "group", "member", "add", "-g", group["id"], "--member-id", user["id"])
    az("ad", "group", "member", "add", "-g", "az-outer", "--member-id", group["id"])
    assert az("ad", "group", "member", "check", "-g", group["id"], "--member-id", user["id"])["value"] is True
    assert [one["id"] for one in az("ad", "group", "member", "list", "-g", "az-keepers")] == [user["id"]]
    assert group["id"] in az("ad", "user", "get-member-groups", "--id", name, "--query", "[].id")
    az("ad", "group", "owner", "add", "-g", group["id"], "--owner-object-id", user["id"])
    assert [one["id"] for one in az("ad", "group", "owner", "list", "-g", group["id"])] == [user["id"]]
    assert az("ad", "group", "show", "-g", "az-outer")["id"] == outer["id"]
    assert {"az-keepers", "az-outer"} <= {one["displayName"] for one in az("ad", "group", "list")}
    az("ad", "group", "member", "remove", "-g", group["id"], "--member-id", user["id"])
    assert az("ad", "group", "member", "list", "-g", group["id"]) == []
    az("ad", "group", "delete", "-g", group["id"])
    az("ad", "group", "delete", "-g", outer["id"])
    az("ad", "user", "delete", "--id", name)
    with pytest.raises(AzFailed, match="does not exist"):
        az("ad", "user", "show", "--id", name)


def test_an_application_and_all_its_credentials(az: Az, tmp_path: Path) -> None:
    app = az("ad", "app", "create", "--display-name", "az-app", "--web-redirect-uris", "https://app.example/cb")
    assert az("ad", "app", "show", "--id", app["appId"])["web"]["redirectUris"] == ["https://app.example/cb"]
    assert app["appId"] in {one["appId"] for one in az("ad", "app", "list", "--display-name", "az-app")}
    az("ad", "app", "update", "--id", app["appId"], "--display-name", "az-app-2")
    assert az("ad", "app", "show", "--id", app["id"])["displayName"] == "az-app-2"
    service = az("ad", "sp", "create", "--id", app["appId"])
    assert az("ad", "sp", "show", "--id", app["appId"])["id"] == service["id"]
    assert service["id"] in {one["id"] for one in az("ad", "sp", "list", "--all")}

    first = az("ad", "app", "credential", "reset", "--id", app["appId"], "--display-name", "first")
    second = az("ad", "app", "credential", "reset", "--id", app["appId"], "--append", "--display-name", "second")
    listed = az("ad", "app", "credential", "list", "--id", app["appId"])
    assert {one["displayName"] for one in listed} == {"first", "second"}
    assert all(one.get("secretText") is None for one in listed)
    key = next(one["keyId"] for one in listed if one["displayName"] == "second")
    login = Az(tmp_path, az.environment)
    login("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", az.environment["ARM_ENDPOINT"])
    login("cloud", "set", "-n", "hsmvault")
    words = ("login", "--service-principal", "-u", app["appId"], "--tenant", first["tenant"])
    login(*words, "-p", first["password"], "--allow-no-subscriptions")
    login("account", "clear")
    az("ad", "app", "credential", "delete", "--id", app["appId"], "--key-id", key)
    with pytest.raises(AzFailed, match="AADSTS7000215"):
        login(*words, "-p", second["password"], "--allow-no-subscriptions")
    federated = tmp_path / "federated.json"
    federated.write_text(
        json.dumps(
            {
                "name": "cluster",
                "issuer": "https://cluster.example",
                "subject": "system:serviceaccount:default:app",
                "audiences": ["api://AzureADTokenExchange"],
            }
        )
    )
    az("ad", "app", "federated-credential", "create", "--id", app["appId"], "--parameters", str(federated))
    (credential,) = az("ad", "app", "federated-credential", "list", "--id", app["appId"])
    assert credential["name"] == "cluster"
    az("ad", "app", "federated-credential", "delete", "--id", app["appId"], "--federated-credential-id", "cluster")
    assert az("ad", "app", "federated-credential", "list", "--id", app["appId"]) == []
    az("ad", "app", "owner", "add", "--id", app["appId"], "--owner-object-id", service["id"])
    assert service["id"] in {one["id"] for one in az("ad", "app", "owner", "list", "--id", app["appId"])}
    az("ad", "sp", "update", "--id", app["appId"], "--set", "accountEnabled=false")
    with pytest.raises(AzFailed, match="AADSTS7000112"):
        login(*words, "-p", first["password"], "--allow-no-subscriptions")
    az("ad", "sp", "delete", "--id", app["appId"])
    az("ad", "app", "delete", "--id", app["appId"])
    with pytest.raises(AzFailed, match="does not exist"):
        az("ad", "app", "show", "--id", app["appId"])


def test_create_for_rbac_makes_everything_that_a_pipeline_needs(az: Az, tmp_path: Path) -> None:
    scope = f"/subscriptions/{az.environment['AZURE_SUBSCRIPTION_ID']}"
    made = az("ad", "sp", "create-for-rbac", "-n", "az-pipeline", "--role", "Reader", "--scopes", scope)
    login = Az(tmp_path, az.environment)
    login("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", az.environment["ARM_ENDPOINT"])
    login("cloud", "set", "-n", "hsmvault")
    login("login", "--service-principal", "-u", made["appId"], "-p", made["password"], "--tenant", made["tenant"])
    assert login("keyvault", "show", "-n", "dev")["name"] == "dev"
    with pytest.raises(AzFailed, match="AuthorizationFailed"):
        login("keyvault", "update", "-n", "dev", "--enabled-for-deployment", "true")
    az("ad", "sp", "delete", "--id", made["appId"])
    with pytest.raises(AzFailed):
        login("keyvault", "show", "-n", "dev")
