"""The grammar of release policies, and what they accept: judged by a second evaluator that shares nothing with ours."""

import json
import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.release_policies import (
    DEEPEST,
    LONGEST_BYTES,
    MOST_NODES,
    check_policy,
    evaluate,
    parse_policy,
)

AUTHORITY = "https://attest.example"
NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(
    st.booleans(), st.sampled_from(["true", "false", "x", ""]), st.integers(-2, 2), st.sampled_from([0.0, 1.0, 0.5])
)
NUMBERS = st.one_of(st.integers(-2, 2), st.sampled_from([0.0, 1.0, 0.5]))
CLAIMS = st.recursive(
    st.one_of(SCALARS, st.none(), st.lists(SCALARS, max_size=2)),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ORDER = {
    "less": operator.lt,
    "lessOrEquals": operator.le,
    "greater": operator.gt,
    "greaterOrEquals": operator.ge,
}
WAYS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
CONDITIONS = st.one_of(
    st.builds(
        lambda claim, name, value: {"claim": claim, name: value},
        WAYS,
        st.sampled_from(["equals", "notEquals"]),
        SCALARS,
    ),
    st.builds(lambda claim, name, value: {"claim": claim, name: value}, WAYS, st.sampled_from(list(ORDER)), NUMBERS),
    st.builds(lambda claim, value: {"claim": claim, "exists": value}, WAYS, st.sampled_from([True, False, "true"])),
)


def grouped(parts: Any) -> Any:
    return st.builds(
        lambda name, list_: {name: list_}, st.sampled_from(["allOf", "anyOf"]), st.lists(parts, min_size=1, max_size=3)
    )


PARTS = st.recursive(CONDITIONS, grouped, max_leaves=6)


def written(*authorities: dict[str, Any], version: str = "1.0.0") -> bytes:
    return json.dumps({"version": version, "anyOf": list(authorities)}).encode()


def one(part: dict[str, Any], authority: str = AUTHORITY) -> bytes:
    return written({"authority": authority, "allOf": [part]})


def accepts(data: bytes, claims: dict[str, Any], authority: str = AUTHORITY) -> bool:
    return evaluate(parse_policy(data), authority, claims)


def judged(part: dict[str, Any], claims: Any) -> bool:
    """The second evaluator: JSON all the way, no classes, types by the text that JSON gives them."""
    if "allOf" in part:
        return sum(judged(each, claims) for each in part["allOf"]) == len(part["allOf"])
    if "anyOf" in part:
        return sum(judged(each, claims) for each in part["anyOf"]) > 0
    claim = claims
    for name in part["claim"].split("."):
        claim = claim.get(name) if isinstance(claim, dict) else None
    ((name, value),) = ((key, member) for key, member in part.items() if key != "claim")
    if name == "exists":
        return (json.dumps(claim) != "null") == (json.dumps(value).strip('"') == "true")
    if isinstance(claim, dict | list) or claim is None:
        return False
    if name in ORDER:
        return kind(claim) == "number" and bool(ORDER[name](claim, value))
    same = kind(claim) == kind(value) and claim == value
    if kind(claim) == "boolean" and value in ("true", "false") and kind(value) == "string":
        same = json.dumps(claim) == value
    return same if name == "equals" else not same


def kind(value: Any) -> str:
    text = json.dumps(value)
    return "string" if text[0] == '"' else "boolean" if text in ("true", "false") else "number"


@settings(max_examples=300, deadline=None)
@given(PARTS, st.dictionaries(NAMES, CLAIMS, max_size=3))
def test_two_evaluators_agree_about_every_policy(part: dict[str, Any], claims: dict[str, Any]) -> None:
    assert accepts(one(part), claims) is judged(part, claims)


@settings(max_examples=100, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=3), st.dictionaries(NAMES, CLAIMS, max_size=3), st.booleans())
def test_each_authority_speaks_for_itself_alone(
    parts: list[dict[str, Any]], claims: dict[str, Any], every: bool
) -> None:
    group = "allOf" if every else "anyOf"
    authorities = [{"authority": f"https://a{index}.example/", group: [part]} for index, part in enumerate(parts)]
    data = written(*authorities)
    for index, part in enumerate(parts):
        assert accepts(data, claims, f"https://a{index}.example") is judged(part, claims)
    assert not accepts(data, claims, "https://a9.example")


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.one_of(SCALARS, st.none()), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_whatever_a_policy_is_it_is_accepted_or_refused(value: Any) -> None:
    for data in (json.dumps(value).encode(), written({"authority": "a", "allOf": [value]}), written(value)):
        try:
            policy = parse_policy(data)
        except BadRequest:
            continue
        assert evaluate(policy, "a", {"claim": 1}) in (True, False)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_policy_are_a_bad_request(data: bytes) -> None:
    with pytest.raises(BadRequest):
        check_policy(data)


@pytest.mark.parametrize(
    ("value", "claim", "expected"),
    [
        (True, True, True),
        (True, "true", False),
        (True, 1, False),
        ("true", True, True),  # as .NET and JavaScript clients write it
        ("true", "true", True),
        ("false", False, True),
        ("false", True, False),
        ("True", True, False),
        ("1", 1, False),
        (1, True, False),
        (0, False, False),
        (1, 1.0, True),
        (1, "1", False),
        ("sevsnpvm", "sevsnpvm", True),
        ("sevsnpvm", "SEVSNPVM", False),
        ("x", ["x"], False),
        ("x", {"x": "x"}, False),
        ("x", None, False),
    ],
)
def test_values_are_equal_when_their_types_are(value: Any, claim: Any, expected: bool) -> None:
    assert accepts(one({"claim": "c", "equals": value}), {"c": claim}) is expected
    is_other = isinstance(claim, str | int | float) and not expected
    assert accepts(one({"claim": "c", "notEquals": value}), {"c": claim}) is is_other


def test_dots_walk_into_objects_and_nowhere_else() -> None:
    data = one({"claim": "a.b.c", "equals": 1})
    assert accepts(data, {"a": {"b": {"c": 1}}})
    for claims in ({"a.b.c": 1}, {"a": {"b.c": 1}}, {"a": [{"b": {"c": 1}}]}, {"a": "b"}, {"a": None}, {}):
        assert not accepts(data, claims)


def test_a_missing_claim_meets_nothing_but_its_absence() -> None:
    for name, value in (("equals", "x"), ("notEquals", "x"), ("less", 1), ("greaterOrEquals", -1), ("exists", True)):
        assert not accepts(one({"claim": "c", name: value}), {})
        assert not accepts(one({"claim": "c", name: value}), {"c": None})
    assert accepts(one({"claim": "c", "exists": False}), {})
    assert accepts(one({"claim": "c", "exists": "false"}), {"c": None})
    assert not accepts(one({"claim": "c", "exists": "false"}), {"c": []})


def test_order_is_for_numbers() -> None:
    data = one({"claim": "svn", "greaterOrEquals": 10})
    assert accepts(data, {"svn": 10})
    assert accepts(data, {"svn": 10**400})
    for claim in (9, "10", "9", True, None, [], {}):
        assert not accepts(data, {"svn": claim})


def test_an_authority_compares_as_text_with_or_without_a_slash_at_its_end() -> None:
    for policy, iss in ((AUTHORITY + "/", AUTHORITY), (AUTHORITY, AUTHORITY + "/"), (AUTHORITY, AUTHORITY)):
        assert accepts(one({"claim": "c", "equals": 1}, policy), {"c": 1}, iss)
    for iss in ("https://attest.example.evil", "https://ATTEST.example", "https://attest.example//", "", "https:"):
        assert not accepts(one({"claim": "c", "equals": 1}), {"c": 1}, iss)


def test_the_policy_that_the_sdk_tests_set_is_met_by_their_token() -> None:
    data = written(
        {"anyOf": [{"claim": "sdk-test", "equals": True}], "authority": "https://attest.localhost:8443/"},
    )
    assert accepts(data, {"sdk-test": True}, "https://attest.localhost:8443")
    assert not accepts(data, {"sdk-test": 1}, "https://attest.localhost:8443")


def nested(depth: int) -> dict[str, Any]:
    part: dict[str, Any] = {"claim": "c", "equals": 1}
    for _ in range(depth):
        part = {"anyOf": [part]}
    return part


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":"1.0.0"}',
        b'{"version":"2.0.0","anyOf":[{"authority":"a","allOf":[{"claim":"c","equals":1}]}]}',
        b'{"version":1,"anyOf":[{"authority":"a","allOf":[{"claim":"c","equals":1}]}]}',
        b'{"version":"1.0.0","allOf":[{"authority":"a","allOf":[{"claim":"c","equals":1}]}]}',
        b'{"version":"1.0.0","anyOf":[{"authority":"a","allOf":[{"claim":"c","equals":1,"equals":2}]}]}',
        b'{"version":"1.0.0","anyOf":[{"authority":"a","allOf":[{"claim":"c","equals":NaN}]}]}',
        b'{"version":"1.0.0","anyOf":[{"authority":"a","allOf":[{"claim":"c","equals":1e999}]}]}',
        written(),
        written({"authority": "a"}),
        written({"allOf": [{"claim": "c", "equals": 1}]}),
        written({"authority": "", "allOf": [{"claim": "c", "equals": 1}]}),
        written({"authority": "/", "allOf": [{"claim": "c", "equals": 1}]}),
        written({"authority": 1, "allOf": [{"claim": "c", "equals": 1}]}),
        written({"authority": "a", "allOf": []}),
        written({"authority": "a", "allOf": {"claim": "c", "equals": 1}}),
        written({"authority": "a", "anyof": [{"claim": "c", "equals": 1}]}),
        written({"authority": "a", "allOf": [{"claim": "c", "equals": 1}], "anyOf": [{"claim": "c", "equals": 1}]}),
        written({"authority": "a", "allOf": [{"claim": "c", "equals": 1}], "note": "x"}),
        one({"claim": "c"}),
        one({"equals": 1}),
        one({"claim": "", "equals": 1}),
        one({"claim": "a..b", "equals": 1}),
        one({"claim": ".a", "equals": 1}),
        one({"claim": ["c"], "equals": 1}),
        one({"claim": "c", "equals": None}),
        one({"claim": "c", "equals": {"a": 1}}),
        one({"claim": "c", "equals": [1]}),
        one({"claim": "c", "like": "x*"}),
        one({"claim": "c", "condition": "equals", "value": "true"}),
        one({"claim": "c", "equals": 1, "less": 2}),
        one({"claim": "c", "less": "9"}),
        one({"claim": "c", "greater": True}),
        one({"claim": "c", "exists": "yes"}),
        one({"claim": "c", "exists": 1}),
        one({"allOf": [{"claim": "c", "equals": 1}], "anyOf": [{"claim": "c", "equals": 1}]}),
        one(nested(DEEPEST)),
        one({"anyOf": [{"claim": "c", "equals": 1}] * MOST_NODES}),
        one({"claim": ".".join("a" * 17), "equals": 1}),
        one({"claim": "c", "equals": "x" * LONGEST_BYTES}),
        b'{"version":"1.0.0","anyOf":' + b"[" * 20_000,
    ],
    ids=lambda data: repr(data[-40:]),
)
def test_what_is_not_understood_is_refused_when_it_is_set(data: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        check_policy(data)
    assert caught.value.message.startswith("The release policy is not valid: ")


def test_only_policies_that_are_kept_are_remembered_and_not_many_of_them() -> None:
    parse_policy.cache_clear()
    check_policy(one({"allOf": [{"claim": "a", "equals": "b"}]}))
    assert parse_policy.cache_info().currsize == 0
    for number in range(100):
        parse_policy(one({"allOf": [{"claim": "a", "equals": number}]}))
    assert parse_policy.cache_info().currsize == 64


def test_the_bounds_leave_room_for_real_policies() -> None:
    check_policy(one(nested(DEEPEST - 1)))
    regions = [
        {"authority": f"https://shared{index}.attest.azure.net/", "allOf": [{"claim": "a.b", "equals": "x"}] * 4}
        for index in range(60)
    ]
    check_policy(written(*regions))
    check_policy(written(regions[0], version="1.0"))  # as pools' clients write it
