"""The body: one JSON object with the members of its model, or 400; an operation without a body reads none."""

import json
from collections.abc import Mapping
from copy import deepcopy

import pytest

from tests.refusals import words
from tests.refusals.bodies import OTHERS
from tests.refusals.places import KINDS, Place
from tests.refusals.rig import NONSENSE, Rig
from tests.refusals.table import ROWS, Absent, Row

pytestmark = pytest.mark.asyncio(loop_scope="package")

MALFORMED = (
    b"",
    NONSENSE,
    b"{",
    b'{"a":}',
    b"{'a':1}",
    b"null",
    b"1",
    b"[]",
    b'"text"',
    b'{"a":1}x',
    b'{"a":1,"a":1}',
    b'{"a":NaN}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b"[" * 5000,
    "\ufeff{}".encode(),
    "{}".encode("utf-16"),
)
NO_WORD = {"key_ops": ["sign", "sing"]}
"""A word that is none; 'x' for a member that is one word."""
KEYS = {"release": "exportable", "securewrapkey": "secure", "secureunwrapkey": "secure"}
WITH_BODY = [(place, name) for place in KINDS for name, row in place.rows.items() if row.body is not None]


def with_a_body(kind: str = "") -> pytest.MarkDecorator:
    """kind: an attribute of Body that has to name a member."""
    cases = [(place, name) for place, name in WITH_BODY if not kind or getattr(ROWS[name].body, kind)]
    return pytest.mark.parametrize(("place", "operation"), cases, ids=[f"{place}-{name}" for place, name in cases])


def target_of(row: Row, operation: str) -> str:
    """A key that the operation would be served by, and a name that is free for one that makes keys."""
    return row.target("coming-in" if row.absent is Absent.NO_KEY else KEYS.get(operation, "good"))


def good_body(rig: Rig, place: Place, operation: str) -> Mapping[str, object]:
    body = ROWS[operation].body
    assert body is not None
    return rig.bodies.get((place.name, operation), body.good)


def with_member(body: Mapping[str, object], path: str, value: object) -> dict[str, object]:
    """path: names with dots between; what is on the way to it is made where it is not there."""
    changed = deepcopy(dict(body))
    at: dict[str, object] = changed
    *way, last = path.split(".")
    for name in way:
        at = at.setdefault(name, {})  # type: ignore[assignment]  # the members on the way are objects
    at[last] = value
    return changed


def without_member(body: Mapping[str, object], path: str) -> dict[str, object]:
    way, _, last = path.rpartition(".")
    changed = with_member(body, path, None)
    at = changed if not way else changed[way]
    assert isinstance(at, dict)
    del at[last]
    return changed


@with_a_body()
async def test_what_is_no_json_object_is_refused(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for body in MALFORMED:
        await rig.refused(place, row, words.NOT_JSON, target_of(row, operation), body=body)


@with_a_body("members")
async def test_a_member_of_another_type_is_refused(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert row.body is not None
    for member, kind in row.body.members.items():
        for value in OTHERS[kind]:
            body = with_member(good_body(rig, place, operation), member, value)
            await rig.refused(place, row, words.property_invalid(""), target_of(row, operation), body=body)


@with_a_body("required")
async def test_a_required_member_that_is_missing_is_refused(rig: Rig, place: Place, operation: str) -> None:
    row, good = ROWS[operation], good_body(rig, place, operation)
    assert row.body is not None
    for member in row.body.required:
        for body in (without_member(good, member), with_member(good, member, None), {}):
            await rig.refused(place, row, words.property_invalid(""), target_of(row, operation), body=body)


@with_a_body("words")
async def test_a_word_that_is_none_is_refused_by_the_name_of_its_member(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert row.body is not None
    for member in row.body.words:
        name = member.rpartition(".")[2]
        for value in (NO_WORD.get(name, "x"), NO_WORD.get(name, "")):
            body = with_member(good_body(rig, place, operation), member, value)
            await rig.refused(place, row, words.property_invalid(name), target_of(row, operation), body=body)


@with_a_body("encoded")
async def test_what_is_not_base64url_is_refused_by_the_name_of_its_member(
    rig: Rig, place: Place, operation: str
) -> None:
    row = ROWS[operation]
    assert row.body is not None
    for member in row.body.encoded:
        for text in ("!", "A", "AA+A", "AA/A", "AA A", "AA\n", "Ä"):
            body = with_member(good_body(rig, place, operation), member, text)
            expected = words.property_invalid(member.rpartition(".")[2])
            await rig.refused(place, row, expected, target_of(row, operation), body=body)


READS_NONE = [
    (place, name)
    for place in KINDS
    for name, row in place.rows.items()
    if row.body is None and row.absent not in (Absent.NO_KEY, Absent.EMPTY)
]


@pytest.mark.parametrize(("place", "operation"), READS_NONE, ids=[f"{place}-{name}" for place, name in READS_NONE])
async def test_an_operation_without_a_body_does_not_read_one(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    expected = words.deleted_not_found if row.absent is Absent.DELETED else words.not_found
    for body in (NONSENSE, b"", json.dumps({"kty": 1}).encode()):
        await rig.refused(place, row, expected("never-was"), row.target("never-was"), body=body)


@pytest.mark.parametrize("place", KINDS, ids=str)
async def test_a_list_without_a_body_does_not_read_one(rig: Rig, place: Place) -> None:
    for operation in ("get_keys", "get_key_versions", "get_deleted_keys"):
        row = ROWS[operation]
        assert (await rig.ask(place, row.method, row.target("good"), NONSENSE)).status == 200


@with_a_body()
async def test_members_that_nobody_knows_are_ignored(rig: Rig, place: Place, operation: str) -> None:
    """The same refusal with and without them: of a key that is not there, or of a body without its own members."""
    row = ROWS[operation]
    unknown: dict[str, object] = {"x-unknown": [1], "Kty": "EC", "Value": "AAAA", "Key": {}, "Count": 1}
    if row.absent is Absent.NO_KEY:
        await rig.refused(place, row, words.property_invalid(""), target_of(row, operation), body=unknown)
        return
    body = {**good_body(rig, place, operation), **unknown}
    await rig.refused(place, row, words.not_found("never-was"), row.target("never-was"), body=body)
