"""Bodies of the calls that make and change vaults: what clients send, as settings (resources/vaults/settings.py).

Members that only the server sets are ignored, and so is every member that is not known. Source: VaultProperties and
AccessPolicyEntry of the Microsoft.KeyVault specification.
"""

import re
from typing import Final

import msgspec

from hsmvault.model.containers import AccessPolicy
from hsmvault.resources.network_rules import NetworkRuleSet
from hsmvault.resources.vaults.access_policies import MOST_POLICIES, permissions_of
from hsmvault.resources.vaults.refusals import bad
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.wire.management.bodies import decode_request

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_MODES: Final = {"default": False, "recover": True}
_MOST_MARKS: Final = 64 * (MOST_POLICIES + 1)
"""Commas of a body: every policy can name each of its permissions."""


class Sku(msgspec.Struct, frozen=True):
    family: str | None = None
    name: str | None = None


class Permissions(msgspec.Struct, frozen=True):
    keys: list[str] | None = None
    secrets: list[str] | None = None
    certificates: list[str] | None = None
    storage: list[str] | None = None


class Policy(msgspec.Struct, frozen=True):
    tenantId: str
    objectId: str
    permissions: Permissions
    applicationId: str | None = None


class VaultProperties(msgspec.Struct, frozen=True):
    """softDeleteRetentionInDays: clients were seen to send it as a string, too."""

    tenantId: str | None = None
    sku: Sku | None = None
    accessPolicies: list[Policy] | None = None
    enabledForDeployment: bool | None = None
    enabledForDiskEncryption: bool | None = None
    enabledForTemplateDeployment: bool | None = None
    enableSoftDelete: bool | None = None
    softDeleteRetentionInDays: int | str | None = None
    enableRbacAuthorization: bool | None = None
    enablePurgeProtection: bool | None = None
    createMode: str | None = None
    networkAcls: NetworkRuleSet | None = None
    publicNetworkAccess: str | None = None


class PutVault(msgspec.Struct, frozen=True):
    properties: VaultProperties
    location: str | None = None
    tags: dict[str, str] | None = None


class PatchVault(msgspec.Struct, frozen=True):
    """The location of a vault never changes; clients send it back all the same."""

    properties: VaultProperties | None = None
    tags: dict[str, str] | None = None


class PolicyList(msgspec.Struct, frozen=True):
    accessPolicies: list[Policy]


class PutPolicies(msgspec.Struct, frozen=True):
    properties: PolicyList


class CheckName(msgspec.Struct, frozen=True):
    name: str
    type: str


def put_settings(content: bytes) -> VaultSettings:
    """Raises BadRequest."""
    body = decode_request(content, PutVault, most_marks=_MOST_MARKS)
    return _settings(body.properties, body.tags, body.location)


def patch_settings(content: bytes) -> VaultSettings:
    """An empty body changes nothing. Raises BadRequest."""
    body = decode_request(content or b"{}", PatchVault, most_marks=_MOST_MARKS)
    return _settings(body.properties or VaultProperties(), body.tags, None)


def policies_of(content: bytes) -> tuple[AccessPolicy, ...]:
    """Of the access policies' route. Raises BadRequest."""
    return _policies(decode_request(content, PutPolicies, most_marks=_MOST_MARKS).properties.accessPolicies)


def guid(text: str, member: str) -> str:
    """In lower case. Raises BadRequest."""
    if not _GUID.fullmatch(text):
        raise bad(f"The value of the property '{member}' is not a GUID.")
    return text.lower()


def _settings(given: VaultProperties, tags: dict[str, str] | None, location: str | None) -> VaultSettings:
    return VaultSettings(
        location=location,
        tags=tags,
        tenant_id=None if given.tenantId is None else guid(given.tenantId, "tenantId"),
        sku_family=None if given.sku is None else given.sku.family or "",
        sku=None if given.sku is None else given.sku.name or "",
        policies=None if given.accessPolicies is None else _policies(given.accessPolicies),
        rbac=given.enableRbacAuthorization,
        soft_delete=given.enableSoftDelete,
        retention_days=days_of(given.softDeleteRetentionInDays),
        purge_protection=given.enablePurgeProtection,
        enabled_for_deployment=given.enabledForDeployment,
        enabled_for_disk_encryption=given.enabledForDiskEncryption,
        enabled_for_template_deployment=given.enabledForTemplateDeployment,
        network=given.networkAcls,
        public_network_access=given.publicNetworkAccess,
        recover=recovers(given.createMode),
    )


def _policies(given: list[Policy]) -> tuple[AccessPolicy, ...]:
    return tuple(_policy(one) for one in given)


def _policy(given: Policy) -> AccessPolicy:
    permissions = given.permissions
    return AccessPolicy(
        tenant_id=guid(given.tenantId, "accessPolicies.tenantId"),
        object_id=guid(given.objectId, "accessPolicies.objectId"),
        application_id=guid(given.applicationId, "accessPolicies.applicationId") if given.applicationId else "",
        keys=permissions_of("keys", permissions.keys or ()),
        secrets=permissions_of("secrets", permissions.secrets or ()),
        certificates=permissions_of("certificates", permissions.certificates or ()),
        storage=permissions_of("storage", permissions.storage or ()),
    )


def days_of(given: int | str | None) -> int | None:
    if isinstance(given, str):
        if not (given.isascii() and given.isdigit() and len(given) <= 4):
            raise bad('The value of the property "softDeleteRetentionInDays" is not a number of days.')
        return int(given)
    return given


def recovers(given: str | None) -> bool:
    mode = _MODES.get((given or "default").lower())
    if mode is None:
        raise bad('The value of the property "createMode" is not valid: it is default or recover.')
    return mode
