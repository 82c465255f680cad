"""Bodies of the calls that make and change pools: what clients send, as settings (resources/pools/settings.py).

Members that only the server sets are ignored, and so is every member that is not known. Source: ManagedHsmProperties of
the Microsoft.KeyVault specification.
"""

import msgspec

from hsmvault.resources.network_rules import NetworkRuleSet
from hsmvault.resources.pools.settings import PoolIdentity, PoolSettings
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.vault_bodies import Sku, days_of, recovers


class Region(msgspec.Struct, frozen=True):
    name: str | None = None


class Identity(msgspec.Struct, frozen=True):
    """userAssignedIdentities: by ARM id; what stands there is the server's."""

    type: str
    userAssignedIdentities: dict[str, object] | None = None


class PoolProperties(msgspec.Struct, frozen=True):
    """softDeleteRetentionInDays: clients were seen to send it as a string, too."""

    tenantId: str | None = None
    initialAdminObjectIds: list[str] | None = None
    enableSoftDelete: bool | None = None
    softDeleteRetentionInDays: int | str | None = None
    enablePurgeProtection: bool | None = None
    createMode: str | None = None
    networkAcls: NetworkRuleSet | None = None
    publicNetworkAccess: str | None = None
    regions: list[Region] | None = None


class Pool(msgspec.Struct, frozen=True):
    """Of a PUT and of a PATCH. The location of a pool never changes; clients send it back all the same."""

    properties: PoolProperties | None = None
    sku: Sku | None = None
    identity: Identity | None = None
    location: str | None = None
    tags: dict[str, str] | None = None


class CheckPoolName(msgspec.Struct, frozen=True):
    name: str


def patch_pool_settings(content: bytes) -> PoolSettings:
    """An empty body changes nothing. Raises BadRequest."""
    return pool_settings(content or b"{}")


def pool_settings(content: bytes) -> PoolSettings:
    """Raises BadRequest."""
    body = decode_request(content, Pool)
    given = body.properties or PoolProperties()
    identity = body.identity
    return PoolSettings(
        location=body.location,
        tags=body.tags,
        tenant_id=given.tenantId,
        sku_family=None if body.sku is None else body.sku.family or "",
        sku=None if body.sku is None else body.sku.name or "",
        initial_admins=None if given.initialAdminObjectIds is None else tuple(given.initialAdminObjectIds),
        soft_delete=given.enableSoftDelete,
        retention_days=days_of(given.softDeleteRetentionInDays),
        purge_protection=given.enablePurgeProtection,
        network=given.networkAcls,
        public_network_access=given.publicNetworkAccess,
        identity=None
        if identity is None
        else PoolIdentity(identity.type, tuple(identity.userAssignedIdentities or ())),
        regions=None if given.regions is None else tuple(region.name or "" for region in given.regions),
        recover=recovers(given.createMode),
    )
