"""JSON from strangers, read with one meaning or refused.

Python's json takes the last of duplicate members, NaN, and any depth and digit count that it survives; two readers of
the same bytes then disagree about what was signed or asked for. RFC 8259 leaves these open; RFC 8725, 2.4 and 3.12, and
the I-JSON profile (RFC 7493) close them, and so does this reader.
"""

import json
import math
import re
from typing import Any, NoReturn

_SURROGATES = re.compile("[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class NotStrictJson(ValueError):
    """The text is not JSON, or has a second meaning. The message never repeats the text."""


def parse(text: bytes, *, nul: bool = False) -> Any:
    """UTF-8 JSON without duplicate members, NaN, infinities, lone surrogates and NUL in strings.

    nul: strings may have NUL; the caller sees to it that none gets where it cannot be kept. Raises NotStrictJson for
    everything else, too deep nesting and too long numbers included. Cap the size before.
    """
    try:
        value = _DECODER.decode(text.decode("utf-8"))
        if b"\\u" in text:
            _refuse_unstorable(value, _SURROGATES if nul else _UNSTORABLE)
        return value
    except (ValueError, RecursionError) as error:
        raise NotStrictJson(type(error).__name__) from None


def parse_object(text: bytes, *, nul: bool = False) -> dict[str, Any]:
    """As parse, and the outermost value is an object."""
    value = parse(text, nul=nul)
    if not isinstance(value, dict):
        raise NotStrictJson("not an object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("duplicate member")
    return members


def _no_constant(_: str) -> NoReturn:
    raise NotStrictJson("constant")


def _finite(text: str) -> float:
    """1e999 is a number to the grammar and infinity to a float."""
    value = float(text)
    if not math.isfinite(value):
        raise NotStrictJson("number")
    return value


def _refuse_unstorable(value: Any, characters: re.Pattern[str]) -> None:
    """Lone surrogates break UTF-8 later and NUL breaks PostgreSQL; both can only arrive as escapes."""
    if isinstance(value, str):
        if characters.search(value):
            raise NotStrictJson("character")
    elif isinstance(value, dict):
        for name, member in value.items():
            _refuse_unstorable(name, characters)
            _refuse_unstorable(member, characters)
    elif isinstance(value, list):
        for member in value:
            _refuse_unstorable(member, characters)


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite)
