"""Microsoft.KeyVault. Sources: its OpenAPI documents and client library (paths, methods, since, bodies), "Azure
permissions for Security" (actions), "Key Vault logging" (audit names, where it has any)."""

from collections.abc import Mapping
from typing import Final

from tests.refusals_management.rows import IN_GROUP, IN_SUBSCRIPTION, Row

PROVIDER: Final = "Microsoft.KeyVault"
_GROUP: Final = f"{IN_GROUP}/providers/{PROVIDER}"
_HERE: Final = f"{IN_SUBSCRIPTION}/providers/{PROVIDER}"
_VAULT, _POOL = f"{_GROUP}/vaults/{{vault}}", f"{_GROUP}/managedHSMs/{{pool}}"
_LOCATION: Final = f"{_HERE}/locations/{{location}}"


def _row(
    call: str, since: str, action: str, audit: str, *, at: str | None = None, body: str = "", shows: bool = False
) -> Row:
    """call: method and path. at: None for the path itself."""
    method, path = call.split(" ")
    return Row(
        method=method,
        path=path,
        provider=PROVIDER,
        action=f"{PROVIDER}/{action}",
        at=path if at is None else at,
        audit=audit,
        since=since,
        body=body,
        shows=shows,
    )


def _lists(of: str, plural: str, since: str, action: str, audit: str) -> dict[str, Row]:
    return {
        f"{of}_list_by_resource_group": _row(f"GET {_GROUP}/{plural}", since, action, audit, at=IN_GROUP, shows=True),
        f"{of}_list_by_subscription": _row(
            f"GET {_HERE}/{plural}", max(since, "2016-10-01"), action, audit, at=IN_SUBSCRIPTION, shows=True
        ),
    }


def _connections(of: str, prefix: str, at: str, since: str, audit: str) -> dict[str, Row]:
    path, action = f"{at}/privateEndpointConnections", f"{of}/privateEndpointConnections"
    name = f"{prefix}private_endpoint_connections"
    return {
        f"{name}_get": _row(f"GET {path}/{{name}}", since, f"{action}/read", f"{audit}Get"),
        f"{name}_put": _row(f"PUT {path}/{{name}}", since, f"{action}/write", f"{audit}Put", body="Connection"),
        f"{name}_delete": _row(f"DELETE {path}/{{name}}", since, f"{action}/delete", f"{audit}Delete"),
        f"{name}_list_by_resource": _row(f"GET {path}", "2021-10-01", f"{action}/read", f"{audit}List", at=at),
    }


def _keys(of: str, prefix: str, at: str, since: str, audit: str, body: str) -> dict[str, Row]:
    path, action = f"{at}/keys", f"{of}/keys"
    return {
        f"{prefix}_get": _row(f"GET {path}/{{name}}", since, f"{action}/read", f"{audit}Get"),
        f"{prefix}_create_if_not_exist": _row(
            f"PUT {path}/{{name}}", since, f"{action}/write", f"{audit}Put", body=body
        ),
        f"{prefix}_list": _row(f"GET {path}", since, f"{action}/read", f"{audit}List", at=at),
        f"{prefix}_get_version": _row(
            f"GET {path}/{{name}}/versions/{{version}}", since, f"{action}/versions/read", f"{audit}VersionGet"
        ),
        f"{prefix}_list_versions": _row(
            f"GET {path}/{{name}}/versions",
            since,
            f"{action}/versions/read",
            f"{audit}VersionList",
            at=f"{path}/{{name}}",
        ),
    }


def _life(of: str, at: str, plural: str, since: tuple[str, str], audit: str, body: tuple[str, str]) -> dict[str, Row]:
    """since: of get, put and delete, and of patch."""
    return {
        f"{of}_get": _row(f"GET {at}", since[0], f"{plural}/read", f"{audit}Get"),
        f"{of}_create_or_update": _row(f"PUT {at}", since[0], f"{plural}/write", f"{audit}Put", body=body[0]),
        f"{of}_update": _row(f"PATCH {at}", since[1], f"{plural}/write", f"{audit}Patch", body=body[1]),
        f"{of}_delete": _row(f"DELETE {at}", since[0], f"{plural}/delete", f"{audit}Delete"),
    }


def _deleted(of: str, plural: str, variable: str, action: str, since: str, audit: str) -> dict[str, Row]:
    one = f"{_LOCATION}/{plural}/{{{variable}}}"
    return {
        f"{of}_get_deleted": _row(f"GET {one}", since, f"locations/{action}/read", f"{audit}GetDeleted"),
        f"{of}_purge_deleted": _row(
            f"POST {one}/purge", since, f"locations/{action}/purge/action", f"{audit}Purge", at=one
        ),
        f"{of}_list_deleted": _row(
            f"GET {_HERE}/{plural}", since, f"{action}/read", f"{audit}ListDeleted", at=IN_SUBSCRIPTION
        ),
    }


ROWS: Final[Mapping[str, Row]] = {
    "operations_list": _row(
        "GET /providers/Microsoft.KeyVault/operations", "2016-10-01", "operations/read", "OperationsList", at=""
    ),
    **_life("vaults", _VAULT, "vaults", ("2015-06-01", "2016-10-01"), "Vault", ("Vault", "VaultPatch")),
    **_lists("vaults", "vaults", "2015-06-01", "vaults/read", "VaultList"),
    "vaults_update_access_policy": _row(
        f"PUT {_VAULT}/accessPolicies/{{kind}}",
        "2016-10-01",
        "vaults/accessPolicies/write",
        "VaultAccessPolicyPut",
        at=_VAULT,
        body="Policies",
    ),
    **_deleted("vaults", "deletedVaults", "vault", "deletedVaults", "2016-10-01", "Vault"),
    "vaults_check_name_availability": _row(
        f"POST {_HERE}/checkNameAvailability",
        "2016-10-01",
        "checkNameAvailability/read",
        "VaultNameCheck",
        at=IN_SUBSCRIPTION,
        body="CheckName",
    ),
    **_connections("vaults", "", _VAULT, "2018-02-14", "VaultPrivateEndpointConnection"),
    **_life("managed_hsms", _POOL, "managedHSMs", ("2021-10-01", "2021-10-01"), "ManagedHsm", ("Pool", "PoolPatch")),
    **_lists("managed_hsms", "managedHSMs", "2021-10-01", "managedHSMs/read", "ManagedHsmList"),
    **_deleted("managed_hsms", "deletedManagedHSMs", "pool", "deletedManagedHsms", "2021-10-01", "ManagedHsm"),
    "managed_hsms_check_mhsm_name_availability": _row(
        f"POST {_HERE}/checkMhsmNameAvailability",
        "2022-07-01",
        "checkMhsmNameAvailability/read",
        "ManagedHsmNameCheck",
        at=IN_SUBSCRIPTION,
        body="CheckPoolName",
    ),
    "secrets_get": _row(f"GET {_VAULT}/secrets/{{name}}", "2016-10-01", "vaults/secrets/read", "VaultSecretGet"),
    "secrets_create_or_update": _row(
        f"PUT {_VAULT}/secrets/{{name}}", "2016-10-01", "vaults/secrets/write", "VaultSecretPut", body="Secret"
    ),
    "secrets_update": _row(
        f"PATCH {_VAULT}/secrets/{{name}}", "2016-10-01", "vaults/secrets/write", "VaultSecretPatch", body="SecretPatch"
    ),
    "secrets_list": _row(f"GET {_VAULT}/secrets", "2016-10-01", "vaults/secrets/read", "VaultSecretList", at=_VAULT),
    **_keys("vaults", "keys", _VAULT, "2019-09-01", "VaultKey", "Key"),
    **_keys("managedHSMs", "managed_hsm_keys", _POOL, "2022-11-01", "ManagedHsmKey", "PoolKey"),
    "private_link_resources_list_by_vault": _row(
        f"GET {_VAULT}/privateLinkResources",
        "2018-02-14",
        "vaults/privateLinkResources/read",
        "VaultPrivateLinkResourceList",
        at=_VAULT,
    ),
    "mhsm_private_link_resources_list_by_mhsm_resource": _row(
        f"GET {_POOL}/privateLinkResources",
        "2021-10-01",
        "managedHSMs/privateLinkResources/read",
        "ManagedHsmPrivateLinkResourceList",
        at=_POOL,
    ),
    "mhsm_regions_list_by_resource": _row(
        f"GET {_POOL}/regions", "2023-02-01", "managedHSMs/regions/read", "ManagedHsmRegionList", at=_POOL
    ),
    **_connections("managedHSMs", "mhsm_", _POOL, "2021-10-01", "ManagedHsmPrivateEndpointConnection"),
    "operation_results_get": _row(
        f"GET {_LOCATION}/operationResults/{{id}}",
        "2016-10-01",
        "locations/operationResults/read",
        "OperationResultGet",
        at="",
    ),
    "managed_hsm_operation_results_get": _row(
        f"GET {_LOCATION}/managedHsmOperationResults/{{id}}",
        "2021-10-01",
        "locations/managedHsmOperationResults/read",
        "OperationResultGet",
        at="",
    ),
    "perimeter_configurations_list": _row(
        f"GET {_VAULT}/networkSecurityPerimeterConfigurations",
        "2023-02-01",
        "vaults/read",
        "VaultPerimeterConfigurationList",
        at=_VAULT,
    ),
    "perimeter_configurations_get": _row(
        f"GET {_VAULT}/networkSecurityPerimeterConfigurations/{{name}}",
        "2023-02-01",
        "vaults/read",
        "VaultPerimeterConfigurationGet",
    ),
}
