"""From the text of a condition to an expression, and what it comes to. A condition that cannot be read gives nothing.

    expression := operand | operand AND operand ... | operand OR operand ...
    operand    := NOT operand | ( expression ) | ActionMatches{'…'} | SubOperationMatches{'…'} | [NOT] Exists attribute
                | attribute operator value
    attribute  := @Resource[name] | @Request[name] | @Principal[name] | @Environment[name]
    operator   := of OPERATORS; for several values behind ForAnyOfAnyValues: and its sisters
    value      := 'text' | guid | attribute | { value, value, … }

AND and OR next to each other need parentheses, as the documentation asks for; &&, || and ! are other words for them.
Operators on numbers, times, booleans and addresses are refused: no attribute of a vault, a secret or a role assignment
has such a value.

Source: "Azure role assignment condition format and syntax".
"""

import re
from functools import lru_cache
from typing import Final

from hsmvault.model.conditions import (
    OPERATORS,
    ActionMatches,
    And,
    Asked,
    Attribute,
    Compared,
    Exists,
    Expression,
    Not,
    Or,
    Quantifier,
    Source,
    SubOperationMatches,
)

VERSION: Final = "2.0"
LONGEST: Final = 8192
_DEEPEST: Final = 64
_MOST_VALUES: Final = 256

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<attribute>@(?:Resource|Request|Principal|Environment)\[[^\[\]\r\n]{1,512}\])
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<guid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})
      | (?P<word>[a-z]+(?::[a-z]+)?)
      | (?P<sign>&&|\|\||[!(){},])
    )""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_ATTRIBUTE: Final = re.compile(r"@([a-z]+)\[(.*)\]", re.IGNORECASE)
_OPERATORS: Final = {name.lower(): name for name in OPERATORS}
_QUANTIFIERS: Final = {one.value.lower(): one for one in Quantifier if one is not Quantifier.NONE}
_AND, _OR, _NOT = frozenset({"and", "&&"}), frozenset({"or", "||"}), frozenset({"not", "!"})


class UnreadableCondition(ValueError):
    """str(error) says where and why, in words for whoever wrote the condition."""


def holds(condition: str, asked: Asked) -> bool | None:
    """True without a condition. None: it depends on an attribute that is not given. False for what cannot be read."""
    if not condition:
        return True
    expression = _parsed(condition)
    return False if expression is None else expression.holds(asked)


def parse(text: str) -> Expression:
    """Raises UnreadableCondition."""
    if len(text) > LONGEST:
        raise UnreadableCondition(f"it has more than {LONGEST} characters")
    reader = _Reader(_split(text))
    expression = reader.expression(0)
    reader.end()
    return expression


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression | None:
    try:
        return parse(text)
    except UnreadableCondition:
        return None


def _split(text: str) -> list[tuple[str, str]]:
    """Kinds and texts of the tokens."""
    tokens: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at, end)
        if found is None or found.lastgroup is None:
            raise UnreadableCondition(f"there is no meaning in what stands at character {at + 1}")
        tokens.append((found.lastgroup, found.group(found.lastgroup)))
        at = found.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise UnreadableCondition(f"there is something behind its end: {self._shown()}")

    def expression(self, depth: int) -> Expression:
        operands = [self._operand(depth)]
        joins: set[str] = set()
        while self._peek() in _AND | _OR:
            joins.add("and" if self._peek() in _AND else "or")
            if len(joins) > 1:
                raise UnreadableCondition("AND and OR next to each other need parentheses")
            self._at += 1
            operands.append(self._operand(depth))
        if not joins:
            return operands[0]
        return And(tuple(operands)) if "and" in joins else Or(tuple(operands))

    def _operand(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise UnreadableCondition("it is nested too deeply")
        word = self._peek()
        if word in _NOT:
            self._at += 1
            return Not(self._operand(depth + 1))
        if word == "(":
            self._at += 1
            expression = self.expression(depth + 1)
            self._expect(")")
            return expression
        if word in ("actionmatches", "suboperationmatches"):
            self._at += 1
            self._expect("{")
            text = self._text()
            self._expect("}")
            return ActionMatches(text) if word == "actionmatches" else SubOperationMatches(text)
        if word == "exists":
            self._at += 1
            return Exists(self._attribute())
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._attribute()
        kind, word = self._next()
        first, colon, second = word.partition(":")
        quantifier = _QUANTIFIERS.get(first.lower()) if colon else Quantifier.NONE
        operator = _OPERATORS.get((second if colon else first).lower())
        if kind != "word" or quantifier is None or operator is None:
            raise UnreadableCondition(f"'{word[:64]}' is not an operator that can be used here")
        if self._kind() == "attribute":
            return Compared(left, quantifier, operator, self._attribute())
        values = self._values()
        if quantifier is Quantifier.NONE and len(values) != 1:
            raise UnreadableCondition(f"'{operator}' takes one value")
        return Compared(left, quantifier, operator, values)

    def _values(self) -> tuple[str, ...]:
        if self._peek() != "{":
            return (self._text(),)
        self._at += 1
        values = [self._text()]
        while self._peek() == ",":
            self._at += 1
            values.append(self._text())
        self._expect("}")
        if len(values) > _MOST_VALUES:
            raise UnreadableCondition(f"it compares with more than {_MOST_VALUES} values")
        return tuple(values)

    def _attribute(self) -> Attribute:
        kind, text = self._next()
        found = _ATTRIBUTE.fullmatch(text) if kind == "attribute" else None
        if found is None:
            raise UnreadableCondition(f"an attribute is missing in the place of '{text[:64]}'")
        return Attribute(Source(found.group(1).lower()), found.group(2).strip().lower())

    def _text(self) -> str:
        kind, text = self._next()
        if kind == "guid":
            return text
        if kind != "text":
            raise UnreadableCondition(f"a value is missing in the place of '{text[:64]}'")
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise UnreadableCondition(f"'{sign}' is missing in the place of {self._shown()}")
        self._at += 1

    def _peek(self) -> str:
        """The next word or sign in lower case; "" for anything else."""
        if self._at >= len(self._tokens) or self._kind() not in ("word", "sign"):
            return ""
        return self._tokens[self._at][1].lower()

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise UnreadableCondition("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _shown(self) -> str:
        return f"'{self._tokens[self._at][1][:64]}'" if self._at < len(self._tokens) else "its end"
