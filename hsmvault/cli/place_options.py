"""The arguments of `hsmvault subscription` and `hsmvault group`. What they mean is in places.py."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

AddPlace = Callable[[argparse.ArgumentParser], None]


def add_subscriptions(parser: argparse.ArgumentParser, add_data_dir: AddPlace) -> None:
    """add_data_dir: adds --data-dir."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, add_data_dir, "list", "list_subscriptions", "the subscriptions, a line each")
    create = _command(commands, add_data_dir, "create", "create_subscription", "make one")
    create.add_argument("name", metavar="NAME", help="that clients show")
    create.add_argument("--id", metavar="ID", help="a GUID (a new one)")
    create.add_argument("--tenant", metavar="TENANT", help="id or domain; for good (the default tenant)")


def add_groups(parser: argparse.ArgumentParser, add_data_dir: AddPlace) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for word, function, text in (
        ("list", "list_groups", "the resource groups of a subscription, a line each"),
        ("create", "create_group", "make one"),
        ("delete", "delete_group", "delete one with every vault and pool in it; they are kept for their retention"),
    ):
        one = _command(commands, add_data_dir, word, function, text)
        if word != "list":
            one.add_argument("name", metavar="NAME", help="of the group")
        if word == "create":
            one.add_argument("--location", metavar="NAME", help="one of management.locations (the first)")
        one.add_argument("--subscription", metavar="ID", help="where there is more than one")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    add_data_dir: AddPlace,
    word: str,
    function: str,
    text: str,
) -> argparse.ArgumentParser:
    """function: of places.py."""
    one = commands.add_parser(word, help=text)
    add_data_dir(one)
    one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
    one.set_defaults(command=_late(function))
    return one


def _late(function: str) -> Callable[[argparse.Namespace], int]:
    """The command is imported when it is called: it brings the database along."""

    def call(options: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module("hsmvault.cli.places"), function)
        return command(options)

    return call
