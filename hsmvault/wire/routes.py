"""From method and raw path to a row of the operations table.

The path is taken as it came: nothing is decoded, merged or normalised, so that no spelling has a second meaning. An
empty version segment means the latest version (`/keys/k/`, `/keys/k//sign`), and a leading run of slashes is dropped,
as the service tolerates both.
"""

from dataclasses import dataclass

from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Operation

_PLACEHOLDERS = frozenset({"{name}", "{version}"})


@dataclass(frozen=True, slots=True)
class Match:
    """name, version: as in the path, not checked yet; version None when it is empty or not part of the route."""

    operation: Operation
    name: str = ""
    version: str | None = None


@dataclass(slots=True)
class _Node:
    words: dict[str, "_Node"]
    variable: "_Node | None" = None
    variable_name: str = ""
    operation: Operation | None = None


class Router:
    """One tree per method and container kind. A literal segment wins over a variable one (`/keys/restore`)."""

    def __init__(self, kind: ContainerKind) -> None:
        self._roots: dict[str, _Node] = {}
        for operation in OPERATIONS:
            if kind in operation.served_by:
                self._add(operation)

    def find(self, method: str, path: str) -> Match | None:
        """None: no such route. HEAD, OPTIONS and method overrides have none."""
        root = self._roots.get(method)
        if root is None:
            return None
        return _walk(root, ("/" + path.lstrip("/")).split("/")[1:], "", None)

    def methods(self, path: str) -> list[str]:
        """Methods that the path knows, for 405."""
        return sorted(method for method in self._roots if self.find(method, path) is not None)

    def _add(self, operation: Operation) -> None:
        segments = operation.path.split("/")[1:]
        forms = [segments]
        if segments[-1] == "{version}":
            forms.append(segments[:-1])  # clients also leave the empty last segment away
        for form in forms:
            node = self._roots.setdefault(operation.method, _Node({}))
            for segment in form:
                if segment in _PLACEHOLDERS:
                    if node.variable is None:
                        node.variable, node.variable_name = _Node({}), segment
                    node = node.variable
                else:
                    node = node.words.setdefault(segment, _Node({}))
            node.operation = operation


def _walk(node: _Node, segments: list[str], name: str, version: str | None) -> Match | None:
    if not segments:
        return None if node.operation is None else Match(node.operation, name, version or None)
    segment, rest = segments[0], segments[1:]
    word = node.words.get(segment)
    if word is not None:
        found = _walk(word, rest, name, version)
        if found is not None:
            return found
    if node.variable is None:
        return None
    if node.variable_name == "{name}":
        return _walk(node.variable, rest, segment, version) if segment else None
    return _walk(node.variable, rest, name, segment)
