"""Commands that end: env, init, migrate, check, audit."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from hsmvault.cli.application import Load, load
from hsmvault.cli.directory import DataDirectory
from hsmvault.cli.environment import export_lines
from hsmvault.cli.hardening import set_module_environment
from hsmvault.cli.listeners import bind
from hsmvault.cli.serve import security_officer_pin, user_pin
from hsmvault.config import Checked, Layout, Settings, read_settings
from hsmvault.config.rules import missing_for_serve
from hsmvault.config.tls import server_context
from hsmvault.errors import ConfigurationError, DirectoryInUse, OperatorError, PortTaken
from hsmvault.hsm.pin import Pin


def print_environment(data_dir: Path) -> int:
    print(export_lines(Layout(data_dir.absolute())), end="")
    return 0


def initialize(path: Path, load_application: Load = load, world: str = "default") -> int:
    """The ceremony on the configured token. Nothing of an instance may run meanwhile."""
    settings = read_settings(path)
    set_module_environment(settings)
    so_pin, pin = security_officer_pin(settings), user_pin(settings)
    with DataDirectory.claim(settings.server.data_dir):
        _print_all(asyncio.run(_initialize(settings, pin, so_pin, load_application, world)))
    return 0


async def _initialize(settings: Settings, pin: Pin, so_pin: Pin, load_application: Load, world: str) -> list[str]:
    return list(await load_application().initialize(settings, pin, so_pin, world))


def migrate(path: Path, load_application: Load = load) -> int:
    """Move the schema. The old program must not run on this data directory meanwhile."""
    settings = read_settings(path)
    with DataDirectory.claim(settings.server.data_dir):
        _print_all(asyncio.run(_migrate(settings, load_application)))
    return 0


async def _migrate(settings: Settings, load_application: Load) -> list[str]:
    return list(await load_application().migrate(settings))


def check(path: Path, load_application: Load = load) -> int:
    """Say in plain words what a start would be refused for. Returns the exit code of the first, 0 when there is none.

    A running instance is no fault: its data directory and ports are then not looked at.
    """
    settings = read_settings(path)
    set_module_environment(settings)
    found: list[OperatorError] = [
        ConfigurationError(f"{path}: {sentence}.") for sentence in missing_for_serve(settings)
    ]
    found += _check_tls(settings) + _check_machine(settings)
    pin = None
    if settings.hsm.pin_file is not None or settings.hsm.pin_env:
        try:
            pin = user_pin(settings)
        except ConfigurationError as error:
            found.append(error)
    checked = asyncio.run(_check(settings, pin, load_application))
    _print_all(checked.notes)
    found += checked.refusals
    for refusal in found:
        print(f"refused: {refusal}")
    if found:
        return found[0].exit_code
    print(f"{path}: nothing stands against a start.")
    return 0


async def _check(settings: Settings, pin: Pin | None, load_application: Load) -> Checked:
    return await load_application().check(settings, pin)


def _check_tls(settings: Settings) -> list[OperatorError]:
    server = settings.server
    if server.certificate_file is None or server.key_file is None:
        return []
    try:
        server_context(server.certificate_file, server.key_file)
    except ConfigurationError as error:
        return [error]
    return []


def _check_machine(settings: Settings) -> list[OperatorError]:
    """Data directory and ports, without making a directory that is not there."""
    directory = settings.server.data_dir
    try:
        if not directory.exists():
            parent = next(one for one in directory.parents if one.exists())
            if not os.access(parent, os.W_OK | os.X_OK):
                return [
                    ConfigurationError(f"server.data_dir: {directory} cannot be made ({os.strerror(errno.EACCES)}).")
                ]
            bind(settings).close()
            return []
        with DataDirectory.claim(directory):
            bind(settings).close()
    except DirectoryInUse:
        print(f"An instance is running on {directory}; ports and data directory were not looked at.")
    except (ConfigurationError, PortTaken) as error:
        return [error]
    return []


def verify_audit() -> int:
    raise ConfigurationError(
        "`hsmvault audit verify` is not there yet: records carry their chain already, and the signed heads that it "
        "checks come later; docs/divergences.md lists what is not built."
    )


def _print_all(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        print(sentence)
