"""One face for the synchronous and the asynchronous client of secrets; the clients themselves are unmodified."""

from types import ModuleType
from typing import Any

import azure.keyvault.secrets
import azure.keyvault.secrets.aio
from azure.keyvault.secrets import DeletedSecret, KeyVaultSecret, SecretProperties

from tests.clients.vault import Listings

MODULES: dict[str, ModuleType] = {"sync": azure.keyvault.secrets, "async": azure.keyvault.secrets.aio}


class SecretsFace(Listings):
    """A SecretClient as its tests see it."""

    def __init__(self, flavour: str, url: str, credential: Any, **options: Any) -> None:
        self.url = url
        super().__init__(MODULES[flavour].SecretClient(url, credential, **options))

    async def delete(self, name: str) -> DeletedSecret:
        """Until the client says that it is done."""
        if hasattr(self.client, "begin_delete_secret"):
            poller = self.client.begin_delete_secret(name)
            poller.wait()
            return poller.result()
        return await self.client.delete_secret(name)

    async def recover(self, name: str) -> SecretProperties:
        if hasattr(self.client, "begin_recover_deleted_secret"):
            poller = self.client.begin_recover_deleted_secret(name)
            poller.wait()
            return poller.result()
        return await self.client.recover_deleted_secret(name)


def described(secret: KeyVaultSecret | SecretProperties) -> tuple[object, ...]:
    """Everything that a client shows of a secret beside its value, to compare two of its sights."""
    properties: Any = secret.properties if isinstance(secret, KeyVaultSecret) else secret
    members = ("enabled", "not_before", "expires_on", "created_on", "updated_on", "recovery_level", "recoverable_days")
    return (
        properties.id,
        *(getattr(properties, member) for member in members),
        *(properties.content_type, properties.tags, properties.version, properties.key_id, properties.managed),
    )
