"""SoftHSM's own files: its configuration, and the directory in which its tokens lie.

SoftHSM writes them without ever calling fsync, so that a power cut can take back what it has acknowledged. What a row
of the database is about to rely on is made durable here first.
"""

import os
from pathlib import Path

from hsmvault.config import Settings
from hsmvault.config.files import sync_tree, write_private
from hsmvault.errors import HsmRefusal
from hsmvault.hsm.profile import Profile

_VARIABLE = "SOFTHSM2_CONF"
_KEY = "directories.tokendir"


def write_softhsm_configuration(path: Path, tokens: Path) -> None:
    """SoftHSM's own configuration, in the data directory; tokens are files there (mode 0700)."""
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = f"{_KEY} = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    write_private(path, content.encode())


def sync_token(settings: Settings, profile: Profile) -> None:
    """Make the tokens of a SoftHSM durable; nothing for a module that keeps its keys elsewhere. Blocks.

    Raises HsmRefusal when the disk refuses; the token is as it was then, and it can be tried again.
    """
    try:
        directory = _token_directory(settings, profile)
        if directory is not None:
            sync_tree(directory)
    except OSError as error:
        raise HsmRefusal(
            f"The files of the token cannot be written to the disk ({error.strerror}); make room or give hsmvault the "
            "right to read them, and try again."
        ) from error


def _token_directory(settings: Settings, profile: Profile) -> Path | None:
    if _VARIABLE not in profile.environment:
        return None
    configuration = settings.hsm.softhsm_conf or Path(os.environ.get(_VARIABLE, "/etc/softhsm/softhsm2.conf"))
    for line in configuration.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("#")[0].partition("=")
        if key.strip() == _KEY and value.strip():
            return Path(value.strip())
    return None
