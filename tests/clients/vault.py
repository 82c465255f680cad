"""One face for the synchronous and the asynchronous client, so that each test is written once and judged by both.

The clients themselves are unmodified: a call goes straight to the method of the same name, and what is awaitable is
awaited.
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any

import azure.keyvault.keys
import azure.keyvault.keys.aio
import azure.keyvault.keys.crypto
import azure.keyvault.keys.crypto.aio
from azure.core.rest import HttpRequest
from azure.keyvault.keys import DeletedKey, KeyVaultKey

from tests.clients.kinds import Kind


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Face:
    """Every method of the client, as a coroutine."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.client, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await settle(method(*arguments, **named))

        return call


class Listings(Face):
    """With its listings as lists."""

    async def pages(self, method: str, *arguments: Any, **named: Any) -> list[list[Any]]:
        """All pages of a listing."""
        listing = getattr(self.client, method)(*arguments, **named).by_page()
        if hasattr(listing, "__aiter__"):
            return [[item async for item in page] async for page in listing]
        return [list(page) for page in listing]

    async def items(self, method: str, *arguments: Any, **named: Any) -> list[Any]:
        listing = getattr(self.client, method)(*arguments, **named)
        return [item async for item in listing] if hasattr(listing, "__aiter__") else list(listing)


class Vault(Listings):
    """A KeyClient of a vault, or of a managed HSM pool. keys: the module of the flavour (azure.keyvault.keys or its
    aio), crypto: its crypto module."""

    def __init__(self, keys: ModuleType, crypto: ModuleType, url: str, credential: Any, **options: Any) -> None:
        super().__init__(keys.KeyClient(url, credential, **options))
        self.url = url
        self._crypto_client = crypto.CryptographyClient
        self._credential = credential
        self._options = options
        self._opened: list[Face] = []

    @property
    def is_pool(self) -> bool:
        return ".managedhsm." in self.url

    def made(self, kind: Kind) -> Kind:
        """What becomes of a key of this kind here: everything in a pool is HSM-backed."""
        return kind.in_hardware if self.is_pool else kind

    async def delete(self, name: str) -> DeletedKey:
        """Until the client says that it is done."""
        if hasattr(self.client, "begin_delete_key"):
            return _finished(self.client.begin_delete_key(name))
        return await self.client.delete_key(name)

    async def recover(self, name: str) -> KeyVaultKey:
        if hasattr(self.client, "begin_recover_deleted_key"):
            return _finished(self.client.begin_recover_deleted_key(name))
        return await self.client.recover_deleted_key(name)

    async def send(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """A request of our own through the client's pipeline. Returns the response, whatever its status."""
        return await self.send_request(HttpRequest(method, path, params=query, json=body))

    def crypto(self, key: KeyVaultKey | str) -> Face:
        """A CryptographyClient, as the library makes it: public operations run locally."""
        return self.face(self._crypto_client(key, self._credential, **self._options))

    def face(self, client: Any) -> Face:
        """Of another client of this flavour; it is closed with this one."""
        face = Face(client)
        self._opened.append(face)
        return face

    def remote(self, key: KeyVaultKey) -> Face:
        """A CryptographyClient that sends everything to the service: it is told of no operation that the key allows,
        and of no times, so that the client neither works locally nor refuses by itself."""
        members = {name: getattr(key.key, name) for name in ("kty", "crv", "n", "e", "x", "y")}
        return self.crypto(KeyVaultKey(key.id, {**members, "key_ops": []}))

    async def close(self) -> None:
        for face in self._opened:
            await settle(face.client.close())
        await settle(self.client.close())


def _finished(poller: Any) -> Any:
    poller.wait()
    return poller.result()


def sync_vault(url: str, credential: object, **options: object) -> Vault:
    return Vault(azure.keyvault.keys, azure.keyvault.keys.crypto, url, credential, **options)


def async_vault(url: str, credential: object, **options: object) -> Vault:
    return Vault(azure.keyvault.keys.aio, azure.keyvault.keys.crypto.aio, url, credential, **options)


OpenAsOwner = Callable[..., AbstractAsyncContextManager[Vault]]
"""Takes the flavour, and options of the client by name."""


class OpenVault:
    """Opens the vault for a credential, through the synchronous client; both are closed at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[tuple[Vault, Any]] = []

    def __call__(self, credential: object) -> Vault:
        vault = sync_vault(self._url, credential)
        self._opened.append((vault, credential))
        return vault

    async def close(self) -> None:
        for vault, credential in self._opened:
            await vault.close()
            if hasattr(credential, "close"):
                credential.close()
