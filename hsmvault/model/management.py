"""Every operation of the management plane, one row each. Router, permission, audit and tests are driven from this
table; an operation without a row does not exist.

Sources: the OpenAPI documents and published clients of Microsoft.KeyVault, Microsoft.Authorization and
Microsoft.Insights (paths, methods, since), "Azure permissions for Security" (actions), what az and the management SDKs
were seen to call around them. Audit names are those of the Key Vault logging documentation where it has one (VaultGet,
VaultPut, VaultPatch, VaultDelete, VaultRecover); the others are made in the same way.
"""

from dataclasses import dataclass
from enum import Enum

KEY_VAULT = "Microsoft.KeyVault"
AUTHORIZATION = "Microsoft.Authorization"
INSIGHTS = "Microsoft.Insights"
RESOURCES = "Microsoft.Resources"
MANAGEMENT = "Microsoft.Management"

_SUBSCRIPTION = "/subscriptions/{subscription}"
_IN_SUBSCRIPTION = f"{_SUBSCRIPTION}/providers/{KEY_VAULT}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"
_IN_GROUP = f"{_GROUP}/providers/{KEY_VAULT}"
_VAULT = f"{_IN_GROUP}/vaults/{{vault}}"
_POOL = f"{_IN_GROUP}/managedHSMs/{{pool}}"
_LOCATION = f"{_IN_SUBSCRIPTION}/locations/{{location}}"
_ROLES = f"{{scope}}/providers/{AUTHORIZATION}"
_DIAGNOSTICS = f"{{scope}}/providers/{INSIGHTS}"
_MANAGEMENT_GROUPS = f"/providers/{MANAGEMENT}/managementGroups"


class Asks(Enum):
    """ACTION: the operation's action at its scope. ITEMS: the handler shows what the caller may read. ATTRIBUTES: the
    action, with what conditions may ask for; the handler asks, when it has read the body. CALLER: a token is enough.
    NOTHING: no token is asked for."""

    ACTION = "action"
    ITEMS = "items"
    ATTRIBUTES = "attributes"
    CALLER = "caller"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ManagementOperation:
    """name: ours; of Microsoft.KeyVault that of its client library. path: {x} stands for one segment, {scope} for any
    resource id or nothing. provider: whose api-versions count. since: first api-version, "" for all of them.
    action: control action. audit_name: operationName of the record. scope: template of the ARM id that the permission
    is asked for; "" for what the path names.
    """

    name: str
    method: str
    path: str
    provider: str
    action: str
    audit_name: str
    since: str = ""
    asks: Asks = Asks.ACTION
    scope: str = ""

    @property
    def is_extension(self) -> bool:
        """Whether it applies to any scope."""
        return self.path.startswith("{scope}")


def _vault(
    name: str, method: str, path: str, since: str, action: str, audit_name: str, **more: Asks | str
) -> ManagementOperation:
    asks, scope = more.get("asks", Asks.ACTION), more.get("scope", "")
    assert isinstance(asks, Asks)
    assert isinstance(scope, str)
    return ManagementOperation(name, method, path, KEY_VAULT, f"{KEY_VAULT}/{action}", audit_name, since, asks, scope)


_MICROSOFT_KEY_VAULT = (
    _vault(
        "operations_list",
        "GET",
        f"/providers/{KEY_VAULT}/operations",
        "2016-10-01",
        "operations/read",
        "OperationsList",
        asks=Asks.CALLER,
    ),
    _vault("vaults_get", "GET", _VAULT, "2015-06-01", "vaults/read", "VaultGet"),
    _vault("vaults_create_or_update", "PUT", _VAULT, "2015-06-01", "vaults/write", "VaultPut"),
    _vault("vaults_update", "PATCH", _VAULT, "2016-10-01", "vaults/write", "VaultPatch"),
    _vault("vaults_delete", "DELETE", _VAULT, "2015-06-01", "vaults/delete", "VaultDelete"),
    _vault(
        "vaults_list_by_resource_group",
        "GET",
        f"{_IN_GROUP}/vaults",
        "2015-06-01",
        "vaults/read",
        "VaultList",
        asks=Asks.ITEMS,
    ),
    _vault(
        "vaults_list_by_subscription",
        "GET",
        f"{_IN_SUBSCRIPTION}/vaults",
        "2016-10-01",
        "vaults/read",
        "VaultList",
        asks=Asks.ITEMS,
    ),
    _vault(
        "vaults_update_access_policy",
        "PUT",
        f"{_VAULT}/accessPolicies/{{kind}}",
        "2016-10-01",
        "vaults/accessPolicies/write",
        "VaultAccessPolicyPut",
        scope=_VAULT,
    ),
    _vault(
        "vaults_get_deleted",
        "GET",
        f"{_LOCATION}/deletedVaults/{{vault}}",
        "2016-10-01",
        "locations/deletedVaults/read",
        "VaultGetDeleted",
    ),
    _vault(
        "vaults_purge_deleted",
        "POST",
        f"{_LOCATION}/deletedVaults/{{vault}}/purge",
        "2016-10-01",
        "locations/deletedVaults/purge/action",
        "VaultPurge",
    ),
    _vault(
        "vaults_list_deleted",
        "GET",
        f"{_IN_SUBSCRIPTION}/deletedVaults",
        "2016-10-01",
        "deletedVaults/read",
        "VaultListDeleted",
    ),
    _vault(
        "vaults_check_name_availability",
        "POST",
        f"{_IN_SUBSCRIPTION}/checkNameAvailability",
        "2016-10-01",
        "checkNameAvailability/read",
        "VaultNameCheck",
    ),
    _vault(
        "private_endpoint_connections_get",
        "GET",
        f"{_VAULT}/privateEndpointConnections/{{name}}",
        "2018-02-14",
        "vaults/privateEndpointConnections/read",
        "VaultPrivateEndpointConnectionGet",
    ),
    _vault(
        "private_endpoint_connections_put",
        "PUT",
        f"{_VAULT}/privateEndpointConnections/{{name}}",
        "2018-02-14",
        "vaults/privateEndpointConnections/write",
        "VaultPrivateEndpointConnectionPut",
    ),
    _vault(
        "private_endpoint_connections_delete",
        "DELETE",
        f"{_VAULT}/privateEndpointConnections/{{name}}",
        "2018-02-14",
        "vaults/privateEndpointConnections/delete",
        "VaultPrivateEndpointConnectionDelete",
    ),
    _vault(
        "private_endpoint_connections_list_by_resource",
        "GET",
        f"{_VAULT}/privateEndpointConnections",
        "2021-10-01",
        "vaults/privateEndpointConnections/read",
        "VaultPrivateEndpointConnectionList",
    ),
    _vault("managed_hsms_get", "GET", _POOL, "2021-10-01", "managedHSMs/read", "ManagedHsmGet"),
    _vault("managed_hsms_create_or_update", "PUT", _POOL, "2021-10-01", "managedHSMs/write", "ManagedHsmPut"),
    _vault("managed_hsms_update", "PATCH", _POOL, "2021-10-01", "managedHSMs/write", "ManagedHsmPatch"),
    _vault("managed_hsms_delete", "DELETE", _POOL, "2021-10-01", "managedHSMs/delete", "ManagedHsmDelete"),
    _vault(
        "managed_hsms_list_by_resource_group",
        "GET",
        f"{_IN_GROUP}/managedHSMs",
        "2021-10-01",
        "managedHSMs/read",
        "ManagedHsmList",
        asks=Asks.ITEMS,
    ),
    _vault(
        "managed_hsms_list_by_subscription",
        "GET",
        f"{_IN_SUBSCRIPTION}/managedHSMs",
        "2021-10-01",
        "managedHSMs/read",
        "ManagedHsmList",
        asks=Asks.ITEMS,
    ),
    _vault(
        "managed_hsms_get_deleted",
        "GET",
        f"{_LOCATION}/deletedManagedHSMs/{{pool}}",
        "2021-10-01",
        "locations/deletedManagedHsms/read",
        "ManagedHsmGetDeleted",
    ),
    _vault(
        "managed_hsms_purge_deleted",
        "POST",
        f"{_LOCATION}/deletedManagedHSMs/{{pool}}/purge",
        "2021-10-01",
        "locations/deletedManagedHsms/purge/action",
        "ManagedHsmPurge",
    ),
    _vault(
        "managed_hsms_list_deleted",
        "GET",
        f"{_IN_SUBSCRIPTION}/deletedManagedHSMs",
        "2021-10-01",
        "deletedManagedHsms/read",
        "ManagedHsmListDeleted",
    ),
    _vault(
        "managed_hsms_check_mhsm_name_availability",
        "POST",
        f"{_IN_SUBSCRIPTION}/checkMhsmNameAvailability",
        "2022-07-01",
        "checkMhsmNameAvailability/read",
        "ManagedHsmNameCheck",
    ),
    _vault("secrets_get", "GET", f"{_VAULT}/secrets/{{name}}", "2016-10-01", "vaults/secrets/read", "VaultSecretGet"),
    _vault(
        "secrets_create_or_update",
        "PUT",
        f"{_VAULT}/secrets/{{name}}",
        "2016-10-01",
        "vaults/secrets/write",
        "VaultSecretPut",
    ),
    _vault(
        "secrets_update",
        "PATCH",
        f"{_VAULT}/secrets/{{name}}",
        "2016-10-01",
        "vaults/secrets/write",
        "VaultSecretPatch",
    ),
    _vault("secrets_list", "GET", f"{_VAULT}/secrets", "2016-10-01", "vaults/secrets/read", "VaultSecretList"),
    _vault("keys_get", "GET", f"{_VAULT}/keys/{{name}}", "2019-09-01", "vaults/keys/read", "VaultKeyGet"),
    _vault(
        "keys_create_if_not_exist",
        "PUT",
        f"{_VAULT}/keys/{{name}}",
        "2019-09-01",
        "vaults/keys/write",
        "VaultKeyPut",
    ),
    _vault("keys_list", "GET", f"{_VAULT}/keys", "2019-09-01", "vaults/keys/read", "VaultKeyList"),
    _vault(
        "keys_get_version",
        "GET",
        f"{_VAULT}/keys/{{name}}/versions/{{version}}",
        "2019-09-01",
        "vaults/keys/versions/read",
        "VaultKeyVersionGet",
    ),
    _vault(
        "keys_list_versions",
        "GET",
        f"{_VAULT}/keys/{{name}}/versions",
        "2019-09-01",
        "vaults/keys/versions/read",
        "VaultKeyVersionList",
    ),
    _vault(
        "managed_hsm_keys_get",
        "GET",
        f"{_POOL}/keys/{{name}}",
        "2022-11-01",
        "managedHSMs/keys/read",
        "ManagedHsmKeyGet",
    ),
    _vault(
        "managed_hsm_keys_create_if_not_exist",
        "PUT",
        f"{_POOL}/keys/{{name}}",
        "2022-11-01",
        "managedHSMs/keys/write",
        "ManagedHsmKeyPut",
    ),
    _vault("managed_hsm_keys_list", "GET", f"{_POOL}/keys", "2022-11-01", "managedHSMs/keys/read", "ManagedHsmKeyList"),
    _vault(
        "managed_hsm_keys_get_version",
        "GET",
        f"{_POOL}/keys/{{name}}/versions/{{version}}",
        "2022-11-01",
        "managedHSMs/keys/versions/read",
        "ManagedHsmKeyVersionGet",
    ),
    _vault(
        "managed_hsm_keys_list_versions",
        "GET",
        f"{_POOL}/keys/{{name}}/versions",
        "2022-11-01",
        "managedHSMs/keys/versions/read",
        "ManagedHsmKeyVersionList",
    ),
    _vault(
        "private_link_resources_list_by_vault",
        "GET",
        f"{_VAULT}/privateLinkResources",
        "2018-02-14",
        "vaults/privateLinkResources/read",
        "VaultPrivateLinkResourceList",
    ),
    _vault(
        "mhsm_private_link_resources_list_by_mhsm_resource",
        "GET",
        f"{_POOL}/privateLinkResources",
        "2021-10-01",
        "managedHSMs/privateLinkResources/read",
        "ManagedHsmPrivateLinkResourceList",
    ),
    _vault(
        "mhsm_regions_list_by_resource",
        "GET",
        f"{_POOL}/regions",
        "2023-02-01",
        "managedHSMs/regions/read",
        "ManagedHsmRegionList",
    ),
    _vault(
        "mhsm_private_endpoint_connections_get",
        "GET",
        f"{_POOL}/privateEndpointConnections/{{name}}",
        "2021-10-01",
        "managedHSMs/privateEndpointConnections/read",
        "ManagedHsmPrivateEndpointConnectionGet",
    ),
    _vault(
        "mhsm_private_endpoint_connections_put",
        "PUT",
        f"{_POOL}/privateEndpointConnections/{{name}}",
        "2021-10-01",
        "managedHSMs/privateEndpointConnections/write",
        "ManagedHsmPrivateEndpointConnectionPut",
    ),
    _vault(
        "mhsm_private_endpoint_connections_delete",
        "DELETE",
        f"{_POOL}/privateEndpointConnections/{{name}}",
        "2021-10-01",
        "managedHSMs/privateEndpointConnections/delete",
        "ManagedHsmPrivateEndpointConnectionDelete",
    ),
    _vault(
        "mhsm_private_endpoint_connections_list_by_resource",
        "GET",
        f"{_POOL}/privateEndpointConnections",
        "2021-10-01",
        "managedHSMs/privateEndpointConnections/read",
        "ManagedHsmPrivateEndpointConnectionList",
    ),
    # Not in the client library: polls of what was begun, and reads of network security perimeters.
    _vault(
        "operation_results_get",
        "GET",
        f"{_LOCATION}/operationResults/{{id}}",
        "2016-10-01",
        "locations/operationResults/read",
        "OperationResultGet",
        asks=Asks.CALLER,
    ),
    _vault(
        "managed_hsm_operation_results_get",
        "GET",
        f"{_LOCATION}/managedHsmOperationResults/{{id}}",
        "2021-10-01",
        "locations/managedHsmOperationResults/read",
        "OperationResultGet",
        asks=Asks.CALLER,
    ),
    _vault(
        "perimeter_configurations_list",
        "GET",
        f"{_VAULT}/networkSecurityPerimeterConfigurations",
        "2023-02-01",
        "vaults/read",
        "VaultPerimeterConfigurationList",
    ),
    _vault(
        "perimeter_configurations_get",
        "GET",
        f"{_VAULT}/networkSecurityPerimeterConfigurations/{{name}}",
        "2023-02-01",
        "vaults/read",
        "VaultPerimeterConfigurationGet",
    ),
)


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
    _resource("subscriptions_get", "GET", _SUBSCRIPTION, "subscriptions/read", "SubscriptionGet", Asks.ITEMS),
    _resource("locations_list", "GET", f"{_SUBSCRIPTION}/locations", "subscriptions/read", "LocationList", Asks.ITEMS),
    _resource(
        "resource_groups_list",
        "GET",
        f"{_SUBSCRIPTION}/resourceGroups",
        "subscriptions/resourceGroups/read",
        "ResourceGroupList",
        Asks.ITEMS,
    ),
    _resource("resource_groups_get", "GET", _GROUP, "subscriptions/resourceGroups/read", "ResourceGroupGet"),
    _resource(
        "resource_groups_check_existence", "HEAD", _GROUP, "subscriptions/resourceGroups/read", "ResourceGroupGet"
    ),
    _resource("resource_groups_put", "PUT", _GROUP, "subscriptions/resourceGroups/write", "ResourceGroupPut"),
    _resource("resource_groups_patch", "PATCH", _GROUP, "subscriptions/resourceGroups/write", "ResourceGroupPatch"),
    _resource("resource_groups_delete", "DELETE", _GROUP, "subscriptions/resourceGroups/delete", "ResourceGroupDelete"),
    _resource(
        "resources_list",
        "GET",
        f"{_SUBSCRIPTION}/resources",
        "subscriptions/resources/read",
        "ResourceList",
        Asks.ITEMS,
    ),
    _resource(
        "resources_list_by_group",
        "GET",
        f"{_GROUP}/resources",
        "subscriptions/resources/read",
        "ResourceList",
        Asks.ITEMS,
    ),
    _resource("providers_list_at_tenant", "GET", "/providers", "providers/read", "ProviderList", Asks.CALLER),
    _resource(
        "providers_list",
        "GET",
        f"{_SUBSCRIPTION}/providers",
        "subscriptions/providers/read",
        "ProviderList",
        Asks.ITEMS,
    ),
    _resource(
        "providers_get",
        "GET",
        f"{_SUBSCRIPTION}/providers/{{name}}",
        "subscriptions/providers/read",
        "ProviderGet",
        Asks.ITEMS,
    ),
    _resource(
        "providers_register",
        "POST",
        f"{_SUBSCRIPTION}/providers/{{name}}/register",
        "subscriptions/providers/register/action",
        "ProviderRegister",
    ),
    _resource(
        "providers_unregister",
        "POST",
        f"{_SUBSCRIPTION}/providers/{{name}}/unregister",
        "subscriptions/providers/unregister/action",
        "ProviderUnregister",
    ),
    _resource(
        "group_operation_results_get",
        "GET",
        f"{_SUBSCRIPTION}/operationresults/{{id}}",
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
    *_MICROSOFT_KEY_VAULT,
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
