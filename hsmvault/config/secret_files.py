"""Credentials from files: for the service alone, never on the command line or in the configuration itself."""

import os
import stat
from pathlib import Path

from hsmvault.errors import ConfigurationError

_LONGEST_BYTES = 65_536


def read_secret_file(path: Path, key: str) -> str:
    """The text of a file that no other user can reach, without the line ends at its end. key: the configuration's, for
    refusals. Raises ConfigurationError: unreadable, reachable for others, empty, too long, not UTF-8.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise ConfigurationError(f"{key}: other users can reach {path}; run `chmod 0600 {path}`.")
            text = file.read(_LONGEST_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{key}: the file {path} cannot be read ({reason}).") from error
    if len(text) > _LONGEST_BYTES:
        raise ConfigurationError(f"{key}: the file {path} is too long.")
    text = text.rstrip("\r\n")
    if not text:
        raise ConfigurationError(f"{key}: the file {path} is empty.")
    return text
