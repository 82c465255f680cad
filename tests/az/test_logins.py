"""az login, by everything that an application has to prove itself with."""

import json
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from tests.az.cluster import AUDIENCE, ISSUER, Cluster
from tests.az.conftest import newcomer_of
from tests.az.runner import ROOT, Az, AzFailed
from tests.instance import folder_for_data, running

pytestmark = pytest.mark.slow


def test_by_secret_and_out_again(newcomer: Az) -> None:
    environment = newcomer.environment
    words = ("login", "--service-principal", "-u", environment["AZURE_CLIENT_ID"])
    (account,) = newcomer(*words, "-p", environment["AZURE_CLIENT_SECRET"], "--tenant", environment["AZURE_TENANT_ID"])
    assert account["id"] == environment["AZURE_SUBSCRIPTION_ID"]
    assert newcomer("keyvault", "show", "-n", "dev")["name"] == "dev"
    newcomer("logout")
    with pytest.raises(AzFailed, match="az login"):
        newcomer("keyvault", "show", "-n", "dev")
    with pytest.raises(AzFailed, match="AADSTS7000215"):
        newcomer(*words, "-p", "wrong", "--tenant", environment["AZURE_TENANT_ID"])


def test_by_certificate(newcomer: Az) -> None:
    environment = newcomer.environment
    (account,) = newcomer(
        *("login", "--service-principal", "-u", environment["AZURE_CLIENT_ID"]),
        *("--certificate", environment["HSMVAULT_CLIENT_CERTIFICATE_PATH"]),
        *("--tenant", environment["AZURE_TENANT_ID"]),
    )
    assert account["user"]["type"] == "servicePrincipal"
    assert newcomer("keyvault", "secret", "list", "--vault-name", "dev") is not None


def test_by_managed_identity(newcomer: Az) -> None:
    """IMDS, and the App Service endpoint: both hand out the identity of the machine."""
    imds = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": newcomer.environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"]}
    (account,) = newcomer("login", "--identity", "--allow-no-subscriptions", **imds)
    assert account["user"]["name"] == "systemAssignedIdentity"
    assert newcomer("keyvault", "key", "list", "--vault-name", "dev", **imds) is not None
    with pytest.raises(AzFailed, match="not authorized to perform action"):
        newcomer("keyvault", "secret", "list", "--vault-name", "dev", **imds)


def test_by_federated_token(az: Az, newcomer: Az, cluster: Cluster, tmp_path: Path) -> None:
    subject = "system:serviceaccount:payments:signer"
    app = az("ad", "app", "create", "--display-name", "az-workload")
    service = az("ad", "sp", "create", "--id", app["appId"])
    credential = tmp_path / "credential.json"
    credential.write_text(
        json.dumps({"name": "cluster", "issuer": ISSUER, "subject": subject, "audiences": [AUDIENCE]})
    )
    words = ("login", "--service-principal", "-u", app["appId"], "--tenant", newcomer.environment["AZURE_TENANT_ID"])
    words += ("--allow-no-subscriptions", "--federated-token")
    with pytest.raises(AzFailed, match="AADSTS70021"):
        newcomer(*words, cluster.token(subject))
    az("ad", "app", "federated-credential", "create", "--id", app["appId"], "--parameters", str(credential))
    az(
        *("role", "assignment", "create", "--role", "Key Vault Secrets Officer"),
        *("--assignee-object-id", service["id"], "--assignee-principal-type", "ServicePrincipal"),
        *("--scope", az("keyvault", "show", "-n", "dev")["id"]),
    )
    with pytest.raises(AzFailed, match="AADSTS700213"):
        newcomer(*words, cluster.token("system:serviceaccount:payments:other"))
    (account,) = newcomer(*words, cluster.token(subject))
    assert account["user"] == {"name": app["appId"], "type": "servicePrincipal"}
    made = newcomer("keyvault", "secret", "set", "--vault-name", "dev", "-n", "az-federated", "--value", "s")
    assert newcomer("keyvault", "secret", "show", "--id", made["id"])["value"] == "s"
    assert [one["name"] for one in newcomer("keyvault", "list")] == ["dev"]
    az("ad", "app", "federated-credential", "delete", "--id", app["appId"], "--federated-credential-id", "cluster")
    newcomer("account", "clear")
    with pytest.raises(AzFailed, match="AADSTS70021"):
        newcomer(*words, cluster.token(subject))
    az("ad", "app", "delete", "--id", app["appId"])


def test_by_a_user_assigned_identity(tmp_path: Path) -> None:
    """The local endpoints hand out the tokens of those identities that the command line made local, from the next start
    on."""
    with folder_for_data() as folder:
        with running(folder / "data", workers=1) as instance:
            subscription = instance.environment["AZURE_SUBSCRIPTION_ID"]
            resource = (
                f"/subscriptions/{subscription}/resourceGroups/hsmvault"
                "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/signer"
            )
            made = subprocess.run(
                [
                    *(sys.executable, "-m", "hsmvault", "directory", "identity", "create", resource, "--local"),
                    *("--data-dir", str(folder / "data")),
                ],
                check=True,
                capture_output=True,
                cwd=ROOT,
            )
            identity = json.loads(made.stdout)
        with running(folder / "data", workers=1) as instance:
            newcomer = newcomer_of(tmp_path, instance)
            imds = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": instance.environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"]}
            for named in (
                ("--client-id", identity["appId"]),
                ("--object-id", identity["id"]),
                ("--resource-id", resource),
            ):
                (account,) = newcomer("login", "--identity", *named, "--allow-no-subscriptions", **imds)
                assert account["user"]["type"] == "servicePrincipal"
                assert account["user"]["name"] == "userAssignedIdentity"
                token = newcomer("account", "get-access-token", **imds)["accessToken"]
                assert jwt.decode(token, options={"verify_signature": False})["oid"] == identity["id"]
                newcomer("logout")
            with pytest.raises(AzFailed, match="Identity not found"):
                newcomer("login", "--identity", "--client-id", resource[15:51], "--allow-no-subscriptions", **imds)
