"""Files that are there whole or not at all, for their owner alone, and on the disk before anybody relies on them."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably, with mode 0600. The directory is made (0700) when it is not there."""
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(path.parent.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Make everything under a directory durable: regular files, then the directories that name them, then itself in
    its parent. Symbolic links are not followed. Raises OSError.
    """
    for parent, _, names in os.walk(directory, topdown=False, onerror=_raise):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_directory(Path(parent))
    sync_directory(directory.parent)


def _raise(error: OSError) -> None:
    raise error
