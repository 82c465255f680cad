"""$filter of OData (ABNF of OData 4.01, in part): eq, ne, in, startswith, endswith, not, and, or, parentheses, and
any() over a list. Texts compare without regard to case, as Graph does it.

A filter is read into a small tree and asked about each object as it would be shown.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from hsmvault.errors import BadRequest
from hsmvault.resources.directory.refusals import bad

Shown = Mapping[str, object]
_LONGEST = 4096
_DEEPEST = 20
_MOST_TESTS = 100
_SCALARS = (str, int, float, bool, type(None))
_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_][A-Za-z0-9_./]*)|(-?[0-9][0-9A-Za-z:.+-]*)|([(),:]))")
_FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison. word: eq, ne, in, or a function. path: of a property, or "" for the element of an any()."""

    word: str
    path: tuple[str, ...]
    values: tuple[object, ...]
    _folded: frozenset[object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_folded", frozenset(map(_folded, self.values)))  # the class is frozen

    def has(self, value: object) -> bool:
        """Whether it is one of the values, however many they are. A list or an object is none."""
        return isinstance(value, _SCALARS) and _folded(value) in self._folded


@dataclass(frozen=True, slots=True)
class Any:
    path: tuple[str, ...]
    of: "Node"


@dataclass(frozen=True, slots=True)
class Not:
    of: "Node"


@dataclass(frozen=True, slots=True)
class All:
    of: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Either:
    of: tuple["Node", ...]


Node = Test | Any | Not | All | Either


@lru_cache(maxsize=256)
def parse(text: str) -> Node:
    """Raises BadRequest."""
    if len(text) > _LONGEST:
        raise _invalid("it is too long")
    return _Parser(_tokens(text)).whole()


def matches(node: Node, shown: object) -> bool:
    """shown: an object, or within any() an element of a list. Raises BadRequest for a property that there is not."""
    match node:
        case Test():
            return _passes(node, _value(shown, node.path))
        case Any():
            value = _value(shown, node.path)
            return isinstance(value, list | tuple) and any(matches(node.of, element) for element in value)
        case Not():
            return not matches(node.of, shown)
        case All():
            return all(matches(one, shown) for one in node.of)
        case Either():
            return any(matches(one, shown) for one in node.of)


def wanted(node: Node | None, name: str) -> str | None:
    """The text that a property must equal (or a list must have) in every match; None when the filter leaves it open."""
    match node:
        case Test(word="eq", path=(path,), values=(str() as value,)) if path == name:
            return value
        case Any(path=(path,), of=Test(word="eq", path=(), values=(str() as value,))) if path == name:
            return value
        case All():
            return next((text for one in node.of if (text := wanted(one, name)) is not None), None)
        case _:
            return None


def _passes(test: Test, value: object) -> bool:
    if test.word in _FUNCTIONS:
        return isinstance(value, str) and _FUNCTIONS[test.word](value.lower(), str(test.values[0]).lower())
    return test.has(value) is (test.word != "ne")


def _folded(value: object) -> object:
    """true is no 1 here."""
    return value.lower() if isinstance(value, str) else (type(value), value)


def _value(shown: object, path: tuple[str, ...]) -> object:
    value = shown
    for name in path:
        if value is None:
            return None
        if not isinstance(value, Mapping) or name not in value:
            raise _invalid(f"Could not find a property named '{name[:64]}'")
        value = value[name]
    return value


@dataclass(frozen=True, slots=True)
class _Token:
    """kind: text, word, number or the sign itself."""

    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _invalid(f"Syntax error at position {at}")
        at = match.end()
        quoted, word, number, sign = match.groups()
        if quoted is not None:
            found.append(_Token("text", quoted.replace("''", "'")))
        elif word is not None:
            found.append(_Token("word", word))
        elif number is not None:
            found.append(_Token("number", number))
        else:
            found.append(_Token(sign, sign))
    return found


class _Parser:
    """Recursive descent; variables of any() are bound by position: there is one at a time."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._tests = 0
        self._variable: str | None = None

    def whole(self) -> Node:
        node = self._either()
        if self._at != len(self._tokens):
            raise _invalid("Syntax error")
        return node

    def _either(self) -> Node:
        parts = [self._all()]
        while self._word("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _invalid("it is too deep")
        try:
            if self._word("not"):
                return Not(self._one())
            if self._sign("("):
                node = self._either()
                self._expect(")")
                return node
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Node:
        self._tests += 1
        if self._tests > _MOST_TESTS:
            raise _invalid("it has too many parts")
        name = self._take("word")
        folded = name.lower()
        if folded in _FUNCTIONS and self._sign("("):
            path = self._path(self._take("word"))
            self._expect(",")
            value = self._take("text")
            self._expect(")")
            return Test(folded, path, (value,))
        if folded.endswith("/any") and self._sign("("):
            return self._any(self._path(name[:-4]))
        path = self._path(name)
        word = self._take("word").lower()
        if word == "in":
            return Test("in", path, self._list())
        if word not in ("eq", "ne"):
            raise _invalid(f"Unsupported operator '{word[:16]}'")
        return Test(word, path, (self._literal(),))

    def _any(self, path: tuple[str, ...]) -> Node:
        if self._variable is not None:
            raise _invalid("any() within any()")
        self._variable = self._take("word")
        self._expect(":")
        node = self._either()
        self._expect(")")
        self._variable = None
        return Any(path, node)

    def _path(self, name: str) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part)
        if self._variable is None:
            return parts
        if parts[:1] != (self._variable,):
            raise _invalid(f"Could not find a property named '{name[:64]}'")
        return parts[1:]

    def _list(self) -> tuple[object, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._sign(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> object:
        token = self._next()
        if token.kind == "text":
            return token.text
        if token.kind == "number":
            return int(token.text) if token.text.removeprefix("-").isdecimal() and len(token.text) < 19 else token.text
        constants: Mapping[str, object] = {"true": True, "false": False, "null": None}
        if token.kind == "word" and token.text.lower() in constants:
            return constants[token.text.lower()]
        raise _invalid("Syntax error")

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise _invalid("Syntax error: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str) -> str:
        token = self._next()
        if token.kind != kind:
            raise _invalid("Syntax error")
        return token.text

    def _expect(self, sign: str) -> None:
        self._take(sign)

    def _sign(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at].kind == sign:
            self._at += 1
            return True
        return False

    def _word(self, word: str) -> bool:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.kind == "word" and token.text.lower() == word:
                self._at += 1
                return True
        return False


def _invalid(reason: str) -> BadRequest:
    return bad(f"Invalid filter clause: {reason}.")
