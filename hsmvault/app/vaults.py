"""Vaults as resources, put together: their life, their handlers on the management plane, and their end."""

from hsmvault.app.background import origin_by
from hsmvault.app.base import Base
from hsmvault.app.networks import named_networks
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.sealing import Sealer
from hsmvault.model.containers import Container
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.secrets import Secrets
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.vaults import VaultRules, Vaults
from hsmvault.store.database import Database
from hsmvault.wire.management.container_handlers import place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.requests import ManagementRequest
from hsmvault.wire.management.vault_keys import KeyHandlers
from hsmvault.wire.management.vault_secrets import SecretHandlers
from hsmvault.wire.management.vaults import VaultHandlers


def vaults_of(settings: Settings, database: Database, clock: Clock, identifiers: Identifiers, world_id: str) -> Vaults:
    """world_id: of the security world that new vaults have."""
    rules = VaultRules(
        world_id=world_id,
        locations=settings.locations,
        software_keys=settings.custody.soft,
        subnets=named_networks(settings).subnets,
    )
    return Vaults(database, clock, identifiers, rules)


def vault_handlers(
    base: Base, world_id: str, sealer: Sealer, keys: Keys, secrets: Secrets
) -> tuple[ManagementGroup, ...]:
    """sealer: of skip tokens."""
    vaults = vaults_of(base.settings, base.database, base.clock, base.identifiers, world_id)
    deleted = DeletedVaults(base.database, base.clock, base.identifiers)
    pages, origin_of = ManagementPages(sealer), origin_by(base.settings.names)
    rotation = KeyRotation(base.database, keys, base.clock)

    async def found(request: ManagementRequest) -> Container:
        return await vaults.get(place_of(request))

    return (
        VaultHandlers(vaults, deleted, pages, origin_of),
        KeyHandlers("keys", "Microsoft.KeyVault/vaults/keys", found, keys, rotation, pages, origin_of),
        SecretHandlers(found, secrets, pages, origin_of),
    )
