"""The body: one JSON object with the members of its model, or 400; an operation without a body reads none."""

import json
from collections.abc import Mapping
from copy import deepcopy

import pytest

from tests.refusals import words
from tests.refusals.bodies import OTHERS, Kind
from tests.refusals.cases import served
from tests.refusals.places import CERTIFIED, SECRETS, Place
from tests.refusals.rig import NONSENSE, Rig
from tests.refusals.rows import Absent, Row
from tests.refusals.table import ROWS

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
NUL = b'{"a":"\\u0000"}'
NO_WORD = {"key_ops": ["sign", "sing"], "key_usage": ["digitalSignature", "signature"]}
"""A word that is none; 'x' for a member that is one word."""
SERVING = {
    "release": "exportable",
    "securewrapkey": "secure",
    "secureunwrapkey": "secure",
    "update_certificate_operation": "pending",
    "merge_certificate": "pending",
}
"""Names of what an operation would be served by, where it is not 'good'."""


def with_a_body(kind: str = "") -> pytest.MarkDecorator:
    """kind: an attribute of Body that has to name a member."""
    return served(lambda row: row.body is not None and (not kind or getattr(row.body, kind)))


def target_of(row: Row, operation: str) -> str:
    """What the operation would be served by, and a name that is free for one that makes something."""
    return row.target("coming-in" if row.absent is Absent.NONE else SERVING.get(operation, "good"))


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
    assert row.body is not None
    for body in MALFORMED if row.body.nul else (*MALFORMED, NUL):
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


READS_NONE = (Absent.NONE, Absent.EMPTY)


LONG = "A" * 100_000
HOSTILE: Mapping[Kind, tuple[object, ...]] = {
    Kind.TEXT: (LONG,),
    Kind.TEXTS: ([LONG], ["a"] * 2000),
    Kind.TEXTS_BY_NAME: ({LONG: ""}, {"a": LONG}, {str(number): "" for number in range(2000)}),
    Kind.NUMBER: (-1, 2**63, -(2**63) - 1, 10**300),
    Kind.LIFETIME: ([{"action": {"action_type": LONG}}], [{"trigger": {"days_before_expiry": 10**300}}], [{}] * 2000),
    Kind.PEOPLE: ([{"email": LONG}], [{"email": "a@b.c", "phone": LONG}], [{"email": "a@b.c"}] * 2000),
}
"""Of a type, and far too much of it."""


@pytest.mark.slow
@served(lambda row: row.body is not None and row.body.members, places=(SECRETS, CERTIFIED))
async def test_what_is_far_too_much_is_refused_in_few_words(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert row.body is not None
    for member, kind in row.body.members.items():
        for value in HOSTILE.get(kind, ()):
            body = with_member(good_body(rig, place, operation), member, value)
            before = rig.data_version()
            answer = await rig.ask(place, row.method, target_of(row, operation), body)
            assert (answer.status, rig.data_version()) == (400, before), (member, answer.body)
            assert len(answer.message) < 1000, member


@pytest.mark.slow
@served(lambda row: row.body is not None and row.body.members)
async def test_no_text_has_characters_that_are_none(rig: Rig, place: Place, operation: str) -> None:
    """Lone surrogates, and NUL outside the value of a secret."""
    row = ROWS[operation]
    assert row.body is not None
    texts = ["a\ud800", "\udc00\ud800", *([] if row.body.nul else ["\0"])]
    for member, kind in row.body.members.items():
        for text in texts if kind in (Kind.TEXT, Kind.TEXTS, Kind.TEXTS_BY_NAME) else ():
            for value in {Kind.TEXTS: ([text],), Kind.TEXTS_BY_NAME: ({text: ""}, {"a": text})}.get(kind, (text,)):
                body = with_member(good_body(rig, place, operation), member, value)
                await rig.refused(place, row, words.NOT_JSON, target_of(row, operation), body=body)


@served(lambda row: row.body is None and row.absent not in READS_NONE)
async def test_an_operation_without_a_body_does_not_read_one(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for body in (NONSENSE, b"", json.dumps({"kty": 1}).encode()):
        await rig.refused(place, row, row.missing("never-was"), row.target("never-was"), body=body)


@served(lambda row: row.is_list)
async def test_a_list_without_a_body_does_not_read_one(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert (await rig.ask(place, row.method, row.target("good"), NONSENSE)).status == 200


@with_a_body()
async def test_members_that_nobody_knows_are_ignored(rig: Rig, place: Place, operation: str) -> None:
    """The same refusal with and without them: of an object that is not there, or of a body without its own members."""
    row = ROWS[operation]
    assert row.body is not None
    unknown: dict[str, object] = {"x-unknown": [1], "Kty": "EC", "Value": "AAAA", "Key": {}, "Count": 1}
    if row.absent is Absent.NONE:
        await rig.refused(place, row, words.property_invalid(row.body.lacks), target_of(row, operation), body=unknown)
        return
    body = {**good_body(rig, place, operation), **unknown}
    await rig.refused(place, row, row.missing("never-was"), row.target("never-was"), body=body)
