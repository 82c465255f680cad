"""Subscriptions as callers see them: whoever has any role in one, at it or above it, knows that it is there."""

from collections.abc import Awaitable, Callable

from hsmvault.model.principals import Caller, Tenant
from hsmvault.model.roles import folded
from hsmvault.model.subscriptions import Subscription
from hsmvault.store import directory, roles, subscriptions
from hsmvault.store.database import Database

MayRead = Callable[[str, str], Awaitable[bool]]
"""Whether the caller has a control action on a resource: action, resource id."""

_READ = "Microsoft.Resources/subscriptions/read"


class Subscriptions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def shown_to(self, caller: Caller, may: MayRead) -> list[Subscription]:
        """Of the caller's tenant, by id."""
        async with self._database.read() as tx:
            found = await subscriptions.of_tenant(tx, caller.tenant_id)
            held = await roles.assignments_of(tx, caller.principal_ids)
        scopes = [folded(one.scope) + "/" for one in held if one.tenant_id == caller.tenant_id]
        return [one for one in found if await _is_shown(one, scopes, may)]

    async def find_for(self, caller: Caller, subscription_id: str, may: MayRead) -> Subscription | None:
        """None when it is not the caller's to see. subscription_id: in any case."""
        shown = await self.shown_to(caller, may)
        return next((one for one in shown if one.id == subscription_id.lower()), None)

    async def tenant(self, tenant_id: str) -> Tenant:
        """One that is known to an outside issuer alone has its id as its name."""
        async with self._database.read() as tx:
            return await directory.tenant(tx, tenant_id) or Tenant(tenant_id, tenant_id, "")


async def _is_shown(subscription: Subscription, scopes: list[str], may: MayRead) -> bool:
    place = folded(subscription.resource_id) + "/"
    return any(scope.startswith(place) for scope in scopes) or await may(_READ, subscription.resource_id)
