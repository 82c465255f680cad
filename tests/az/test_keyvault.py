"""az keyvault: vaults, their policies and rules, what is in them, and their second lives."""

import base64
import json
from pathlib import Path

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow
GROUP = "az-vaults"


@pytest.fixture(scope="module")
def group(az: Az) -> str:
    assert az("group", "create", "-n", GROUP, "-l", "local")["properties"]["provisioningState"] == "Succeeded"
    return GROUP


def test_the_life_of_a_vault(az: Az, group: str) -> None:
    made = az("keyvault", "create", "-n", "az-life", "-g", group, "-l", "local", "--retention-days", "7")
    properties = made["properties"]
    assert made["type"] == "Microsoft.KeyVault/vaults"
    assert properties["vaultUri"].startswith("https://az-life.vault.localhost")
    assert (properties["sku"]["name"], properties["enableRbacAuthorization"]) == ("standard", True)
    assert (properties["enableSoftDelete"], properties["softDeleteRetentionInDays"]) == (True, 7)
    assert az("keyvault", "show", "-n", "az-life")["id"] == made["id"]
    assert az("keyvault", "show", "-n", "az-life", "-g", group)["id"] == made["id"]
    assert made["id"] in {one["id"] for one in az("keyvault", "list")}
    assert [one["name"] for one in az("keyvault", "list", "-g", group)] == ["az-life"]
    assert "az-life" in {one["name"] for one in az("resource", "list", "-g", group)}
    with pytest.raises(AzFailed, match="already exist"):
        az("keyvault", "create", "-n", "az-life", "-g", group, "-l", "local")

    updated = az("keyvault", "update", "-n", "az-life", "-g", group, "--enabled-for-deployment", "true")
    assert updated["properties"]["enabledForDeployment"] is True
    updated = az("keyvault", "update", "-n", "az-life", "-g", group, "--set", "tags.team=blue")
    assert updated["tags"] == {"team": "blue"}
    az("keyvault", "secret", "set", "--vault-name", "az-life", "-n", "kept", "--value", "through deletion")

    az("keyvault", "delete", "-n", "az-life", "-g", group)
    with pytest.raises(AzFailed):
        az("keyvault", "show", "-n", "az-life", "-g", group)
    assert "az-life" in {one["name"] for one in az("keyvault", "list-deleted", "--resource-type", "vault")}
    deleted = az("keyvault", "show-deleted", "-n", "az-life", "-l", "local")
    assert deleted["properties"]["vaultId"] == made["id"]
    with pytest.raises(AzFailed):
        az("keyvault", "create", "-n", "az-life", "-g", group, "-l", "local")
    recovered = az("keyvault", "recover", "-n", "az-life", "-l", "local")
    assert recovered["properties"]["softDeleteRetentionInDays"] == 7
    assert az("keyvault", "secret", "show", "--vault-name", "az-life", "-n", "kept")["value"] == "through deletion"

    az("keyvault", "delete", "-n", "az-life")
    az("keyvault", "purge", "-n", "az-life", "-l", "local")
    assert "az-life" not in {one["name"] for one in az("keyvault", "list-deleted", "--resource-type", "vault")}
    az("keyvault", "create", "-n", "az-life", "-g", group, "-l", "local")
    assert az("keyvault", "secret", "list", "--vault-name", "az-life") == []
    az("keyvault", "delete", "-n", "az-life", "-g", group)
    az("keyvault", "purge", "-n", "az-life")


def test_purge_protection_is_for_ever(az: Az, group: str) -> None:
    az(
        *("keyvault", "create", "-n", "az-kept", "-g", group, "-l", "local", "--retention-days", "7"),
        *("--enable-purge-protection", "true"),
    )
    with pytest.raises(AzFailed):
        az("keyvault", "update", "-n", "az-kept", "-g", group, "--enable-purge-protection", "false")
    az("keyvault", "delete", "-n", "az-kept", "-g", group)
    with pytest.raises(AzFailed):
        az("keyvault", "purge", "-n", "az-kept", "-l", "local")
    assert az("keyvault", "recover", "-n", "az-kept", "-l", "local")["name"] == "az-kept"


def test_access_policies_open_a_vault_and_close_it(az: Az, group: str) -> None:
    made = az(
        *("keyvault", "create", "-n", "az-policies", "-g", group, "-l", "local", "--sku", "premium"),
        *("--enable-rbac-authorization", "false"),
    )
    (own,) = made["properties"]["accessPolicies"]
    assert [one.lower() for one in own["permissions"]["keys"]] == ["all"]
    az("keyvault", "key", "create", "--vault-name", "az-policies", "-n", "hard", "--kty", "EC-HSM", "--curve", "P-256")
    changed = az(
        *("keyvault", "set-policy", "-n", "az-policies", "--object-id", own["objectId"]),
        *("--key-permissions", "get", "--secret-permissions", "get", "list"),
    )
    (entry,) = changed["properties"]["accessPolicies"]
    assert [one.lower() for one in entry["permissions"]["keys"]] == ["get"]
    with pytest.raises(AzFailed, match="does not have keys list permission"):
        az("keyvault", "key", "list", "--vault-name", "az-policies")
    gone = az("keyvault", "delete-policy", "-n", "az-policies", "--object-id", own["objectId"])
    assert gone["properties"]["accessPolicies"] == []
    with pytest.raises(AzFailed, match="does not have keys get permission"):
        az("keyvault", "key", "show", "--vault-name", "az-policies", "-n", "hard")


def test_network_rules(az: Az, group: str) -> None:
    az("keyvault", "create", "-n", "az-fenced", "-g", group, "-l", "local", "--default-action", "Deny")
    az("keyvault", "network-rule", "add", "-n", "az-fenced", "--ip-address", "192.0.2.0/24")
    rules = az("keyvault", "network-rule", "list", "-n", "az-fenced")
    assert [one["value"] for one in rules["ipRules"]] == ["192.0.2.0/24"]
    with pytest.raises(AzFailed, match="Client address is not authorized"):
        az("keyvault", "secret", "list", "--vault-name", "az-fenced")
    az("keyvault", "network-rule", "add", "-n", "az-fenced", "--ip-address", "127.0.0.1")
    assert az("keyvault", "secret", "list", "--vault-name", "az-fenced") == []
    az("keyvault", "network-rule", "remove", "-n", "az-fenced", "--ip-address", "127.0.0.1/32")
    with pytest.raises(AzFailed, match="Client address is not authorized"):
        az("keyvault", "secret", "list", "--vault-name", "az-fenced")
    az("keyvault", "update", "-n", "az-fenced", "-g", group, "--public-network-access", "Disabled")
    with pytest.raises(AzFailed, match="Public network access is disabled"):
        az("keyvault", "secret", "list", "--vault-name", "az-fenced")
    assert az("keyvault", "private-endpoint-connection", "list", "--hsm-name", "devhsm") == []
    links = az("keyvault", "private-link-resource", "list", "--vault-name", "az-fenced")
    assert links[0]["groupId"] == "vault"  # the CLI shows the properties on the top level


def test_keys(az: Az, tmp_path: Path) -> None:
    vault = ("--vault-name", "dev")
    made = az("keyvault", "key", "create", *vault, "-n", "az-rsa", "--kty", "RSA-HSM", "--size", "2048")
    assert made["key"]["kty"] == "RSA-HSM"
    assert az("keyvault", "key", "show", *vault, "-n", "az-rsa")["key"]["kid"] == made["key"]["kid"]
    assert az("keyvault", "key", "list", *vault, "--query", "[?name=='az-rsa'].name") == ["az-rsa"]
    assert len(az("keyvault", "key", "list-versions", *vault, "-n", "az-rsa")) == 1
    digest = base64.b64encode(bytes(32)).decode()
    signed = az("keyvault", "key", "sign", *vault, "-n", "az-rsa", "--algorithm", "RS256", "--digest", digest)
    verified = az(
        *("keyvault", "key", "verify", *vault, "-n", "az-rsa", "--algorithm", "RS256", "--digest", digest),
        *("--signature", signed["signature"]),
    )
    assert verified["isValid"] is True
    secret = az(
        *("keyvault", "key", "encrypt", *vault, "-n", "az-rsa", "--algorithm", "RSA-OAEP-256"),
        *("--value", "hello", "--data-type", "plaintext"),
    )
    opened = az(
        *("keyvault", "key", "decrypt", *vault, "-n", "az-rsa", "--algorithm", "RSA-OAEP-256"),
        *("--value", secret["result"], "--data-type", "plaintext"),
    )
    assert opened["result"] == "hello"
    changed = az("keyvault", "key", "set-attributes", *vault, "-n", "az-rsa", "--enabled", "false")
    assert changed["attributes"]["enabled"] is False
    az("keyvault", "key", "set-attributes", *vault, "-n", "az-rsa", "--enabled", "true")
    rotated = az("keyvault", "key", "rotate", *vault, "-n", "az-rsa")
    assert rotated["key"]["kid"] != made["key"]["kid"]
    policy = tmp_path / "policy.json"
    policy.write_text(
        json.dumps(
            {
                "lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}],
                "attributes": {"expiryTime": "P1Y"},
            }
        )
    )
    az("keyvault", "key", "rotation-policy", "update", *vault, "-n", "az-rsa", "--value", str(policy))
    assert az("keyvault", "key", "rotation-policy", "show", *vault, "-n", "az-rsa")["expiresIn"] == "P1Y"
    kept = tmp_path / "key.backup"
    az("keyvault", "key", "backup", *vault, "-n", "az-rsa", "--file", str(kept))
    public = tmp_path / "key.pem"
    az("keyvault", "key", "download", *vault, "-n", "az-rsa", "--file", str(public))
    assert public.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    az("keyvault", "key", "delete", *vault, "-n", "az-rsa")
    assert az("keyvault", "key", "list-deleted", *vault, "--query", "[?name=='az-rsa'].name") == ["az-rsa"]
    assert az("keyvault", "key", "show-deleted", *vault, "-n", "az-rsa")["recoveryId"]
    az("keyvault", "key", "recover", *vault, "-n", "az-rsa")
    az("keyvault", "key", "delete", *vault, "-n", "az-rsa")
    az("keyvault", "key", "purge", *vault, "-n", "az-rsa")
    assert az("keyvault", "key", "restore", *vault, "--file", str(kept))["key"]["kid"] == rotated["key"]["kid"]


def test_secrets(az: Az, tmp_path: Path) -> None:
    vault = ("--vault-name", "dev")
    made = az("keyvault", "secret", "set", *vault, "-n", "az-word", "--value", "open sesame", "--tags", "of=az")
    assert (made["value"], made["tags"]["of"]) == ("open sesame", "az")
    assert az("keyvault", "secret", "show", "--id", made["id"])["value"] == "open sesame"
    assert az("keyvault", "secret", "list", *vault, "--query", "[?name=='az-word'].name") == ["az-word"]
    assert len(az("keyvault", "secret", "list-versions", *vault, "-n", "az-word")) == 1
    changed = az("keyvault", "secret", "set-attributes", *vault, "-n", "az-word", "--content-type", "text/plain")
    assert changed["contentType"] == "text/plain"
    written = tmp_path / "secret"
    az("keyvault", "secret", "download", *vault, "-n", "az-word", "--file", str(written))
    assert written.read_text() == "open sesame"
    kept = tmp_path / "secret.backup"
    az("keyvault", "secret", "backup", *vault, "-n", "az-word", "--file", str(kept))
    az("keyvault", "secret", "delete", *vault, "-n", "az-word")
    assert az("keyvault", "secret", "list-deleted", *vault, "--query", "[?name=='az-word'].name") == ["az-word"]
    az("keyvault", "secret", "recover", *vault, "-n", "az-word")
    az("keyvault", "secret", "delete", *vault, "-n", "az-word")
    az("keyvault", "secret", "purge", *vault, "-n", "az-word")
    assert az("keyvault", "secret", "restore", *vault, "--file", str(kept))["name"] == "az-word"


def test_certificates(az: Az, tmp_path: Path) -> None:
    vault = ("--vault-name", "dev")
    policy = az("keyvault", "certificate", "get-default-policy")
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    made = az("keyvault", "certificate", "create", *vault, "-n", "az-cert", "-p", f"@{file}")
    assert made["status"] == "completed"
    shown = az("keyvault", "certificate", "show", *vault, "-n", "az-cert")
    assert shown["policy"]["issuerParameters"]["name"] == "Self"
    assert az("keyvault", "certificate", "list", *vault, "--query", "[?name=='az-cert'].name") == ["az-cert"]
    assert len(az("keyvault", "certificate", "list-versions", *vault, "-n", "az-cert")) == 1
    az("keyvault", "certificate", "set-attributes", *vault, "-n", "az-cert", "--tags", "of=az")
    written = tmp_path / "cert.pem"
    az("keyvault", "certificate", "download", *vault, "-n", "az-cert", "--file", str(written))
    assert written.read_text().startswith("-----BEGIN CERTIFICATE-----")
    az("keyvault", "certificate", "contact", "add", *vault, "--email", "certs@example.com", "--name", "Keeper")
    assert az("keyvault", "certificate", "contact", "list", *vault)["contactList"][0]["emailAddress"]
    az("keyvault", "certificate", "contact", "delete", *vault, "--email", "certs@example.com")
    az("keyvault", "certificate", "issuer", "create", *vault, "--issuer-name", "az-ca", "--provider-name", "Test")
    names = [one["id"].rpartition("/")[2] for one in az("keyvault", "certificate", "issuer", "list", *vault)]
    assert "az-ca" in names
    az("keyvault", "certificate", "issuer", "delete", *vault, "--issuer-name", "az-ca")
    az("keyvault", "certificate", "delete", *vault, "-n", "az-cert")
    az("keyvault", "certificate", "purge", *vault, "-n", "az-cert")


def test_a_managed_hsm_and_its_keys(az: Az, group: str) -> None:
    shown = az("keyvault", "show", "--hsm-name", "devhsm")
    assert shown["properties"]["hsmUri"].startswith("https://devhsm.managedhsm.localhost")
    assert "devhsm" in {one["name"] for one in az("keyvault", "list", "--resource-type", "hsm")}
    made = az("keyvault", "key", "create", "--hsm-name", "devhsm", "-n", "az-oct", "--kty", "oct-HSM", "--size", "256")
    assert made["key"]["kty"] == "oct-HSM"
    assert az("keyvault", "key", "random", "--hsm-name", "devhsm", "--count", "8")["value"]
    assert az("keyvault", "check-name", "-n", "devhsm", "--resource-type", "hsm")["nameAvailable"] is False
    owner = az("ad", "signed-in-user", "show") if az("account", "show")["user"]["type"] == "user" else None
    administrator = owner["id"] if owner else az("ad", "sp", "show", "--id", az.environment["AZURE_CLIENT_ID"])["id"]
    pool = ("--hsm-name", "az-pool")
    created = az(
        *("keyvault", "create", *pool, "-g", group, "-l", "local", "--administrators", administrator),
        *("--retention-days", "7"),
    )
    assert created["properties"]["provisioningState"] == "Succeeded"
    az("keyvault", "delete", *pool, "-g", group)
    assert "az-pool" in {one["name"] for one in az("keyvault", "list-deleted", "--resource-type", "hsm")}
    az("keyvault", "recover", *pool, "-l", "local")
    az("keyvault", "delete", *pool, "-g", group)
    az("keyvault", "purge", *pool, "-l", "local")
    assert "az-pool" not in {one["name"] for one in az("keyvault", "list-deleted", "--resource-type", "hsm")}
