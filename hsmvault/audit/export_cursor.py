"""How far a destination of audit records has come: a small file of its own beside the log, replaced as a whole.

It is a file and not a row, because the log that it points into is files of the same node: what is restored, copied or
moved together stays together.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from hsmvault.audit.following import LogPlace, end_of, look
from hsmvault.config.files import write_private
from hsmvault.errors import ConfigurationError

_FORMAT: Final = 1


class _Kept(msgspec.Struct, frozen=True):
    format: int
    series: Mapping[str, LogPlace]


class ExportCursor:
    """path: of the file, which need not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        return self._path.is_file()

    def load(self) -> dict[str, LogPlace]:
        """Places by series. Raises ConfigurationError when the file cannot be read, or is a newer version's."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable() from error
        if kept.format != _FORMAT:
            raise self._unreadable()
        return dict(kept.series)

    def save(self, places: Mapping[str, LogPlace]) -> None:
        """Durable when it returns. Raises OSError."""
        write_private(self._path, msgspec.json.encode(_Kept(_FORMAT, places)))

    def _unreadable(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path}, which says how far audit records were exported, cannot be read; restore it, or remove it "
            "to begin with the records from now on."
        )


def cursor_of(directory: Path, destination: str) -> ExportCursor:
    return ExportCursor(directory / f"{destination}.json")


def begin(directory: Path, destinations: Iterable[str], log: Path) -> None:
    """A destination that is new begins behind what is in the log; one that is not configured any more is forgotten, so
    that it begins anew when it comes back. Raises OSError, ConfigurationError.
    """
    wanted = set(destinations)
    for path in directory.glob("*.json") if directory.is_dir() else ():
        if path.stem not in wanted:
            path.unlink()
    for name in wanted:
        cursor = cursor_of(directory, name)
        if cursor.exists():
            cursor.load()
        else:
            cursor.save({series: end_of(log, series, sizes) for series, sizes in look(log).items()})
