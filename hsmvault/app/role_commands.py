"""What `hsmvault role` does, beside a running instance or without one: nothing here needs the HSM.

Who may run it can write the database, and so needs no role. Every change has its records in the audit log; workers that
run obey within a second.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from hsmvault.app.command_records import ROLE_WRITER
from hsmvault.app.command_turns import acting, opened_database
from hsmvault.app.first_start import DEFAULT_TENANT
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.roles import RoleAssignment, RoleDefinition
from hsmvault.model.scopes import read_scope
from hsmvault.resources.roles.assignments import Filter, NewAssignment, RoleAssignments
from hsmvault.resources.roles.definitions import Filter as DefinitionFilter
from hsmvault.resources.roles.definitions import NewDefinition, RoleDefinitions
from hsmvault.store import directory, meta, subscriptions
from hsmvault.store import roles as store
from hsmvault.store.database import Database

Result = TypeVar("Result")
_PAGE = 1000
_BY_OPERATOR = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """tenant_id: that the command is about."""

    database: Database
    tenant_id: str
    assignments: RoleAssignments
    definitions: RoleDefinitions


Act = Callable[[Opened], Awaitable[Result]]


async def look(settings: Settings, tenant: str | None, scope: str, act: Act[Result]) -> Result:
    """Changes nothing. tenant: id or domain; without, that of the scope's subscription, or the default one. Raises
    OperatorError.
    """
    async with _opened(settings, tenant, scope) as opened:
        return await act(opened)


async def change(
    settings: Settings, tenant: str | None, scope: str, operation: str, about: str, act: Act[Result]
) -> Result:
    """operation: `operationName` of the records. about: what is done. Raises OperatorError."""
    async with _opened(settings, tenant, scope) as opened:
        clock, identifiers = SystemClock(), RandomIdentifiers()
        async with acting(settings, ROLE_WRITER, clock, identifiers, operation, scope, about):
            return await act(opened)


async def assignments_at(opened: Opened, scope: str, principal: str | None) -> list[tuple[RoleAssignment, str]]:
    """At a scope, above it and below it, with the names of the roles. principal: as in principal_id()."""
    wanted = Filter(assigned_to=await principal_id(opened, principal) if principal else "")
    names = {one.id: one.name for one in await definitions_at(opened, "/", DefinitionFilter(below=True))}
    found: list[RoleAssignment] = []
    while True:
        after = (_folded(found[-1]), found[-1].id) if found else ("", "")
        page = await opened.assignments.page(opened.tenant_id, scope, wanted, after, _PAGE)
        found += page
        if len(page) < _PAGE:
            return [(one, names.get(one.role_id, one.role_id)) for one in found]


async def definitions_at(opened: Opened, scope: str, wanted: DefinitionFilter) -> list[RoleDefinition]:
    return await opened.definitions.list_at(opened.tenant_id, scope, wanted)


async def role_named(opened: Opened, role: str) -> RoleDefinition:
    """role: name in any case, or id. Raises OperatorError."""
    found = await opened.definitions.named(opened.tenant_id, role)
    if found is None:
        raise ConfigurationError(f"There is no role '{role}' in the tenant {opened.tenant_id}.")
    return found


async def principal_id(opened: Opened, named: str) -> str:
    """The object id of somebody: named by it, by user principal name, or by client id; a GUID as it stands when the
    directory of the tenant does not know it. Raises ConfigurationError.
    """
    async with opened.database.read() as tx:
        found = (
            await directory.user_by_name(tx, opened.tenant_id, named)
            if "@" in named
            else await directory.by_application(tx, opened.tenant_id, named.lower())
        )
    if found is None and not _is_guid(named):
        raise ConfigurationError(f"There is nobody '{named}' in the tenant {opened.tenant_id}.")
    return named.lower() if found is None else found.object_id


async def assign(opened: Opened, scope: str, asked: NewAssignment) -> RoleAssignment:
    """asked.role: name or id; asked.principal_id: as in principal_id()."""
    role = await role_named(opened, asked.role)
    who = await principal_id(opened, asked.principal_id)
    new = NewAssignment(
        role=role.id,
        principal_id=who,
        principal_type=asked.principal_type,
        description=asked.description,
        condition=asked.condition,
        condition_version=asked.condition_version,
    )
    wanted = await opened.assignments.read(opened.tenant_id, scope, RandomIdentifiers().guid(), new)
    return (await opened.assignments.put(wanted, _BY_OPERATOR)).assignment


async def remove(opened: Opened, assignment: RoleAssignment) -> None:
    if await opened.assignments.delete(opened.tenant_id, assignment.scope, assignment.id) is None:
        raise ConfigurationError(f"There is no role assignment {assignment.id} any more.")


async def find_assignment(settings: Settings, name: str) -> RoleAssignment:
    """name: GUID of an assignment of any tenant, or an ARM id that ends in it. Raises OperatorError."""
    id = name.rstrip("/").rpartition("/")[2].lower()
    async with opened_database(settings, SystemClock()) as database, database.read() as tx:
        found = await store.by_id(tx, id)
    if found is None or read_scope(found.scope) is None:
        raise ConfigurationError(f"There is no role assignment {id} of Azure RBAC.")
    return found


async def define(opened: Opened, role_id: str | None, asked: NewDefinition) -> RoleDefinition:
    """role_id: of the definition that is replaced; None for a new one."""
    wanted = await opened.definitions.read(opened.tenant_id, role_id or RandomIdentifiers().guid(), asked)
    return await opened.definitions.put(wanted, _BY_OPERATOR, _anybody)


async def undefine(opened: Opened, role: RoleDefinition) -> None:
    await opened.definitions.delete(opened.tenant_id, role.id, _anybody)


async def _anybody(before: RoleDefinition | None, wanted: RoleDefinition) -> None:
    """The operator may everything."""


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _folded(assignment: RoleAssignment) -> str:
    scope = read_scope(assignment.scope)
    return "" if scope is None else scope.folded


@asynccontextmanager
async def _opened(settings: Settings, tenant: str | None, scope: str) -> AsyncIterator[Opened]:
    async with opened_database(settings, SystemClock()) as database:
        clock = SystemClock()
        yield Opened(
            database,
            await _tenant(database, tenant, scope),
            RoleAssignments(database, clock, settings.management.role_assignments),
            RoleDefinitions(database, clock),
        )


async def _tenant(database: Database, named: str | None, scope: str) -> str:
    place = read_scope(scope)
    if place is None:
        raise ConfigurationError(
            f"'{scope}' is no scope: it is '/', or the ARM id of a management group, a subscription, a resource group, "
            "a vault, a pool, or an object of a vault."
        )
    async with database.read() as tx:
        if named:
            found = await directory.tenant(tx, named)
            if found is None and not _is_guid(named):
                raise ConfigurationError(f"--tenant: there is no tenant '{named}'.")
            return named.lower() if found is None else found.id
        if place.subscription_id:
            subscription = await subscriptions.find(tx, place.subscription_id)
            if subscription is None:
                raise ConfigurationError(f"There is no subscription {place.subscription_id} in this installation.")
            return subscription.tenant_id
        default = await meta.get(tx, DEFAULT_TENANT)
    if default is None:
        raise ConfigurationError("Name the tenant with --tenant (its id or its domain).")
    return default
