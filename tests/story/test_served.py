"""A production instance from nothing, without `az`: the command line alone makes its directory, its subscription, its
vaults and its roles, while it runs; people and programs then use it with the official clients."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.cli.commands import Commands, all_commands, write
from tests.instance import folder_for_data
from tests.isolation.node import Node, set_up
from tests.story.site import App, Person, Site, clients_of, record_names, status_of, within_a_second

pytestmark = pytest.mark.slow
SUBSCRIPTION = "33333333-0000-0000-0000-000000000001"
PLACE = f"/subscriptions/{SUBSCRIPTION}"
PASSWORD = "correct horse battery staple"
VAULT = f"{PLACE}/resourceGroups/ops/providers/Microsoft.KeyVault/vaults/north"


@dataclass
class Installation:
    node: Node
    run: Commands
    tenant_id: str
    chief: App

    def site(self) -> dict[str, str]:
        """As dev.env has it."""
        port = self.node.port
        return {
            "AZURE_AUTHORITY_HOST": f"https://login.localhost:{port}",
            "ARM_ENDPOINT": f"https://management.localhost:{port}",
            "REQUESTS_CA_BUNDLE": str(self.node.certificate),
            "SSL_CERT_FILE": str(self.node.certificate),
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.chief.client_id,
            "AZURE_CLIENT_SECRET": self.chief.secret,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        }


@pytest.fixture
def node() -> Iterator[Node]:
    """Prepared and initialized; nobody but the embedded issuer is trusted, and nothing is declared."""
    with folder_for_data() as folder:
        made = set_up(folder)
        text = made.configuration.read_text().partition("[[issuers]]")[0]
        made.configuration.write_text(f"{text}\n[login]\nenabled = true\npassword_grant = true\n")
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        yield made


@pytest.fixture
def there(node: Node) -> Installation:
    """What an operator does before the first start."""
    run = Commands("--config", str(node.configuration))
    tenant = run("directory", "tenant", "create", "Works", "works.example")["id"]
    made = run("directory", "app", "create", "chief", "--with-secret")
    chief = App(tenant, made["appId"], made["secretText"], made["servicePrincipalId"])
    run("directory", "role", "add", chief.object_id, "Global Administrator")
    run("subscription", "create", "Works", "--id", SUBSCRIPTION)
    run("group", "create", "ops")
    run("role", "assign", "Owner", chief.client_id, "--scope", PLACE)
    run("role", "assign", "Key Vault Administrator", chief.client_id, "--scope", PLACE)
    run("vault", "create", "north", "--sku", "premium", "--retention-days", "7")
    return Installation(node, run, tenant, chief)


def test_every_command_has_its_use_and_is_obeyed_within_a_second(there: Installation, tmp_path: Path) -> None:
    with there.node.serving(), clients_of(there.site(), there.node.port) as site:
        the_chief_logs_in(site, there)
        tenants_and_places(there)
        people_and_groups(site, there, tmp_path)
        applications(site, there, tmp_path)
        roles(site, there, tmp_path)
        vaults(site, there)
        identities(there)
    assert there.run.used == all_commands(), "somebody has to try a new command here"
    everything_is_recorded(there)
    log = there.node.log.read_text()
    assert '"level": "error"' not in log and "Traceback" not in log


def the_chief_logs_in(site: Site, there: Installation) -> None:
    vaults = site.management(there.chief).vaults
    within_a_second(lambda: vaults.get("ops", "north"), 200)
    site.secrets("north", there.chief).set_secret("first", "value")
    assert [one.name for one in vaults.list_by_subscription()] == ["north"]
    assert site.graph("GET", "applications").body["value"][0]["displayName"] == "chief"


def tenants_and_places(there: Installation) -> None:
    run = there.run
    other = run("directory", "tenant", "create", "Others", "others.example")["id"]
    assert run("directory", "tenant", "rename", other, "Guests")["displayName"] == "Guests"
    assert run("directory", "tenant", "show", "others.example")["id"] == other
    assert {line.split()[0] for line in run("directory", "tenant", "list").splitlines()} == {there.tenant_id, other}
    assert run("subscription", "create", "Others", "--tenant", "others.example").split()[1] == other
    assert len(run("subscription", "list").splitlines()) == 2
    run("group", "create", "spare", "--subscription", SUBSCRIPTION)
    run("group", "delete", "spare", "--subscription", SUBSCRIPTION)
    assert run("group", "list", "--subscription", SUBSCRIPTION).split()[0] == "ops"


def people_and_groups(site: Site, there: Installation, tmp_path: Path) -> None:
    run = there.run
    file = write(tmp_path / "password", f"{PASSWORD}\n")
    name = "ada@works.example"
    user = run("directory", "user", "create", name, "Ada", "--password-file", file, "--keep")
    ada = Person(there.tenant_id, name, PASSWORD, user["id"])
    outer = run("directory", "group", "create", "staff")["id"]
    inner = run("directory", "group", "create", "readers", "--description", "of everything")["id"]
    run("directory", "group", "update", inner, "--name", "all-readers")
    assert run("directory", "group", "show", inner)["displayName"] == "all-readers"
    run("directory", "group", "add-member", inner, ada.object_id)
    run("directory", "group", "add-member", outer, inner)
    assert run("directory", "group", "members", outer).startswith(inner)
    assert len(run("directory", "group", "list").splitlines()) == 2
    run("directory", "group", "add-owner", inner, ada.object_id)
    assert run("directory", "group", "owners", inner).startswith(ada.object_id)
    run("directory", "group", "remove-owner", inner, ada.object_id)
    run("role", "assign", "Key Vault Secrets User", outer, "--scope", VAULT)

    def reads() -> Any:
        return site.secrets("north", ada).get_secret("first")

    within_a_second(reads, 200)
    run("directory", "group", "remove-member", outer, inner)
    within_a_second(reads, 403)
    run("directory", "group", "add-member", outer, inner)
    within_a_second(reads, 200)
    run("directory", "user", "disable", name)
    within_a_second(reads, 401)
    run("directory", "user", "enable", name)
    site.begin_anew(ada)  # every session has ended
    within_a_second(reads, 200)
    run("directory", "user", "update", name, "--name", "Ada L.")
    assert run("directory", "user", "show", name)["displayName"] == "Ada L."
    assert "Ada" in run("directory", "user", "list") or name in run("directory", "user", "list")
    assert run("directory", "user", "reset-password", name, "--generate-password")["password"] != PASSWORD
    run("directory", "user", "revoke-sessions", name)
    within_a_second(reads, 401)
    run("directory", "user", "delete", name)
    for group in (inner, outer):
        run("directory", "group", "delete", group)


def applications(site: Site, there: Installation, tmp_path: Path) -> None:
    run = there.run
    made = run("directory", "app", "create", "clerk", "--with-secret")
    client = made["appId"]
    clerk = App(there.tenant_id, client, made["secretText"], made["servicePrincipalId"])
    run("role", "assign", "Key Vault Secrets User", client, "--scope", VAULT)

    def reads() -> Any:
        return site.secrets("north", clerk).get_secret("first")

    within_a_second(reads, 200)
    run("directory", "sp", "disable", client)
    within_a_second(reads, 401)
    run("directory", "sp", "enable", client)
    site.begin_anew(clerk)  # its tokens have ended
    within_a_second(reads, 200)
    second = run("directory", "app", "add-secret", client, "--name", "second", "--days", "30")
    again = site.secrets("north", clerk._replace(secret=second["secretText"]))
    within_a_second(lambda: again.get_secret("first"), 200)
    first = next(
        one
        for one in run("directory", "app", "show", client)["passwordCredentials"]
        if one["hint"] == clerk.secret[:3] and one["keyId"] != second["keyId"]
    )
    run("directory", "app", "remove-credential", client, first["keyId"])
    within_a_second(reads, 401)
    assert status_of(lambda: again.get_secret("first")) == 200
    file = write(tmp_path / "clerk.pem", certificate())
    assert run("directory", "app", "add-certificate", client, file)["keyCredentials"]
    updated = run("directory", "app", "update", client, "--name", "Clerk", "--web-redirect-uri", "https://a.example/in")
    assert (updated["displayName"], updated["web"]["redirectUris"]) == ("Clerk", ["https://a.example/in"])
    assert client in run("directory", "app", "list") and client in run("directory", "sp", "list")
    assert run("directory", "sp", "show", client)["id"] == clerk.object_id
    run("directory", "app", "add-owner", client, there.chief.object_id)
    assert run("directory", "app", "owners", client).startswith(there.chief.object_id)
    run("directory", "app", "remove-owner", client, there.chief.object_id)
    issuer = "https://issuer.example/"
    run("directory", "app", "federate", client, "main-branch", "--issuer", issuer, "--subject", "repo:main")
    assert issuer in run("directory", "app", "federations", client)
    run("directory", "app", "unfederate", client, "main-branch")
    run("directory", "sp", "delete", client)
    assert run("directory", "sp", "create", client)["appId"] == client
    run("directory", "app", "delete", client)
    within_a_second(lambda: again.get_secret("first"), 401)


def certificate() -> str:
    """In PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clerk")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def roles(site: Site, there: Installation, tmp_path: Path) -> None:
    run = there.run
    made = run("directory", "app", "create", "auditor", "--with-secret")
    auditor = App(there.tenant_id, made["appId"], made["secretText"], made["servicePrincipalId"])
    wanted = {
        "Name": "Key lister",
        "Description": "Sees keys.",
        "Actions": [],
        "DataActions": ["Microsoft.KeyVault/vaults/keys/read"],
        "AssignableScopes": [PLACE],
    }
    file = write(tmp_path / "role.json", json.dumps(wanted))
    role = run("role", "create", file).strip()
    assignment = run("role", "assign", "key lister", auditor.client_id, "--scope", VAULT).strip()
    keys, secrets = site.keys("north", auditor), site.secrets("north", auditor)
    within_a_second(lambda: list(keys.list_properties_of_keys()), 200)
    assert status_of(lambda: secrets.get_secret("first")) == 403
    wanted["DataActions"] = ["Microsoft.KeyVault/vaults/secrets/getSecret/action"]
    run("role", "update", role, write(tmp_path / "role.json", json.dumps(wanted)))
    within_a_second(lambda: secrets.get_secret("first"), 200)
    within_a_second(lambda: list(keys.list_properties_of_keys()), 403)
    assert run("role", "show", "Key lister")["properties"]["type"] == "CustomRole"
    assert "Key lister" in run("role", "definitions", "--custom")
    assert assignment in run("role", "list", "--scope", VAULT, "--principal", auditor.client_id)
    code, _, error = run.run("role", "delete", role)
    assert code == 2 and "assign" in error
    run("role", "remove", assignment)
    within_a_second(lambda: secrets.get_secret("first"), 403)
    run("role", "delete", role)
    assert "Global Administrator" in run("directory", "role", "definitions")
    run("directory", "role", "add", auditor.object_id, "Directory Readers")
    assert auditor.object_id in run("directory", "role", "list")
    run("directory", "role", "remove", auditor.object_id, "Directory Readers")


def vaults(site: Site, there: Installation) -> None:
    run, chief = there.run, there.chief
    where = ("--subscription", SUBSCRIPTION, "--group", "ops")
    made = run("vault", "create", "papers", *where, "--rbac", "false", "--retention-days", "7")
    assert made["properties"]["vaultUri"] == f"{site.vault_url('papers')}/"
    secrets = site.secrets("papers", chief)

    def writes() -> Any:
        return secrets.set_secret("deed", "value")

    within_a_second(writes, 403)
    run("vault", "policy", "set", "papers", chief.object_id, "--secrets", "get,set")
    within_a_second(writes, 200)
    run("vault", "network", "set", "papers", "--default-action", "deny", "--bypass", "None")
    within_a_second(writes, 403)
    run("vault", "network", "add", "papers", "--ip", "127.0.0.1")
    within_a_second(writes, 200)
    run("vault", "network", "remove", "papers", "--ip", "127.0.0.1")
    within_a_second(writes, 403)
    run("vault", "network", "set", "papers", "--default-action", "allow")
    within_a_second(writes, 200)
    run("vault", "policy", "remove", "papers", chief.object_id)
    within_a_second(writes, 403)
    assert run("vault", "update", "papers", "--tag", "a=b")["tags"] == {"a": "b"}
    assert run("vault", "show", "papers")["tags"] == {"a": "b"}
    run("vault", "policy", "set", "papers", chief.object_id, "--secrets", "all")
    within_a_second(writes, 200)
    run("vault", "delete", "papers")
    within_a_second(writes, 404)
    assert run("vault", "list", "--deleted").startswith("papers")
    run("vault", "recover", "papers")
    within_a_second(lambda: secrets.get_secret("deed"), 200)
    run("vault", "delete", "papers")
    run("vault", "purge", "papers")
    client = site.management(chief).vaults
    within_a_second(lambda: gone(client), 200)
    assert run("vault", "list").split()[0] == "north"


def gone(client: Any) -> None:
    if [one.name for one in client.list_deleted()]:
        raise HttpResponseError("still there")


def identities(there: Installation) -> None:
    run = there.run
    machine = f"{PLACE}/resourceGroups/ops/providers/Microsoft.Compute/virtualMachines/one"
    made = run("directory", "identity", "create", machine)
    assert made["identityHeader"] != run("directory", "identity", "reset-header", made["id"])["identityHeader"]
    assert machine.lower() in run("directory", "identity", "list").lower()
    assert run("directory", "identity", "show", made["id"])["appId"] == made["appId"]
    issuer = "https://issuer.example/"
    run("directory", "identity", "federate", made["appId"], "main-branch", "--issuer", issuer, "--subject", "one")
    assert issuer in run("directory", "identity", "federations", made["appId"])
    run("directory", "identity", "unfederate", made["appId"], "main-branch")
    run("directory", "identity", "delete", made["id"])


def everything_is_recorded(there: Installation) -> None:
    found = record_names(there.node.folder / "data")
    for name in ("DirectoryTenantCreate", "DirectoryUserCreate", "SubscriptionCreate", "ResourceGroupPut"):
        assert found[name] >= {"Begun", "OK"}, name
    for name in ("RoleAssignmentCreate", "RoleDefinitionUpdate", "VaultPut", "VaultPurge"):
        assert found[name] >= {"Begun", "OK"}, name
    assert found["RoleDefinitionDelete"] == {"Begun", "OK", "Failed"}
    secrets = [PASSWORD, there.chief.secret]
    for path in (there.node.folder / "data" / "audit").iterdir():
        assert not any(secret in path.read_text() for secret in secrets), path
