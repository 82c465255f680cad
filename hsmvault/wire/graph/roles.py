"""Roles of the directory: as directoryRoles, and as roleManagement/directory. The id of an assignment is
`principal_role`.
"""

from collections.abc import Mapping

from hsmvault.model.directory import DirectoryRole
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import bad, not_found
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers
from hsmvault.wire.graph.bodies import Members
from hsmvault.wire.graph.lists import listed
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_BY_TEMPLATE = "roletemplateid="


class RoleHandlers:
    def __init__(self, directory: Directory) -> None:
        self._roles = directory.roles

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "roles_list": self.list_all,
            "roles_get": self.get,
            "role_members_list": self.members,
            "role_members_add": self.add_member,
            "role_members_remove": self.remove_member,
            "role_definitions_list": self.definitions,
            "role_definitions_get": self.definition,
            "role_assignments_list": self.assignments,
            "role_assignments_create": self.assign,
            "role_assignments_get": self.assignment,
            "role_assignments_delete": self.unassign,
        }

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        return listed(request, "directoryRoles", [answers.role(role) for role in DirectoryRole])

    async def get(self, request: GraphRequest) -> WireAnswer:
        context = request.context("directoryRoles/$entity")
        return ok({"@odata.context": context, **answers.role(_role(request.names["id"]))})

    async def members(self, request: GraphRequest) -> WireAnswer:
        found = await self._roles.members(request.actor, _role(request.names["id"]))
        return listed(request, "directoryObjects", [answers.typed(one) for one in found])

    async def add_member(self, request: GraphRequest) -> WireAnswer:
        role, member = _role(request.names["id"]), Members.of(request.body).reference()
        await self._roles.assign(request.actor, member, role)
        return WireAnswer(204, used=member, about=f"role {role.value}")

    async def remove_member(self, request: GraphRequest) -> WireAnswer:
        await self._roles.remove(request.actor, request.names["other"], _role(request.names["id"]))
        return WireAnswer(204)

    async def definitions(self, request: GraphRequest) -> WireAnswer:
        found = [answers.role_definition(role) for role in DirectoryRole]
        return listed(request, "roleManagement/directory/roleDefinitions", found)

    async def definition(self, request: GraphRequest) -> WireAnswer:
        context = request.context("roleManagement/directory/roleDefinitions/$entity")
        return ok({"@odata.context": context, **answers.role_definition(_role(request.names["id"]))})

    async def assignments(self, request: GraphRequest) -> WireAnswer:
        pairs = await self._roles.list_all(request.actor)
        found = [answers.role_assignment(principal_id, role) for principal_id, role in pairs]
        return listed(request, "roleManagement/directory/roleAssignments", found)

    async def assign(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        role, principal_id = _role(body.required("roleDefinitionId")), body.required("principalId")
        if (body.text("directoryScopeId") or "/") != "/":
            raise bad("A role can be assigned for the whole tenant only: directoryScopeId must be '/'.")
        body.end()
        principal = await self._roles.assign(request.actor, principal_id, role)
        context = request.context("roleManagement/directory/roleAssignments/$entity")
        shown = {"@odata.context": context, **answers.role_assignment(principal.object_id, role)}
        return WireAnswer(201, encode_body(shown), used=principal.object_id, about=f"role {role.value}")

    async def assignment(self, request: GraphRequest) -> WireAnswer:
        principal_id, role = _assignment(request.names["id"])
        if (principal_id, role) not in await self._roles.list_all(request.actor):
            raise not_found(request.names["id"])
        context = request.context("roleManagement/directory/roleAssignments/$entity")
        return ok({"@odata.context": context, **answers.role_assignment(principal_id, role)})

    async def unassign(self, request: GraphRequest) -> WireAnswer:
        principal_id, role = _assignment(request.names["id"])
        await self._roles.remove(request.actor, principal_id, role)
        return WireAnswer(204)


def _role(id: str) -> DirectoryRole:
    folded = id.lower().removeprefix(_BY_TEMPLATE)
    for role in DirectoryRole:
        if role.value == folded:
            return role
    raise not_found(id)


def _assignment(id: str) -> tuple[str, DirectoryRole]:
    principal_id, _, role = id.lower().partition("_")
    return principal_id, _role(role)
