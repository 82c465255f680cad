"""The command line: what there is to call, and how a refusal leaves."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from hsmvault.cli.directory_options import add_directory
from hsmvault.cli.place_options import add_groups, add_subscriptions
from hsmvault.cli.role_options import add_roles
from hsmvault.cli.vault_options import add_vault
from hsmvault.errors import OperatorError
from hsmvault.model.authorities import REASONS

_REASONS = tuple(REASONS)
_OF_REASONS = f"one of {', '.join(_REASONS)} (unspecified)"
_SUFFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_HIGHEST_PORT = 65_533  # the managed identities and the metrics have the next two; the one behind can be spared


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code; an OperatorError is one sentence on standard error and its exit code."""
    options = command_line().parse_args(sys.argv[1:] if arguments is None else arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except OperatorError as error:
        print(f"hsmvault: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: no complaint at exit either
        return 1
    except KeyboardInterrupt:
        return 0  # stopped, before there was anything to stop
    except Exception as error:
        from hsmvault.telemetry.logs import describe, frames

        # Not Python's own report: the message of an exception may hold what must not be shown.
        print(
            f"hsmvault: unexpected failure: {describe(error)}",
            *frames(error.__traceback__),
            sep="\n  ",
            file=sys.stderr,
        )
        return 1


def _end_quietly() -> None:
    """SIGTERM before the supervisor's loop handles it is a stop, too: exit code 0."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)


def _dev(options: argparse.Namespace) -> int:
    _end_quietly()
    from hsmvault.cli.dev import DevOptions, run_dev
    from hsmvault.cli.hosts import HOSTS_FILE

    return run_dev(
        DevOptions(
            data_dir=options.data_dir,
            port=options.port,
            workers=options.workers,
            suffix=options.suffix,
            trust_issuer=tuple(options.trust_issuer),
            hosts=None if options.no_hosts else HOSTS_FILE,
        )
    )


def _serve(options: argparse.Namespace) -> int:
    _end_quietly()
    from hsmvault.cli.serve import run_serve

    return run_serve(options.config)


def _worker(options: argparse.Namespace) -> int:
    from hsmvault.cli import worker
    from hsmvault.cli.application import load

    return worker.main(options.line, load)


def _init(options: argparse.Namespace) -> int:
    from hsmvault.cli import admin
    from hsmvault.cli.hardening import harden

    harden()
    return admin.initialize(options.config, world=options.world)


def _migrate(options: argparse.Namespace) -> int:
    from hsmvault.cli import admin

    return admin.migrate(options.config)


def _check(options: argparse.Namespace) -> int:
    from hsmvault.cli import admin
    from hsmvault.cli.hardening import harden

    harden()
    return admin.check(options.config)


def _env(options: argparse.Namespace) -> int:
    from hsmvault.cli import admin

    return admin.print_environment(options.data_dir)


def _audit_verify(_: argparse.Namespace) -> int:
    from hsmvault.cli import admin

    return admin.verify_audit()


def _attest_verify(options: argparse.Namespace) -> int:
    from hsmvault.cli import attest

    return attest.verify_file(options.file, options.certificate, options.max_age)


def _attest_certificate(options: argparse.Namespace) -> int:
    from hsmvault.cli import attest

    return attest.print_certificate(options.data_dir, options.config, options.world)


def _rotate_system_key(options: argparse.Namespace) -> int:
    from hsmvault.cli import rotate

    return rotate.rotate_system_key(
        options.config, options.data_dir, options.world, keep_old=options.keep_old, make_only=options.make_only
    )


def _rotate_world_key(options: argparse.Namespace) -> int:
    from hsmvault.cli import rotate

    return rotate.rotate_world_key(options.config, options.data_dir, options.world, make_only=options.make_only)


def _ca_list(options: argparse.Namespace) -> int:
    from hsmvault.cli import ca

    return ca.list_authorities(options.config, options.data_dir)


def _ca_show(options: argparse.Namespace) -> int:
    from hsmvault.cli import ca

    return ca.show(options.config, options.data_dir, options.name)


def _ca_export(options: argparse.Namespace) -> int:
    from hsmvault.cli import ca

    return ca.export(options.config, options.data_dir, options.name)


def _ca_revoke(options: argparse.Namespace) -> int:
    from hsmvault.cli import ca

    return ca.revoke(options.config, options.data_dir, options.name, options.serial, options.reason)


def command_line() -> argparse.ArgumentParser:
    """Every command that there is."""
    parser = argparse.ArgumentParser(
        prog="hsmvault", description="A key service in front of an HSM that speaks the Azure Key Vault API."
    )
    parser.add_argument("--version", action="version", version=f"hsmvault {version('hsmvault')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    dev = commands.add_parser("dev", help="run an embedded instance on this machine, for development")
    _add_data_dir(dev)
    dev.add_argument("--port", type=_port, default=8443, metavar="N", help="TLS port; the next two are used too (8443)")
    dev.add_argument("--workers", type=_workers, default=0, metavar="N", help="worker processes (one per core)")
    dev.add_argument("--suffix", type=_suffix, default="localhost", metavar="NAME", help="of every host (localhost)")
    dev.add_argument(
        "--trust-issuer",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="one more OIDC issuer: an [[issuers]] table as in conf/hsmvault.toml",
    )
    dev.add_argument("--no-hosts", action="store_true", help="leave the hosts file alone")
    dev.set_defaults(command=_dev)

    env = commands.add_parser("env", help='variables of a running instance: eval "$(hsmvault env)"')
    _add_data_dir(env)
    env.set_defaults(command=_env)

    for name, command, text in (
        ("serve", _serve, "run in production"),
        ("init", _init, "prepare a security world on the configured token"),
        ("migrate", _migrate, "move the database to this version's schema"),
        ("check", _check, "say what a start would be refused for"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="conf/hsmvault.toml explains it")
        if name == "init":
            one.add_argument("--world", default="default", metavar="NAME", help="one of [[worlds]] (default)")
        one.set_defaults(command=command)

    audit = commands.add_parser("audit", help="the audit log").add_subparsers(metavar="COMMAND", required=True)
    verify = audit.add_parser("verify", help="check a log")
    verify.add_argument("files", nargs="*", type=Path, metavar="FILE")
    verify.add_argument("--public-key", type=Path, metavar="FILE")
    _add_data_dir(verify)
    verify.set_defaults(command=_audit_verify)

    _add_rotations(commands)
    _add_attest(commands.add_parser("attest", help="what an HSM says about a key"))
    _add_ca(commands.add_parser("ca", help="the certificate authorities of this installation"))
    directory = commands.add_parser("directory", help="tenants, people, groups, applications and identities")
    add_directory(directory, _add_data_dir)
    add_roles(commands.add_parser("role", help="who may do what: roles of Azure RBAC"), _add_data_dir)

    add_vault(commands.add_parser("vault", help="the vaults of this installation"), _add_data_dir)

    subscription = commands.add_parser("subscription", help="the subscriptions of this installation")
    add_subscriptions(subscription, _add_data_dir)
    add_groups(commands.add_parser("group", help="the resource groups of a subscription"), _add_data_dir)

    worker = commands.add_parser("worker")  # without help: not listed, the supervisor's own
    worker.add_argument("line", type=int)
    worker.set_defaults(command=_worker)
    return parser


def _add_rotations(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    system = commands.add_parser("rotate-system-key", help="seal everything under another system key, without a stop")
    system.add_argument("--keep-old", action="store_true", help="do not destroy the old key when nothing needs it")
    world = commands.add_parser("rotate-world-key", help="begin another generation of the world key, for new keys")
    for one, command in ((system, _rotate_system_key), (world, _rotate_world_key)):
        _add_data_dir(one)
        one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
        one.add_argument("--world", default="default", metavar="NAME", help="security world (default)")
        one.add_argument(
            "--make-only", action="store_true", help="make the key and stop, so that the token can be backed up first"
        )
        one.set_defaults(command=command)


def _add_attest(attest: argparse.ArgumentParser) -> None:
    commands = attest.add_subparsers(metavar="COMMAND", required=True)
    verify = commands.add_parser("verify", help="check the attestation of a key (exit code 0, 1 or 2)")
    verify.add_argument("file", type=Path, metavar="FILE", help="JSON of the key with its attestation; - for stdin")
    verify.add_argument("--certificate", type=Path, metavar="PEM", help="of the world's attestation key, trusted")
    verify.add_argument("--max-age", type=_seconds, metavar="SECONDS", help="refuse an attestation that is older")
    verify.set_defaults(command=_attest_verify)
    certificate = commands.add_parser("certificate", help="print the certificate of a world's attestation key")
    _add_data_dir(certificate)
    certificate.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
    certificate.add_argument("--world", default="default", metavar="NAME", help="security world (default)")
    certificate.set_defaults(command=_attest_certificate)


def _add_ca(ca: argparse.ArgumentParser) -> None:
    commands = ca.add_subparsers(metavar="COMMAND", required=True)
    for name, command, text in (
        ("list", _ca_list, "the authorities, a line each"),
        ("show", _ca_show, "an authority and what it has issued"),
        ("export", _ca_export, "the certificates of an authority, in PEM"),
        ("revoke", _ca_revoke, "revoke a certificate for good"),
    ):
        one = commands.add_parser(name, help=text)
        if name != "list":
            one.add_argument("name", metavar="NAME", help="of the authority")
        if name == "revoke":
            one.add_argument("serial", metavar="SERIAL", help="serial number of the certificate, in hexadecimal digits")
            one.add_argument("--reason", choices=_REASONS, default="unspecified", metavar="REASON", help=_OF_REASONS)
        _add_data_dir(one)
        one.add_argument("--config", type=Path, metavar="FILE", help="instead of --data-dir")
        one.set_defaults(command=command)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("HSMVAULT_DATA_DIR") or ".hsmvault"),
        metavar="DIR",
        help="where everything of the instance lies (.hsmvault, variable HSMVAULT_DATA_DIR)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 1 to {_HIGHEST_PORT}")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to 256")
    return int(text)


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return int(text)


def _suffix(text: str) -> str:
    lowered = text.lower().rstrip(".")
    if len(lowered) > 200 or not _SUFFIX.fullmatch(lowered):
        raise argparse.ArgumentTypeError(f"'{text}' is not a domain name")
    return lowered
