"""The arguments of `hsmvault directory`. What they mean is in directory_people.py and directory_applications.py."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

_APPLICATIONS = frozenset({"app", "sp", "identity"})
_ROLES = "as `hsmvault directory role definitions` lists them, by name or id"

AddPlace = Callable[[argparse.ArgumentParser], None]


def add_directory(parser: argparse.ArgumentParser, add_data_dir: AddPlace) -> None:
    """add_data_dir: adds --data-dir."""
    kinds = parser.add_subparsers(metavar="KIND", required=True, parser_class=_LateParser)
    makers = (
        ("tenant", "tenants", _tenant),
        ("user", "people", _user),
        ("group", "groups, which may hold groups", _group),
        ("app", "registrations of applications, their secrets and certificates", _app),
        ("sp", "service principals of applications", _service_principal),
        ("identity", "managed identities", _identity),
        ("role", "roles of the directory", _role),
    )
    for name, text, make in makers:
        kinds.add_parser(name, help=text).fill = _filling(name, make, add_data_dir)


class _LateParser(argparse.ArgumentParser):
    """It gets its commands when its word is there: making all of them takes a start of every command 30 ms."""

    fill: "Callable[[argparse.ArgumentParser], None] | None" = None

    def parse_known_args(  # type: ignore[override]  # the overloads of the typeshed say no more than this
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        return super().parse_known_args(args, namespace)


def _filling(
    name: str, make: "Callable[[_Kind], None]", add_data_dir: AddPlace
) -> Callable[[argparse.ArgumentParser], None]:
    def fill(parser: argparse.ArgumentParser) -> None:
        commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=argparse.ArgumentParser)
        make(_Kind(name, commands, add_data_dir))

    return fill


class _Kind:
    def __init__(
        self, name: str, commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_data_dir: AddPlace
    ) -> None:
        self._name = name
        self._commands = commands
        self._add_data_dir = add_data_dir

    def command(self, name: str, text: str, *arguments: tuple[str, str]) -> argparse.ArgumentParser:
        """arguments: name and help of those that must be there, in their order."""
        one = self._commands.add_parser(name, help=text)
        for argument, help in arguments:
            one.add_argument(argument, metavar=argument.upper(), help=help)
        if self._name != "tenant":
            one.add_argument("--tenant", metavar="TENANT", help="id or domain (the default tenant)")
        self._add_data_dir(one)
        one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
        one.set_defaults(command=_late(self._name, f"{self._name}_{name.replace('-', '_')}"))
        return one


def _late(kind: str, name: str) -> Callable[[argparse.Namespace], int]:
    """The command is imported when it is called: it brings the database along."""
    module = f"hsmvault.cli.directory_{'applications' if kind in _APPLICATIONS else 'people'}"

    def call(options: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
        return command(options)

    return call


_ID = ("id", "object id")
_USER = ("user", "user principal name or object id")
_APP = ("app", "client id")


def _tenant(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one, in JSON", ("name", "id or domain"))
    kind.command("create", "make one", ("name", "display name"), ("domain", "that the names of its users end in"))
    kind.command("rename", "another display name", ("tenant", "id or domain"), ("name", "display name"))


def _add_password(one: argparse.ArgumentParser) -> None:
    source = one.add_mutually_exclusive_group()
    source.add_argument("--password-file", type=Path, metavar="FILE", help="for its owner alone; else it is asked for")
    source.add_argument("--generate-password", action="store_true", help="make one and print it, once")
    one.add_argument("--keep", action="store_true", help="the user need not change it at the next sign-in")


def _user(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one, in JSON", _USER)
    create = kind.command("create", "make one", ("upn", "name@domain of the tenant"), ("name", "display name"))
    _add_password(create)
    update = kind.command("update", "other names", _USER)
    update.add_argument("--name", metavar="NAME", help="display name")
    update.add_argument("--upn", metavar="UPN", help="user principal name")
    kind.command("enable", "let the user in again", _USER)
    kind.command("disable", "end every session, and let the user in no more", _USER)
    _add_password(kind.command("reset-password", "another password; ends every session", _USER))
    kind.command("revoke-sessions", "end every session", _USER)
    kind.command("delete", "for good", _USER)


def _group(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one, in JSON", _ID)
    create = kind.command("create", "make one", ("name", "display name"))
    create.add_argument("--description", default="", metavar="TEXT")
    update = kind.command("update", "other names", _ID)
    update.add_argument("--name", metavar="NAME", help="display name")
    update.add_argument("--description", metavar="TEXT")
    kind.command("delete", "for good", _ID)
    kind.command("members", "a line each", _ID)
    for name, text in (("add-member", "user, service principal or group"), ("remove-member", "end a membership")):
        kind.command(name, text, _ID, ("member", "object id"))
    _owners(kind, _ID)


def _owners(kind: _Kind, owned: tuple[str, str]) -> None:
    kind.command("owners", "a line each", owned)
    for name, text in (("add-owner", "let a principal change it"), ("remove-owner", "end that")):
        kind.command(name, text, owned, ("owner", "object id"))


def _app(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one with its credentials, in JSON", _APP)
    create = kind.command("create", "register one, with a service principal", ("name", "display name"))
    create.add_argument("--with-secret", action="store_true", help="make a secret too, and print it, once")
    update = kind.command("update", "change a registration", _APP)
    for one in (create, update):
        one.add_argument("--public-client", action=argparse.BooleanOptionalAction, help="people's devices; no secret")
        for part in ("web", "spa", "public"):
            one.add_argument(f"--{part}-redirect-uri", action="append", metavar="URI", help="replaces those before")
        one.add_argument("--identifier-uri", action="append", metavar="URI", help="replaces those before")
    update.add_argument("--name", metavar="NAME", help="display name")
    kind.command("delete", "with its service principal and its credentials, for good", _APP)
    secret = kind.command("add-secret", "make one more secret, and print it, once", _APP)
    secret.add_argument("--name", default="", metavar="NAME")
    secret.add_argument("--days", type=_days, default=0, metavar="N", help="how long it is good (two years)")
    certificate = kind.command("add-certificate", "one more certificate", _APP, ("file", "in PEM or DER"))
    certificate.add_argument("--name", default="", metavar="NAME")
    kind.command("remove-credential", "its tokens end at once", _APP, ("credential", "its id (keyId)"))
    _federation(kind, _APP)
    _owners(kind, _APP)


def _federation(kind: _Kind, of: tuple[str, str]) -> None:
    federate = kind.command("federate", "let tokens of another issuer prove it", of, ("name", "of the record"))
    federate.add_argument("--issuer", required=True, metavar="URL", help="`iss`, exactly")
    federate.add_argument("--subject", required=True, metavar="TEXT", help="`sub`, exactly")
    federate.add_argument("--audience", default="api://AzureADTokenExchange", metavar="TEXT", help="`aud`, exactly")
    kind.command("federations", "a line each", of)
    kind.command("unfederate", "its tokens end at once", of, ("name", "of the record"))


def _service_principal(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one, in JSON", _APP)
    kind.command("create", "for an application that has none in this tenant", _APP)
    kind.command("enable", "let it in again", _APP)
    kind.command("disable", "its tokens end at once", _APP)
    kind.command("delete", "the registration stays", _APP)


def _identity(kind: _Kind) -> None:
    kind.command("list", "a line each")
    kind.command("show", "one, in JSON", _ID)
    create = kind.command("create", "of a resource; prints the value of IDENTITY_HEADER, once", ("resource", "ARM id"))
    create.add_argument("--local", action="store_true", help="the local endpoints hand out its tokens")
    kind.command("reset-header", "another IDENTITY_HEADER, which is printed once", _ID)
    kind.command("delete", "for good", _ID)
    _federation(kind, ("client", "client id"))


def _role(kind: _Kind) -> None:
    kind.command("definitions", "the roles that there are")
    kind.command("list", "who has which")
    for name, text in (("add", "give a role"), ("remove", "take a role")):
        kind.command(name, text, ("principal", "object id"), ("role", _ROLES))


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of days")
    return int(text)
