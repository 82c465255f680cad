"""What the commands of `hsmvault directory` share: finding the instance, running, and printing. Lists are lines, single
objects JSON as Graph shows them. Secrets come out once, on standard output.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from hsmvault.app.directory_commands import Act, Opened, Result, change, look
from hsmvault.cli import existing
from hsmvault.config import Settings
from hsmvault.model.principals import Principal

_PAGE = 500
OwnedBy = Callable[[Opened, argparse.Namespace], Awaitable[str]]
"""The object id of what the options name, for its owners."""


def show_list(
    options: argparse.Namespace,
    page: Callable[[Opened, str], Awaitable[list[Principal]]],
    line: Callable[[Principal], str],
) -> int:
    async def read(on: Opened) -> list[Principal]:
        found: list[Principal] = []
        while True:
            rows = await page(on, found[-1].object_id if found else "")
            found += rows
            if len(rows) < _PAGE:
                return found

    for one in look_up(options, read):
        print(line(one))
    return 0


def principal_line(one: Principal) -> str:
    return f"{one.object_id}  {one.kind.value}  {one.upn or one.display_name}{note(one)}"


def note(one: Principal) -> str:
    return "" if one.enabled else "  (disabled)"


def look_up(options: argparse.Namespace, act: Act[Result]) -> Result:
    return asyncio.run(look(settings_of(options), options.tenant, act))


def carry_out(options: argparse.Namespace, operation: str, about: str, act: Act[Result]) -> Result:
    return asyncio.run(change(settings_of(options), options.tenant, operation, f"{about}.", act))


def show(shown: Mapping[str, object]) -> int:
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    return existing.settings_of(options.config, options.data_dir)


def show_owners(options: argparse.Namespace, owned: OwnedBy) -> int:
    async def act(on: Opened) -> list[Principal]:
        return await on.directory.owners.of(on.actor, await owned(on, options))

    for one in look_up(options, act):
        print(principal_line(one))
    return 0


def add_owner(options: argparse.Namespace, owned: OwnedBy) -> int:
    async def act(on: Opened) -> None:
        await on.directory.owners.add(on.actor, await owned(on, options), options.owner)

    carry_out(options, "DirectoryOwnerAdd", options.owner, act)
    return 0


def remove_owner(options: argparse.Namespace, owned: OwnedBy) -> int:
    async def act(on: Opened) -> None:
        await on.directory.owners.remove(on.actor, await owned(on, options), options.owner)

    carry_out(options, "DirectoryOwnerRemove", options.owner, act)
    return 0
