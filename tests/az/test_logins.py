"""az login, by everything that an application has to prove itself with."""

from pathlib import Path

import pytest

from tests.az.runner import Az, AzFailed

pytestmark = pytest.mark.slow


@pytest.fixture
def newcomer(az: Az, tmp_path: Path) -> Az:
    """A profile of its own that knows the cloud, and nobody is logged in."""
    newcomer = Az(tmp_path, az.environment)
    newcomer("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", az.environment["ARM_ENDPOINT"])
    newcomer("cloud", "set", "-n", "hsmvault")
    return newcomer


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
