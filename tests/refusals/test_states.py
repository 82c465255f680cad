"""The state of a key: key_ops, enabled, nbf and exp, each with each operation that uses keys."""

import pytest

from tests.refusals import words
from tests.refusals.grounds import SIX
from tests.refusals.places import HARD, KEY_GROUNDS, KEY_KINDS, POOL, Place
from tests.refusals.rig import Rig
from tests.refusals.rows import Row
from tests.refusals.table import ROWS
from tests.refusals.words import Objects, Refusal
from tests.refusals.wrapped import transfer

pytestmark = pytest.mark.asyncio(loop_scope="package")

FAR = 4_000_000_000
USABLE = {"enabled": True, "nbf": 0, "exp": FAR}
NOW = 1_750_000_000
STATES = {
    "disabled": USABLE | {"enabled": False},
    "not yet valid": USABLE | {"nbf": NOW + 1},
    "expired": USABLE | {"exp": NOW},
    "usable": USABLE,
}
USES = {name: row for name, row in ROWS.items() if row.use in SIX}
IN_HARDWARE = {
    "release": "exportable",
    "securewrapkey": "secure",
    "secureunwrapkey": "secure",
    "import_key": "exchange",
}
"""Operations that only keys in hardware serve, with the key that does; `import` is the use of a key-exchange key."""


def refusal(operation: str, state: str, *, is_timely: bool) -> Refusal | None:
    """None: the state does not matter."""
    if state == "disabled":
        return words.disabled(operation)
    if not is_timely or state == "usable":
        return None
    return words.not_yet_valid(operation) if state == "not yet valid" else words.expired(operation)


async def have(rig: Rig, place: Place, name: str, state: str) -> None:
    await rig.done(place, "PATCH", f"/keys/{name}/", {"attributes": STATES[state]})


@pytest.mark.parametrize("operation", USES)
@pytest.mark.parametrize("place", KEY_GROUNDS, ids=str)
async def test_a_key_is_used_or_not_as_its_state_says(rig: Rig, place: Place, operation: str) -> None:
    row, body = USES[operation], rig.bodies[place.name, operation]
    assert row.use is not None
    for state in STATES:
        await have(rig, place, "turning", state)
        expected = refusal(row.use, state, is_timely=row.is_timely)
        for version in ("", rig.versions[place.name, "turning"]):
            target = row.target("turning", version)
            if expected is not None:
                await rig.refused(place, row, expected, target, body=body)
            else:
                await rig.done(place, row.method, target, body)


@pytest.mark.parametrize("operation", IN_HARDWARE)
@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
async def test_a_key_in_hardware_is_used_or_not_as_its_state_says(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    target, body = request(rig, place, operation)
    for state in STATES:
        await have(rig, place, IN_HARDWARE[operation], state)
        word, is_timely = row.use or "import", row.is_timely or operation == "import_key"
        expected = refusal(word, state, is_timely=is_timely)
        if expected is not None:
            await rig.refused(place, row, expected, target, body=body)
            continue
        answer = await rig.ask(place, row.method, target, body)
        assert answer.status == 200 or answer.inner not in ("KeyDisabled", "KeyNotYetValid", "KeyExpired")


def request(rig: Rig, place: Place, operation: str) -> tuple[str, object]:
    """Target and body of a use of a key in hardware. What it is used on is nothing good: the state comes first."""
    row, key = ROWS[operation], IN_HARDWARE[operation]
    if operation == "import_key":
        kid = f"https://{place.host}/keys/{key}/{rig.versions[place.name, key]}"
        return row.target("coming-in"), {"key": transfer(kid)}
    assert row.body is not None
    body = dict(row.body.good)
    if "alg" in body and place.is_pool:
        body["alg"] = "A256KW"
    return row.target(key), body


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", KEY_GROUNDS, ids=str)
async def test_reading_changing_and_removing_a_key_goes_on_in_every_state(rig: Rig, place: Place, state: str) -> None:
    name = f"lives-{state.replace(' ', '-')}"
    kty = "EC-HSM" if place.hardware else "EC"
    await rig.make(place, name, {"kty": kty})
    policy = {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}]}
    await rig.done(place, "PUT", f"/keys/{name}/rotationpolicy", policy)
    await have(rig, place, name, state)
    for operation, body in (
        ("get_key", None),
        ("get_key_versions", None),
        ("update_key", {}),
        ("backup_key", None),
        ("get_key_rotation_policy", None),
        ("rotate_key", None),
        ("delete_key", None),
        ("get_deleted_key", None),
        ("recover_deleted_key", None),
        ("delete_key", None),
        ("purge_deleted_key", None),
    ):
        row = ROWS[operation]
        await rig.done(place, row.method, row.target(name), body)


# key_ops


@pytest.mark.parametrize("operation", [*USES, "release", "securewrapkey", "secureunwrapkey"])
@pytest.mark.parametrize("place", KEY_GROUNDS, ids=str)
async def test_a_key_does_nothing_that_its_key_ops_do_not_say(rig: Rig, place: Place, operation: str) -> None:
    """`release` stands in no key_ops: a key that is not exportable does not do it."""
    row = ROWS[operation]
    assert row.use is not None
    lacking = {
        "signs": row.use not in ("sign", "verify"),
        "wraps": row.use in ("sign", "verify", "release", "secureWrapKey", "secureUnwrapKey"),
        "exchange": place.hardware,
        "secure": place.hardware and row.use in (*SIX, "release"),
        "exportable": place.hardware and row.use not in ("sign", "verify", "release"),
    }
    if place.hardware:
        for name in ("exchange", "secure", "exportable"):
            await have(rig, place, name, "usable")
    assert sum(lacking.values()) >= 1
    for name, is_lacking in lacking.items():
        if is_lacking:
            body = rig.bodies.get((place.name, operation)) or good_body(row)
            await rig.refused(place, row, words.not_permitted(row.use), row.target(name), body=body)


@pytest.mark.parametrize("place", [HARD, POOL], ids=str)
@pytest.mark.parametrize("name", ["good", "wraps", "exportable", "secure"])
async def test_only_a_key_exchange_key_takes_in_wrapped_keys(rig: Rig, place: Place, name: str) -> None:
    row = ROWS["import_key"]
    kid = f"https://{place.host}/keys/{name}/{rig.versions[place.name, name]}"
    await rig.refused(place, row, words.not_permitted("import"), row.target("coming-in"), body={"key": transfer(kid)})


@pytest.mark.parametrize("place", [HARD, POOL], ids=str)
async def test_a_key_exchange_key_that_is_not_there_is_not_found(rig: Rig, place: Place) -> None:
    row, version = ROWS["import_key"], rig.versions[place.name, "gone"]
    for name in ("never-was", "gone"):
        body = {"key": transfer(f"https://{place.host}/keys/{name}/{version}")}
        await rig.refused(place, row, words.not_found(Objects.KEYS, name, version), row.target("coming-in"), body=body)


def good_body(row: Row) -> object:
    assert row.body is not None
    return row.body.good
