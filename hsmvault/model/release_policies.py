"""The release policy of an exportable key: who may receive it (secure key release).

A policy names attestation authorities, and for each the claims that it must make about an environment. It is data from
a caller: parsed once into frozen values, with every bound checked, and then evaluated without any way to fail. What is
not understood is refused when the policy is set, never skipped when it is evaluated.

Source: "Azure Key Vault secure key release policy grammar". Where it is silent:

- a claim that is absent or null meets nothing, `notEquals` included, except `"exists": false`;
- only strings, numbers and booleans compare; the grammar writes the values "true" and "false" with quotes, and clients
  do so too, so these two strings also equal the booleans; nothing else equals a value of another type;
- the operators of order compare numbers with numbers, since "10" < "9" is a trap;
- an authority is compared as text, one slash at its end more or less.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from hsmvault.errors import BadRequest
from hsmvault.model.strict_json import NotStrictJson, parse_object

CONTENT_TYPE = "application/json; charset=utf-8"
LONGEST_BYTES = 32 * 1024  # the policy that clients set by default names two dozen authorities in 8 kB
MOST_NODES = 1000
DEEPEST = 10
_VERSIONS = ("1.0.0", "1.0")  # the second is what clients of pools send
_MOST_SEGMENTS = 16
_MOST_PARSED = 64  # the largest takes some 150 kB
_TEXTS = {"true": True, "false": False}

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """data: the JSON text as the caller gave it, UTF-8. immutable: once true, neither it nor data changes any more.
    mac: 32 bytes that bind it to its key version (resources/policy_binding.py); empty until it is kept.
    """

    data: bytes
    content_type: str = CONTENT_TYPE
    immutable: bool = False
    mac: bytes = field(default=b"", compare=False, repr=False)


class Operator(Enum):
    EQUALS = "equals"
    NOT_EQUALS = "notEquals"
    LESS = "less"
    LESS_OR_EQUALS = "lessOrEquals"
    GREATER = "greater"
    GREATER_OR_EQUALS = "greaterOrEquals"
    EXISTS = "exists"


_OPERATORS = {operator.value: operator for operator in Operator}
_ORDER = (Operator.LESS, Operator.LESS_OR_EQUALS, Operator.GREATER, Operator.GREATER_OR_EQUALS)


@dataclass(frozen=True, slots=True)
class Condition:
    """claim: the way to it, a name for each object. value: of an order a number, of `exists` a boolean."""

    claim: tuple[str, ...]
    operator: Operator
    value: Scalar


@dataclass(frozen=True, slots=True)
class Group:
    """needs_all: allOf, else anyOf. parts: at least one."""

    needs_all: bool
    parts: tuple["Condition | Group", ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """issuer: as issuer_name() has it."""

    issuer: str
    conditions: Group


@dataclass(frozen=True, slots=True)
class Policy:
    """Met when one of the authorities vouches for its conditions."""

    authorities: tuple[Authority, ...]


def check_policy(data: bytes) -> None:
    """Raises BadRequest when data is not a policy that can be evaluated."""
    _parse(data)


@lru_cache(maxsize=_MOST_PARSED)
def parse_policy(data: bytes) -> Policy:
    """data: JSON in UTF-8. For policies that are kept; those in use are remembered. Raises BadRequest."""
    return _parse(data)


def _parse(data: bytes) -> Policy:
    if len(data) > LONGEST_BYTES:
        raise _refused(f"it is longer than {LONGEST_BYTES} bytes")
    try:
        members = parse_object(data)
    except NotStrictJson:
        raise _refused("it is not a JSON object") from None
    if members.keys() != {"version", "anyOf"}:
        raise _refused("its members must be 'version' and 'anyOf'")
    if members["version"] not in _VERSIONS:
        raise _refused("its version must be '1.0.0'")
    budget = iter(range(MOST_NODES))
    return Policy(tuple(_authority(each, budget) for each in _list(members["anyOf"])))


def evaluate(policy: Policy, authority: str, claims: Mapping[str, object]) -> bool:
    """Whether claims, made by authority, meet the policy. Never raises, whatever the claims are."""
    issuer = issuer_name(authority)
    return any(_meets(each.conditions, claims) for each in policy.authorities if each.issuer == issuer)


def issuer_name(authority: str) -> str:
    """The one spelling under which authorities compare: attestation services name themselves without the slash at the
    end that policies for them are written with.
    """
    return authority.removesuffix("/")


def _authority(value: object, budget: Iterator[int]) -> Authority:
    _spend(budget)
    if not isinstance(value, dict) or value.keys() not in ({"authority", "allOf"}, {"authority", "anyOf"}):
        raise _refused("an authority has the members 'authority' and either 'allOf' or 'anyOf'")
    issuer = value["authority"]
    if not isinstance(issuer, str) or not issuer_name(issuer):
        raise _refused("'authority' must be the name of an attestation service")
    return Authority(issuer_name(issuer), _group(value, budget, 1))


def _group(value: dict[str, Any], budget: Iterator[int], depth: int) -> Group:
    needs_all = "allOf" in value
    if depth > DEEPEST:
        raise _refused(f"it is nested more than {DEEPEST} deep")
    parts = _list(value["allOf" if needs_all else "anyOf"])
    return Group(needs_all, tuple(_part(each, budget, depth) for each in parts))


def _part(value: object, budget: Iterator[int], depth: int) -> Condition | Group:
    _spend(budget)
    if not isinstance(value, dict):
        raise _refused("a condition must be an object")
    if value.keys() in ({"allOf"}, {"anyOf"}):
        return _group(value, budget, depth + 1)
    return _condition(value)


def _condition(value: dict[str, Any]) -> Condition:
    claim = value.get("claim")
    operators = [_OPERATORS[name] for name in value if name in _OPERATORS]
    if len(value) != 2 or len(operators) != 1 or not isinstance(claim, str):
        raise _refused("a condition has the members 'claim' and one operator, or 'allOf' or 'anyOf' alone")
    way = tuple(claim.split("."))
    if not all(way) or len(way) > _MOST_SEGMENTS:
        raise _refused("'claim' must be a name, or names with dots between them")
    operator = operators[0]
    return Condition(way, operator, _expected(operator, value[operator.value]))


def _expected(operator: Operator, value: object) -> Scalar:
    if not isinstance(value, str | int | float):
        raise _refused(f"'{operator.value}' needs a string, a number, true or false")
    if operator in _ORDER and (isinstance(value, bool | str)):
        raise _refused(f"'{operator.value}' needs a number")
    if operator is Operator.EXISTS:
        wanted = _TEXTS.get(value) if isinstance(value, str) else value
        if not isinstance(wanted, bool):
            raise _refused("'exists' needs true or false")
        return wanted
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _refused("'anyOf' and 'allOf' must be arrays with at least one element")
    return value


def _spend(budget: Iterator[int]) -> None:
    if next(budget, None) is None:
        raise _refused(f"it has more than {MOST_NODES} conditions")


def _refused(reason: str) -> BadRequest:
    return BadRequest(f"The release policy is not valid: {reason}.")


def _meets(part: Condition | Group, claims: Mapping[str, object]) -> bool:
    if isinstance(part, Condition):
        return _holds(part, _claimed(claims, part.claim))
    check = all if part.needs_all else any
    return check(_meets(each, claims) for each in part.parts)


def _claimed(claims: Mapping[str, object], way: tuple[str, ...]) -> object:
    """What stands at the end of the way, or None."""
    value: object = claims
    for name in way:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _holds(condition: Condition, claim: object) -> bool:
    operator, value = condition.operator, condition.value
    if operator is Operator.EXISTS:
        return (claim is not None) is value
    if not isinstance(claim, str | int | float):
        return False
    if operator is Operator.EQUALS:
        return _equal(claim, value)
    if operator is Operator.NOT_EQUALS:
        return not _equal(claim, value)
    if isinstance(claim, bool | str) or isinstance(value, bool | str):
        return False
    match operator:
        case Operator.LESS:
            return claim < value
        case Operator.LESS_OR_EQUALS:
            return claim <= value
        case Operator.GREATER:
            return claim > value
        case _:
            return claim >= value


def _equal(claim: Scalar, value: Scalar) -> bool:
    """Python's True equals 1; a claim's does not."""
    if isinstance(claim, bool):
        return claim is (_TEXTS.get(value) if isinstance(value, str) else value)
    if isinstance(value, bool) or isinstance(claim, str) is not isinstance(value, str):
        return False
    return claim == value
