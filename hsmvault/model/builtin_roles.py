"""The built-in roles of Azure RBAC that matter for vaults, with the actions that Azure's documentation gives.

The exact actions of Key Vault Purge Operator, and the ids of Owner, Contributor, Reader and User Access Administrator,
have no recorded answer behind them (docs/divergences.md).
"""

from hsmvault.model.roles import Permission, RoleDefinition

_ON_RBAC = " Only works for key vaults that use the 'Azure role-based access control' permission model."
_DESCRIPTIONS = {
    "Key Vault Administrator": (
        "Perform all data plane operations on a key vault and all objects in it, including certificates,"
        " keys, and secrets. Cannot manage key vault resources or manage role assignments." + _ON_RBAC
    ),
    "Key Vault Reader": (
        "Read metadata of key vaults and its certificates, keys, and secrets. Cannot read sensitive "
        "values such as secret contents or key material." + _ON_RBAC
    ),
    "Key Vault Purge Operator": "Allows permanent deletion of soft-deleted vaults.",
    "Key Vault Certificates Officer": (
        "Perform any action on the certificates of a key vault, except manage permissions." + _ON_RBAC
    ),
    "Key Vault Certificate User": "Read certificate contents." + _ON_RBAC,
    "Key Vault Crypto Officer": "Perform any action on the keys of a key vault, except manage permissions." + _ON_RBAC,
    "Key Vault Crypto Service Encryption User": "Read metadata of keys and perform wrap/unwrap operations." + _ON_RBAC,
    "Key Vault Crypto Service Release User": "Release keys." + _ON_RBAC,
    "Key Vault Crypto User": "Perform cryptographic operations using keys." + _ON_RBAC,
    "Key Vault Secrets Officer": (
        "Perform any action on the secrets of a key vault, except manage permissions." + _ON_RBAC
    ),
    "Key Vault Secrets User": "Read secret contents." + _ON_RBAC,
    "Key Vault Data Access Administrator": (
        "Manage access to Azure Key Vault by adding or removing role assignments for the Key Vault "
        "Administrator, Key Vault Certificates Officer, Key Vault Crypto Officer, Key Vault Crypto "
        "Service Encryption User, Key Vault Crypto User, Key Vault Reader, Key Vault Secrets Officer, or"
        " Key Vault Secrets User roles. Includes an ABAC condition to constrain role assignments."
    ),
    "Key Vault Contributor": (
        "Manage key vaults, but does not allow you to assign roles in Azure RBAC, and does not allow you"
        " to access secrets, keys, or certificates."
    ),
    "Managed HSM contributor": "Lets you manage managed HSM pools, but not access to them.",
    "Owner": "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
    "Contributor": (
        "Grants full access to manage all resources, but does not allow you to assign roles in Azure "
        "RBAC, manage assignments in Azure Blueprints, or share image galleries."
    ),
    "Reader": "View all resources, but does not allow you to make any changes.",
    "User Access Administrator": "Lets you manage user access to Azure resources.",
}

# "Delegate Azure role management with conditions" of the Azure documentation: the roles that may be given and taken.
_DELEGATED = (
    "00482a5a-887f-4fb3-b363-3b7fe8e74483",  # Administrator
    "a4417e6f-fecd-4de8-b567-7b0420556985",  # Certificates Officer
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",  # Crypto Officer
    "e147488a-f6f5-4113-8e2d-b22465e65bf6",  # Crypto Service Encryption User
    "12338af0-0e69-4776-bea7-57ae8d297424",  # Crypto User
    "21090545-7ca7-4776-b22c-e363652d74d2",  # Reader
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",  # Secrets Officer
    "4633458b-17de-408a-b874-0445c86b69e6",  # Secrets User
)
_ONLY_DELEGATED = " AND ".join(
    f"((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/{verb}'}})) OR "
    f"(@{source}[Microsoft.Authorization/roleAssignments:RoleDefinitionId] "
    f"ForAnyOfAnyValues:GuidEquals{{{', '.join(_DELEGATED)}}}))"
    for verb, source in (("write", "Request"), ("delete", "Resource"))
)


def _role(
    role_id: str,
    name: str,
    *,
    actions: tuple[str, ...] = (),
    not_actions: tuple[str, ...] = (),
    data_actions: tuple[str, ...] = (),
    condition: str = "",
) -> RoleDefinition:
    block = Permission(actions, not_actions, data_actions, condition=condition)
    return RoleDefinition(role_id, name, (block,), _DESCRIPTIONS[name])


BUILT_IN: tuple[RoleDefinition, ...] = (
    _role(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/checkNameAvailability/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/operations/read",
        ),
        data_actions=("Microsoft.KeyVault/vaults/*",),
    ),
    _role(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Reader",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/checkNameAvailability/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/operations/read",
        ),
        data_actions=("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
    ),
    _role(
        "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        "Key Vault Purge Operator",
        actions=(
            "Microsoft.KeyVault/locations/deletedVaults/read",
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/deletedVaults/read",
        ),
    ),
    _role(
        "a4417e6f-fecd-4de8-b567-7b0420556985",
        "Key Vault Certificates Officer",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/checkNameAvailability/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/operations/read",
        ),
        data_actions=(
            "Microsoft.KeyVault/vaults/certificatecas/*",
            "Microsoft.KeyVault/vaults/certificates/*",
            "Microsoft.KeyVault/vaults/certificatecontacts/write",
        ),
    ),
    _role(
        "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",
        "Key Vault Certificate User",
        data_actions=(
            "Microsoft.KeyVault/vaults/certificates/read",
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            "Microsoft.KeyVault/vaults/keys/read",
        ),
    ),
    _role(
        "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        "Key Vault Crypto Officer",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/checkNameAvailability/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/operations/read",
        ),
        data_actions=("Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"),
    ),
    _role(
        "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        "Key Vault Crypto Service Encryption User",
        actions=(
            "Microsoft.EventGrid/eventSubscriptions/write",
            "Microsoft.EventGrid/eventSubscriptions/read",
            "Microsoft.EventGrid/eventSubscriptions/delete",
        ),
        data_actions=(
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
        ),
    ),
    _role(
        "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
        "Key Vault Crypto Service Release User",
        data_actions=("Microsoft.KeyVault/vaults/keys/release/action",),
    ),
    _role(
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        data_actions=(
            "Microsoft.KeyVault/vaults/keys/read",
            "Microsoft.KeyVault/vaults/keys/update/action",
            "Microsoft.KeyVault/vaults/keys/backup/action",
            "Microsoft.KeyVault/vaults/keys/encrypt/action",
            "Microsoft.KeyVault/vaults/keys/decrypt/action",
            "Microsoft.KeyVault/vaults/keys/wrap/action",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
            "Microsoft.KeyVault/vaults/keys/sign/action",
            "Microsoft.KeyVault/vaults/keys/verify/action",
        ),
    ),
    _role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/checkNameAvailability/read",
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/*/read",
            "Microsoft.KeyVault/vaults/*/read",
            "Microsoft.KeyVault/operations/read",
        ),
        data_actions=("Microsoft.KeyVault/vaults/secrets/*",),
    ),
    _role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        data_actions=(
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    _role(
        "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        "Key Vault Data Access Administrator",
        actions=(
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.Management/managementGroups/read",
            "Microsoft.Support/*",
            "Microsoft.KeyVault/vaults/*/read",
        ),
        condition=_ONLY_DELEGATED,
    ),
    _role(
        "f25e0fa2-a7c8-4377-a976-54943a77a395",
        "Key Vault Contributor",
        actions=(
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.KeyVault/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Support/*",
        ),
        not_actions=(
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/hsmPools/*",
            "Microsoft.KeyVault/managedHsms/*",
        ),
    ),
    _role(
        "18500a29-7fe2-46b2-a342-b16a415e101d",
        "Managed HSM contributor",
        actions=(
            "Microsoft.KeyVault/managedHSMs/*",
            "Microsoft.KeyVault/deletedManagedHsms/read",
            "Microsoft.KeyVault/locations/deletedManagedHsms/read",
            "Microsoft.KeyVault/locations/deletedManagedHsms/purge/action",
            "Microsoft.KeyVault/locations/managedHsmOperationResults/read",
        ),
    ),
    _role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", actions=("*",)),
    _role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        actions=("*",),
        not_actions=(
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    _role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", actions=("*/read",)),
    _role(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        actions=("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"),
    ),
)

BY_ID: dict[str, RoleDefinition] = {role.id: role for role in BUILT_IN}
BY_NAME: dict[str, RoleDefinition] = {role.name: role for role in BUILT_IN}
