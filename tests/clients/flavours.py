"""The clients of one vault in one flavour, synchronous or asynchronous."""

import os
from functools import cached_property
from typing import Any, TypeVar

from tests.clients.certificates import CertificatesFace
from tests.clients.secrets import SecretsFace
from tests.clients.vault import Vault, async_vault, sync_vault

Client = TypeVar("Client")


class Clients:
    """Each is opened when it is first asked for. flavour: sync or async. url: of the vault, `dev` unless it is said.
    options: of every client, by name."""

    def __init__(self, flavour: str, credential: Any, url: str | None = None, **options: Any) -> None:
        self.flavour = flavour
        self.credential = credential
        self.url = url or os.environ["AZURE_KEYVAULT_URL"]
        self._options = options
        self._opened: list[Any] = []

    @cached_property
    def keys(self) -> Vault:
        make = sync_vault if self.flavour == "sync" else async_vault
        return self._kept(make(self.url, self.credential, **self._options))

    @cached_property
    def secrets(self) -> SecretsFace:
        return self._kept(SecretsFace(self.flavour, self.url, self.credential, **self._options))

    @cached_property
    def certificates(self) -> CertificatesFace:
        return self._kept(CertificatesFace(self.flavour, self.url, self.credential, **self._options))

    async def close(self) -> None:
        for one in self._opened:
            await one.close()

    def _kept(self, client: Client) -> Client:
        self._opened.append(client)
        return client
