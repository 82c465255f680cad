"""From method and raw path to a row of the operations table.

The path is taken as it came: nothing is decoded, merged or normalised, so that no spelling has a second meaning. An
empty version segment means the latest version (`/keys/k/`, `/keys/k//sign`), and a leading run of slashes is dropped,
as the service tolerates both.
"""

from dataclasses import dataclass
from functools import lru_cache

from hsmvault.model import local_roles
from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation

_NAME, _VERSION, _SCOPE = "{name}", "{version}", "{scope}"
_ISSUERS = "/certificates/issuers/"
_MOST_KNOWN = 4096  # paths that are remembered: a key is asked for again and again by the same one
_LONGEST_KNOWN = 256  # characters; a name, a version and an operation have at most 180
_SCOPES = (local_roles.ALL, local_roles.KEYS, f"{local_roles.KEYS}/{_NAME}")


@dataclass(frozen=True, slots=True)
class Match:
    """name, version: as in the path, not checked yet; version None when it is empty or not part of the route.

    scope: of an operation on roles: '/', '/keys' or '/keys/<key>', the key not checked; None for every other.
    """

    operation: Operation
    name: str = ""
    version: str | None = None
    scope: str | None = None

    @property
    def object_name(self) -> str:
        """The one object that the permission is asked for, not checked; "" for the whole container. An issuer is no
        object of its own: who may manage the certificate of the same name may not manage it."""
        if self.scope is not None:
            return self.scope.removeprefix(local_roles.KEYS).removeprefix("/")
        path = self.operation.path
        is_object = self.operation.kind is not Kind.ADMINISTRATION or path.startswith("/keys/{name}")
        return self.name if is_object and not path.startswith(_ISSUERS) else ""


@dataclass(slots=True)
class _Node:
    """scope: with {name} for the key's, when the operation is one on roles."""

    words: dict[str, "_Node"]
    variable: "_Node | None" = None
    variable_name: str = ""
    operation: Operation | None = None
    scope: str | None = None


class Router:
    """One tree per method and container kind. A literal segment wins over a variable one (`/keys/restore`)."""

    def __init__(self, kind: ContainerKind) -> None:
        self._roots: dict[str, _Node] = {}
        self._known = lru_cache(maxsize=_MOST_KNOWN)(self._find)
        for operation in OPERATIONS:
            if kind in operation.served_by:
                self._add(operation)

    def find(self, method: str, path: str) -> Match | None:
        """None: no such route. HEAD, OPTIONS and method overrides have none."""
        return self._known(method, path) if len(path) <= _LONGEST_KNOWN else self._find(method, path)

    def _find(self, method: str, path: str) -> Match | None:
        root = self._roots.get(method)
        if root is None:
            return None
        return _walk(root, ("/" + path.lstrip("/")).split("/")[1:], (), None)

    def methods(self, path: str) -> list[str]:
        """Methods that the path knows, for 405."""
        return sorted(method for method in self._roots if self.find(method, path) is not None)

    def _add(self, operation: Operation) -> None:
        segments = operation.path.split("/")[1:]
        if segments[0] == _SCOPE:
            for scope in _SCOPES:
                begin = [segment for segment in scope.split("/") if segment]
                self._add_form(operation, [*begin, *segments[1:]], scope)
            return
        self._add_form(operation, segments, None)
        if segments[-1] == _VERSION:
            self._add_form(operation, segments[:-1], None)  # clients also leave the empty last segment away

    def _add_form(self, operation: Operation, segments: list[str], scope: str | None) -> None:
        node = self._roots.setdefault(operation.method, _Node({}))
        for segment in segments:
            if segment in (_NAME, _VERSION):
                if node.variable is None:
                    node.variable, node.variable_name = _Node({}), segment
                node = node.variable
            else:
                node = node.words.setdefault(segment, _Node({}))
        node.operation, node.scope = operation, scope


def _walk(node: _Node, segments: list[str], names: tuple[str, ...], version: str | None) -> Match | None:
    if not segments:
        return _match(node, names, version)
    segment, rest = segments[0], segments[1:]
    word = node.words.get(segment)
    if word is not None:
        found = _walk(word, rest, names, version)
        if found is not None:
            return found
    if node.variable is None:
        return None
    if node.variable_name == _NAME:
        return _walk(node.variable, rest, (*names, segment), version) if segment else None
    return _walk(node.variable, rest, names, segment)


def _match(node: _Node, names: tuple[str, ...], version: str | None) -> Match | None:
    if node.operation is None:
        return None
    scope = node.scope
    if scope is not None and _NAME in scope:
        scope, names = scope.replace(_NAME, names[0]), names[1:]
    return Match(node.operation, names[0] if names else "", version or None, scope)
