"""Tenants, subscriptions and their regions: what a login begins with."""

from collections.abc import Mapping, Sequence

from hsmvault.errors import RequestError
from hsmvault.model.subscriptions import Subscription
from hsmvault.pipeline.management import not_authorized
from hsmvault.resources.subscriptions import Subscriptions
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest


class SubscriptionHandlers:
    """locations: the configured regions."""

    def __init__(self, subscriptions: Subscriptions, locations: Sequence[str]) -> None:
        self._subscriptions = subscriptions
        self._locations = tuple(locations)

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "tenants_list": self._tenants,
            "subscriptions_list": self._list,
            "subscriptions_get": self._get,
            "locations_list": self._places,
        }

    async def _tenants(self, request: ManagementRequest) -> WireAnswer:
        """The caller's own: nobody is a guest elsewhere."""
        tenant = await self._subscriptions.tenant(request.caller.tenant_id)
        shown = {
            "id": f"/tenants/{tenant.id}",
            "tenantId": tenant.id,
            "tenantCategory": "Home",
            "tenantType": "AAD",
            "displayName": tenant.display_name,
            "domains": [tenant.domain] if tenant.domain else [],
            "defaultDomain": tenant.domain or tenant.id,
        }
        return ok({"value": [shown]})

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        shown = await self._subscriptions.shown_to(request.caller, request.may)
        count = {"type": "Total", "value": len(shown)}
        return ok({"value": [shown_subscription(one) for one in shown], "count": count})

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return ok(shown_subscription(await self._shown(request)))

    async def _places(self, request: ManagementRequest) -> WireAnswer:
        subscription = await self._shown(request)
        return ok({"value": [_shown_location(subscription, one) for one in self._locations]})

    async def _shown(self, request: ManagementRequest) -> Subscription:
        """Raises Forbidden."""
        subscription_id = request.names["subscription"]
        found = await self._subscriptions.find_for(request.caller, subscription_id, request.may)
        if found is None:
            raise _hidden(request)
        return found


def _hidden(request: ManagementRequest) -> RequestError:
    return not_authorized(
        request.caller, request.operation.action, f"/subscriptions/{request.names['subscription'].lower()}"
    )


def shown_subscription(subscription: Subscription) -> dict[str, object]:
    return {
        "id": subscription.resource_id,
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription.id,
        "tenantId": subscription.tenant_id,
        "displayName": subscription.display_name,
        "state": subscription.state.value,
        "subscriptionPolicies": {"locationPlacementId": "hsmvault", "quotaId": "hsmvault", "spendingLimit": "Off"},
    }


def _shown_location(subscription: Subscription, name: str) -> dict[str, object]:
    return {
        "id": f"{subscription.resource_id}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": name,
        "regionalDisplayName": name,
        "metadata": {
            "regionType": "Physical",
            "regionCategory": "Recommended",
            "geography": name,
            "geographyGroup": name,
            "longitude": "0",
            "latitude": "0",
            "physicalLocation": name,
            "pairedRegion": [],
        },
    }
