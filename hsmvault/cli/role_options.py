"""The arguments of `hsmvault role`. What they mean is in roles.py."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

_SCOPE = "ARM id of a subscription, resource group, vault, object or management group; / for the tenant"
_ROLE = ("role", "name or id")
_FILE = ("file", "JSON, as az role definition takes it, or as the API shows it; - for standard input")

AddPlace = Callable[[argparse.ArgumentParser], None]


def add_roles(parser: argparse.ArgumentParser, add_data_dir: AddPlace) -> None:
    """add_data_dir: adds --data-dir."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, text: str, *arguments: tuple[str, str], scope: bool | None = None
    ) -> argparse.ArgumentParser:
        """scope: whether --scope must be there; None for a command without it."""
        one = commands.add_parser(name, help=text)
        for argument, help in arguments:
            one.add_argument(argument, metavar=argument.upper(), help=help)
        if scope is not None:
            one.add_argument("--scope", required=scope, default="/", metavar="SCOPE", help=_SCOPE)
        one.add_argument("--tenant", metavar="TENANT", help="id or domain (of the scope, or the default tenant)")
        add_data_dir(one)
        one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
        one.set_defaults(command=_late(name))
        return one

    listed = command("list", "role assignments at a scope, above it and below it, a line each", scope=False)
    listed.add_argument("--principal", metavar="WHO", help="of this one and its groups: object id, UPN or client id")
    definitions = command("definitions", "the roles that can be assigned at a scope, a line each", scope=False)
    definitions.add_argument("--custom", action="store_true", help="without the built-in ones")
    command("show", "one role, in JSON", _ROLE)
    assign = command("assign", "give a role", _ROLE, ("principal", "object id, UPN or client id"), scope=True)
    assign.add_argument("--principal-type", default="", metavar="TYPE", help="User, Group or ServicePrincipal, for one "
                        "that the directory does not know")  # fmt: skip
    assign.add_argument("--condition", default="", metavar="TEXT", help="of version 2.0, that limits what it gives")
    assign.add_argument("--description", default="", metavar="TEXT")
    command("remove", "take a role", ("assignment", "its id, as `hsmvault role list` shows it"))
    command("create", "make a custom role", _FILE)
    command("update", "replace a custom role", _ROLE, _FILE)
    command("delete", "remove a custom role that nobody has", _ROLE)


def _late(name: str) -> Callable[[argparse.Namespace], int]:
    """The command is imported when it is called: it brings the database along."""

    def call(options: argparse.Namespace) -> int:
        module = importlib.import_module("hsmvault.cli.roles")
        command: Callable[[argparse.Namespace], int] = getattr(module, f"role_{name}")
        return command(options)

    return call
