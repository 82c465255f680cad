"""Answers about vaults: Vault, DeletedVault and the access policies of the Microsoft.KeyVault specification."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container
from hsmvault.resources import network_rules
from hsmvault.resources.vaults.access_policies import shown_permissions
from hsmvault.resources.vaults.settings import TYPE
from hsmvault.wire.management.private_endpoints import shown_connections

OriginOf = Callable[[Container], str]
"""`https://host:port` of a container's data plane."""
_DELETED_TYPE: Final = "Microsoft.KeyVault/deletedVaults"


def shown_name(container: Container) -> str:
    """As it was written when it was made."""
    return container.properties.shown_name or container.name


def vault(container: Container, origin_of: OriginOf) -> dict[str, object]:
    return {
        "id": container.resource_id,
        "name": shown_name(container),
        "type": TYPE,
        "location": container.location,
        "tags": dict(container.tags),
        "systemData": system_data(container),
        "properties": _properties(container, origin_of),
    }


def deleted_vault(container: Container) -> dict[str, object]:
    """Of one that is deleted."""
    return deleted_container(container, "vaultId", "deletedVaults", _DELETED_TYPE)


def deleted_container(container: Container, id_member: str, collection: str, type_name: str) -> dict[str, object]:
    """Of a vault or pool that is deleted. id_member: under which its own id stands. collection: in the path of what is
    deleted."""
    assert container.deleted_at is not None
    assert container.purge_at is not None
    name = shown_name(container)
    properties: dict[str, object] = {
        id_member: container.resource_id,
        "location": container.location,
        "tags": dict(container.tags),
        "deletionDate": date(container.deleted_at),
        "scheduledPurgeDate": date(container.purge_at),
    }
    if container.retention.purge_protection:
        properties["purgeProtectionEnabled"] = True
    return {
        "id": f"/subscriptions/{container.subscription_id}/providers/Microsoft.KeyVault/locations/"
        f"{container.location}/{collection}/{name}",
        "name": name,
        "type": type_name,
        "properties": properties,
    }


def policies(container: Container) -> dict[str, object]:
    """What the route of the access policies answers: every one that the vault has now."""
    return {
        "id": f"{container.resource_id}/accessPolicies/",
        "type": f"{TYPE}/accessPolicies",
        "properties": {"accessPolicies": _policies(container.access_policies)},
    }


def system_data(container: Container) -> dict[str, object]:
    """Who has made and changed it, as far as that is known."""
    known = container.properties
    members: dict[str, object] = {
        "createdBy": known.created_by,
        "createdByType": known.created_by_type,
        "createdAt": date(container.created),
        "lastModifiedBy": known.modified_by,
        "lastModifiedByType": known.modified_by_type,
        "lastModifiedAt": date(known.modified or container.created),
    }
    return {name: value for name, value in members.items() if value}


def date(seconds: int) -> str:
    """ISO 8601, `2020-09-29T05:19:45Z`. seconds: since 1970 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _properties(container: Container, origin_of: OriginOf) -> dict[str, object]:
    known = container.properties
    members: dict[str, object] = {
        "sku": {"family": "A", "name": "premium" if container.premium else "standard"},
        "tenantId": container.tenant_id,
    }
    if (rules := network_rules.shown(container.network, container.kind)) is not None:
        members["networkAcls"] = rules
    if (connections := shown_connections(container)) is not None:
        members["privateEndpointConnections"] = connections
    members["accessPolicies"] = _policies(container.access_policies)
    members["enabledForDeployment"] = bool(known.enabled_for_deployment)
    for name, value in (
        ("enabledForDiskEncryption", known.enabled_for_disk_encryption),
        ("enabledForTemplateDeployment", known.enabled_for_template_deployment),
    ):
        if value is not None:
            members[name] = value
    members["enableSoftDelete"] = True
    members["softDeleteRetentionInDays"] = container.retention.days
    members["enableRbacAuthorization"] = container.authorization is AuthorizationModel.RBAC
    if container.retention.purge_protection:
        members["enablePurgeProtection"] = True
    members["vaultUri"] = f"{origin_of(container)}/"
    members["provisioningState"] = "Succeeded"
    members["publicNetworkAccess"] = network_rules.shown_access(container.network)
    return members


def _policies(given: Iterable[AccessPolicy]) -> list[dict[str, object]]:
    return [_policy(one) for one in given]


def _policy(policy: AccessPolicy) -> dict[str, object]:
    members: dict[str, object] = {"tenantId": policy.tenant_id, "objectId": policy.object_id}
    if policy.application_id:
        members["applicationId"] = policy.application_id
    permissions = {
        kind: shown_permissions(kind, held)
        for kind, held in (
            ("keys", policy.keys),
            ("secrets", policy.secrets),
            ("certificates", policy.certificates),
            ("storage", policy.storage),
        )
        if held
    }
    return {**members, "permissions": permissions}
