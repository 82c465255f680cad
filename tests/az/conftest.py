from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.az.cluster import Cluster
from tests.az.runner import AZ, Az
from tests.instance import DevInstance, folder_for_data, running


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Whose tokens the instance believes."""
    return Cluster(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="package")
def instance(cluster: Cluster) -> Iterator[DevInstance]:
    """One instance for the folder; at the end nothing may have gone wrong behind the answers."""
    if not AZ.exists():
        pytest.fail("the Azure CLI is not installed: ./scripts/install --all")
    options = ("--trust-issuer", str(cluster.configuration))
    with folder_for_data() as folder, running(folder / "data", options=options) as instance:
        yield instance
        assert instance.failures() == []
        assert instance.leaks() == []


@pytest.fixture(scope="package")
def cloud(instance: DevInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile that knows the instance as its cloud; nobody is logged in."""
    return newcomer_of(tmp_path_factory.mktemp("az"), instance).profile


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


@pytest.fixture
def newcomer(instance: DevInstance, tmp_path: Path) -> Az:
    """A profile of its own that knows the cloud, and nobody is logged in."""
    return newcomer_of(tmp_path, instance)


def newcomer_of(profile: Path, instance: DevInstance) -> Az:
    az = Az(profile, instance.environment)
    az("cloud", "register", "-n", "hsmvault", "--endpoint-resource-manager", instance.environment["ARM_ENDPOINT"])
    az("cloud", "set", "-n", "hsmvault")
    return az
