"""Role assignments and definitions, put together."""

from hsmvault.app.base import Base
from hsmvault.pipeline.azure_rbac import AzureRbac
from hsmvault.resources.roles.assignments import RoleAssignments
from hsmvault.resources.roles.definitions import RoleDefinitions
from hsmvault.wire.management.authorization import AuthorizationHandlers


def role_handlers(base: Base, rbac: AzureRbac) -> AuthorizationHandlers:
    return AuthorizationHandlers(
        rbac,
        RoleAssignments(base.database, base.clock, base.settings.management.role_assignments),
        RoleDefinitions(base.database, base.clock),
    )
