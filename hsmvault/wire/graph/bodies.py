"""Members of a request's body, taken one by one; what nobody has taken is unknown and refused.

null stands for the empty text and for the empty list, as clients clear a property with it.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from hsmvault.model.strict_json import NotStrictJson, parse_object
from hsmvault.resources.directory.refusals import bad, invalid
from hsmvault.wire.codec import LARGE_BYTES

_REFERENCE = re.compile(r".*[/(]'?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})'?\)?", re.ASCII)
_MOST_MEMBERS = 4096  # of a large body: reading a million takes a second, and nobody else is served meanwhile
_DEEPEST = 16  # of what is kept; guessed: what clients send has two or three levels
_FLAGS: Mapping[object, bool] = {"true": True, "True": True, "false": False, "False": False}


class Members:
    """Raises BadRequest for what is not as it should be."""

    def __init__(self, members: Mapping[str, object]) -> None:
        self._left = dict(members)

    @classmethod
    def of(cls, body: bytes) -> "Members":
        """No body is an empty object."""
        if not body.strip():
            return cls({})
        if len(body) > LARGE_BYTES and body.count(b",") > _MOST_MEMBERS:
            raise bad("The request payload has too many members.")
        try:
            return cls(parse_object(body))
        except NotStrictJson:
            raise bad(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of "
                "valid JSON format."
            ) from None

    def text(self, name: str) -> str | None:
        """None when it is not there."""
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise invalid(name)
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise bad(f"A value is required for property '{name}' of resource.")
        return value

    def flag(self, name: str) -> bool | None:
        """Also as a text, as command lines send it. None when it is not there, or null."""
        value = self._left.pop(name, None)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _FLAGS:
            return _FLAGS[value]
        raise invalid(name)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """None when it is not there."""
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise invalid(name)
        texts = tuple(one for one in value if isinstance(one, str))
        if len(texts) != len(value):
            raise invalid(name)
        return texts

    def inner(self, name: str) -> "Members | None":
        """None when it is not there, or null."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(name)
        return Members(value)

    def objects(self, name: str) -> "tuple[Members, ...] | None":
        """None when it is not there."""
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise invalid(name)
        found = tuple(Members(one) for one in value if isinstance(one, dict))
        if len(found) != len(value):
            raise invalid(name)
        return found

    def time(self, name: str) -> int:
        """Seconds since 1970 UTC; 0 when it is not there, or null."""
        text = self.text(name)
        if not text:
            return 0
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError
            return max(0, int(moment.timestamp()))
        except (ValueError, OverflowError):
            raise invalid(name) from None

    def reference(self) -> str:
        """The object id in @odata.id, a URL of which only the last part counts."""
        return _referred(self.required("@odata.id"))

    def references(self, name: str) -> tuple[str, ...]:
        """Object ids in name@odata.bind; none when it is not there."""
        return tuple(_referred(text) for text in self.texts(f"{name}@odata.bind") or ())

    def kept(self, allowed: Collection[str]) -> dict[str, object]:
        """What is left, of the names that are allowed. Annotations (with an @) are passed over, all others refused."""
        left, self._left = self._left, {}
        for name in left:
            if "@" not in name and name not in allowed:
                raise bad(f"Invalid property '{name[:64]}'.")
        kept = {name: value for name, value in left.items() if "@" not in name}
        for name, value in kept.items():
            if _depth(value) > _DEEPEST:
                raise invalid(name)
        return kept

    def end(self) -> None:
        """Nothing may be left."""
        self.kept(())


def with_kept(before: str, changed: Mapping[str, object]) -> str:
    """A JSON object with these members set; null takes one away."""
    members: dict[str, object] = json.loads(before)
    for name, value in changed.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = value
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def read_kept(kept: str) -> dict[str, object]:
    members: dict[str, object] = json.loads(kept)
    return members


def _depth(value: object) -> int:
    """How deep lists and objects are nested, level by level: what goes in as deep as the reader bears it might not come
    out where less of the stack is left, and break every list that it is in.
    """
    depth, level = 0, [value]
    while level := [inner for one in level if isinstance(one, list | dict) for inner in _inner(one)]:
        depth += 1
        if depth > _DEEPEST:
            break
    return depth


def _inner(value: list[object] | dict[str, object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _referred(url: str) -> str:
    match = _REFERENCE.fullmatch(url) if len(url) <= 2048 else None
    if match is None:
        raise invalid("@odata.id")
    return match[1].lower()
