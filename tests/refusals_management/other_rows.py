"""What clients call around Microsoft.KeyVault. Sources: the REST references of Microsoft.Authorization, of diagnostic
settings, of resources and of management groups; the calls that az and the management SDKs were seen to make."""

from collections.abc import Mapping
from typing import Final

from tests.refusals_management.rows import IN_GROUP, IN_SUBSCRIPTION, Row

_ROLES: Final = "{scope}/providers/Microsoft.Authorization"
_DIAGNOSTICS: Final = "{scope}/providers/Microsoft.Insights"
_GROUPS: Final = "/providers/Microsoft.Management/managementGroups"


def _row(provider: str, call: str, action: str, at: str, audit: str, *, body: str = "", shows: bool = False) -> Row:
    method, path = call.split(" ")
    return Row(
        method=method,
        path=path,
        provider=f"Microsoft.{provider}",
        action=f"Microsoft.{provider}/{action}",
        at=at,
        audit=audit,
        body=body,
        shows=shows,
    )


def _role(call: str, action: str, audit: str, *, body: str = "") -> Row:
    method, path = call.split(" ")
    return _row("Authorization", f"{method} {_ROLES}/{path}", action, "{scope}", audit, body=body)


def _diagnostic(call: str, action: str, audit: str, *, body: str = "") -> Row:
    method, path = call.split(" ")
    return _row(
        "Insights", f"{method} {_DIAGNOSTICS}/{path}", f"diagnosticSettings/{action}", "{scope}", audit, body=body
    )


def _resource(call: str, action: str, at: str, audit: str, *, body: str = "", shows: bool = False) -> Row:
    return _row("Resources", call, action, at, audit, body=body, shows=shows)


def _group(method: str, path: str, action: str, audit: str, *, body: str = "", shows: bool = False) -> Row:
    at = f"{_GROUPS}{path.removesuffix('/subscriptions')}"
    return _row(
        "Management", f"{method} {_GROUPS}{path}", f"managementGroups/{action}", at, audit, body=body, shows=shows
    )


_GROUP: Final = "subscriptions/resourceGroups"
ROWS: Final[Mapping[str, Row]] = {
    "role_assignments_create": _role(
        "PUT roleAssignments/{id}", "roleAssignments/write", "RoleAssignmentPut", body="Assignment"
    ),
    "role_assignments_get": _role("GET roleAssignments/{id}", "roleAssignments/read", "RoleAssignmentGet"),
    "role_assignments_delete": _role("DELETE roleAssignments/{id}", "roleAssignments/delete", "RoleAssignmentDelete"),
    "role_assignments_list": _role("GET roleAssignments", "roleAssignments/read", "RoleAssignmentList"),
    "role_definitions_create": _role(
        "PUT roleDefinitions/{id}", "roleDefinitions/write", "RoleDefinitionPut", body="Definition"
    ),
    "role_definitions_get": _role("GET roleDefinitions/{id}", "roleDefinitions/read", "RoleDefinitionGet"),
    "role_definitions_delete": _role("DELETE roleDefinitions/{id}", "roleDefinitions/delete", "RoleDefinitionDelete"),
    "role_definitions_list": _role("GET roleDefinitions", "roleDefinitions/read", "RoleDefinitionList"),
    "permissions_list": _role("GET permissions", "permissions/read", "PermissionList"),
    "deny_assignments_list": _role("GET denyAssignments", "denyAssignments/read", "DenyAssignmentList"),
    "deny_assignments_get": _role("GET denyAssignments/{id}", "denyAssignments/read", "DenyAssignmentGet"),
    "diagnostic_settings_list": _diagnostic("GET diagnosticSettings", "read", "DiagnosticSettingList"),
    "diagnostic_settings_get": _diagnostic("GET diagnosticSettings/{name}", "read", "DiagnosticSettingGet"),
    "diagnostic_settings_create_or_update": _diagnostic(
        "PUT diagnosticSettings/{name}", "write", "DiagnosticSettingPut", body="Diagnostics"
    ),
    "diagnostic_settings_delete": _diagnostic("DELETE diagnosticSettings/{name}", "delete", "DiagnosticSettingDelete"),
    "diagnostic_settings_category_list": _diagnostic(
        "GET diagnosticSettingsCategories", "read", "DiagnosticCategoryList"
    ),
    "diagnostic_settings_category_get": _diagnostic(
        "GET diagnosticSettingsCategories/{name}", "read", "DiagnosticCategoryGet"
    ),
    "tenants_list": _resource("GET /tenants", "tenants/read", "", "TenantList"),
    "subscriptions_list": _resource(
        "GET /subscriptions", "subscriptions/read", IN_SUBSCRIPTION, "SubscriptionList", shows=True
    ),
    "subscriptions_get": _resource(
        f"GET {IN_SUBSCRIPTION}", "subscriptions/read", IN_SUBSCRIPTION, "SubscriptionGet", shows=True
    ),
    "locations_list": _resource(
        f"GET {IN_SUBSCRIPTION}/locations", "subscriptions/read", IN_SUBSCRIPTION, "LocationList", shows=True
    ),
    "resource_groups_list": _resource(
        f"GET {IN_SUBSCRIPTION}/resourceGroups", f"{_GROUP}/read", IN_GROUP, "ResourceGroupList", shows=True
    ),
    "resource_groups_get": _resource(f"GET {IN_GROUP}", f"{_GROUP}/read", IN_GROUP, "ResourceGroupGet"),
    "resource_groups_check_existence": _resource(f"HEAD {IN_GROUP}", f"{_GROUP}/read", IN_GROUP, "ResourceGroupGet"),
    "resource_groups_put": _resource(
        f"PUT {IN_GROUP}", f"{_GROUP}/write", IN_GROUP, "ResourceGroupPut", body="ResourceGroup"
    ),
    "resource_groups_patch": _resource(
        f"PATCH {IN_GROUP}", f"{_GROUP}/write", IN_GROUP, "ResourceGroupPatch", body="ResourceGroupPatch"
    ),
    "resource_groups_delete": _resource(f"DELETE {IN_GROUP}", f"{_GROUP}/delete", IN_GROUP, "ResourceGroupDelete"),
    "resources_list": _resource(
        f"GET {IN_SUBSCRIPTION}/resources", "subscriptions/resources/read", IN_SUBSCRIPTION, "ResourceList", shows=True
    ),
    "resources_list_by_group": _resource(
        f"GET {IN_GROUP}/resources", "subscriptions/resources/read", IN_GROUP, "ResourceList", shows=True
    ),
    "providers_list_at_tenant": _resource("GET /providers", "providers/read", "", "ProviderList"),
    "providers_list": _resource(
        f"GET {IN_SUBSCRIPTION}/providers", "subscriptions/providers/read", IN_SUBSCRIPTION, "ProviderList", shows=True
    ),
    "providers_get": _resource(
        f"GET {IN_SUBSCRIPTION}/providers/{{name}}",
        "subscriptions/providers/read",
        IN_SUBSCRIPTION,
        "ProviderGet",
        shows=True,
    ),
    "providers_register": _resource(
        f"POST {IN_SUBSCRIPTION}/providers/{{name}}/register",
        "subscriptions/providers/register/action",
        IN_SUBSCRIPTION,
        "ProviderRegister",
    ),
    "providers_unregister": _resource(
        f"POST {IN_SUBSCRIPTION}/providers/{{name}}/unregister",
        "subscriptions/providers/unregister/action",
        IN_SUBSCRIPTION,
        "ProviderUnregister",
    ),
    "group_operation_results_get": _resource(
        f"GET {IN_SUBSCRIPTION}/operationresults/{{id}}",
        "subscriptions/operationresults/read",
        "",
        "OperationResultGet",
    ),
    "management_groups_list": _group("GET", "", "read", "ManagementGroupList", shows=True),
    "management_groups_get": _group("GET", "/{name}", "read", "ManagementGroupGet"),
    "management_groups_put": _group(
        "PUT", "/{name}", "write", "ManagementGroupPut", body="ManagementGroup", shows=True
    ),
    "management_groups_patch": _group("PATCH", "/{name}", "write", "ManagementGroupPatch", body="ManagementGroupPatch"),
    "management_groups_delete": _group("DELETE", "/{name}", "delete", "ManagementGroupDelete"),
    "management_group_subscriptions_list": _group("GET", "/{name}/subscriptions", "read", "ManagementGroupGet"),
    "management_group_subscriptions_get": _group("GET", "/{name}/subscriptions/{id}", "read", "ManagementGroupGet"),
    "management_group_subscriptions_put": _group(
        "PUT", "/{name}/subscriptions/{id}", "subscriptions/write", "ManagementGroupSubscriptionPut"
    ),
    "management_group_subscriptions_delete": _group(
        "DELETE", "/{name}/subscriptions/{id}", "subscriptions/delete", "ManagementGroupSubscriptionDelete"
    ),
}
PUBLIC: Final = {"metadata_endpoints": "/metadata/endpoints"}
"""Answered without a token, and not recorded."""
