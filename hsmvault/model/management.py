"""Every operation of the management plane, one row each. Router, permission, audit and tests are driven from this
table; an operation without a row does not exist.

Sources: the OpenAPI documents and published clients of Microsoft.KeyVault, Microsoft.Authorization and
Microsoft.Insights (paths, methods, since), "Azure permissions for Security" (actions), what az and the management SDKs
were seen to call around them. Audit names are those of the Key Vault logging documentation where it has one (VaultGet,
VaultPut, VaultPatch, VaultDelete, VaultRecover); the others are made in the same way.
"""

from hsmvault.model.key_vault_operations import MICROSOFT_KEY_VAULT
from hsmvault.model.management_operation import (
    AUTHORIZATION,
    GROUP,
    INSIGHTS,
    KEY_VAULT,
    MANAGEMENT,
    RESOURCES,
    SUBSCRIPTION,
    Asks,
    ManagementOperation,
)

__all__ = [
    "AUTHORIZATION",
    "BY_NAME",
    "INSIGHTS",
    "KEY_VAULT",
    "MANAGEMENT",
    "OPERATIONS",
    "RESOURCES",
    "Asks",
    "ManagementOperation",
    "permission_scope",
]

_ROLES = f"{{scope}}/providers/{AUTHORIZATION}"
_DIAGNOSTICS = f"{{scope}}/providers/{INSIGHTS}"
_MANAGEMENT_GROUPS = f"/providers/{MANAGEMENT}/managementGroups"


def _roles(
    name: str, method: str, path: str, action: str, audit_name: str, asks: Asks = Asks.ACTION
) -> ManagementOperation:
    return ManagementOperation(
        name,
        method,
        f"{_ROLES}/{path}",
        AUTHORIZATION,
        f"{AUTHORIZATION}/{action}",
        audit_name,
        asks=asks,
        scope="{scope}",
    )


_MICROSOFT_AUTHORIZATION = (
    _roles(
        "role_assignments_create",
        "PUT",
        "roleAssignments/{id}",
        "roleAssignments/write",
        "RoleAssignmentPut",
        Asks.ATTRIBUTES,
    ),
    _roles("role_assignments_get", "GET", "roleAssignments/{id}", "roleAssignments/read", "RoleAssignmentGet"),
    _roles(
        "role_assignments_delete",
        "DELETE",
        "roleAssignments/{id}",
        "roleAssignments/delete",
        "RoleAssignmentDelete",
        Asks.ATTRIBUTES,
    ),
    _roles("role_assignments_list", "GET", "roleAssignments", "roleAssignments/read", "RoleAssignmentList"),
    _roles("role_definitions_create", "PUT", "roleDefinitions/{id}", "roleDefinitions/write", "RoleDefinitionPut"),
    _roles("role_definitions_get", "GET", "roleDefinitions/{id}", "roleDefinitions/read", "RoleDefinitionGet"),
    _roles(
        "role_definitions_delete",
        "DELETE",
        "roleDefinitions/{id}",
        "roleDefinitions/delete",
        "RoleDefinitionDelete",
    ),
    _roles("role_definitions_list", "GET", "roleDefinitions", "roleDefinitions/read", "RoleDefinitionList"),
    _roles("permissions_list", "GET", "permissions", "permissions/read", "PermissionList"),
    _roles("deny_assignments_get", "GET", "denyAssignments/{id}", "denyAssignments/read", "DenyAssignmentGet"),
    _roles("deny_assignments_list", "GET", "denyAssignments", "denyAssignments/read", "DenyAssignmentList"),
)


def _diagnostics(name: str, method: str, path: str, action: str, audit_name: str) -> ManagementOperation:
    return ManagementOperation(
        name, method, f"{_DIAGNOSTICS}/{path}", INSIGHTS, f"{INSIGHTS}/{action}", audit_name, scope="{scope}"
    )


_MICROSOFT_INSIGHTS = (
    _diagnostics(
        "diagnostic_settings_list",
        "GET",
        "diagnosticSettings",
        "diagnosticSettings/read",
        "DiagnosticSettingList",
    ),
    _diagnostics(
        "diagnostic_settings_get",
        "GET",
        "diagnosticSettings/{name}",
        "diagnosticSettings/read",
        "DiagnosticSettingGet",
    ),
    _diagnostics(
        "diagnostic_settings_create_or_update",
        "PUT",
        "diagnosticSettings/{name}",
        "diagnosticSettings/write",
        "DiagnosticSettingPut",
    ),
    _diagnostics(
        "diagnostic_settings_delete",
        "DELETE",
        "diagnosticSettings/{name}",
        "diagnosticSettings/delete",
        "DiagnosticSettingDelete",
    ),
    _diagnostics(
        "diagnostic_settings_category_list",
        "GET",
        "diagnosticSettingsCategories",
        "diagnosticSettings/read",
        "DiagnosticCategoryList",
    ),
    _diagnostics(
        "diagnostic_settings_category_get",
        "GET",
        "diagnosticSettingsCategories/{name}",
        "diagnosticSettings/read",
        "DiagnosticCategoryGet",
    ),
)


def _resource(
    name: str, method: str, path: str, action: str, audit_name: str, asks: Asks = Asks.ACTION
) -> ManagementOperation:
    return ManagementOperation(name, method, path, RESOURCES, f"{RESOURCES}/{action}", audit_name, asks=asks)


_MICROSOFT_RESOURCES = (
    _resource("metadata_endpoints", "GET", "/metadata/endpoints", "", "MetadataGet", Asks.NOTHING),
    _resource("tenants_list", "GET", "/tenants", "tenants/read", "TenantList", Asks.CALLER),
    _resource("subscriptions_list", "GET", "/subscriptions", "subscriptions/read", "SubscriptionList", Asks.ITEMS),
    _resource("subscriptions_get", "GET", SUBSCRIPTION, "subscriptions/read", "SubscriptionGet", Asks.ITEMS),
    _resource("locations_list", "GET", f"{SUBSCRIPTION}/locations", "subscriptions/read", "LocationList", Asks.ITEMS),
    _resource(
        "resource_groups_list",
        "GET",
        f"{SUBSCRIPTION}/resourceGroups",
        "subscriptions/resourceGroups/read",
        "ResourceGroupList",
        Asks.ITEMS,
    ),
    _resource("resource_groups_get", "GET", GROUP, "subscriptions/resourceGroups/read", "ResourceGroupGet"),
    _resource(
        "resource_groups_check_existence", "HEAD", GROUP, "subscriptions/resourceGroups/read", "ResourceGroupGet"
    ),
    _resource("resource_groups_put", "PUT", GROUP, "subscriptions/resourceGroups/write", "ResourceGroupPut"),
    _resource("resource_groups_patch", "PATCH", GROUP, "subscriptions/resourceGroups/write", "ResourceGroupPatch"),
    _resource("resource_groups_delete", "DELETE", GROUP, "subscriptions/resourceGroups/delete", "ResourceGroupDelete"),
    _resource(
        "resources_list",
        "GET",
        f"{SUBSCRIPTION}/resources",
        "subscriptions/resources/read",
        "ResourceList",
        Asks.ITEMS,
    ),
    _resource(
        "resources_list_by_group",
        "GET",
        f"{GROUP}/resources",
        "subscriptions/resources/read",
        "ResourceList",
        Asks.ITEMS,
    ),
    _resource("providers_list_at_tenant", "GET", "/providers", "providers/read", "ProviderList", Asks.CALLER),
    _resource(
        "providers_list",
        "GET",
        f"{SUBSCRIPTION}/providers",
        "subscriptions/providers/read",
        "ProviderList",
        Asks.ITEMS,
    ),
    _resource(
        "providers_get",
        "GET",
        f"{SUBSCRIPTION}/providers/{{name}}",
        "subscriptions/providers/read",
        "ProviderGet",
        Asks.ITEMS,
    ),
    _resource(
        "providers_register",
        "POST",
        f"{SUBSCRIPTION}/providers/{{name}}/register",
        "subscriptions/providers/register/action",
        "ProviderRegister",
    ),
    _resource(
        "providers_unregister",
        "POST",
        f"{SUBSCRIPTION}/providers/{{name}}/unregister",
        "subscriptions/providers/unregister/action",
        "ProviderUnregister",
    ),
    _resource(
        "group_operation_results_get",
        "GET",
        f"{SUBSCRIPTION}/operationresults/{{id}}",
        "subscriptions/operationresults/read",
        "OperationResultGet",
        Asks.CALLER,
    ),
)


def _group(
    name: str, method: str, path: str, action: str, audit_name: str, asks: Asks = Asks.ACTION
) -> ManagementOperation:
    return ManagementOperation(
        name,
        method,
        f"{_MANAGEMENT_GROUPS}{path}",
        MANAGEMENT,
        f"{MANAGEMENT}/managementGroups/{action}",
        audit_name,
        asks=asks,
    )


_MICROSOFT_MANAGEMENT = (
    _group("management_groups_list", "GET", "", "read", "ManagementGroupList", Asks.ITEMS),
    _group("management_groups_get", "GET", "/{name}", "read", "ManagementGroupGet"),
    # A new group is asked for at its parent, which the body names.
    _group("management_groups_put", "PUT", "/{name}", "write", "ManagementGroupPut", Asks.ITEMS),
    _group("management_groups_patch", "PATCH", "/{name}", "write", "ManagementGroupPatch"),
    _group("management_groups_delete", "DELETE", "/{name}", "delete", "ManagementGroupDelete"),
    _group("management_group_subscriptions_list", "GET", "/{name}/subscriptions", "read", "ManagementGroupGet"),
    _group("management_group_subscriptions_get", "GET", "/{name}/subscriptions/{id}", "read", "ManagementGroupGet"),
    _group(
        "management_group_subscriptions_put",
        "PUT",
        "/{name}/subscriptions/{id}",
        "subscriptions/write",
        "ManagementGroupSubscriptionPut",
    ),
    _group(
        "management_group_subscriptions_delete",
        "DELETE",
        "/{name}/subscriptions/{id}",
        "subscriptions/delete",
        "ManagementGroupSubscriptionDelete",
    ),
)

OPERATIONS: tuple[ManagementOperation, ...] = (
    *MICROSOFT_KEY_VAULT,
    *_MICROSOFT_AUTHORIZATION,
    *_MICROSOFT_INSIGHTS,
    *_MICROSOFT_RESOURCES,
    *_MICROSOFT_MANAGEMENT,
)
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def permission_scope(operation: ManagementOperation) -> str:
    """Template of the ARM id that the action is asked for.

    Of a collection, or of an action on a resource, it is what stands before: `…/vaults` is asked for at the resource
    group, `…/deletedVaults/v/purge` at the deleted vault.
    """
    if operation.scope:
        return operation.scope
    segments = operation.path.split("/")
    if not segments[-1].startswith("{"):
        segments.pop()
    if len(segments) > 1 and segments[-2] == "providers":
        del segments[-2:]
    return "/".join(segments)
