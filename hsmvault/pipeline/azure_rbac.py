"""Azure RBAC: whether a principal may do an action on a resource, by role assignments at the resource and above it.

Deny by default; roles add up and nothing denies. The scopes above a resource are few and known ('/', the management
groups of its subscription, subscription, resource group, resource, object), so they are looked up, not searched for: a
decision costs the same however many assignments there are elsewhere. What cannot be read, a role or a condition, gives
nothing. A tenant's assignments count in that tenant alone, those at '/' and at management groups too.

Source: "What is Azure role-based access control", "Azure role assignment condition format".
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, Protocol

from hsmvault.model import condition_parsing, conditions
from hsmvault.model.principals import Caller
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition, folded, scopes_above
from hsmvault.model.subscriptions import Placement
from hsmvault.store.roles import AssignmentsByScope

_CONTAINER_SEGMENTS: Final = 8  # /subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v
_MANAGEMENT_GROUP: Final = "/providers/microsoft.management/managementgroups"
_AT_ONCE: Final = 16  # assignments; conditions may take milliseconds, and others wait for their turn
_LONGEST_NAME: Final = 90  # of a management group
NAME_OF_VAULT: Final = "Microsoft.KeyVault/vaults:name"
NAME_OF_SECRET: Final = "Microsoft.KeyVault/vaults/secrets:name"  # noqa: S105  # of an attribute, not a secret


class Decision(Enum):
    """DEPENDS: on attributes that were not given; whoever knows them asks again."""

    ALLOWED = "allowed"
    DEPENDS = "depends"
    DENIED = "denied"


class Assignments(Protocol):
    """Where role assignments come from."""

    async def around(
        self, principal_ids: Collection[str], scopes: tuple[str, ...], below: str
    ) -> Sequence[AssignmentsByScope]:
        """Of these principals, those at these folded scopes, and all below one of them; below: "" for none."""
        ...


class Roles(Protocol):
    """The roles that a tenant has. None for what it has not, and for what cannot be read."""

    async def find(self, tenant_id: str, role_id: str) -> RoleDefinition | None: ...


class Places(Protocol):
    """Where subscriptions stand, and management groups: ids of ARM, the nearest first, the tenant's root group last."""

    async def placement(self, subscription_id: str) -> Placement | None: ...

    async def management_groups(self, tenant_id: str, name: str) -> tuple[str, ...]: ...


class AzureRbac:
    def __init__(self, assignments: Assignments, roles: Roles, places: Places) -> None:
        self._assignments = assignments
        self._roles = roles
        self._places = places

    async def allows(
        self,
        caller: Caller,
        tenant_id: str,
        action: str,
        resource_id: str,
        *,
        data: bool = False,
        request: Mapping[str, str] | None = None,
        resource_attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the caller may. A right with a condition counts when the condition holds for what is given.

        tenant_id: of the resource. resource_id: an ARM id, also of an object ('…/vaults/v/secrets/s'); '' or '/' for
        the tenant. data: whether it is a data action. request, resource_attributes: what conditions may ask for, by
        the attribute's name; names of vault and secret are taken from the resource id. Raises Unavailable.
        """
        decision = await self.decide(
            caller, tenant_id, action, resource_id, data=data, request=request, resource_attributes=resource_attributes
        )
        return decision is Decision.ALLOWED

    async def decide(
        self,
        caller: Caller,
        tenant_id: str,
        action: str,
        resource_id: str,
        *,
        data: bool = False,
        request: Mapping[str, str] | None = None,
        resource_attributes: Mapping[str, str] | None = None,
    ) -> Decision:
        """As allows(), told apart from what a condition leaves open."""
        resource = folded(resource_id)
        asked = conditions.Asked(
            action,
            request=request or {},
            resource={**(_names(resource) if data else {}), **(resource_attributes or {})},
        )
        depends = False
        for number, assignment in enumerate(await self._reaching(caller, tenant_id, resource), 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            decision = await self._of(assignment, tenant_id, asked, data)
            if decision is Decision.ALLOWED:
                return decision
            depends = depends or decision is Decision.DEPENDS
        return Decision.DEPENDS if depends else Decision.DENIED

    async def permissions(self, caller: Caller, tenant_id: str, resource_id: str) -> list[Permission]:
        """What the caller's roles give at a resource: every block once, with the conditions that stand before it."""
        found: dict[Permission, None] = {}
        for assignment in await self._reaching(caller, tenant_id, folded(resource_id)):
            role = await self._roles.find(tenant_id, assignment.role_id)
            for block in () if role is None else role.permissions:
                stated = [one for one in (assignment.condition, block.condition) if one]
                condition = stated[0] if len(stated) == 1 else " AND ".join(f"({one})" for one in stated)
                found[replace(block, condition=condition)] = None
        return list(found)

    async def _reaching(self, caller: Caller, tenant_id: str, resource: str) -> list[RoleAssignment]:
        """The assignments of this tenant that a caller has at a folded resource id or above it."""
        groups = await self._management_groups(tenant_id, resource) if caller.tenant_id == tenant_id else None
        if groups is None:
            return []
        scopes, below = _around(resource, groups)
        chain = (*scopes, *scopes_above(resource)[_CONTAINER_SEGMENTS + 1 :]) if below else scopes
        return [
            assignment
            for by_scope in await self._assignments.around(caller.principal_ids, scopes, below)
            for scope in chain
            for assignment in by_scope.get(scope, ())
            if assignment.tenant_id == tenant_id
        ]

    async def _of(self, assignment: RoleAssignment, tenant_id: str, asked: conditions.Asked, data: bool) -> Decision:
        role = await self._roles.find(tenant_id, assignment.role_id)
        if role is None:
            return Decision.DENIED
        decision = Decision.DENIED
        for block in role.giving(asked.action, data=data):
            holds = conditions.both(
                condition_parsing.holds(assignment.condition, asked), condition_parsing.holds(block.condition, asked)
            )
            if holds:
                return Decision.ALLOWED
            if holds is None:
                decision = Decision.DEPENDS
        return decision

    async def _management_groups(self, tenant_id: str, resource: str) -> tuple[str, ...] | None:
        """Folded scopes of the management groups above a resource; None for what this tenant does not have."""
        segments = resource.split("/")
        if len(segments) > 2 and segments[1] == "subscriptions":
            placement = await self._places.placement(segments[2])
            if placement is None:
                return ()  # it may have to be made first, and '/' reaches it all the same
            if placement.subscription.tenant_id != tenant_id:
                return None
            return tuple(folded(one) for one in placement.management_groups)
        if resource.startswith(_MANAGEMENT_GROUP + "/"):
            if len(segments[4]) > _LONGEST_NAME:
                return None  # there is none, and nothing is to be remembered about it
            return tuple(folded(one) for one in await self._places.management_groups(tenant_id, segments[4]))
        return None if len(segments) > 1 and segments[1] == "local" else ()  # pools have roles of their own


def _around(resource: str, groups: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The folded scopes that are looked up for a resource, and the one below which everything is: that of its vault or
    pool, so that all of its objects are decided upon with one reading.

    Nothing is ever assigned at what stands between them (model/scopes.py).
    """
    above, segments = scopes_above(resource), resource.split("/")
    if len(segments) < 3 or segments[1] != "subscriptions":
        return ("", *groups), ""
    if len(segments) < 5 or segments[3] != "resourcegroups":
        return ("", *groups, above[2]), ""
    if len(segments) <= _CONTAINER_SEGMENTS or segments[5] != "providers":
        return ("", *groups, above[2], above[4]), ""
    container = above[_CONTAINER_SEGMENTS]
    return ("", *groups, above[2], above[4], container), container


def _names(resource: str) -> dict[str, str]:
    segments = resource.split("/")
    names: dict[str, str] = {}
    if len(segments) > _CONTAINER_SEGMENTS and segments[7] == "vaults":
        names[NAME_OF_VAULT] = segments[8]
        if len(segments) > 10 and segments[9] == "secrets":
            names[NAME_OF_SECRET] = segments[10]
    return names
