"""Reads the audit log of a node behind a place that is kept, series by series, while its writers go on.

A place is in front of a line: the number of a file, an offset, and the sequence and digest of the line that ends there.
The next line names that digest, so that a reader notices when what it has read is not in the log any more: a write that
failed and was cut off, or what a power cut took. It then begins that file anew: whoever gets the records may get some
twice, and misses none. Nothing is read that has not stood in a file for one look, because what a failing write leaves
behind is cut off at once.

Files may be moved away when they are finished. What was not read of them before is lost to the reader, which says so.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from hsmvault.audit.chain_end import LONGEST_LINE, digest, find_end
from hsmvault.audit.sinks import LoggedLine

LOG = logging.getLogger("hsmvault.audit")
_FILE: Final = re.compile(r"audit-(.+)-([0-9]{6,})\.jsonl")
_LONGEST_READ: Final = 2 * LONGEST_LINE  # bytes


@dataclass(frozen=True, slots=True)
class LogPlace:
    """In front of a line. sequence, digest: of the line before it; 0 and "" in front of the first one.

    anew_to: offset up to which the file is read once more; up to there a break in the chain is passed over.
    """

    number: int = 1
    offset: int = 0
    sequence: int = 0
    digest: str = ""
    anew_to: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A record, and the place behind it."""

    record: LoggedLine
    behind: LogPlace


@dataclass(frozen=True, slots=True)
class Reading:
    """found: in their order. behind: the place to go on from, also behind what is no record. is_end: nothing more can
    be read for now."""

    found: tuple[Found, ...]
    behind: LogPlace
    is_end: bool


Sizes = Mapping[str, Mapping[int, int]]
"""Bytes of every file, by series and number."""


def look(directory: Path) -> Sizes:
    """Raises OSError."""
    sizes: dict[str, dict[int, int]] = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        match = _FILE.fullmatch(path.name)
        if match is not None:
            with suppress(FileNotFoundError):  # it was moved away just now
                sizes.setdefault(match[1], {})[int(match[2])] = path.stat().st_size
    return sizes


def settled(before: Sizes, now: Sizes) -> Sizes:
    """How far files may be read that were there at both looks."""
    return {
        series: both
        for series, files in now.items()
        if (both := {n: min(size, before[series][n]) for n, size in files.items() if n in before.get(series, {})})
    }


def end_of(directory: Path, series: str, sizes: Mapping[int, int], known: LogPlace | None = None) -> LogPlace:
    """The place behind the last whole line. known: a place that may be there already. Raises OSError."""
    number = max(sizes)
    if known is not None and (known.number, known.offset) == (number, sizes[number]):
        return known
    for one in sorted(sizes, reverse=True):
        found = find_end(_path(directory, series, one))
        if found is not None:
            return LogPlace(one, found.end, found.sequence, digest(found.line))
    return LogPlace(number)


def read_behind(directory: Path, series: str, place: LogPlace | None, sizes: Mapping[int, int]) -> Reading:
    """Records behind a place, at most about two mebibytes of them. place: None for the beginning. sizes: how far each
    file may be read. Raises OSError.
    """
    place = _in_a_file(series, place or LogPlace(min(sizes)), sizes)
    if place.number not in sizes:
        return Reading((), place, is_end=True)
    path = _path(directory, series, place.number)
    if not _ends_a_line(path, place.offset):
        place = _begun_anew(series, place)
    length = max(0, sizes[place.number] - place.offset)
    lines = _content(path, place.offset, min(length, _LONGEST_READ)).split(b"\n")[:-1]
    if lines:
        return _read_lines(series, place, lines)
    if length > _LONGEST_READ and (behind := _behind_next_line(path, place.offset)) > place.offset:
        return Reading((), replace(place, offset=behind), is_end=False)  # no line of ours is as long
    later = [number for number in sizes if number > place.number]
    if later:  # a finished file may end in a torn line that nobody could cut off
        return Reading((), LogPlace(min(later), 0, place.sequence, place.digest), is_end=False)
    return Reading((), place, is_end=True)


def _read_lines(series: str, place: LogPlace, lines: list[bytes]) -> Reading:
    found: list[Found] = []
    for line in lines:
        end = place.offset + len(line) + 1
        try:
            record = LoggedLine.read(series, line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            LOG.warning("a line of audit-%s-%06d.jsonl cannot be read and is passed over", series, place.number)
            place = replace(place, offset=end)
            continue
        if place.digest and record.head.previous != place.digest:
            if place.offset == 0:
                missing = record.head.sequence - place.sequence - 1
                LOG.warning("%d audit records of the series %s were moved away before they were read", missing, series)
            elif place.offset > place.anew_to:
                return Reading(tuple(found), _begun_anew(series, place), is_end=False)
        place = LogPlace(place.number, end, record.head.sequence, digest(line), place.anew_to)
        found.append(Found(record, place))
    return Reading(tuple(found), place, is_end=False)


def _in_a_file(series: str, place: LogPlace, sizes: Mapping[int, int]) -> LogPlace:
    """The same place, or the beginning of the next file when its own is gone."""
    if place.number in sizes:
        return place
    later = [number for number in sizes if number > place.number]
    if later:
        return LogPlace(min(later), 0, place.sequence, place.digest)
    if sizes and max(sizes) < place.number:  # another log was put in the place of the one that was read
        LOG.warning("the audit log of the series %s has begun anew", series)
        return LogPlace(min(sizes))
    return place


def _begun_anew(series: str, place: LogPlace) -> LogPlace:
    LOG.warning("audit-%s-%06d.jsonl is not as it was read; its records are exported once more", series, place.number)
    return LogPlace(place.number, anew_to=place.offset)


def _ends_a_line(path: Path, offset: int) -> bool:
    """Also False behind the end of the file."""
    return offset == 0 or _content(path, offset - 1, 1) == b"\n"


def _behind_next_line(path: Path, offset: int) -> int:
    """The same offset when there is no line feed."""
    at = offset
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_LONGEST_READ):
            if b"\n" in block:
                return at + block.index(b"\n") + 1
            at += len(block)
    return offset


def _content(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _path(directory: Path, series: str, number: int) -> Path:
    return directory / f"audit-{series}-{number:06d}.jsonl"
