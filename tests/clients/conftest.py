"""One instance for the folder, its environment as a user's shell has it, and the clients in both flavours."""

import os
import ssl
from collections.abc import AsyncIterator, Iterator

import aiohttp.connector
import azure.identity
import azure.identity.aio
import pytest

from tests.clients.keys import KeyRing, unique
from tests.clients.principals import Principal, principal_of
from tests.clients.vault import OpenVault, Vault, async_vault, settle, sync_vault
from tests.instance import DevInstance, dev_instance, names_resolved  # noqa: F401  # fixture


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


@pytest.fixture(params=["sync", "async", "pool-sync", pytest.param("pool-async", marks=pytest.mark.slow)])
async def vault(request: pytest.FixtureRequest, owner: Principal) -> AsyncIterator[Vault]:
    """The vault `dev` and the pool `devhsm` as their owner sees them, through both flavours of the client."""
    async for opened in _opened(request.param, owner):
        yield opened


@pytest.fixture(
    params=[
        "sync",
        pytest.param("async", marks=pytest.mark.slow),
        pytest.param("pool-sync", marks=pytest.mark.slow),
        pytest.param("pool-async", marks=pytest.mark.slow),
    ]
)
async def matrix_vault(request: pytest.FixtureRequest, owner: Principal) -> AsyncIterator[Vault]:
    """As vault, for tests over every algorithm: all but one quarter is slow."""
    async for opened in _opened(request.param, owner):
        yield opened


@pytest.fixture(params=["pool-sync", "pool-async"])
async def pool(request: pytest.FixtureRequest, owner: Principal) -> AsyncIterator[Vault]:
    """The pool alone, for what only a pool does."""
    async for opened in _opened(request.param, owner):
        yield opened


@pytest.fixture
async def sync_owner(owner: Principal) -> AsyncIterator[Vault]:
    """As vault, through the synchronous client only."""
    async for opened in _opened("sync", owner):
        yield opened


async def _opened(flavour: str, owner: Principal) -> AsyncIterator[Vault]:
    url = os.environ["AZURE_MANAGEDHSM_URL" if flavour.startswith("pool-") else "AZURE_KEYVAULT_URL"]
    if flavour.removeprefix("pool-") == "sync":
        credential: object = azure.identity.ClientSecretCredential(*owner, disable_instance_discovery=True)
        vault = sync_vault(url, credential)
    else:
        credential = azure.identity.aio.ClientSecretCredential(*owner)
        vault = async_vault(url, credential)
    yield vault
    await vault.close()
    await settle(credential.close())  # type: ignore[attr-defined]  # both have it, and no base class says so


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for a key that no other test has, and that says which test made it."""
    return unique(request.node.name)


@pytest.fixture(scope="package")
def ring() -> KeyRing:
    return KeyRing()
