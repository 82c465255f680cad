"""One instance a data directory: the lock.

The lock (flock) belongs to the open file, and workers inherit it: while any process of an instance lives, the
directory is taken, so that a successor never meets a worker of its predecessor. It is gone with the last of them,
however they end; the file itself means nothing and is never removed.
"""

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hsmvault.config import Layout
from hsmvault.errors import ConfigurationError, DirectoryInUse

_ORPHANS_SECONDS = 5.0  # how long workers of a killed supervisor may take to go
_POLL_SECONDS = 0.02


@dataclass(slots=True)
class DataDirectory:
    """A data directory that is ours until close() or the end of the process. descriptor: for workers to inherit."""

    layout: Layout
    descriptor: int

    @classmethod
    def claim(cls, path: Path, *, orphans_seconds: float = _ORPHANS_SECONDS) -> "DataDirectory":
        """Make the directory (0700) if need be and lock it, before anything in it is looked at.

        Raises DirectoryInUse, ConfigurationError.
        """
        layout = Layout(path.absolute())
        try:
            layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The data directory {layout.data_dir} cannot be used ({error.strerror}); choose another with "
                "--data-dir or server.data_dir."
            ) from error
        try:
            _lock(descriptor, layout, orphans_seconds)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            if layout.data_dir.stat().st_uid == os.geteuid():
                layout.data_dir.chmod(0o700)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(layout, descriptor)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> "DataDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(descriptor: int, layout: Layout, orphans_seconds: float) -> None:
    deadline = time.monotonic() + orphans_seconds
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        owner = _owner(descriptor)
        if _lives(owner) or time.monotonic() > deadline:
            raise DirectoryInUse(
                f"Another instance (process {owner or 'unknown'}) uses the data directory {layout.data_dir}; stop it, "
                "or choose another directory with --data-dir."
            )
        time.sleep(_POLL_SECONDS)  # its supervisor is dead, and its workers are on their way out


def _owner(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _lives(process: int) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
