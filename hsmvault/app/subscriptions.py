"""Subscriptions and resource groups that are there from the start, and who owns them.

What the configuration declares is made when it is missing. A role is given once, which a fact in the database
remembers: what an administrator has taken away stays away, whatever the configuration goes on to say.
"""

from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model import builtin_roles
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.store import directory, meta, resource_groups, roles, subscriptions
from hsmvault.store.database import Database, Transaction

OWNER = "Owner"
OLDER_NAME = "hsmvault"  # of subscriptions that came from an older version's containers


async def declare_subscriptions(settings: Settings, database: Database, clock: Clock, identifiers: Identifiers) -> None:
    """Raises ConfigurationError for one that belongs to another tenant."""
    if not settings.subscriptions:
        return
    async with database.write() as tx:
        for one in settings.subscriptions:
            await have_subscription(tx, str(one.id), str(one.tenant), one.name, int(clock.now()))
            for owner in one.owners:
                await give_once(tx, str(owner), OWNER, f"/subscriptions/{one.id}", str(one.tenant), clock, identifiers)


async def have_subscription(tx: Transaction, id: str, tenant_id: str, name: str, now: int) -> None:
    """Make it when it is missing, and name one that has no name of its own. Raises ConfigurationError."""
    found = await subscriptions.find(tx, id)
    if found is None:
        await subscriptions.insert(tx, Subscription(id, tenant_id, name, created=now))
    elif found.tenant_id != tenant_id:
        raise ConfigurationError(
            f"The subscription {id} belongs to the tenant {found.tenant_id} and not to {tenant_id}: a subscription has "
            "one tenant for ever; give what is of another tenant another subscription."
        )
    elif found.display_name == OLDER_NAME and name != OLDER_NAME:
        await subscriptions.update(tx, replace(found, display_name=name))


async def place_for(tx: Transaction, id: str, tenant_id: str) -> str:
    """The subscription for what was declared without one: the usual one, or, where that is another tenant's, one of the
    tenant's own."""
    found = await subscriptions.find(tx, id)
    return id if found is None or found.tenant_id == tenant_id else str(uuid5(NAMESPACE_OID, f"{id}/{tenant_id}"))


async def have_group(tx: Transaction, subscription_id: str, name: str, location: str, now: int) -> None:
    if await resource_groups.find(tx, subscription_id, name) is None:
        await resource_groups.insert(tx, ResourceGroup(subscription_id, name, location, created=now))


async def give_once(
    tx: Transaction,
    principal_id: str,
    role_name: str,
    scope: str,
    tenant_id: str,
    clock: Clock,
    identifiers: Identifiers,
) -> None:
    """The built-in role at a scope, unless it was given before."""
    role = builtin_roles.BY_NAME[role_name]
    fact = f"given:{scope}:{role.id}:{principal_id}"
    if await meta.get(tx, fact) is not None:
        return
    now = int(clock.now())
    await meta.put(tx, fact, str(now))
    if await roles.same_grant(tx, scope, role.id, principal_id) is None:
        known = await directory.principal(tx, tenant_id, principal_id)
        await roles.insert(
            tx,
            RoleAssignment(
                id=identifiers.guid(),
                scope=scope,
                role_id=role.id,
                principal_id=principal_id,
                created=now,
                tenant_id=tenant_id,
                principal_type=_type(known),
                updated=now,
            ),
        )


def _type(principal: Principal | None) -> str:
    """As role assignments have it, where a managed identity is a service principal; "" when nobody knows."""
    if principal is None:
        return ""
    is_identity = principal.kind is PrincipalKind.MANAGED_IDENTITY
    return (PrincipalKind.APPLICATION if is_identity else principal.kind).value
