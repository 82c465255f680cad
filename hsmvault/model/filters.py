"""The `$filter` of lists, as far as clients of the resource manager use it (OData 3, "Filter system query option").

    resourceType eq 'Microsoft.KeyVault/vaults' and (name eq 'a' or startswith(name, 'b'))

Comparisons eq and ne, joined by and, or, not and parentheses; startswith(field, 'x') and substringof('x', field). Text
stands between single quotes, of which two make one. Names of fields, and values, compare without regard to case, as the
resource manager does. Fields that are not known have no value: nothing equals them.
"""

import re
from collections.abc import Callable, Mapping

from hsmvault.errors import BadRequest

Filter = Callable[[Mapping[str, str]], bool]
"""Whether an item is shown. Its fields have names and values in lower case."""

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][\w./]*)|(?P<mark>[(),]))")
_LONGEST = 2048
_DEEPEST = 16  # guessed: people nest two or three


def parse(text: str) -> Filter:
    """Raises BadRequest (InvalidFilterInQueryString) for what is no such filter. Nothing between blanks is all."""
    if not text.strip():
        return lambda _: True
    if len(text) > _LONGEST:
        raise _invalid(text)
    reader = _Reader(text)
    found = reader.alternatives(0)
    if reader.peek() is not None:
        raise _invalid(text)
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise _invalid(text)
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind]))
            at = match.end()
        self._at = 0

    def peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def alternatives(self, depth: int) -> Filter:
        parts = [self._conjunction(depth)]
        while self._took_word("or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)

    def _conjunction(self, depth: int) -> Filter:
        parts = [self._term(depth)]
        while self._took_word("and"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)

    def _term(self, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise _invalid(self._text)
        if self._took_word("not"):
            term = self._term(depth + 1)
            return lambda item: not term(item)
        kind, word = self._next()
        if (kind, word) == ("mark", "("):
            inner = self.alternatives(depth + 1)
            self._take("mark", ")")
            return inner
        if kind != "word":
            raise _invalid(self._text)
        return self._function(word) if self.peek() == ("mark", "(") else self._comparison(word.lower())

    def _comparison(self, field: str) -> Filter:
        kind, operator = self._next()
        if kind != "word" or operator.lower() not in ("eq", "ne"):
            raise _invalid(self._text)
        wanted = self._literal()
        if operator.lower() == "eq":
            return lambda item: item.get(field) == wanted
        return lambda item: item.get(field) != wanted

    def _function(self, name: str) -> Filter:
        self._take("mark", "(")
        if name.lower() == "startswith":
            field = self._field()
            self._take("mark", ",")
            wanted = self._literal()
            self._take("mark", ")")
            return lambda item: item.get(field, "").startswith(wanted)
        if name.lower() == "substringof":
            wanted = self._literal()
            self._take("mark", ",")
            field = self._field()
            self._take("mark", ")")
            return lambda item: wanted in item.get(field, "")
        raise _invalid(self._text)

    def _field(self) -> str:
        kind, word = self._next()
        if kind != "word":
            raise _invalid(self._text)
        return word.lower()

    def _literal(self) -> str:
        kind, text = self._next()
        if kind != "text":
            raise _invalid(self._text)
        return text[1:-1].replace("''", "'").lower()

    def _take(self, kind: str, text: str) -> None:
        if self._next() != (kind, text):
            raise _invalid(self._text)

    def _took_word(self, word: str) -> bool:
        found = self.peek()
        if found is None or found[0] != "word" or found[1].lower() != word:
            return False
        self._at += 1
        return True

    def _next(self) -> tuple[str, str]:
        found = self.peek()
        if found is None:
            raise _invalid(self._text)
        self._at += 1
        return found


def _invalid(text: str) -> BadRequest:
    return BadRequest(
        f"Invalid $filter '{text[:256]}' specified in the query string.", code="InvalidFilterInQueryString"
    )
