"""Microsoft.Authorization on the wire: role assignments, role definitions, and what the caller may.

Who may assign roles may be limited by a condition to some roles and principals. Such a right is asked for twice: before
the body is read, whether there is any, and then with what the body says.
"""

import asyncio
from collections.abc import Mapping

from hsmvault.errors import Forbidden
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition, folded, is_within
from hsmvault.pipeline.azure_rbac import AzureRbac, Decision
from hsmvault.pipeline.management import not_authorized
from hsmvault.resources.roles import refusals
from hsmvault.resources.roles.assignments import RoleAssignments
from hsmvault.resources.roles.definitions import Check, RoleDefinitions
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.management import role_filters
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.pages import asked_items, asked_place, page_of
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.role_answers import (
    AssignmentBody,
    DefinitionBody,
    shown_assignment,
    shown_definition,
    shown_permission,
)

_ASSIGN = "Microsoft.Authorization/roleAssignments/write"
_DEFINE = "Microsoft.Authorization/roleDefinitions/write"
_ATTRIBUTES = "Microsoft.Authorization/roleAssignments"


class AuthorizationHandlers:
    def __init__(self, rbac: AzureRbac, assignments: RoleAssignments, definitions: RoleDefinitions) -> None:
        self._rbac = rbac
        self._assignments = assignments
        self._definitions = definitions

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "role_assignments_create": self._assign,
            "role_assignments_get": self._get_assignment,
            "role_assignments_delete": self._unassign,
            "role_assignments_list": self._list_assignments,
            "role_definitions_create": self._define,
            "role_definitions_get": self._get_definition,
            "role_definitions_delete": self._undefine,
            "role_definitions_list": self._list_definitions,
            "permissions_list": self._permissions,
            "deny_assignments_get": self._get_deny_assignment,
            "deny_assignments_list": self._deny_assignments,
        }

    async def _assign(self, request: ManagementRequest) -> WireAnswer:
        await self._permit_perhaps(request)
        body = decode_request(request.body, AssignmentBody)
        wanted = await self._assignments.read(request.tenant_id, request.scope, request.names["id"], body.asked())
        allowed = await self._rbac.allows(
            request.caller,
            request.tenant_id,
            request.operation.action,
            request.scope,
            request=_attributes(wanted),
        )
        if not allowed:
            raise not_authorized(request.caller, request.operation.action, request.scope)
        made = await self._assignments.put(wanted, request.caller.object_id)
        shown = shown_assignment(made.assignment, request.scope)
        return WireAnswer(201 if made.is_new else 200, encode_body(shown), about=_told(made.assignment))

    async def _get_assignment(self, request: ManagementRequest) -> WireAnswer:
        found = await self._assignments.get(request.tenant_id, request.scope, request.names["id"])
        return ok(shown_assignment(found, request.scope))

    async def _unassign(self, request: ManagementRequest) -> WireAnswer:
        await self._permit_perhaps(request)
        found = await self._assignments.find(request.tenant_id, request.scope, request.names["id"])
        if found is None:
            return WireAnswer(204)
        allowed = await self._rbac.allows(
            request.caller,
            request.tenant_id,
            request.operation.action,
            request.scope,
            resource_attributes=_attributes(found),
        )
        if not allowed:
            raise not_authorized(request.caller, request.operation.action, request.scope)
        removed = await self._assignments.delete(request.tenant_id, request.scope, found.id)
        if removed is None:
            return WireAnswer(204)
        return ok(shown_assignment(removed, request.scope), about=_told(removed))

    async def _list_assignments(self, request: ManagementRequest) -> WireAnswer:
        wanted = role_filters.of_assignments(request.query.get("$filter", ""))
        most = asked_items(request)
        scope, _, last = asked_place(request).rpartition("|")
        found = await self._assignments.page(request.tenant_id, request.scope, wanted, (scope, last), most + 1)
        shown = [shown_assignment(one, request.scope) for one in found[:most]]
        path = f"{request.scope}/providers/Microsoft.Authorization/roleAssignments"
        return page_of(request, path, shown, _place(found[most - 1]) if len(found) > most else "")

    async def _define(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, DefinitionBody)
        wanted = await self._definitions.read(request.tenant_id, request.names["id"], body.asked())
        made = await self._definitions.put(wanted, request.caller.object_id, self._may_define(request))
        return WireAnswer(201, encode_body(shown_definition(made, request.scope)), about=f"role {made.id}: {made.name}")

    async def _get_definition(self, request: ManagementRequest) -> WireAnswer:
        found = await self._definitions.get(request.tenant_id, request.names["id"])
        return ok(shown_definition(found, request.scope))

    async def _undefine(self, request: ManagementRequest) -> WireAnswer:
        removed = await self._definitions.delete(request.tenant_id, request.names["id"], self._may_undefine(request))
        return WireAnswer(204) if removed is None else ok(shown_definition(removed, request.scope))

    async def _list_definitions(self, request: ManagementRequest) -> WireAnswer:
        wanted = role_filters.of_definitions(request.query.get("$filter", ""))
        found = await self._definitions.list_at(request.tenant_id, request.scope, wanted)
        return ok({"value": [shown_definition(role, request.scope) for role in found]})

    async def _permissions(self, request: ManagementRequest) -> WireAnswer:
        blocks = await self._rbac.permissions(request.caller, request.tenant_id, request.scope)
        return ok({"value": [shown_permission(block) for block in blocks]})

    async def _get_deny_assignment(self, request: ManagementRequest) -> WireAnswer:
        raise refusals.deny_assignment_not_found(request.names["id"])

    async def _deny_assignments(self, request: ManagementRequest) -> WireAnswer:
        """There are none: Azure's are made by its own services."""
        return ok({"value": []})

    async def _permit_perhaps(self, request: ManagementRequest) -> None:
        """Raises Forbidden for a caller who may not, whatever the request is about."""
        action = request.operation.action
        decision = await self._rbac.decide(request.caller, request.tenant_id, action, request.scope)
        if decision is Decision.DENIED:
            raise not_authorized(request.caller, action, request.scope)

    def _may_define(self, request: ManagementRequest) -> Check:
        async def check(before: RoleDefinition | None, wanted: RoleDefinition) -> None:
            scopes = dict.fromkeys((*wanted.assignable_scopes, *(before.assignable_scopes if before else ())))
            await self._check_linked(request, _DEFINE, tuple(scopes))
            await self._check_not_wider(request, wanted)

        return check

    def _may_undefine(self, request: ManagementRequest) -> Check:
        async def check(before: RoleDefinition | None, _: RoleDefinition) -> None:
            if before is not None:
                await self._check_linked(request, request.operation.action, before.assignable_scopes)

        return check

    async def _check_linked(self, request: ManagementRequest, action: str, scopes: tuple[str, ...]) -> None:
        """Raises Forbidden unless the caller has the action at every assignable scope."""
        refused = [scope for scope in scopes if not await request.may(action, scope)]
        if refused:
            caller = request.caller
            raise Forbidden(
                f"The client '{caller.upn or caller.application_id}' with object id '{caller.object_id}' has "
                f"permission to perform action '{action}' on scope '{request.scope or '/'}'; however, it does not have "
                f"permission to perform action '{action}' on the linked scope(s) '{','.join(refused)[:1024]}' or the "
                "linked scope(s) are invalid.",
                code="LinkedAuthorizationFailed",
            )

    async def _check_not_wider(self, request: ManagementRequest, wanted: RoleDefinition) -> None:
        """Whoever may not give away roles must not widen one that it has: what it writes has to be within what it may.

        Raises Forbidden.
        """
        looked_at: set[tuple[Permission, ...]] = set()
        for scope in wanted.assignable_scopes:
            if await request.may(_ASSIGN, scope):
                continue
            own = tuple(await self._rbac.permissions(request.caller, request.tenant_id, scope))
            if own in looked_at:
                continue
            await asyncio.sleep(0)  # each look may take a while
            if not all(is_within(block, own) for block in wanted.permissions):
                raise not_authorized(request.caller, _ASSIGN, scope)
            looked_at.add(own)


def _attributes(assignment: RoleAssignment) -> dict[str, str]:
    """What conditions may ask about an assignment. What nobody knows is left out: it fulfils no condition."""
    known = {
        "RoleDefinitionId": assignment.role_id,
        "PrincipalId": assignment.principal_id,
        "PrincipalType": assignment.principal_type,
    }
    return {f"{_ATTRIBUTES}:{name}": value for name, value in known.items() if value}


def _place(assignment: RoleAssignment) -> str:
    return f"{folded(assignment.scope)}|{assignment.id}"


def _told(assignment: RoleAssignment) -> str:
    """For the audit record: the URL names the assignment and not who got what."""
    condition = " under a condition" if assignment.condition else ""
    return f"role {assignment.role_id} for {assignment.principal_id}{condition}"
