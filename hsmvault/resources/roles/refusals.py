"""The refusals of Microsoft.Authorization, with its codes and, where they were seen, its words.

Seen: RoleAssignmentExists, RoleAssignmentUpdateNotPermitted, PrincipalNotFound, UnmatchedPrincipalType,
RoleDefinitionDoesNotExist, RoleDefinitionHasAssignments, RoleDefinitionLimitExceeded, RoleDefinitionWithSameNameExists,
and the text of a condition that is not valid. The other texts are ours.
"""

from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound


def bad_format(message: str) -> BadRequest:
    return BadRequest(message, code="BadRequestFormat")


def invalid_assignment_id(name: str) -> BadRequest:
    return BadRequest(
        f"The role assignment ID '{name[:64]}' is not valid. The role assignment ID must be a GUID.",
        code="InvalidRoleAssignmentId",
    )


def invalid_definition_id(name: str) -> BadRequest:
    return BadRequest(
        f"The role definition ID '{name[:64]}' is not valid. The role definition ID must be a GUID.",
        code="InvalidRoleDefinitionId",
    )


def invalid_scope(scope: str) -> NotFound:
    return NotFound(f"The scope '{scope[:512] or '/'}' does not exist.", code="MissingSubscription")


def management_group_not_found(name: str) -> NotFound:
    return NotFound(f"The management group '{name[:90]}' cannot be found.", code="NotFound")


def resource_not_found(resource_type: tuple[str, str], name: str, group: str) -> NotFound:
    return NotFound(
        f"The Resource '{'/'.join(resource_type)}/{name[:128]}' under resource group '{group[:90]}' was not found. For "
        "more details please go to https://aka.ms/ARMResourceNotFoundFix",
        code="ResourceNotFound",
    )


def assignment_not_found(name: str) -> NotFound:
    return NotFound(f"The role assignment '{name[:64]}' is not found.", code="RoleAssignmentNotFound")


def assignment_exists() -> Conflict:
    return Conflict("The role assignment already exists.", code="RoleAssignmentExists")


def update_not_permitted() -> BadRequest:
    return BadRequest(
        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        code="RoleAssignmentUpdateNotPermitted",
    )


def too_many_assignments(most: int) -> BadRequest:
    return BadRequest(
        "No more role assignments can be created: the subscription, or the management group, has the most that are "
        f"allowed, {most}.",
        code="RoleAssignmentLimitExceeded",
    )


def principal_not_found(principal_id: str, tenant_id: str) -> BadRequest:
    return BadRequest(
        f"Principal {principal_id.replace('-', '')} does not exist in the directory {tenant_id}. Check that you have "
        "the correct principal ID. If you are creating this principal and then immediately assigning a role, this "
        "error might be related to a replication delay. In this case, set the role assignment principalType property "
        "to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
        code="PrincipalNotFound",
    )


def unmatched_principal_type(principal_id: str, has: str, given: str) -> BadRequest:
    """The misspelling is the service's."""
    return BadRequest(
        f"The PrincipalId '{principal_id.replace('-', '')}' has type '{has}' , which is different from specified "
        f"PrinciaplType '{given}'.",
        code="UnmatchedPrincipalType",
    )


def invalid_condition(why: str) -> BadRequest:
    return BadRequest(f"The given role assignment condition is invalid. {why}", code="InvalidCondition")


def definition_not_found(role_id: str) -> NotFound:
    return NotFound(
        f"The specified role definition with ID '{role_id.replace('-', '')[:64]}' does not exist.",
        code="RoleDefinitionDoesNotExist",
    )


def deny_assignment_not_found(name: str) -> NotFound:
    return NotFound(f"The deny assignment '{name[:64]}' is not found.", code="DenyAssignmentNotFound")


def definition_is_built_in() -> Forbidden:
    return Forbidden("Built-in role definitions cannot be changed.", code="RoleDefinitionUpdateNotPermitted")


def name_taken() -> Conflict:
    return Conflict(
        "A custom role with the same name already exists in this directory. Use a different name",
        code="RoleDefinitionWithSameNameExists",
    )


def changed_meanwhile() -> Conflict:
    return Conflict("The role definition was changed meanwhile; try again.")


def too_many_definitions() -> BadRequest:
    return BadRequest(
        "Role definition limit exceeded. No more role definitions can be created", code="RoleDefinitionLimitExceeded"
    )


def definition_in_use() -> BadRequest:
    return BadRequest("There are existing role assignments referencing role.", code="RoleDefinitionHasAssignments")


def invalid_action(action: str) -> BadRequest:
    return BadRequest(
        f"'{action[:256]}' does not match any of the actions supported by the providers.",
        code="InvalidActionOrNotAction",
    )


def invalid_assignable_scope(scope: str, why: str) -> BadRequest:
    return BadRequest(f"The assignable scope '{scope[:512]}' is not valid: {why}.", code="InvalidAssignableScope")


def data_actions_at_management_group() -> BadRequest:
    return BadRequest(
        "You cannot add data action permissions when you have a management group as an assignable scope.",
        code="InvalidDataActionOrNotDataAction",
    )
