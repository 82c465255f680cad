from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.az.runner import AZ, Az
from tests.instance import DevInstance, folder_for_data, running


@pytest.fixture(scope="package")
def instance() -> Iterator[DevInstance]:
    """One instance for the folder; at the end nothing may have gone wrong behind the answers."""
    if not AZ.exists():
        pytest.fail("the Azure CLI is not installed: ./scripts/install --all")
    with folder_for_data() as folder, running(folder / "data") as instance:
        yield instance
        assert instance.failures() == []
        assert instance.leaks() == []


@pytest.fixture(scope="package")
def cloud(instance: DevInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile that knows the instance as its cloud; nobody is logged in."""
    profile = tmp_path_factory.mktemp("az")
    az = Az(profile, instance.environment)
    az("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", instance.environment["ARM_ENDPOINT"])
    az("cloud", "set", "-n", "hsmvault")
    return profile


@pytest.fixture(scope="package")
def az(instance: DevInstance, cloud: Path) -> Az:
    """Logged in as dev-owner, by its secret."""
    environment = instance.environment
    az = Az(cloud, environment)
    az(
        *("login", "--service-principal", "-u", environment["AZURE_CLIENT_ID"]),
        *("-p", environment["AZURE_CLIENT_SECRET"], "--tenant", environment["AZURE_TENANT_ID"]),
    )
    return az
