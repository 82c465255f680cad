"""From method and raw path to a row of the operations table of the management plane.

Types and providers compare without regard to case; the variable segments keep theirs. Empty segments are dropped, as
clients join URLs carelessly. A segment is percent-decoded once, after the path was split: what decodes to a separator,
a control character or a relative segment has no route.

Extensions (Microsoft.Authorization, Microsoft.Insights) apply to any scope: the last `/providers/<theirs>/` of a path
parts the scope from their own path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from hsmvault.model.management import OPERATIONS, ManagementOperation, permission_scope

_LONGEST_PATH = 4096
_MOST_SEGMENTS = 64
_LONGEST_SEGMENT = 260  # no name of a resource is longer ("Naming rules and restrictions for Azure resources")
_VARIABLE = re.compile(r"\{([a-z]+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManagementMatch:
    """names: the variables of the path, decoded. scope: the ARM id that the permission is asked for, '' for '/'."""

    operation: ManagementOperation
    names: Mapping[str, str]
    scope: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    operation: ManagementOperation
    segments: tuple[str, ...]  # literal ones in lower case


class ManagementRouter:
    def __init__(self) -> None:
        plain: dict[tuple[str, int], list[_Pattern]] = {}
        extensions: dict[tuple[str, str], list[_Pattern]] = {}
        for operation in OPERATIONS:
            segments = tuple(
                part if part.startswith("{") else part.lower() for part in operation.path.split("/") if part
            )
            if operation.is_extension:
                provider = segments[2]
                extensions.setdefault((operation.method, provider), []).append(_Pattern(operation, segments[3:]))
            else:
                plain.setdefault((operation.method, len(segments)), []).append(_Pattern(operation, segments))
        self._plain = plain
        self._extensions = extensions
        self._providers = frozenset(provider for _, provider in extensions)

    def find(self, method: str, path: str) -> ManagementMatch | None:
        """None: no such route. path: as it came, without the query."""
        segments = split(path)
        if segments is None:
            return None
        return self._extension(method, segments) or self._named(method, segments)

    def methods(self, path: str) -> list[str]:
        """Methods that the path knows, for 405."""
        known = {method for method, _ in (*self._plain, *self._extensions)}
        return sorted(method for method in known if self.find(method, path) is not None)

    def _named(self, method: str, segments: tuple[str, ...]) -> ManagementMatch | None:
        for pattern in self._plain.get((method, len(segments)), ()):
            names = _names(pattern.segments, segments)
            if names is not None:
                return ManagementMatch(pattern.operation, names, _filled(permission_scope(pattern.operation), names))
        return None

    def _extension(self, method: str, segments: tuple[str, ...]) -> ManagementMatch | None:
        for at in range(len(segments) - 2, -1, -1):
            provider = segments[at + 1].lower()
            if segments[at].lower() != "providers" or provider not in self._providers:
                continue
            for pattern in self._extensions.get((method, provider), ()):
                names = _names(pattern.segments, segments[at + 2 :])
                if names is not None:
                    scope = "".join("/" + segment for segment in segments[:at])
                    return ManagementMatch(pattern.operation, {**names, "scope": scope}, scope)
            return None
        return None


def split(path: str) -> tuple[str, ...] | None:
    """The decoded segments of a raw path; None for a path that has none that could mean anything."""
    if len(path) > _LONGEST_PATH:
        return None
    segments: list[str] = []
    for raw in path.split("/"):
        if not raw:
            continue
        try:
            segment = unquote(raw, errors="strict")
        except UnicodeDecodeError:
            return None
        if segment in (".", "..") or "/" in segment or "\\" in segment or not segment.isprintable():
            return None
        if len(segment) > _LONGEST_SEGMENT:
            return None
        segments.append(segment)
    return tuple(segments) if len(segments) <= _MOST_SEGMENTS else None


def _names(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    names: dict[str, str] = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            names[wanted[1:-1]] = segment
        elif wanted != segment.lower():
            return None
    return names


def _filled(template: str, names: Mapping[str, str]) -> str:
    """In one go: a value that looks like a variable stands for itself."""
    return _VARIABLE.sub(lambda found: names[found[1]], template)
