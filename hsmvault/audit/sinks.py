"""Where audit records go beside the audit log, and what they look like there. Nothing here waits or sends.

A destination is a name of the configuration. Diagnostic settings name it in the members that Azure has for storage
accounts, event hubs, workspaces and partners: by its id, or by an ARM id, or a plain name, that ends in its name.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from hsmvault.model.diagnostics import DiagnosticSetting

_CONTAINER_SEGMENTS: Final = 9  # '' of the first slash, and subscriptions/s/resourceGroups/g/providers/p/vaults/v
_PRIORITY: Final = 13 * 8 + 6  # RFC 5424, 6.2.1: facility "log audit", severity "informational"
_LONGEST_ID: Final = 32  # of MSGID


@dataclass(frozen=True, slots=True)
class Destination:
    """id: an ARM id, in any case; "" for none."""

    name: str
    id: str = ""

    def is_named_by(self, text: str) -> bool:
        folded = text.lower().rstrip("/")
        if self.id and folded == self.id.lower().rstrip("/"):
            return True
        return folded.rpartition("/")[2] == self.name


def find(destinations: Iterable[Destination], text: str) -> Destination | None:
    """By id before by name: two ARM ids may end in the same name."""
    known = tuple(destinations)
    by_id = next((one for one in known if one.id and one.id.lower() == text.lower().rstrip("/")), None)
    return by_id or next((one for one in known if one.is_named_by(text)), None)


class Routes:
    """all_to: names of the destinations that get every record."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        all_to: Collection[str] = (),
        settings: Iterable[DiagnosticSetting] = (),
    ) -> None:
        self._all = frozenset(all_to)
        by_container: dict[str, set[str]] = {}
        for setting in settings:
            if not setting.body.has_audit:
                continue
            found = (find(destinations, text) for text in setting.body.destinations)
            names = {one.name for one in found if one is not None}
            by_container.setdefault(setting.resource_id.lower(), set()).update(names)
        self._by_container = by_container
        self._used = self._all.union(*by_container.values())

    def uses(self, name: str) -> bool:
        """Whether any record goes to this destination."""
        return name in self._used

    def takes(self, name: str, resource_id: str) -> bool:
        """Whether a record goes there. resource_id: of the record, in any case; of a vault or pool or below one."""
        if name in self._all:
            return True
        container = "/".join(resource_id.lower().split("/", _CONTAINER_SEGMENTS)[:_CONTAINER_SEGMENTS])
        return name in self._by_container.get(container, ())


class Head(msgspec.Struct, frozen=True):
    """What is read of a line of the log; see record.py for the members."""

    sequence: int
    previous: str
    time: str
    resourceId: str
    operationName: str


_heads = msgspec.json.Decoder(Head)


@dataclass(frozen=True, slots=True)
class LoggedLine:
    """One record of the log. series: the writer that its file is named after. line: JSON, without the line feed."""

    series: str
    head: Head
    line: bytes

    @classmethod
    def read(cls, series: str, line: bytes) -> "LoggedLine":
        """Raises msgspec.DecodeError, UnicodeDecodeError, RecursionError."""
        return cls(series, _heads.decode(line), line)


def exported(record: LoggedLine, host: str) -> bytes:
    """The record as receivers get it: with the host and the series in front, by which, and by `sequence`, they know one
    that comes twice. One line of JSON, without a line feed."""
    return _prefix(host, record.series) + record.line[1:]


def batch(records: Sequence[bytes]) -> bytes:
    """{"records":[…]}, as Azure exports them. records: of exported()."""
    return b'{"records":[' + b",".join(records) + b"]}"


def syslog(record: LoggedLine, host: str) -> bytes:
    """One message of RFC 5424: facility 13, severity 6, PROCID the series, MSGID the operation, the record as MSG."""
    head = record.head
    time = head.time[:26] + "Z" if len(head.time) > 27 else head.time  # at most six digits of a second (6.2.3)
    fields = (
        _printable(host, 255),
        "hsmvault",
        _printable(record.series, 128),
        _printable(head.operationName, _LONGEST_ID),
    )
    return f"<{_PRIORITY}>1 {time} {' '.join(fields)} - ".encode() + exported(record, host)


@lru_cache(maxsize=256)
def _prefix(host: str, series: str) -> bytes:
    return json.dumps({"host": host, "series": series}, separators=(",", ":")).encode()[:-1] + b","


def _printable(text: str, longest: int) -> str:
    """PRINTUSASCII of RFC 5424; '-' where nothing is left."""
    return "".join(character for character in text if "!" <= character <= "~")[:longest] or "-"
