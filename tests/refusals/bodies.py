"""Bodies of operations: which members they have, of which JSON types, and what is of none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """JSON types of members."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "true or false"
    OBJECT = "object"
    TEXTS = "list of texts"
    TEXTS_BY_NAME = "object of texts"
    ACTIONS = "list of the actions of a rotation policy"
    LIFETIME = "list of the lifetime actions of a certificate policy"
    PEOPLE = "list of contacts or administrators"


OTHERS: Mapping[Kind, tuple[object, ...]] = {
    Kind.TEXT: (1, True, [], {}),
    Kind.NUMBER: ("1", 1.5, True, [], {}),
    Kind.BOOL: ("true", 1, [], {}),
    Kind.OBJECT: (1, "a", True, []),
    Kind.TEXTS: ("sign", 1, {}, [1], [None], [["sign"]]),
    Kind.TEXTS_BY_NAME: ("a", 1, ["a"], {"a": 1}, {"a": None}, {"a": ["b"]}),
    Kind.ACTIONS: (
        *("a", 1, {}, [1], ["a"], [{"action": 1}], [{"action": {"type": 1}}], [{"trigger": []}]),
        *([{"trigger": {"timeAfterCreate": 1}}], [{"trigger": {"timeBeforeExpiry": True}}]),
    ),
    Kind.LIFETIME: (
        *("a", 1, {}, [1], ["a"], [None], [{"action": 1}], [{"action": {"action_type": 1}}], [{"trigger": []}]),
        *([{"trigger": {"lifetime_percentage": "80"}}], [{"trigger": {"days_before_expiry": 1.5}}]),
    ),
    Kind.PEOPLE: ("a", 1, {}, [1], ["a"], [None], [{"email": 1}], [{"phone": ["1"]}]),
}
"""What is not of a type."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """good: accepted as far as its form goes. members: by their path, with a dot between a member and its own.

    required: those of the models that have a star. lacks: the member that the refusal of an empty body names. words:
    members of a closed set of words, which a refusal names. encoded: members in base64url, which a refusal names. nul:
    texts may have the character NUL.
    """

    good: Mapping[str, object]
    members: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    lacks: str = ""
    words: tuple[str, ...] = ()
    encoded: tuple[str, ...] = ()
    nul: bool = False
