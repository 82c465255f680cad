"""Whatever is sent, and wherever to: an answer below 500, in the form of the resource manager."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.refusals_management.grounds import AT
from tests.refusals_management.models import GUID, MODELS, with_member
from tests.refusals_management.rig import Rig
from tests.refusals_management.rows import NAMES
from tests.refusals_management.table import NEWEST, ROWS
from tests.wire.management.stage import SUBSCRIPTION, THEIRS

pytestmark = pytest.mark.asyncio(loop_scope="package")

SOME = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(SOME, max_examples=1500)
TEXT = st.text(max_size=12) | st.sampled_from(
    ["", GUID, "local", "A", "standard", "recover", "get", "*", "/", "1.2.3.4/32", "P30D", "AuditEvent", AT["good"]]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SEGMENTS = st.sampled_from(
    [
        *("subscriptions", SUBSCRIPTION, THEIRS, "resourceGroups", "rg", "providers", "Microsoft.KeyVault", "vaults"),
        *("good", "managedHSMs", "goodhsm", "Microsoft.Authorization", "roleAssignments", "roleDefinitions", "keys"),
        *("Microsoft.Insights", "diagnosticSettings", "Microsoft.Management", "managementGroups", "locations", "local"),
        *("deletedVaults", "purge", "secrets", "versions", "accessPolicies", "add", GUID, "tenants", "metadata"),
        *("", ".", "..", "%00", "%", "%zz", "{vault}", "%7Bscope%7D", "a" * 300),
    ]
) | st.text(max_size=8).map(quote)
MODIFYING = sorted(name for name, row in ROWS.items() if row.body)
METHODS = st.sampled_from(["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "OPTIONS"])
QUERIES = st.dictionaries(
    st.sampled_from(["api-version", "$filter", "$top", "$skiptoken", "$expand", "$recurse", "maxresults"]),
    st.sampled_from([NEWEST, "x", "0", "1", "name eq 'a'", "atScope()", "children", "true", "(((", "''"]) | TEXT,
    max_size=3,
)


def target_of(name: str) -> str:
    """Nothing that other tests look at is changed."""
    names = {one: f"any-{NAMES[one]}" for one in ("vault", "pool", "name", "group") if ROWS[name].has(one)}
    if ROWS[name].path.endswith(("secrets/{name}", "keys/{name}", "{kind}", "Connections/{name}")):
        names |= {"vault": "good" if ROWS[name].method == "PUT" else "any", "group": "rg", "pool": "closedhsm"}
    return ROWS[name].target(**names, scope=AT["plain"], id="aaaaaaaa-0000-0000-0000-00000000eeee")


async def answered(rig: Rig, method: str, target: str, body: Any = None, **more: Any) -> None:
    answer = await rig.ask(method, target, body, **more)
    assert answer.status < 500, (method, target, body, answer.body)
    if answer.status >= 400 and method != "HEAD":
        assert answer.json == {"error": {"code": answer.code, "message": answer.message}}


async def _bodies(rig: Rig, name: str, value: Any) -> None:
    await answered(rig, ROWS[name].method, target_of(name), value)


async def _members(rig: Rig, name: str, data: st.DataObject) -> None:
    model = MODELS[ROWS[name].body]
    place = data.draw(st.sampled_from(sorted(model.members)))
    await answered(rig, ROWS[name].method, target_of(name), with_member(model.good, place, data.draw(VALUES)))


async def _paths(rig: Rig, method: str, segments: list[str], query: dict[str, str]) -> None:
    asked = "&".join(f"{name}={quote(value)}" for name, value in {"api-version": NEWEST, **query}.items())
    path = "/" + "/".join(segments)
    if method in ("PUT", "PATCH", "POST", "DELETE"):
        path = path.replace("good", "any")
    await answered(rig, method, f"{path}?{asked}", None if method == "GET" else {})


@SOME
@given(name=st.sampled_from(MODIFYING), value=VALUES)
async def test_whatever_a_body_is_the_answer_is_one(rig: Rig, name: str, value: Any) -> None:
    await _bodies(rig, name, value)


@SOME
@given(name=st.sampled_from(MODIFYING), data=st.data())
async def test_whatever_a_member_is_the_answer_is_one(rig: Rig, name: str, data: st.DataObject) -> None:
    await _members(rig, name, data)


@SOME
@given(method=METHODS, segments=st.lists(SEGMENTS, max_size=9), query=QUERIES)
async def test_whatever_a_path_is_the_answer_is_one(
    rig: Rig, method: str, segments: list[str], query: dict[str, str]
) -> None:
    await _paths(rig, method, segments, query)


@SOME
@given(name=st.sampled_from(sorted(name for name, row in ROWS.items() if row.method == "GET")), query=QUERIES)
async def test_whatever_a_query_is_the_answer_is_one(rig: Rig, name: str, query: dict[str, str]) -> None:
    asked = "&".join(f"{one}={quote(value)}" for one, value in {"api-version": NEWEST, **query}.items())
    await answered(rig, "GET", f"{ROWS[name].target()}?{asked}")


@pytest.mark.slow
@MANY
@given(name=st.sampled_from(MODIFYING), value=VALUES)
async def test_whatever_many_bodies_are_the_answer_is_one(rig: Rig, name: str, value: Any) -> None:
    await _bodies(rig, name, value)


@pytest.mark.slow
@MANY
@given(name=st.sampled_from(MODIFYING), data=st.data())
async def test_whatever_many_members_are_the_answer_is_one(rig: Rig, name: str, data: st.DataObject) -> None:
    await _members(rig, name, data)


@pytest.mark.slow
@MANY
@given(method=METHODS, segments=st.lists(SEGMENTS, max_size=9), query=QUERIES)
async def test_whatever_many_paths_are_the_answer_is_one(
    rig: Rig, method: str, segments: list[str], query: dict[str, str]
) -> None:
    await _paths(rig, method, segments, query)
