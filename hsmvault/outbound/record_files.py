"""Lines appended to a file of the site's own: for its owner alone, and on the disk before anybody relies on them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_BLOCK: Final = 1 << 16


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines, durably. It blocks. Raises OSError; then some of them may be there.

    The file is opened each time, so that whoever rotates it renames it whenever he likes. Half a line that a crash left
    at its end is cut off first.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        whole = _end_of_lines(descriptor, end)
        if whole < end:
            os.ftruncate(descriptor, whole)
        content = memoryview(b"".join([line + b"\n" for line in lines]))
        while content:
            written = os.pwrite(descriptor, content, whole)
            content, whole = content[written:], whole + written
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _end_of_lines(descriptor: int, end: int) -> int:
    """The offset behind the last line feed."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        at = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
