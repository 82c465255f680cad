"""What a well-formed request may not ask of keys, in the words that are published."""

from typing import Any

import pytest

from tests.pipeline.world import b64
from tests.refusals.grounds import RELEASE_POLICY
from tests.refusals.places import HARD, KEY_KINDS, POOL, SOFT, Place
from tests.refusals.rig import Rig
from tests.refusals.table import ROWS
from tests.refusals.words import NOT_PUBLISHED, Refusal, unsupported_size
from tests.refusals.wrapped import importable

pytestmark = pytest.mark.asyncio(loop_scope="package")

EXPORTABLE = {"attributes": {"exportable": True}}
WITH_POLICY = {"release_policy": RELEASE_POLICY}


def bad(message: str) -> Refusal:
    return Refusal(400, "BadParameter", message)


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (EXPORTABLE, "Exportable keys must have release policy"),
        (WITH_POLICY, "Non-exportable keys must not have release policy"),
        (
            {"attributes": {"exportable": False}, **WITH_POLICY},
            "Non-exportable keys must not have release policy",
        ),
    ],
    ids=["no policy", "not exportable", "said not to be exportable"],
)
async def test_exportable_keys_and_release_policies_come_together(
    rig: Rig, place: Place, members: dict[str, Any], message: str
) -> None:
    for operation, body in (("create_key", {"kty": "EC-HSM"}), ("import_key", {"key": importable(hardware=True)})):
        row = ROWS[operation]
        await rig.refused(place, row, bad(message), row.target("coming-in"), body={**body, **members})


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
async def test_an_immutable_release_policy_stays(rig: Rig, place: Place) -> None:
    row, other = (
        ROWS["update_key"],
        {"data": b64(b'{"version":"1.0.0","anyOf":[{"authority":"https://b/","allOf":[]}]}')},
    )
    immutable = {"release_policy": {**RELEASE_POLICY, "immutable": True}}
    await rig.make(place, "immutable", {"kty": "EC-HSM", **EXPORTABLE, **immutable})
    expected = bad("AKV.SKR.1020: Immutable Key Release Policy cannot be modified.")
    for policy in (other, {**RELEASE_POLICY, "immutable": False}, RELEASE_POLICY):
        await rig.refused(place, row, expected, row.target("immutable"), body={"release_policy": policy})


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
@pytest.mark.parametrize(
    ("body", "size", "sizes"),
    [
        ({"kty": "EC-HSM", "key_size": 4096}, 4096, "[256, 384, 521]"),
        ({"kty": "EC-HSM", "key_size": 255}, 255, "[256, 384, 521]"),
        ({"kty": "RSA-HSM", "key_size": 1024}, 1024, "[2048, 3072, 4096]"),
        ({"kty": "RSA-HSM", "key_size": 8192}, 8192, "[2048, 3072, 4096]"),
    ],
)
async def test_a_size_that_does_not_fit_is_refused_with_those_that_do(
    rig: Rig, place: Place, body: dict[str, Any], size: int, sizes: str
) -> None:
    row = ROWS["create_key"]
    await rig.refused(place, row, unsupported_size(size, sizes), row.target("coming-in"), body=body)


@pytest.mark.parametrize("count", [0, -1, 129, 2**63, -(2**70)])
async def test_random_bytes_have_their_limits(rig: Rig, count: int) -> None:
    row = ROWS["get_random_bytes"]
    expected = bad("GetRandomBytesRequest: count cannot be greater than 128 or less than 1")
    await rig.refused(POOL, row, expected, row.path, body={"count": count})


async def test_a_secret_key_that_comes_in_has_its_limit(rig: Rig) -> None:
    row = ROWS["import_key"]
    expected = bad("JSON Web Key: k property of oct key is too large, maximum size is 64")
    for length in (65, 128, 1024):
        body = {"key": {"kty": "oct-HSM", "k": b64(bytes(length))}}
        await rig.refused(POOL, row, expected, row.target("coming-in"), body=body)


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
@pytest.mark.parametrize(
    "members",
    [
        {"attributes": {"nbf": 2000, "exp": 1000}},
        {"attributes": {"nbf": -1}},
        {"attributes": {"exp": -1}},
        {"tags": {str(number): "" for number in range(16)}},
        {"tags": {"n" * 257: ""}},
        {"tags": {"n": "v" * 257}},
        {"key_ops": ["import", "sign"]},
        {"key_ops": ["export"]},
    ],
    ids=str,
)
async def test_attributes_tags_and_operations_have_their_limits(
    rig: Rig, place: Place, members: dict[str, Any]
) -> None:
    create, admit, update = (ROWS[name] for name in ("create_key", "import_key", "update_key"))
    await rig.refused(place, create, NOT_PUBLISHED, create.target("coming-in"), body={"kty": "EC-HSM", **members})
    await rig.refused(place, update, NOT_PUBLISHED, update.target("exportable"), body=secure(members))
    key = importable(hardware=True)
    if "key_ops" in members:
        key, members = {**key, **members}, {}
    await rig.refused(place, admit, NOT_PUBLISHED, admit.target("coming-in"), body={"key": key, **members})


def secure(members: dict[str, Any]) -> dict[str, Any]:
    """For an exportable key: `export` may stand in its key_ops, `import` may not."""
    return {"key_ops": ["import"]} if members == {"key_ops": ["export"]} else members


@pytest.mark.parametrize(
    ("place", "kty"), [(SOFT, "EC-HSM"), (SOFT, "oct-HSM"), (HARD, "oct-HSM"), (HARD, "oct")], ids=str
)
async def test_a_container_takes_its_own_types_of_keys_alone(rig: Rig, place: Place, kty: str) -> None:
    create, admit = ROWS["create_key"], ROWS["import_key"]
    await rig.refused(place, create, NOT_PUBLISHED, create.target("coming-in"), body={"kty": kty})
    key = {**importable(hardware=True), "kty": kty} if kty == "EC-HSM" else {"kty": kty, "k": b64(bytes(32))}
    await rig.refused(place, admit, NOT_PUBLISHED, admit.target("coming-in"), body={"key": key})


def rotate(**trigger: str) -> dict[str, Any]:
    return {"trigger": trigger, "action": {"type": "Rotate"}}


def notify(**trigger: str) -> dict[str, Any]:
    return {"trigger": trigger, "action": {"type": "Notify"}}


IN_BOTH = {
    "two rotates": ([rotate(timeAfterCreate="P90D"), rotate(timeAfterCreate="P91D")], "P2Y"),
    "an unknown type": ([{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Turn"}}], None),
    "no trigger": ([rotate()], "P2Y"),
    "two triggers": ([rotate(timeAfterCreate="P90D", timeBeforeExpiry="P30D")], "P2Y"),
    "no expiry to count from": ([rotate(timeBeforeExpiry="P30D")], None),
    "an early expiry": ([], "P27D"),
    "hours": ([rotate(timeAfterCreate="PT720H")], None),
    "no duration": ([rotate(timeAfterCreate="90")], None),
}
IN_VAULTS = {
    "an early rotation": ([rotate(timeAfterCreate="P6D")], "P90D"),
    "a late rotation": ([rotate(timeBeforeExpiry="P6D")], "P90D"),
    "two notifies": ([notify(timeBeforeExpiry="P30D"), notify(timeBeforeExpiry="P31D")], "P90D"),
}
IN_POOLS = {
    "an early rotation": ([rotate(timeAfterCreate="P27D")], "P90D"),
    "a rotation early before the expiry": ([rotate(timeBeforeExpiry="P63D")], "P90D"),
    "a notify": ([notify(timeBeforeExpiry="P30D")], "P90D"),
}


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
async def test_a_rotation_policy_has_its_minimums(rig: Rig, place: Place) -> None:
    row = ROWS["update_key_rotation_policy"]
    for actions, expiry in {**IN_BOTH, **{f"own {name}": one for name, one in _own(place).items()}}.values():
        body = {"lifetimeActions": actions, "attributes": {} if expiry is None else {"expiryTime": expiry}}
        await rig.refused(place, row, NOT_PUBLISHED, row.target("good"), body=body)


def _own(place: Place) -> dict[str, Any]:
    return IN_POOLS if place.is_pool else IN_VAULTS
