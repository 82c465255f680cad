"""`hsmvault role`: Azure RBAC from the command line, one function for each command of role_options.py, by name.

Beside an instance that runs, which obeys within a second, or without one. Lists are lines, a role is JSON.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import msgspec

from hsmvault.app import role_commands
from hsmvault.app.role_commands import Opened, change, look
from hsmvault.cli.directory_running import settings_of, show
from hsmvault.errors import ConfigurationError
from hsmvault.model.condition_parsing import VERSION
from hsmvault.model.roles import RoleAssignment, RoleDefinition
from hsmvault.resources.roles.assignments import NewAssignment
from hsmvault.resources.roles.definitions import Filter, NewDefinition
from hsmvault.wire.management.role_answers import DefinitionBody, shown_definition

_ANYWHERE = "/"


def role_list(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> list[tuple[RoleAssignment, str]]:
        return await role_commands.assignments_at(on, options.scope, options.principal)

    for one, role in asyncio.run(look(settings_of(options), options.tenant, options.scope, act)):
        note = "  (on a condition)" if one.condition else ""
        print(f"{one.id}  {role}  {one.principal_type or '?'} {one.principal_id}  {one.scope}{note}")
    return 0


def role_definitions(options: argparse.Namespace) -> int:
    wanted = Filter(below=True, built_in=False if options.custom else None)

    async def act(on: Opened) -> list[RoleDefinition]:
        return await role_commands.definitions_at(on, options.scope, wanted)

    for role in asyncio.run(look(settings_of(options), options.tenant, options.scope, act)):
        print(f"{role.id}  {'built-in' if role.is_built_in else 'custom  '}  {role.name}")
    return 0


def role_show(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> RoleDefinition:
        return await role_commands.role_named(on, options.role)

    return show(shown_definition(asyncio.run(look(settings_of(options), options.tenant, _ANYWHERE, act)), ""))


def role_assign(options: argparse.Namespace) -> int:
    asked = NewAssignment(
        role=options.role,
        principal_id=options.principal,
        principal_type=options.principal_type,
        description=options.description,
        condition=options.condition,
        condition_version=VERSION if options.condition else "",
    )

    async def act(on: Opened) -> RoleAssignment:
        return await role_commands.assign(on, options.scope, asked)

    about = f"Role '{options.role}' to {options.principal}."
    made = asyncio.run(change(settings_of(options), options.tenant, options.scope, "RoleAssignmentCreate", about, act))
    print(made.id)
    return 0


def role_remove(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    found = asyncio.run(role_commands.find_assignment(settings, options.assignment))

    async def act(on: Opened) -> None:
        await role_commands.remove(on, found)

    about = f"Role {found.role_id} of {found.principal_id}."
    asyncio.run(change(settings, found.tenant_id, found.scope, "RoleAssignmentDelete", about, act))
    print(f"The role assignment {found.id} is removed.")
    return 0


def role_create(options: argparse.Namespace) -> int:
    asked = _read(options.file)

    async def act(on: Opened) -> RoleDefinition:
        return await role_commands.define(on, None, asked)

    print(_define(options, asked, "RoleDefinitionCreate", act).id)
    return 0


def role_update(options: argparse.Namespace) -> int:
    asked = _read(options.file)

    async def act(on: Opened) -> RoleDefinition:
        return await role_commands.define(on, (await role_commands.role_named(on, options.role)).id, asked)

    print(_define(options, asked, "RoleDefinitionUpdate", act).id)
    return 0


def role_delete(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> RoleDefinition:
        found = await role_commands.role_named(on, options.role)
        await role_commands.undefine(on, found)
        return found

    about = f"Role '{options.role}'."
    gone = asyncio.run(change(settings_of(options), options.tenant, _ANYWHERE, "RoleDefinitionDelete", about, act))
    print(f"The role '{gone.name}' is deleted.")
    return 0


def _define(
    options: argparse.Namespace, asked: NewDefinition, operation: str, act: role_commands.Act[RoleDefinition]
) -> RoleDefinition:
    scope = asked.assignable_scopes[0] if asked.assignable_scopes else _ANYWHERE
    return asyncio.run(change(settings_of(options), options.tenant, scope, operation, f"Role '{asked.name}'.", act))


def _read(file: str) -> NewDefinition:
    """What the API shows, or what `az role definition create` takes: its members in one level, in either case."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("it is not a JSON object")
        if "properties" not in given:
            given = {"properties": _one_level(given)}
        return msgspec.convert(given, DefinitionBody).asked()
    except OSError as error:
        raise ConfigurationError(f"The file {file} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # of msgspec as well
        raise ConfigurationError(f"The role definition in {file} cannot be read: {error}.") from error


def _one_level(given: dict[str, object]) -> dict[str, object]:
    members = {name[:1].lower() + name[1:]: value for name, value in given.items()}
    if "permissions" not in members:
        names = ("actions", "notActions", "dataActions", "notDataActions")
        members["permissions"] = [{name: members[name] for name in names if name in members}]
    members.setdefault("roleName", members.get("name", ""))
    members.pop("type", None)
    return members
