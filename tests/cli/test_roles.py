"""`hsmvault role`: what it prints, what it changes, and what it records."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from hsmvault.app.first_start import DEFAULT_TENANT
from hsmvault.cli.main import main
from hsmvault.clock import SystemClock
from hsmvault.model.builtin_roles import BY_NAME
from hsmvault.model.principals import Principal, PrincipalKind, Tenant
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import Subscription
from hsmvault.store import directory, meta, roles, subscriptions
from hsmvault.store.database import Database
from tests.instance import folder_for_data, names_resolved, running
from tests.wire.conftest import empty_database

__all__ = ["empty_database"]
TENANT = "22222222-0000-0000-0000-000000000001"
SUBSCRIPTION = "/subscriptions/33333333-0000-0000-0000-000000000001"
ADA, MACHINE, CLIENT = (f"44444444-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))
LOCAL = "aaaaaaaa-0000-0000-0000-000000000001"


class Installation:
    """The data directory of an embedded instance that does not run."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir, self._capsys = data_dir, capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        code = main(["role", *arguments, "--data-dir", str(self.data_dir)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def did(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, err
        return out

    def refused(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code != 0 and out == ""
        return err

    def records(self) -> list[tuple[str, str]]:
        """Operations and results of the audit log of the commands."""
        (file,) = (self.data_dir / "audit").glob("audit-role-*.jsonl")
        found = [json.loads(line) for line in file.read_text().splitlines()]
        return [(one["operationName"], one["resultSignature"]) for one in found if "operationName" in one]


@pytest_asyncio.fixture
async def prepared(tmp_path: Path, empty_database: Path) -> AsyncIterator[Path]:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    shutil.copy(empty_database, data_dir / "hsmvault.db")
    database = await Database.open(f"sqlite:///{data_dir / 'hsmvault.db'}", clock=SystemClock())
    async with database.write() as tx:
        await directory.insert_tenant(tx, Tenant(TENANT, "Ours", "ours.example"))
        await meta.put(tx, DEFAULT_TENANT, TENANT)
        await directory.insert_principal(tx, Principal(ADA, TENANT, PrincipalKind.USER, "Ada", upn="ada@ours.example"))
        machine = Principal(MACHINE, TENANT, PrincipalKind.APPLICATION, "Machine", application_id=CLIENT)
        await directory.insert_principal(tx, machine)
        await subscriptions.insert(tx, Subscription(SUBSCRIPTION.rpartition("/")[2], TENANT, "Ours"))
        await roles.insert(tx, RoleAssignment(LOCAL, "/local/pool", "r", ADA, tenant_id=TENANT))
    await database.close()
    yield data_dir


@pytest.fixture
def there(prepared: Path, capsys: pytest.CaptureFixture[str]) -> Installation:
    return Installation(prepared, capsys)


def test_a_role_is_given_listed_and_taken(there: Installation) -> None:
    first = there.did("assign", "Reader", "ada@ours.example", "--scope", SUBSCRIPTION).strip()
    second = there.did(
        "assign", BY_NAME["Owner"].id, CLIENT, "--scope", "/", "--condition", "ActionMatches{'a/*'}"
    ).strip()
    assert there.did("list").splitlines() == [
        f"{second}  Owner  ServicePrincipal {MACHINE}  /  (on a condition)",
        f"{first}  Reader  User {ADA}  {SUBSCRIPTION}",
    ]
    assert there.did("list", "--scope", SUBSCRIPTION, "--principal", ADA).split()[0] == first
    assert there.did("remove", f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/{first}")
    assert [line.split()[0] for line in there.did("list").splitlines()] == [second]
    assert "no role assignment" in there.refused("remove", first)
    assert there.records() == [
        ("RoleAssignmentCreate", "Begun"),
        ("RoleAssignmentCreate", "OK"),
        ("RoleAssignmentCreate", "Begun"),
        ("RoleAssignmentCreate", "OK"),
        ("RoleAssignmentDelete", "Begun"),
        ("RoleAssignmentDelete", "OK"),
    ]


def test_what_cannot_be_given_is_refused_in_a_sentence(there: Installation) -> None:
    at = ("--scope", SUBSCRIPTION)
    assert "There is no role 'King'" in there.refused("assign", "King", ADA, *at)
    assert "There is nobody" in there.refused("assign", "Reader", "nobody@ours.example", *at)
    assert "does not exist in the directory" in there.refused("assign", "Reader", SUBSCRIPTION.rpartition("/")[2], *at)
    assert "condition is invalid" in there.refused("assign", "Reader", ADA, *at, "--condition", "(")
    assert "is no scope" in there.refused("assign", "Reader", ADA, "--scope", "/local/pool")
    assert "There is no subscription" in there.refused("assign", "Reader", ADA, "--scope", f"/subscriptions/{ADA}")
    assert "could not be found" in there.refused("assign", "Reader", ADA, "--scope", SUBSCRIPTION + "/resourceGroups/g")
    assert "of Azure RBAC" in there.refused("remove", LOCAL)
    assert there.did("list") == ""


def test_a_custom_role_is_made_shown_replaced_and_deleted(there: Installation, tmp_path: Path) -> None:
    file = tmp_path / "role.json"
    file.write_text(
        json.dumps(
            {
                "Name": "Keepers",
                "Description": "who keep",
                "Actions": ["Microsoft.KeyVault/*/read"],
                "AssignableScopes": [SUBSCRIPTION],
            }
        )
    )
    id = there.did("create", str(file)).strip()
    assert "already exists" in there.refused("create", str(file))
    shown = json.loads(there.did("show", "keepers"))
    assert shown["name"] == id and shown["properties"]["permissions"][0]["actions"] == ["Microsoft.KeyVault/*/read"]
    assert there.did("definitions", "--custom") == f"{id}  custom    Keepers\n"
    assert len(there.did("definitions").splitlines()) == len(BY_NAME) + 1
    shown["properties"]["permissions"][0]["dataActions"] = ["Microsoft.KeyVault/vaults/secrets/*"]
    shown["properties"]["roleName"] = "Keepers of secrets"
    file.write_text(json.dumps(shown))
    assert there.did("update", "Keepers", str(file)).strip() == id
    given = there.did("assign", "Keepers of secrets", ADA, "--scope", SUBSCRIPTION).strip()
    assert "existing role assignments" in there.refused("delete", id)
    there.did("remove", given)
    assert there.did("delete", "keepers OF secrets") == "The role 'Keepers of secrets' is deleted.\n"
    assert there.did("definitions", "--custom") == ""
    assert "Built-in" in there.refused("delete", "Owner")
    for content in ("[]", "{", '{"Name": 1}'):
        file.write_text(content)
        assert "cannot be read" in there.refused("create", str(file))
    assert "cannot be read" in there.refused("create", str(tmp_path / "none"))


def test_without_an_instance_there_is_nothing_to_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["role", "list", "--data-dir", str(tmp_path / "none")]) == 2
    assert "There is no instance" in capsys.readouterr().err


@pytest.mark.slow
def test_a_running_instance_obeys_within_a_second() -> None:
    with folder_for_data() as folder, running(folder / "data", workers=2) as instance, names_resolved():
        tenant, client, secret = (
            instance.environment[f"AZURE_{one}"] for one in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
        )
        credential = ClientSecretCredential(
            tenant,
            client,
            secret,
            authority=instance.environment["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
            connection_verify=instance.environment["SSL_CERT_FILE"],
        )
        url, certificates = instance.environment["AZURE_KEYVAULT_URL"], instance.environment["SSL_CERT_FILE"]
        secrets = SecretClient(url, credential, connection_verify=certificates)
        with credential, secrets:
            secrets.set_secret("one", "value")
            place = ["--data-dir", str(instance.data_dir)]
            listed = subprocess.run(
                [sys.executable, "-m", "hsmvault", "role", "list", *place], capture_output=True, text=True, check=True
            ).stdout
            for line in listed.splitlines():
                if "Key Vault Administrator" in line:
                    command = [sys.executable, "-m", "hsmvault", "role", "remove", line.split()[0], *place]
                    subprocess.run(command, check=True, capture_output=True)
            ends = time.monotonic() + 1.0
            with pytest.raises(HttpResponseError) as caught:
                while time.monotonic() < ends:
                    secrets.get_secret("one")
            assert caught.value.status_code == 403
