"""The arguments of `hsmvault vault`. What they mean is in vaults.py."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

AddPlace = Callable[[argparse.ArgumentParser], None]
_SWITCHES = ("true", "false")


def add_vault(parser: argparse.ArgumentParser, add_data_dir: AddPlace) -> None:
    """add_data_dir: adds --data-dir."""
    add = _Adder(parser.add_subparsers(metavar="COMMAND", required=True), add_data_dir)
    listing = add.command("list", "list_vaults", "the vaults, a line each", name=False)
    listing.add_argument("--deleted", action="store_true", help="those that are deleted")
    add.command("show", "show", "one, in JSON as the management plane has it")
    _create(add.command("create", "create", "make one"))
    _update(add.command("update", "update", "change one"))
    add.command("delete", "delete", "delete one; it is kept for its retention")
    add.command("recover", "recover", "bring a deleted one back")
    add.command("purge", "purge", "remove a deleted one for good")
    _policy(add.group("policy", "access policies"))
    _network(add.group("network", "the firewall"))


class _Adder:
    def __init__(self, commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_data_dir: AddPlace) -> None:
        self._commands = commands
        self._add_data_dir = add_data_dir

    def command(self, word: str, function: str, text: str, *, name: bool = True) -> argparse.ArgumentParser:
        """function: of vaults.py. name: whether it is done to one vault."""
        one = self._commands.add_parser(word, help=text)
        if name:
            one.add_argument("name", metavar="NAME", help="of the vault")
        self._add_data_dir(one)
        one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
        one.set_defaults(command=_late(function))
        return one

    def group(self, word: str, text: str) -> "_Adder":
        parser = self._commands.add_parser(word, help=text)
        return _Adder(parser.add_subparsers(metavar="COMMAND", required=True), self._add_data_dir)


def _late(function: str) -> Callable[[argparse.Namespace], int]:
    """The command is imported when it is called: it brings the database along."""

    def call(options: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module("hsmvault.cli.vaults"), function)
        return command(options)

    return call


def _create(one: argparse.ArgumentParser) -> None:
    one.add_argument("--subscription", metavar="ID", help="where there is more than one")
    one.add_argument("--group", metavar="NAME", help="resource group, where there is more than one")
    one.add_argument("--location", metavar="NAME", help="one of management.locations (the first)")
    one.add_argument("--sku", choices=("standard", "premium"), default="standard", help="premium: with HSM-backed keys")
    one.add_argument("--retention-days", type=int, metavar="DAYS", help="7 to 90, for good (90)")
    one.add_argument("--rbac", choices=_SWITCHES, default="true", help="Azure RBAC or access policies (true)")
    _add_common(one)


def _update(one: argparse.ArgumentParser) -> None:
    one.add_argument("--sku", choices=("premium",), help="from standard to premium, for good")
    one.add_argument("--rbac", choices=_SWITCHES, help="Azure RBAC or access policies")
    _add_common(one)


def _add_common(one: argparse.ArgumentParser) -> None:
    one.add_argument("--purge-protection", action="store_true", help="nobody purges before its time; for good")
    one.add_argument("--tag", action="append", metavar="NAME=VALUE", help="in place of those that there are; repeat it")


def _policy(add: _Adder) -> None:
    give = add.command(
        "set", "set_policy", "give a principal these permissions, and leave the kinds that are not named"
    )
    for kind in ("keys", "secrets", "certificates", "storage"):
        give.add_argument(
            f"--{kind}", metavar="LIST", help=f"permissions on {kind}, with commas; 'all', or '' for none"
        )
    take = add.command("remove", "remove_policy", "take everything from a principal")
    for one in (give, take):
        one.add_argument("principal", metavar="PRINCIPAL", help="object id of a user, group or service principal")
        one.add_argument("--application", metavar="ID", help="of the application through which alone it counts")


def _network(add: _Adder) -> None:
    rules = add.command("set", "set_network", "what holds for whom no rule names")
    rules.add_argument("--default-action", choices=("allow", "deny"))
    rules.add_argument("--bypass", choices=("AzureServices", "None"), help="whether trusted services come in")
    rules.add_argument("--public-access", choices=("enabled", "disabled"))
    for word, text in (("add", "let addresses and subnets in"), ("remove", "let them in no more")):
        one = add.command(word, f"{word}_network", text)
        one.add_argument("--ip", action="append", default=[], metavar="CIDR", help="an address or a range; repeat it")
        one.add_argument("--subnet", action="append", default=[], metavar="ID", help="ARM id of a subnet; repeat it")
