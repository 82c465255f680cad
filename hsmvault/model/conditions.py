"""Conditions of role assignments and role definitions (Azure ABAC), condition version 2.0, and what they come to.

A condition may ask for attributes that nobody knows yet: the name of a secret while a whole vault is decided upon, the
body of a request that was not read. So there are three answers, and the unknown goes through 'not', 'and' and 'or' as
in Kleene's logic. What holds with something unknown therefore holds whatever it turns out to be, and whoever may in the
whole vault may on each secret; what stays unknown gives nothing.

Names of vaults and secrets are the same in any case, so conditions compare them without regard to it, also where the
operator would not: 'NOT … StringEquals 'Payroll'' must not be got around by spelling the name in another way.

Source: "Azure role assignment condition format and syntax" of the Azure documentation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from hsmvault.model.roles import matches

_Compare: TypeAlias = Callable[[str, str], bool]
_FOLDED_SUFFIX: Final = ":name"
_FOLDED_PREFIX: Final = "microsoft.keyvault/"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a condition is asked about. request, resource: the attributes that are known, by name in any case."""

    action: str
    request: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)


class Source(Enum):
    """Whose attribute it is. Those of principals and of the environment are never known here."""

    REQUEST = "request"
    RESOURCE = "resource"
    PRINCIPAL = "principal"
    ENVIRONMENT = "environment"


class Quantifier(Enum):
    """How several values are compared: the first word is about those on the left, the second about the right."""

    NONE = ""
    ANY_OF_ANY = "ForAnyOfAnyValues"
    ALL_OF_ANY = "ForAllOfAnyValues"
    ANY_OF_ALL = "ForAnyOfAllValues"
    ALL_OF_ALL = "ForAllOfAllValues"


@dataclass(frozen=True, slots=True)
class Attribute:
    """name: 'Microsoft.KeyVault/vaults/secrets:name', in lower case."""

    source: Source
    name: str

    def value(self, asked: Asked) -> str | None:
        """None when it is not known."""
        known = {Source.REQUEST: asked.request, Source.RESOURCE: asked.resource}.get(self.source, {})
        return next((value for name, value in known.items() if name.lower() == self.name), None)

    @property
    def is_name(self) -> bool:
        """Whether its values mean the same in any case."""
        return self.name.startswith(_FOLDED_PREFIX) and self.name.endswith(_FOLDED_SUFFIX)


@dataclass(frozen=True, slots=True)
class ActionMatches:
    """patterns may have wildcards."""

    pattern: str

    def holds(self, asked: Asked) -> bool | None:
        return matches(asked.action, self.pattern)


@dataclass(frozen=True, slots=True)
class SubOperationMatches:
    """No operation here has suboperations."""

    name: str

    def holds(self, asked: Asked) -> bool | None:
        return False


@dataclass(frozen=True, slots=True)
class Exists:
    attribute: Attribute

    def holds(self, asked: Asked) -> bool | None:
        """That it is not known yet does not mean that there is none."""
        return True if self.attribute.value(asked) is not None else None


@dataclass(frozen=True, slots=True)
class Compared:
    """operator: of OPERATORS. right: the values in the condition, or another attribute."""

    left: Attribute
    quantifier: Quantifier
    operator: str
    right: tuple[str, ...] | Attribute

    def holds(self, asked: Asked) -> bool | None:
        left = self.left.value(asked)
        values = (self.right.value(asked),) if isinstance(self.right, Attribute) else self.right
        if left is None or None in values:
            return None
        compare = OPERATORS[self.operator]
        if self.left.is_name or (isinstance(self.right, Attribute) and self.right.is_name):
            results = [compare(left.lower(), value.lower()) for value in values if value is not None]
        else:
            results = [compare(left, value) for value in values if value is not None]
        # An attribute has one value here, so 'for any of' and 'for all of' the left ones say the same.
        to_all = self.quantifier in (Quantifier.ANY_OF_ALL, Quantifier.ALL_OF_ALL)
        return all(results) if to_all else any(results)


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expression"

    def holds(self, asked: Asked) -> bool | None:
        found = self.operand.holds(asked)
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple["Expression", ...]

    def holds(self, asked: Asked) -> bool | None:
        found: bool | None = True
        for operand in self.operands:
            found = both(found, operand.holds(asked))
        return found


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple["Expression", ...]

    def holds(self, asked: Asked) -> bool | None:
        found = [operand.holds(asked) for operand in self.operands]
        return True if True in found else None if None in found else False


Expression: TypeAlias = ActionMatches | SubOperationMatches | Exists | Compared | Not | And | Or


def both(first: bool | None, second: bool | None) -> bool | None:
    """And, of what may be unknown."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _equals(value: str, other: str) -> bool:
    return value == other


def _starts(value: str, other: str) -> bool:
    return value.startswith(other)


def _like(value: str, pattern: str) -> bool:
    """`*` stands for any characters, `?` for one; a backslash takes their meaning away. A piece between two stars is
    taken where it fits first, so that the time does not grow with the number of stars: patterns are strangers'.
    """
    if len(pattern) - pattern.count("*") - pattern.count("\\") > len(value):
        return False
    first, *rest = _pieces(pattern)
    if not rest:
        return len(value) == len(first) and _fits(first, value, 0)
    if sum(map(len, (first, *rest))) > len(value) or not _fits(first, value, 0):
        return False
    *middle, last = rest
    at, end = len(first), len(value) - len(last)
    for piece in middle:
        at = next((place for place in range(at, end - len(piece) + 1) if _fits(piece, value, place)), -1)
        if at < 0:
            return False
        at += len(piece)
    return _fits(last, value, end)


def _fits(piece: tuple[str, ...], value: str, at: int) -> bool:
    """Whether a piece, in which "" stands for any one character, is what stands at a place of the value."""
    return all(one in ("", value[at + offset]) for offset, one in enumerate(piece))


@lru_cache(maxsize=128)
def _pieces(pattern: str) -> tuple[tuple[str, ...], ...]:
    """What stands between the stars; "" for `?`. Several stars in a row are one."""
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and at + 1 < len(pattern):
            at += 1
            pieces[-1].append(pattern[at])
        elif character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
        else:
            pieces[-1].append("" if character == "?" else character)
        at += 1
    return tuple(map(tuple, pieces))


def _same_guid(value: str, other: str) -> bool:
    return value.lower() == other.lower()


def _ignoring_case(compare: _Compare) -> _Compare:
    return lambda value, other: compare(value.lower(), other.lower())


def _negated(compare: _Compare) -> _Compare:
    return lambda value, other: not compare(value, other)


def _operators() -> dict[str, _Compare]:
    found = {"GuidEquals": _same_guid, "GuidNotEquals": _negated(_same_guid)}
    for word, compare in (("Equals", _equals), ("StartsWith", _starts), ("Like", _like)):
        for suffix, one in (("", compare), ("IgnoreCase", _ignoring_case(compare))):
            found[f"String{word}{suffix}"] = one
            found[f"StringNot{word}{suffix}"] = _negated(one)
    return found


OPERATORS: Final[Mapping[str, _Compare]] = _operators()
