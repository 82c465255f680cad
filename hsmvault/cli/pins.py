"""Where PINs come from: a file, a variable, a terminal. Never the command line, where every process would see them."""

import getpass
import os
import secrets
import stat
import sys
from pathlib import Path

from hsmvault.config.files import write_private
from hsmvault.errors import ConfigurationError
from hsmvault.hsm.pin import Pin


def read_pin(what: str, *, file: Path | None, variable: str, key: str) -> Pin:
    """what: for the prompt ('user PIN'). key: the configuration's ('hsm.pin'), for refusals.

    A variable is taken out of the environment, so that no child inherits it. Raises ConfigurationError.
    """
    if file is not None:
        return _from_file(file, key)
    if variable:
        value = os.environ.pop(variable, "")
        if not value:
            raise ConfigurationError(f"{key}_env: the variable {variable} is not set, or is empty.")
        return Pin(value)
    if sys.stdin.isatty():
        value = getpass.getpass(f"{what}: ")
        if value:
            return Pin(value)
    raise ConfigurationError(f"The {what} is missing: set {key}_file or {key}_env, or run this on a terminal.")


def made_pin(file: Path) -> Pin:
    """The PIN of an embedded instance: made at its first start, kept in a file for the owner alone."""
    if not file.exists():
        write_private(file, secrets.token_hex(16).encode() + b"\n")
    return _from_file(file, "the data directory")


def _from_file(file: Path, key: str) -> Pin:
    try:
        if file.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise ConfigurationError(f"{key}: other users can reach {file}; run `chmod 0600 {file}`.")
        value = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{key}: the file {file} cannot be read ({reason}).") from error
    if not value:
        raise ConfigurationError(f"{key}: the file {file} is empty.")
    return Pin(value)
