"""`hsmvault serve --config FILE`: production. The same program, with what the operator gives it and nothing else."""

from pathlib import Path

from hsmvault.cli.directory import DataDirectory
from hsmvault.cli.hardening import harden
from hsmvault.cli.instance import Parts, run_instance
from hsmvault.cli.listeners import bind
from hsmvault.cli.pins import read_pin
from hsmvault.config import Prepared, Settings, read_settings
from hsmvault.config.rules import missing_for_serve
from hsmvault.config.tls import server_context
from hsmvault.errors import ConfigurationError
from hsmvault.hsm.pin import Pin
from hsmvault.telemetry import configure_logs


def run_serve(path: Path, parts: Parts | None = None) -> int:
    """Run in the foreground until a signal. Raises OperatorError."""
    harden()
    settings = read_settings(path)
    configure_logs(settings.log.level)
    if missing := missing_for_serve(settings):
        raise ConfigurationError(f"{path}: {'; '.join(missing)}.")
    if settings.server.certificate_file is not None and settings.server.key_file is not None:
        server_context(settings.server.certificate_file, settings.server.key_file)
    pin = user_pin(settings)
    with DataDirectory.claim(settings.server.data_dir) as claimed, bind(settings) as bound:
        return run_instance(settings, claimed, bound, pin, parts or Parts(), ready=_ready, stopping=lambda: None)


def user_pin(settings: Settings) -> Pin:
    hsm = settings.hsm
    return read_pin("PIN of the token's user", file=hsm.pin_file, variable=hsm.pin_env, key="hsm.pin")


def security_officer_pin(settings: Settings) -> Pin:
    hsm = settings.hsm
    return read_pin(
        "PIN of the token's security officer", file=hsm.so_pin_file, variable=hsm.so_pin_env, key="hsm.so_pin"
    )


def _ready(_: Prepared) -> None:
    """Nothing to write: the log says it, and systemd is told."""
