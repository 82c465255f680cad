"""Where a scope stands: whether what it names is there, and every scope above it."""

from hsmvault.errors import NotFound
from hsmvault.model.containers import ContainerKind
from hsmvault.model.scopes import Scope, ScopeKind, read_scope
from hsmvault.model.subscriptions import management_group_id
from hsmvault.resources.roles import refusals
from hsmvault.store import containers, management_groups, resource_groups, subscriptions
from hsmvault.store.database import Transaction

_KINDS = {
    ("microsoft.keyvault", "vaults"): ContainerKind.VAULT,
    ("microsoft.keyvault", "managedhsms"): ContainerKind.POOL,
}
_SUBSCRIPTION_DEPTH = 3  # segments of a folded subscription, the empty one in front of the first slash included


def scope_of(text: str) -> Scope:
    """Raises NotFound for what is no scope of Azure RBAC."""
    scope = read_scope(text)
    if scope is None:
        raise refusals.invalid_scope(text)
    return scope


async def check_there(tx: Transaction, tenant_id: str, scope: Scope) -> None:
    """Raises NotFound unless this tenant has what the scope names. Of an object its vault is asked for: whether there
    is a key of this name is for those to know who may see it.
    """
    if scope.kind is ScopeKind.TENANT:
        return
    if scope.kind is ScopeKind.MANAGEMENT_GROUP:
        name = scope.management_group
        if name.lower() != tenant_id and await management_groups.find(tx, tenant_id, name) is None:
            raise refusals.management_group_not_found(name)
        return
    subscription = await subscriptions.find(tx, scope.subscription_id)
    if subscription is None or subscription.tenant_id != tenant_id:
        raise NotFound(f"The subscription '{scope.subscription_id}' could not be found.", code="SubscriptionNotFound")
    if scope.kind is ScopeKind.SUBSCRIPTION:
        return
    if await resource_groups.find(tx, scope.subscription_id, scope.group) is None:
        raise NotFound(f"Resource group '{scope.group[:90]}' could not be found.", code="ResourceGroupNotFound")
    if scope.kind is not ScopeKind.GROUP and not await _has_container(tx, scope):
        raise refusals.resource_not_found(scope.resource_type, scope.name, scope.group)


async def scopes_at_and_above(tx: Transaction, tenant_id: str, scope: Scope) -> tuple[str, ...]:
    """Folded: '' for the tenant, the management groups, and what the path has, the scope itself last."""
    if scope.kind is ScopeKind.TENANT:
        return ("",)
    if scope.kind is ScopeKind.MANAGEMENT_GROUP:
        return ("", *reversed(await _management_groups(tx, tenant_id, scope.management_group)))
    subscription = await subscriptions.find(tx, scope.subscription_id)
    groups: tuple[str, ...] = ()
    if subscription is not None and subscription.tenant_id == tenant_id:
        groups = await _management_groups(tx, tenant_id, subscription.management_group)
    segments = scope.folded.split("/")
    depths = [depth for depth in (_SUBSCRIPTION_DEPTH, 5, 9, 11) if depth <= len(segments)]
    return ("", *reversed(groups), *["/".join(segments[:depth]) for depth in depths])


async def _management_groups(tx: Transaction, tenant_id: str, name: str) -> tuple[str, ...]:
    """Folded, the nearest first, the tenant's root group last."""
    found = await management_groups.above(tx, tenant_id, name)
    return tuple([group.resource_id.lower() for group in found] + [management_group_id(tenant_id).lower()])


async def _has_container(tx: Transaction, scope: Scope) -> bool:
    kind = _KINDS.get(scope.resource_type)
    found = None if kind is None else await containers.find(tx, kind, scope.name)
    return (
        found is not None
        and found.deleted_at is None
        and found.subscription_id == scope.subscription_id
        and found.resource_group.lower() == scope.group.lower()
    )
