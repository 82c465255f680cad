"""Resource providers: which there are, that each is registered everywhere, and what Microsoft.KeyVault can do."""

from collections.abc import Mapping, Sequence
from typing import Final

from hsmvault.errors import Conflict, NotFound
from hsmvault.model import key_vault_actions as actions
from hsmvault.model.management import AUTHORIZATION, INSIGHTS, KEY_VAULT, MANAGEMENT, RESOURCES
from hsmvault.pipeline.management import not_authorized
from hsmvault.resources.subscriptions import Subscriptions
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.versions import KEY_VAULT_STABLE

_KEY_VAULT_TYPES: Final = (
    "vaults",
    "vaults/secrets",
    "vaults/keys",
    "vaults/keys/versions",
    "vaults/accessPolicies",
    "vaults/privateEndpointConnections",
    "managedHSMs",
    "managedHSMs/keys",
    "managedHSMs/keys/versions",
    "managedHSMs/privateEndpointConnections",
    "operations",
    "checkNameAvailability",
    "checkMhsmNameAvailability",
    "deletedVaults",
    "deletedManagedHSMs",
    "locations",
    "locations/deletedVaults",
    "locations/deletedManagedHSMs",
    "locations/operationResults",
    "locations/managedHsmOperationResults",
)
# The versions that the clients were seen to ask for; every well-formed one is served.
_OTHERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    AUTHORIZATION: (
        ("roleAssignments", "roleDefinitions", "permissions", "denyAssignments"),
        ("2022-04-01", "2022-05-01-preview"),
    ),
    INSIGHTS: (("diagnosticSettings", "diagnosticSettingsCategories"), ("2021-05-01-preview",)),
    RESOURCES: (("tenants", "subscriptions", "resourceGroups", "resources", "providers"), ("2022-12-01", "2024-11-01")),
    MANAGEMENT: (("managementGroups",), ("2020-05-01", "2021-04-01")),
}
_NAMESPACES: Final = (KEY_VAULT, *_OTHERS)


class ProviderHandlers:
    """locations: the configured regions."""

    def __init__(self, subscriptions: Subscriptions, locations: Sequence[str]) -> None:
        self._subscriptions = subscriptions
        self._locations = tuple(locations)

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "providers_list_at_tenant": self._list_at_tenant,
            "providers_list": self._list,
            "providers_get": self._get,
            "providers_register": self._register,
            "providers_unregister": self._unregister,
            "operations_list": self._operations,
        }

    async def _list_at_tenant(self, _: ManagementRequest) -> WireAnswer:
        return ok({"value": [self._shown("", namespace) for namespace in _NAMESPACES]})

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        subscription_id = await self._subscription(request)
        return ok({"value": [self._shown(subscription_id, namespace) for namespace in _NAMESPACES]})

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return ok(self._shown(await self._subscription(request), _namespace(request)))

    async def _register(self, request: ManagementRequest) -> WireAnswer:
        """There is nothing to do: every provider is registered in every subscription."""
        return ok(self._shown(request.names["subscription"].lower(), _namespace(request)))

    async def _unregister(self, request: ManagementRequest) -> WireAnswer:
        raise Conflict(
            f"The resource provider '{_namespace(request)}' cannot be unregistered: it is part of the service.",
            code="CannotUnregisterProvider",
        )

    async def _operations(self, _: ManagementRequest) -> WireAnswer:
        control = [_operation(name, is_data=False) for name in actions.CONTROL_ACTIONS]
        data = [_operation(name, is_data=True) for name in (*actions.VAULT_DATA_ACTIONS, *actions.POOL_DATA_ACTIONS)]
        return ok({"value": [*control, *data]})

    async def _subscription(self, request: ManagementRequest) -> str:
        """In lower case. Raises Forbidden for one that the caller has nothing to do with."""
        subscription_id = request.names["subscription"].lower()
        if await self._subscriptions.find_for(request.caller, subscription_id, request.may) is None:
            raise not_authorized(request.caller, request.operation.action, f"/subscriptions/{subscription_id}")
        return subscription_id

    def _shown(self, subscription_id: str, namespace: str) -> dict[str, object]:
        """subscription_id: "" for the whole tenant."""
        types, versions = _OTHERS.get(namespace, (_KEY_VAULT_TYPES, tuple(reversed(KEY_VAULT_STABLE))))
        shown: dict[str, object] = {
            "id": f"/subscriptions/{subscription_id}/providers/{namespace}"
            if subscription_id
            else f"/providers/{namespace}",
            "namespace": namespace,
            "resourceTypes": [
                {"resourceType": one, "locations": list(self._locations), "apiVersions": list(versions)}
                for one in types
            ],
        }
        if subscription_id:
            shown["registrationState"] = "Registered"
            shown["registrationPolicy"] = "RegistrationFree"
        return shown


def _namespace(request: ManagementRequest) -> str:
    """As it is written. Raises NotFound."""
    wanted = request.names["name"]
    for namespace in _NAMESPACES:
        if namespace.lower() == wanted.lower():
            return namespace
    raise NotFound(f"The resource namespace '{wanted[:128]}' is invalid.", code="InvalidResourceNamespace")


def _operation(name: str, *, is_data: bool) -> dict[str, object]:
    """'vaults/keys/sign/action' is the operation 'sign' on 'vaults/keys'."""
    resource, _, verb = name.rpartition("/")
    if verb == "action":
        resource, _, verb = resource.rpartition("/")
    text = f"{verb[:1].upper()}{verb[1:]}"
    return {
        "name": f"{actions.KEY_VAULT}/{name}",
        "isDataAction": is_data,
        "display": {
            "provider": "Microsoft Key Vault",
            "resource": resource or "Microsoft Key Vault",
            "operation": text,
            "description": f"{text} {resource}".strip(),
        },
    }
