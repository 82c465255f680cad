"""Role assignments and role definitions as JSON, both ways (Microsoft.Authorization, 2022-04-01).

Clients join both lists by the id of the definition, so that every id of one answer begins with the same subscription,
that of the scope which was asked about; outside of one there is nothing in front of it.
"""

from datetime import UTC, datetime

import msgspec

from hsmvault.model.condition_parsing import VERSION
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition
from hsmvault.resources.roles.assignments import NewAssignment
from hsmvault.resources.roles.definitions import NewDefinition

_PROVIDER = "/providers/Microsoft.Authorization"


class _AssignmentProperties(msgspec.Struct, frozen=True, rename="camel"):
    role_definition_id: str
    principal_id: str
    principal_type: str | None = None
    description: str | None = None
    condition: str | None = None
    condition_version: str | None = None
    delegated_managed_identity_resource_id: str | None = None


class AssignmentBody(msgspec.Struct, frozen=True):
    properties: _AssignmentProperties

    def asked(self) -> NewAssignment:
        given = self.properties
        return NewAssignment(
            role=given.role_definition_id,
            principal_id=given.principal_id,
            principal_type=given.principal_type or "",
            description=given.description or "",
            condition=given.condition or "",
            condition_version=given.condition_version or "",
            delegated_identity=given.delegated_managed_identity_resource_id or "",
        )


class _Block(msgspec.Struct, frozen=True, rename="camel"):
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    data_actions: tuple[str, ...] | None = None
    not_data_actions: tuple[str, ...] | None = None
    condition: str | None = None


class _DefinitionProperties(msgspec.Struct, frozen=True, rename="camel"):
    role_name: str = ""
    description: str | None = None
    type: str | None = None
    permissions: tuple[_Block, ...] = ()
    assignable_scopes: tuple[str, ...] = ()


class DefinitionBody(msgspec.Struct, frozen=True):
    properties: _DefinitionProperties

    def asked(self) -> NewDefinition:
        given = self.properties
        return NewDefinition(
            name=given.role_name,
            description=given.description or "",
            permissions=tuple(
                Permission(
                    block.actions or (),
                    block.not_actions or (),
                    block.data_actions or (),
                    block.not_data_actions or (),
                    block.condition or "",
                )
                for block in given.permissions
            ),
            assignable_scopes=given.assignable_scopes,
            kind=given.type or "",
        )


def shown_assignment(assignment: RoleAssignment, scope: str) -> dict[str, object]:
    """scope: the one that was asked about."""
    at = "" if assignment.scope == "/" else assignment.scope
    return {
        "properties": {
            "roleDefinitionId": _role_id(assignment.role_id, scope),
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type or None,
            "scope": assignment.scope,
            "description": assignment.description or None,
            "condition": assignment.condition or None,
            "conditionVersion": assignment.condition_version or None,
            "createdOn": _date(assignment.created),
            "updatedOn": _date(assignment.updated or assignment.created),
            "createdBy": assignment.created_by or None,
            "updatedBy": assignment.updated_by or None,
            "delegatedManagedIdentityResourceId": assignment.delegated_identity or None,
        },
        "id": f"{at}{_PROVIDER}/roleAssignments/{assignment.id}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assignment.id,
    }


def shown_definition(role: RoleDefinition, scope: str) -> dict[str, object]:
    """scope: the one that was asked about."""
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole" if role.is_built_in else "CustomRole",
            "description": role.description,
            "assignableScopes": role.assignable_scopes,
            "permissions": [shown_permission(block) for block in role.permissions],
            "createdOn": None if role.is_built_in else _date(role.created),
            "updatedOn": None if role.is_built_in else _date(role.updated),
            "createdBy": role.created_by or None,
            "updatedBy": role.updated_by or None,
        },
        "id": _role_id(role.id, scope),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }


def shown_permission(block: Permission) -> dict[str, object]:
    members: dict[str, object] = {
        "actions": block.actions,
        "notActions": block.not_actions,
        "dataActions": block.data_actions,
        "notDataActions": block.not_data_actions,
    }
    if block.condition:
        members |= {"condition": block.condition, "conditionVersion": VERSION}
    return members


def _role_id(role_id: str, scope: str) -> str:
    segments = scope.split("/")
    place = "/".join(segments[:3]) if len(segments) > 2 and segments[1].lower() == "subscriptions" else ""
    return f"{place}{_PROVIDER}/roleDefinitions/{role_id}"


def _date(seconds: int) -> str:
    """seconds: since 1970 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.0000000Z"
