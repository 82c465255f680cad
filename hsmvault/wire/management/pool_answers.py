"""Answers about pools: ManagedHsm, DeletedManagedHsm and MHSMGeoReplicatedRegion of the Microsoft.KeyVault
specification."""

from typing import Final

import msgspec

from hsmvault.model.containers import Container
from hsmvault.resources import network_rules
from hsmvault.resources.pools.rules import DEFAULT_SKU, SKUS, KeptIdentity
from hsmvault.resources.pools.settings import TYPE
from hsmvault.wire.management.private_endpoints import shown_connections
from hsmvault.wire.management.vault_answers import OriginOf, deleted_container, shown_name, system_data

_DELETED_TYPE: Final = "Microsoft.KeyVault/deletedManagedHSMs"
_READY: Final = "The Managed HSM is provisioned and ready to use."
_NOT_ACTIVATED: Final = (
    "Your HSM has been provisioned, but cannot be used for cryptographic operations until it is activated. To activate "
    "the HSM, download the security domain."
)
_ACTIVE: Final = "Your HSM has been activated and can be used for cryptographic operations."


def pool(container: Container, origin_of: OriginOf, *, provisioning_state: str = "Succeeded") -> dict[str, object]:
    """provisioning_state: 'Provisioning' in the answer that begins an operation."""
    known = container.properties
    name = known.sku_name or DEFAULT_SKU
    members: dict[str, object] = {
        "id": container.resource_id,
        "name": shown_name(container),
        "type": TYPE,
        "location": container.location,
        "tags": dict(container.tags),
        "sku": {"family": SKUS[name], "name": name},
        "systemData": system_data(container),
        "properties": _properties(container, origin_of, provisioning_state),
    }
    if known.identity:
        kept = msgspec.json.decode(known.identity, type=KeptIdentity)
        members["identity"] = {
            "type": "UserAssigned",
            "userAssignedIdentities": {one: {} for one in kept.user_assigned},
        }
    return members


def deleted_pool(container: Container) -> dict[str, object]:
    """Of one that is deleted."""
    return deleted_container(container, "mhsmId", "deletedManagedHSMs", _DELETED_TYPE)


def regions(container: Container) -> list[dict[str, object]]:
    """The one that it is in."""
    return [{"name": container.location, "provisioningState": "Succeeded", "isPrimary": True}]


def _properties(container: Container, origin_of: OriginOf, provisioning_state: str) -> dict[str, object]:
    members: dict[str, object] = {
        "tenantId": container.tenant_id,
        "initialAdminObjectIds": list(container.properties.initial_admins),
        "hsmUri": f"{origin_of(container)}/",
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": container.retention.days,
        "provisioningState": provisioning_state,
        "statusMessage": _READY if provisioning_state == "Succeeded" else "",
        "publicNetworkAccess": network_rules.shown_access(container.network),
        "regions": regions(container),
        "securityDomainProperties": {
            "activationStatus": "Active" if container.activated else "NotActivated",
            "activationStatusMessage": _ACTIVE if container.activated else _NOT_ACTIVATED,
        },
    }
    if container.retention.purge_protection:
        members["enablePurgeProtection"] = True
    if (rules := network_rules.shown(container.network, container.kind)) is not None:
        members["networkAcls"] = rules
    if (connections := shown_connections(container)) is not None:
        members["privateEndpointConnections"] = connections
    return members
