"""`hsmvault vault`: what it prints, what it changes, what it refuses, and its records."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hsmvault.app.worlds import WORLD_NAME
from hsmvault.cli.main import main
from hsmvault.config import Layout
from hsmvault.model.worlds import WorldRow
from hsmvault.resources.container_removal import PURGE
from hsmvault.store import management_operations, worlds
from hsmvault.store.migrations import migrate
from tests.resources.vault_stage import SOMEBODY, SUBNET, SUBSCRIPTION, TENANT, VaultStage, vault_stage

WHERE = ("--subscription", SUBSCRIPTION, "--group", "GROUP")


class Installation:
    """The data directory of an embedded instance that does not run."""

    def __init__(self, on: VaultStage, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.on, self.data_dir, self._capsys = on, data_dir, capsys

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output, error. The command has a loop of its own."""
        code = await asyncio.to_thread(main, ["vault", *arguments, "--data-dir", str(self.data_dir)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    async def done(self, *arguments: str) -> Any:
        """What it prints."""
        code, said, error = await self.run(*arguments)
        assert (code, error) == (0, "")
        return json.loads(said) if said.startswith("{") else said

    async def refused(self, *arguments: str) -> str:
        code, said, error = await self.run(*arguments)
        assert (code, said) == (2, "")
        return error

    def recorded(self) -> list[tuple[str, str]]:
        lines = (self.data_dir / "audit" / "audit-vault-000001.jsonl").read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        return [(one["operationName"], one["resultSignature"]) for one in records]


@pytest.fixture
async def there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Installation]:
    layout = Layout(tmp_path / "data")
    layout.data_dir.mkdir(mode=0o700)
    empty = tmp_path / "empty.db"
    migrate(f"sqlite:///{empty}")
    async with vault_stage(layout.database, empty) as on:
        async with on.database.write() as tx:
            await worlds.insert_world(tx, WorldRow("world", WORLD_NAME, "local", "t", b"w", b"m", "wrapped", 0))
        yield Installation(on, layout.data_dir, capsys)


async def test_the_life_of_a_vault(there: Installation) -> None:
    made = await there.done("create", "North", *WHERE, "--sku", "premium", "--retention-days", "7", "--tag", "a=b")
    assert made["properties"]["sku"]["name"] == "premium"
    assert (made["tags"], made["location"]) == ({"a": "b"}, "local")
    assert made["properties"]["vaultUri"] == "https://north.vault.localhost:8443/"
    assert made["properties"]["enableRbacAuthorization"] is True
    assert await there.done("show", "north") == made
    assert await there.done("list") == f"North  local  {made['id']}\n"
    assert (await there.done("update", "north", "--tag", "c=d"))["tags"] == {"c": "d"}
    await there.done("delete", "north")
    assert await there.done("list") == ""
    assert "North  local" in await there.done("list", "--deleted")
    assert (await there.done("show", "north"))["type"] == "Microsoft.KeyVault/deletedVaults"
    assert "in use" in await there.refused("create", "North", *WHERE)
    assert (await there.done("recover", "north"))["tags"] == {"c": "d"}
    await there.done("delete", "north")
    await there.done("purge", "north")
    stored = await there.on.stored()
    assert stored is not None
    assert stored.purging
    async with there.on.database.read() as tx:
        (operation,) = await management_operations.of_container(tx, stored.id, PURGE)
    assert operation.finished is None, "a running instance removes it"
    assert there.recorded()[:4] == [
        ("VaultPut", "Begun"),
        ("VaultPut", "OK"),
        ("VaultPatch", "Begun"),
        ("VaultPatch", "OK"),
    ]
    assert there.recorded()[-2:] == [("VaultPurge", "Begun"), ("VaultPurge", "OK")]


async def test_policies(there: Installation) -> None:
    await there.done("create", "north", *WHERE, "--rbac", "false")

    async def permissions(*arguments: str) -> Any:
        shown = await there.done("policy", *arguments)
        return [one["permissions"] for one in shown["properties"]["accessPolicies"]]

    assert await permissions("set", "north", SOMEBODY, "--keys", "Get,unwrapKey") == [{"keys": ["get", "unwrapKey"]}]
    both = await permissions("set", "north", SOMEBODY.upper(), "--secrets", "all")
    assert both == [{"keys": ["get", "unwrapKey"], "secrets": ["all"]}]
    assert await permissions("set", "north", SOMEBODY, "--keys", "") == [{"secrets": ["all"]}]
    assert await permissions("remove", "north", SOMEBODY) == []
    assert "no such access policy" in await there.refused("policy", "remove", "north", SOMEBODY)
    assert "not a permission" in await there.refused("policy", "set", "north", SOMEBODY, "--keys", "dance")
    assert "not a GUID" in await there.refused("policy", "set", "north", "me", "--keys", "get")


async def test_the_firewall(there: Installation) -> None:
    await there.done("create", "north", *WHERE)

    async def rules(*arguments: str) -> Any:
        return (await there.done("network", *arguments))["properties"]

    closed = await rules("set", "north", "--default-action", "deny", "--public-access", "disabled", "--bypass", "None")
    assert (closed["networkAcls"]["defaultAction"], closed["networkAcls"]["bypass"]) == ("Deny", "None")
    assert closed["publicNetworkAccess"] == "Disabled"
    added = await rules("add", "north", "--ip", "1.2.3.4", "--ip", "10.0.0.0/8")
    assert added["networkAcls"]["ipRules"] == [{"value": "1.2.3.4/32"}, {"value": "10.0.0.0/8"}]
    assert added["networkAcls"]["defaultAction"] == "Deny"
    removed = await rules("remove", "north", "--ip", "1.2.3.4")
    assert removed["networkAcls"]["ipRules"] == [{"value": "10.0.0.0/8"}]
    assert "ipRules" in await there.refused("network", "add", "north", "--ip", "10.0.0.1/8")
    assert "ServiceEndpoints" in await there.refused("network", "add", "north", "--subnet", SUBNET)


async def test_what_is_refused_changes_nothing(there: Installation) -> None:
    assert "There is no vault 'none'" in await there.refused("show", "none")
    assert "There is no vault 'none'" in await there.refused("delete", "none")
    assert "Name a subscription with --subscription; there is: 33333333-" in await there.refused("create", "north")
    only = ("--subscription", SUBSCRIPTION)
    assert "Name a group with --group; there is: group, other." in await there.refused("create", "north", *only)
    assert "no group 'nowhere'" in await there.refused("create", "north", *only, "--group", "nowhere")
    assert "is invalid" in await there.refused("create", "a--b", *WHERE)
    assert "between 7 and 90" in await there.refused("create", "north", *WHERE, "--retention-days", "6")
    assert "not available" in await there.refused("create", "north", *WHERE, "--location", "moon")
    assert await there.on.stored() is None
    await there.done("create", "north", *WHERE, "--purge-protection")
    assert "does not exist" in await there.refused("purge", "north")
    await there.done("delete", "north")
    assert "deleted already" in await there.refused("delete", "north")
    assert "DeletedVaultPurge" in await there.refused("purge", "north")
    assert there.recorded()[-1] == ("VaultPurge", "Failed")


async def test_without_an_instance_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vault", "list", "--data-dir", str(tmp_path)]) == 2
    assert "There is no instance" in capsys.readouterr().err


async def test_the_tenant_is_that_of_the_subscription(there: Installation) -> None:
    made = await there.done("create", "north", *WHERE)
    assert made["properties"]["tenantId"] == TENANT
