"""JSON of strangers has one meaning or is refused, and never ends in an accident."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.strict_json import NotStrictJson, parse, parse_object

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=25,
)


@given(value=VALUES, ascii_only=st.booleans())
def test_what_was_written_is_read(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(content=st.binary(max_size=300))
def test_no_bytes_are_an_accident(content: bytes) -> None:
    try:
        value = parse(content)
    except NotStrictJson as error:
        assert len(str(error)) < 40
        return
    assert json.loads(content) == value


@given(value=VALUES, name=TEXT)
def test_a_member_that_stands_there_twice_is_refused_at_any_depth(value: Any, name: str) -> None:
    twice = "{" + ",".join([f"{json.dumps(name)}:{json.dumps(value)}"] * 2) + "}"
    for text in (twice, f"[{twice}]", '{"a":{"b":[' + twice + "]}}"):
        with pytest.raises(NotStrictJson):
            parse(text.encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"[1e400]",
        b'{"a":NaN}',
        b'"\\ud800"',
        b'"\\udfff"',
        b'"\\ude00\\ud83d"',
        b'{"\\ud800":1}',
        b'["a",{"b":["\\udc00"]}]',
        b'"\\u0000"',
        b'{"a\\u0000":1}',
        b'"\x00"',
        b'"\n"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '"a"'.encode("utf-16"),
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"tru",
        b"True",
        b"{} {}",
        b"{}x",
        b"// c\n{}",
        b'{"a":1,"\\u0061":2}',
        b"[" * 100_000,
        b"[" * 5_000 + b"]" * 5_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"9" * 100_000,
        b"-" + b"9" * 5_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_second_meaning_is_refused(content: bytes) -> None:
    with pytest.raises(NotStrictJson):
        parse(content)


def test_pairs_of_surrogates_and_large_floats_are_fine() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "😀"
    assert parse(b"1e308") == 1e308
    assert math.isclose(parse(b"1e-999"), 0.0)


@pytest.mark.parametrize("content", [b"null", b"[]", b'"{}"', b"1", b"true"])
def test_an_object_is_an_object(content: bytes) -> None:
    with pytest.raises(NotStrictJson):
        parse_object(content)
    assert parse_object(b' {"a":1}\n') == {"a": 1}


def test_a_refusal_never_repeats_the_text() -> None:
    with pytest.raises(NotStrictJson) as caught:
        parse(b'{"password":"secret",}')
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
