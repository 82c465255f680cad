"""Who may change what in a directory. Reading is for everybody of the tenant, hashes are for nobody.

Roles of the directory are given to users, service principals and groups; members of a group have its roles. Nobody
gets at more than he has:

- Users are managed by Global and User Administrators; a user with another administrative role than User or Groups
  Administrator by Global Administrators alone.
- Groups are managed by Global, Groups and User Administrators, and by their owners; a group that has an administrative
  role, itself or through a group around it, by Global Administrators alone.
- Registrations, service principals and their credentials are managed by Global and Application Administrators, and by
  their owners; one whose service principal has administrative roles, only by those who have every one of them.
- Roles are given and taken by Global Administrators.

An operator at the command line may everything: who can write the database needs no role in it.

Source: "Microsoft Entra built-in roles", "Who can reset passwords"; stricter than they are for application
administrators, who may give a Global Administrator's application a secret there.
"""

from dataclasses import dataclass

from hsmvault.model.directory import Application, DirectoryRole
from hsmvault.model.principals import Principal
from hsmvault.resources.directory.refusals import denied
from hsmvault.store import directory, directory_roles, owners
from hsmvault.store.database import Transaction

GLOBAL = DirectoryRole.GLOBAL_ADMINISTRATOR
USERS = DirectoryRole.USER_ADMINISTRATOR
GROUPS = DirectoryRole.GROUPS_ADMINISTRATOR
APPLICATIONS = DirectoryRole.APPLICATION_ADMINISTRATOR
_HARMLESS = frozenset({DirectoryRole.DIRECTORY_READERS})
_UNDER_USER_ADMINISTRATORS = frozenset({USERS, GROUPS})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, in the only tenant that it can see. object_id: empty for the operator at the command line."""

    tenant_id: str
    object_id: str

    @property
    def is_operator(self) -> bool:
        return not self.object_id


def operator(tenant_id: str) -> Actor:
    return Actor(tenant_id, "")


async def roles_of(tx: Transaction, object_id: str) -> frozenset[DirectoryRole]:
    """Administrative roles of a principal, through its groups too."""
    ids = {object_id, *(await directory.groups_of(tx, object_id))}
    return await directory_roles.roles_of(tx, ids) - _HARMLESS


async def _own_roles(tx: Transaction, actor: Actor) -> frozenset[DirectoryRole]:
    return frozenset({GLOBAL}) if actor.is_operator else await roles_of(tx, actor.object_id)


async def permit_global(tx: Transaction, actor: Actor) -> None:
    """Raises Forbidden, as all of these."""
    if GLOBAL not in await _own_roles(tx, actor):
        raise denied()


async def permit_new_user(tx: Transaction, actor: Actor) -> None:
    if not await _own_roles(tx, actor) & {GLOBAL, USERS}:
        raise denied()


async def permit_user(tx: Transaction, actor: Actor, user: Principal) -> None:
    own = await _own_roles(tx, actor)
    if GLOBAL in own:
        return
    if USERS not in own or not await roles_of(tx, user.object_id) <= _UNDER_USER_ADMINISTRATORS:
        raise denied()


async def permit_new_group(tx: Transaction, actor: Actor) -> None:
    if not await _own_roles(tx, actor) & {GLOBAL, GROUPS, USERS}:
        raise denied()


async def permit_group(tx: Transaction, actor: Actor, group: Principal) -> None:
    own = await _own_roles(tx, actor)
    if GLOBAL in own:
        return
    may = bool(own & {GROUPS, USERS}) or actor.object_id in await owners.owners_of(tx, group.object_id)
    if not may or await roles_of(tx, group.object_id):
        raise denied()


async def permit_new_application(tx: Transaction, actor: Actor) -> None:
    if not await _own_roles(tx, actor) & {GLOBAL, APPLICATIONS}:
        raise denied()


async def permit_application(tx: Transaction, actor: Actor, application: Application) -> None:
    """For the registration and all that proves it. The tenant is its home: checked by who has found it."""
    service_principal = await directory.by_application(tx, application.tenant_id, application.application_id)
    await _permit_application(tx, actor, application.object_id, service_principal)


async def permit_service_principal(tx: Transaction, actor: Actor, service_principal: Principal) -> None:
    """For the service principal itself: its names, whether it is enabled, and its end."""
    await _permit_application(tx, actor, service_principal.object_id, service_principal)


async def _permit_application(tx: Transaction, actor: Actor, owned: str, principal: Principal | None) -> None:
    own = await _own_roles(tx, actor)
    if GLOBAL in own:
        return
    may = APPLICATIONS in own or actor.object_id in await owners.owners_of(tx, owned)
    held = frozenset() if principal is None else await roles_of(tx, principal.object_id)
    if not may or not held <= own:
        raise denied()
