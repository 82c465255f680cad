"""`hsmvault directory tenant|user|group|role`, one function for each command of directory_options.py, by name.

Passwords come from a terminal or a file, never from an argument, where every process would see them.
"""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Mapping

from hsmvault.app.directory_commands import Opened, change, create_tenant, look
from hsmvault.cli.directory_running import (
    add_owner,
    carry_out,
    look_up,
    note,
    principal_line,
    remove_owner,
    settings_of,
    show,
    show_list,
    show_owners,
)
from hsmvault.clock import RandomIdentifiers
from hsmvault.config.secret_files import read_secret_file
from hsmvault.errors import ConfigurationError
from hsmvault.login.secrets import generate_secret
from hsmvault.model.directory import (
    DirectoryRole,
    PrincipalDetails,
)
from hsmvault.model.principals import Principal
from hsmvault.resources.directory.groups import GroupChange, NewGroup
from hsmvault.resources.directory.users import NewUser, UserChange
from hsmvault.wire.graph import answers

_PAGE = 500


def tenant_list(options: argparse.Namespace) -> int:
    tenants = asyncio.run(look(settings_of(options), None, lambda on: on.directory.tenants.list_all(), of_tenants=True))
    for one in tenants:
        print(f"{one.id}  {one.domain}  {one.display_name}")
    return 0


def tenant_show(options: argparse.Namespace) -> int:
    found = asyncio.run(
        look(settings_of(options), None, lambda on: on.directory.tenants.find(options.name), of_tenants=True)
    )
    return show(answers.organization(found))


def tenant_create(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        return answers.organization(await create_tenant(on, options.name, options.domain))

    made = asyncio.run(
        change(settings_of(options), None, "DirectoryTenantCreate", f"Tenant {options.domain}.", act, of_tenants=True)
    )
    return show(made)


def tenant_rename(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> answers.Shown:
        return answers.organization(await on.directory.tenants.rename(options.tenant, options.name))

    about = f"Tenant {options.tenant}."
    return show(asyncio.run(change(settings_of(options), None, "DirectoryTenantRename", about, act, of_tenants=True)))


def user_list(options: argparse.Namespace) -> int:
    return show_list(
        options,
        lambda on, after: on.directory.users.page(on.actor, after=after, most=_PAGE),
        lambda one: f"{one.object_id}  {one.upn}  {one.display_name}{note(one)}",
    )


def user_show(options: argparse.Namespace) -> int:
    return show(answers.user(look_up(options, lambda on: on.directory.users.get(on.actor, options.user))))


def user_create(options: argparse.Namespace) -> int:
    password, shown = _password(options)
    new = NewUser(options.name, options.upn, password, details=PrincipalDetails(must_change_password=not options.keep))
    made = carry_out(options, "DirectoryUserCreate", options.upn, lambda on: on.directory.users.create(on.actor, new))
    return show(answers.user(made) | shown)


def user_update(options: argparse.Namespace) -> int:
    return _update_user(options, "DirectoryUserUpdate", UserChange(display_name=options.name, upn=options.upn))


def user_enable(options: argparse.Namespace) -> int:
    return _update_user(options, "DirectoryUserEnable", UserChange(enabled=True))


def user_disable(options: argparse.Namespace) -> int:
    return _update_user(options, "DirectoryUserDisable", UserChange(enabled=False))


def user_reset_password(options: argparse.Namespace) -> int:
    password, shown = _password(options)
    wanted = UserChange(password=password, details={"must_change_password": not options.keep})
    return _update_user(options, "DirectoryUserPasswordReset", wanted, shown)


def _update_user(
    options: argparse.Namespace, operation: str, wanted: UserChange, shown: Mapping[str, object] | None = None
) -> int:
    user = carry_out(
        options, operation, options.user, lambda on: on.directory.users.update(on.actor, options.user, wanted)
    )
    return show(answers.user(user) | dict(shown or {}))


def user_revoke_sessions(options: argparse.Namespace) -> int:
    carry_out(
        options,
        "DirectoryUserSessionsRevoke",
        options.user,
        lambda on: on.directory.users.revoke_sessions(on.actor, options.user),
    )
    return 0


def user_delete(options: argparse.Namespace) -> int:
    carry_out(
        options, "DirectoryUserDelete", options.user, lambda on: on.directory.users.delete(on.actor, options.user)
    )
    return 0


def group_list(options: argparse.Namespace) -> int:
    return show_list(
        options,
        lambda on, after: on.directory.groups.page(on.actor, after=after, most=_PAGE),
        lambda one: f"{one.object_id}  {one.display_name}",
    )


def group_show(options: argparse.Namespace) -> int:
    return show(answers.group(look_up(options, lambda on: on.directory.groups.get(on.actor, options.id))))


def group_create(options: argparse.Namespace) -> int:
    new = NewGroup(options.name, PrincipalDetails(description=options.description))
    made = carry_out(
        options, "DirectoryGroupCreate", options.name, lambda on: on.directory.groups.create(on.actor, new)
    )
    return show(answers.group(made))


def group_update(options: argparse.Namespace) -> int:
    details: dict[str, str | bool] = {} if options.description is None else {"description": options.description}
    wanted = GroupChange(options.name, details)
    group = carry_out(
        options, "DirectoryGroupUpdate", options.id, lambda on: on.directory.groups.update(on.actor, options.id, wanted)
    )
    return show(answers.group(group))


def group_delete(options: argparse.Namespace) -> int:
    carry_out(options, "DirectoryGroupDelete", options.id, lambda on: on.directory.groups.delete(on.actor, options.id))
    return 0


def group_members(options: argparse.Namespace) -> int:
    return show_list(
        options,
        lambda on, after: on.directory.groups.members(on.actor, options.id, after=after, most=_PAGE),
        principal_line,
    )


def group_add_member(options: argparse.Namespace) -> int:
    about = f"{options.member} in {options.id}"
    carry_out(
        options,
        "DirectoryGroupMemberAdd",
        about,
        lambda on: on.directory.groups.add_member(on.actor, options.id, options.member),
    )
    return 0


def group_remove_member(options: argparse.Namespace) -> int:
    about = f"{options.member} in {options.id}"
    carry_out(
        options,
        "DirectoryGroupMemberRemove",
        about,
        lambda on: on.directory.groups.remove_member(on.actor, options.id, options.member),
    )
    return 0


def group_owners(options: argparse.Namespace) -> int:
    return show_owners(options, _of_group)


def group_add_owner(options: argparse.Namespace) -> int:
    return add_owner(options, _of_group)


def group_remove_owner(options: argparse.Namespace) -> int:
    return remove_owner(options, _of_group)


async def _of_group(_: Opened, options: argparse.Namespace) -> str:
    id: str = options.id
    return id


def role_definitions(options: argparse.Namespace) -> int:
    for role in DirectoryRole:
        print(f"{role.value}  {role.title}")
    return 0


def role_list(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> list[tuple[Principal, DirectoryRole]]:
        found: list[tuple[Principal, DirectoryRole]] = []
        for role in DirectoryRole:
            found += [(one, role) for one in await on.directory.roles.members(on.actor, role)]
        return found

    for principal, role in look_up(options, act):
        print(f"{role.title}  {principal_line(principal)}")
    return 0


def role_add(options: argparse.Namespace) -> int:
    role = _role(options.role)
    about = f"{role.title} for {options.principal}"
    carry_out(
        options, "DirectoryRoleAdd", about, lambda on: on.directory.roles.assign(on.actor, options.principal, role)
    )
    return 0


def role_remove(options: argparse.Namespace) -> int:
    role = _role(options.role)
    about = f"{role.title} for {options.principal}"
    carry_out(
        options, "DirectoryRoleRemove", about, lambda on: on.directory.roles.remove(on.actor, options.principal, role)
    )
    return 0


def _role(text: str) -> DirectoryRole:
    for role in DirectoryRole:
        if text.lower() in (role.value, role.title.lower()):
            return role
    raise ConfigurationError(f"There is no role '{text}': see `hsmvault directory role definitions`.")


def _password(options: argparse.Namespace) -> tuple[str, dict[str, object]]:
    """The password, and what is printed of it."""
    if options.generate_password:
        text = generate_secret(RandomIdentifiers()).reveal()
        return text, {"password": text}
    if options.password_file is not None:
        return read_secret_file(options.password_file, "--password-file"), {}
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "The password is missing: name a --password-file, --generate-password, or run this on a terminal."
        )
    first, second = getpass.getpass("Password: "), getpass.getpass("Again: ")
    if first != second:
        raise ConfigurationError("The two passwords differ.")
    return first, {}
