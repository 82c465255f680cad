"""One instance for the folder, its environment as a user's shell has it, and the clients in both flavours."""

import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp.connector
import pytest

from tests.clients.certificates import CertificatesFace
from tests.clients.flavours import Clients
from tests.clients.keys import KeyRing, unique
from tests.clients.management import Opened, management_client
from tests.clients.nodes import vault_of
from tests.clients.principals import AsyncTokens, Principal, SyncTokens, Tokens, principal_of
from tests.clients.secrets import SecretsFace
from tests.clients.vault import OpenAsOwner, OpenVault, Vault, async_vault, sync_vault
from tests.instance import DevInstance, dev_instance, folder_for_data, names_resolved  # noqa: F401  # fixture
from tests.isolation.node import Node, set_up

RESIDENT = "resident"
SLOW = pytest.mark.slow


@pytest.fixture(scope="package", autouse=True)
def environment(dev_instance: DevInstance) -> Iterator[None]:  # noqa: F811  # the fixture
    """As after eval "$(hsmvault env)". At the end, nothing may have gone wrong behind the answers."""
    with names_resolved(), pytest.MonkeyPatch.context() as patch:
        for name, value in dev_instance.environment.items():
            patch.setenv(name, value)
        # aiohttp reads SSL_CERT_FILE when it is imported, which another folder of this process may have done before.
        context = ssl.create_default_context(cafile=dev_instance.environment["SSL_CERT_FILE"])
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
        yield
    assert dev_instance.failures() == []
    assert dev_instance.leaks() == []


@pytest.fixture
def owner(dev_instance: DevInstance) -> Principal:  # noqa: F811  # the fixture
    return principal_of(dev_instance.environment, "owner")


@pytest.fixture
async def open_vault() -> AsyncIterator[OpenVault]:
    """The vault for any credential that a test brings."""
    opener = OpenVault(os.environ["AZURE_KEYVAULT_URL"])
    yield opener
    await opener.close()


@pytest.fixture
async def open_pool() -> AsyncIterator[OpenVault]:
    """The pool for any credential that a test brings."""
    opener = OpenVault(os.environ["AZURE_MANAGEDHSM_URL"])
    yield opener
    await opener.close()


@pytest.fixture(params=["sync", "pool-async", pytest.param("async", marks=SLOW), pytest.param("pool-sync", marks=SLOW)])
async def vault(request: pytest.FixtureRequest, open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    """The vault `dev` and the pool `devhsm` as their owner sees them, through both flavours of the client."""
    async with open_as_owner(request.param) as opened:
        yield opened


@pytest.fixture(params=["sync", "pool-async"])
async def vault_and_pool(request: pytest.FixtureRequest, open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    """As vault, each container with one flavour alone: for tests with many parameters where the client matters less."""
    async with open_as_owner(request.param) as opened:
        yield opened


@pytest.fixture(
    params=["sync", *(pytest.param(flavour, marks=SLOW) for flavour in ("async", "pool-sync", "pool-async", RESIDENT))]
)
async def matrix_vault(request: pytest.FixtureRequest, open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    """As vault, for tests over every algorithm, and with a vault whose hardware keys are objects in the token: all but
    the first is slow."""
    if request.param == RESIDENT:
        opening = vault_of(request.getfixturevalue("resident_node"))
    else:
        opening = open_as_owner(request.param)
    async with opening as opened:
        yield opened


@pytest.fixture(params=["pool-sync", pytest.param("pool-async", marks=SLOW)])
async def pool(request: pytest.FixtureRequest, open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    """The pool alone, for what only a pool does."""
    async with open_as_owner(request.param) as opened:
        yield opened


@pytest.fixture
async def sync_owner(open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    """As vault, through the synchronous client only."""
    async with open_as_owner("sync") as opened:
        yield opened


@pytest.fixture(scope="package")
def open_as_owner(owner_tokens: Mapping[str, Tokens]) -> OpenAsOwner:
    """Opens `sync`, `async`, `pool-sync` or `pool-async`; options of the client by name."""

    @asynccontextmanager
    async def opened(flavour: str, **options: object) -> AsyncIterator[Vault]:
        url = os.environ["AZURE_MANAGEDHSM_URL" if flavour.startswith("pool-") else "AZURE_KEYVAULT_URL"]
        flavour = flavour.removeprefix("pool-")
        vault = (sync_vault if flavour == "sync" else async_vault)(url, owner_tokens[flavour], **options)
        yield vault
        await vault.close()

    return opened


@pytest.fixture(scope="package")
def owner_tokens(dev_instance: DevInstance) -> Mapping[str, Tokens]:  # noqa: F811  # the fixture
    """Of the owner, for each flavour."""
    principal = principal_of(dev_instance.environment, "owner")
    return {"sync": SyncTokens(principal), "async": AsyncTokens(principal)}


@pytest.fixture(params=["sync", pytest.param("async", marks=SLOW)])
async def clients(request: pytest.FixtureRequest, owner_tokens: Mapping[str, Tokens]) -> AsyncIterator[Clients]:
    """The clients of keys, secrets and certificates of the vault `dev`, all of one flavour, for its owner."""
    opened = Clients(request.param, owner_tokens[request.param])
    yield opened
    await opened.close()


@pytest.fixture
async def sync_clients(owner_tokens: Mapping[str, Tokens]) -> AsyncIterator[Clients]:
    """As clients, in one flavour alone: for tests with many parameters where the client matters less."""
    opened = Clients("sync", owner_tokens["sync"])
    yield opened
    await opened.close()


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Of the clients of the management plane."""
    return str(request.param)


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """For clients that a test opens."""
    opened = Opened()
    yield opened
    await opened.close()


@pytest.fixture
def management(flavour: str, owner_tokens: Mapping[str, Tokens], opened: Opened) -> Any:
    """The client of Microsoft.KeyVault, for the owner of everything."""
    return opened(management_client(flavour, owner_tokens[flavour]))


@pytest.fixture
def group() -> str:
    """The resource group of the vault `dev`."""
    return os.environ["AZURE_RESOURCE_GROUP"]


@pytest.fixture
def certificates(clients: Clients) -> CertificatesFace:
    return clients.certificates


@pytest.fixture
def secrets(clients: Clients) -> SecretsFace:
    return clients.secrets


@pytest.fixture(scope="package")
def resident_node() -> Iterator[Node]:
    """A node that an operator has configured so that hardware keys never leave the token."""
    with folder_for_data() as folder:
        node = set_up(folder, hard=RESIDENT)
        assert node.command("init").returncode == 0
        with node.serving():
            yield node


@pytest.fixture
async def resident(resident_node: Node) -> AsyncIterator[Vault]:
    """A vault whose hardware keys are objects in the token."""
    async with vault_of(resident_node) as opened:
        yield opened


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for a key that no other test has, and that says which test made it."""
    return unique(request.node.name)


@pytest.fixture(scope="package")
def ring() -> KeyRing:
    return KeyRing()
