"""az keyvault for a managed HSM: its settings, regions and private endpoints; and what it does not serve."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow
POOL = ("--hsm-name", "devhsm")
ENDPOINT = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/branch"


@pytest.mark.parametrize("words", [POOL, ("--vault-name", "dev")], ids=["pool", "vault"])
def test_private_endpoints_are_approved_and_rejected(az: Az, words: tuple[str, str]) -> None:
    resource = az("keyvault", "show", *(words if words == POOL else ("-n", "dev")))["id"]
    asked = {
        "properties": {
            "privateEndpoint": {"id": ENDPOINT},
            "privateLinkServiceConnectionState": {"status": "Pending"},
        }
    }
    place = f"{resource}/privateEndpointConnections/branch"
    az("rest", "--method", "put", "--url", f"{place}?api-version=2024-11-01", "--body", json.dumps(asked))
    named = (*words, "--name", "branch")

    def connections(command: str, *more: str) -> tuple[str, str]:
        found = az("keyvault", "private-endpoint-connection", command, *more)["privateLinkServiceConnectionState"]
        return found["status"], found["description"]

    assert connections("show", *named)[0] == "Pending"
    assert connections("approve", *named, "--description", "fine") == ("Approved", "fine")
    assert connections("reject", "--id", place, "--description", "or not") == ("Rejected", "or not")
    az("keyvault", "private-endpoint-connection", "delete", *named)
    az("keyvault", "private-endpoint-connection", "wait", "--deleted", *named)
    with pytest.raises(AzFailed):
        connections("show", *named)


def test_settings_regions_and_properties(az: Az) -> None:
    name = "AllowKeyManagementOperationsThroughARM"
    assert [one["name"] for one in az("keyvault", "setting", "list", *POOL)] == [name]
    assert az("keyvault", "setting", "update", *POOL, "-n", name, "--value", "true")["value"] == "true"
    assert az("keyvault", "setting", "show", *POOL, "-n", name)["value"] == "true"
    az("keyvault", "setting", "update", *POOL, "-n", name, "--value", "false")
    assert [one["name"] for one in az("keyvault", "region", "list", *POOL)] == ["local"]
    with pytest.raises(AzFailed, match="RegionNotSupported"):
        az("keyvault", "region", "add", *POOL, "--region", "elsewhere")
    assert [one["groupId"] for one in az("keyvault", "private-link-resource", "list", *POOL)] == ["managedhsm"]
    updated = az("keyvault", "update-hsm", *POOL, "-g", "hsmvault", "--set", "tags.team=blue")
    assert updated["tags"] == {"team": "blue"}
    az("keyvault", "wait-hsm", *POOL, "--updated")


def test_what_is_not_served_says_so(az: Az, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate),
            *("-days", "30", "-subj", "/CN=keeper"),
        ],
        check=True,
        capture_output=True,
    )
    storage = ("--storage-account-name", "devstore", "--blob-container-name", "backup")
    token = ("--storage-container-SAS-token", "sv=2024-01-01")
    for words in (
        (
            *("security-domain", "download", "--sd-wrapping-keys", certificate, certificate, certificate),
            *("--sd-quorum", "2", "--security-domain-file", str(tmp_path / "domain")),
        ),
        ("backup", "start", *storage, *token),
        ("restore", "start", *storage, *token, "--backup-folder", "mhsm-devhsm-2026"),
    ):
        with pytest.raises(AzFailed, match=r"\(NotImplemented\) The operation \w+ is not served yet\."):
            az("keyvault", *words, *POOL)
