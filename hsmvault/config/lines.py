"""Which line of a TOML file a key stands on. tomllib does not say.

A scan for table headers and keys, good enough to point a person to the place: it runs on text that tomllib has
already accepted or found wrong only in its meaning.
"""

import re

Place = tuple[str | int, ...]  # ('issuers', 0, 'audiences', 'vault'); tables of an array counted from 0

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")


def line_of(text: str, place: Place) -> int:
    """The line, counted from 1, of this key or of the nearest table around it; 1 when there is none."""
    found: dict[Place, int] = {(): 1}
    table: Place = ()
    counts: dict[Place, int] = {}
    closing = ""  # what ends the multi-line string that we are in
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _table(_parts(header[2]), counts, repeated=header[1] == "[[")
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            place_of_key: Place = table
            for part in _parts(key[1]):
                place_of_key = (*place_of_key, part)
                found.setdefault(place_of_key, number)
            for member in re.finditer(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", line[key.end() :]):
                found.setdefault((*place_of_key, member[1]), number)  # an inline table
            closing = next((quote for quote in ('"""', "'''") if line.count(quote) == 1), "")
    while place not in found:
        place = place[:-1]
    return found[place]


def _parts(text: str) -> list[str]:
    return [match[1] or match[2] or match[3] or "" for match in _PART.finditer(text)]


def _table(parts: list[str], counts: dict[Place, int], *, repeated: bool) -> Place:
    """The place of a table, with the index of each array of tables on the way to it."""
    place: Place = ()
    for position, part in enumerate(parts):
        place = (*place, part)
        if repeated and position == len(parts) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place
