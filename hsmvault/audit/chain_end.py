"""Where the chain of an audit file ends: found from behind, block by block.

A power cut may leave anything behind the last record that had reached the disk: half a line, NULs of any length, a
whole line with NULs in it. None of it is thrown away: it is kept beside the file, for people to look at.
"""

import hashlib
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from hsmvault.config.files import sync_directory

LONGEST_LINE = 1 << 20  # bytes; a line is far shorter, since headers are capped
_BLOCK = 1 << 16


class _Link(msgspec.Struct, frozen=True):
    """What is read back of a line."""

    sequence: int
    previous: str


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """line: the last that decodes, without its line feed. end: the offset behind its line feed."""

    sequence: int
    line: bytes
    end: int


def digest(line: bytes) -> str:
    """What the next line has as `previous`. line: without its line feed."""
    return urlsafe_b64encode(hashlib.sha256(line).digest()).rstrip(b"=").decode()


def find_end(path: Path) -> ChainEnd | None:
    """None when no line of the file decodes. Raises OSError."""
    with path.open("rb") as stream:
        for end, line in _lines_backwards(stream, path.stat().st_size):
            if (link := _decoded(line)) is not None:
                return ChainEnd(link.sequence, line, end)
    return None


def keep_aside(path: Path, begin: int) -> Path:
    """Copy what stands from `begin` on into a new file beside this one, durably; from 0 on the file itself gets the new
    name. Returns the new path. Raises OSError; then nothing has changed.
    """
    number, aside = 1, path.with_name(f"{path.name}.torn")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.torn{number}")
    if begin == 0:
        path.rename(aside)
        sync_directory(path.parent)
        return aside
    partial = path.with_name(f"{path.name}.torn.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with path.open("rb") as source, os.fdopen(descriptor, "wb") as target:
            source.seek(begin)
            while block := source.read(_BLOCK):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        partial.rename(aside)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return aside


def _lines_backwards(stream: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines that may be ours, the last first: the offset behind the line feed, and the line without it."""
    position, line = size, b""
    end = -1  # behind the line feed that ends `line`; none was found yet
    while position > 0:
        begin = max(0, position - _BLOCK)
        stream.seek(begin)
        first, *pieces = stream.read(position - begin).split(b"\n")
        for piece in reversed(pieces):
            if end >= 0 and 0 < len(piece) + len(line) <= LONGEST_LINE:
                yield end, piece + line
            position -= len(piece)
            end, line = position, b""
            position -= 1
        line = (first + line)[-LONGEST_LINE - 1 :]  # what is too long stays too long
        position = begin
    if end >= 0 and 0 < len(line) <= LONGEST_LINE:
        yield end, line


def _decoded(line: bytes) -> _Link | None:
    try:
        msgspec.json.decode(line)  # the whole of it: what _Link leaves out would only be skipped over
        return msgspec.json.decode(line, type=_Link)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
