"""The management clients in both flavours, as one."""

import inspect
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import jwt
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.aio import AuthorizationManagementClient as AsyncAuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.aio import KeyVaultManagementClient as AsyncKeyVaultManagementClient
from azure.mgmt.keyvault.models import Sku, VaultCreateOrUpdateParameters, VaultProperties

from tests.clients.principals import AsyncTokens, SyncTokens, Tokens, principal_of

LOCATION = "local"
Client = TypeVar("Client")


def management_client(flavour: str, credential: Tokens, **options: Any) -> Any:
    """Of Microsoft.KeyVault. flavour: sync or async. options: of the client, by name."""
    return _opened(
        KeyVaultManagementClient if flavour == "sync" else AsyncKeyVaultManagementClient, credential, options
    )


def authorization_client(flavour: str, credential: Tokens, **options: Any) -> Any:
    """Of Microsoft.Authorization, as management_client."""
    made = AuthorizationManagementClient if flavour == "sync" else AsyncAuthorizationManagementClient
    return _opened(made, credential, options)


def _opened(make: Any, credential: Tokens, options: Mapping[str, Any]) -> Any:
    arm = os.environ["ARM_ENDPOINT"]
    subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
    return make(credential, subscription, base_url=arm, credential_scopes=[f"{arm}/.default"], **options)


class Opened:
    """Keeps clients until the end of a test, and closes them then."""

    def __init__(self) -> None:
        self._clients: list[Any] = []

    def __call__(self, client: Client) -> Client:
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await done(client.close())


async def done(value: Any) -> Any:
    """What a call of either flavour comes to; of a poller, its end."""
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "result") and hasattr(value, "polling_method"):
        value = value.result()
        if inspect.isawaitable(value):
            value = await value
    return value


async def all_of(pages: Any) -> list[Any]:
    """Of a paged list of either flavour."""
    return [one async for one in pages] if hasattr(pages, "__aiter__") else list(pages)


def vault_body(*, sku: str = "standard", tags: dict[str, str] | None = None, **properties: Any) -> Any:
    """What a vault is made of. properties: of the vault, by name."""
    tenant = os.environ["AZURE_TENANT_ID"]
    return VaultCreateOrUpdateParameters(
        location=LOCATION,
        tags=tags,
        properties=VaultProperties(
            sku=Sku(family="A", name=sku), **{"tenant_id": tenant, "access_policies": [], **properties}
        ),
    )


def object_id(tokens: Tokens) -> str:
    """Of whoever has these tokens."""
    token = tokens.of(f"{os.environ['ARM_ENDPOINT']}/.default").token
    return str(jwt.decode(token, options={"verify_signature": False})["oid"])


def tokens_of(flavour: str, environment: Mapping[str, str], name: str) -> Tokens:
    """A credential for the clients of a flavour. name: as principal_of has it."""
    return (SyncTokens if flavour == "sync" else AsyncTokens)(principal_of(environment, name))
