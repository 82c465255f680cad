"""Keys and secrets as sub-resources: they are refused in the words of the data plane, without its inner codes."""

from typing import Any

import pytest

from tests.refusals_management.grounds import AT
from tests.refusals_management.models import MODELS, with_member
from tests.refusals_management.rig import Rig
from tests.refusals_management.table import ROWS
from tests.refusals_management.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEY, SECRET, CHANGED = ROWS["keys_create_if_not_exist"], ROWS["secrets_create_or_update"], ROWS["secrets_update"]
NEW_KEY, NEW_SECRET = KEY.target(name="coming-in"), SECRET.target(name="coming-in")
BAD = Refusal(400, "BadParameter")


def key(**properties: object) -> dict[str, Any]:
    return {"properties": {**MODELS["Key"].good["properties"], **properties}}


def secret(**properties: object) -> dict[str, Any]:
    return {"properties": {"value": "a value of theirs", **properties}}


def invalid(member: str) -> Refusal:
    return Refusal(400, "BadParameter", f"Property {member} has invalid value\r\n")


@pytest.mark.parametrize("name", ["a_b", "a.b", "a%20b", "%c3%a4", "k" * 128, "a%2Cb"])
async def test_what_cannot_be_a_name_is_refused(rig: Rig, name: str) -> None:
    shown = name.replace("%20", " ").replace("%c3%a4", "\u00e4").replace("%2C", ",")
    expected = Refusal(400, "BadParameter", f"The request URI contains an invalid name: {shown}")
    for operation, row in ROWS.items():
        if row.has("name") and ("keys_" in operation or operation.startswith("secrets_")):
            given = MODELS[row.body].good if row.body else None
            await rig.refused(expected, row, row.target(name=name), body=given)


@pytest.mark.parametrize("version", ["latest", "0" * 31, "0" * 33, "g" * 32, "%30" * 11])
async def test_what_cannot_be_a_version_is_none(rig: Rig, version: str) -> None:
    for operation in ("keys_get_version", "managed_hsm_keys_get_version"):
        row = ROWS[operation]
        await rig.refused(Refusal(404, "KeyNotFound"), row, row.target(version=version))


@pytest.mark.parametrize(
    "given",
    [
        key(kty="DSA"),
        key(kty=""),
        key(kty="oct"),
        key(kty="oct-HSM"),
        key(kty="EC", curveName="P-257"),
        key(kty="EC", curveName=""),
        key(kty="RSA", curveName=None, keySize=1024),
        key(kty="RSA", curveName=None, keySize=2049),
        key(kty="RSA", curveName=None, keySize=2**70),
        key(keyOps=["sign", "sing"]),
        key(keyOps=["x"]),
        key(attributes={"nbf": -1}),
        key(attributes={"exp": 2**70}),
        key(attributes={"nbf": 20, "exp": 10}),
        key(attributes={"exportable": True}),
        key(release_policy={"data": "!"}),
        key(rotationPolicy={"lifetimeActions": [{"trigger": {}, "action": {"type": "rotate"}}]}),
        key(rotationPolicy={"lifetimeActions": [{"trigger": {"timeAfterCreate": "x"}, "action": {"type": "rotate"}}]}),
        key(rotationPolicy={"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "sell"}}]}),
        key(rotationPolicy={"lifetimeActions": [{"action": {"type": "rotate"}}] * 17}),
        key(rotationPolicy={"attributes": {"expiryTime": "P1D"}}),
        key() | {"tags": {f"t{one}": "" for one in range(16)}},
        key() | {"tags": {"x" * 257: ""}},
    ],
)
async def test_what_cannot_be_a_key_is_refused(rig: Rig, given: dict[str, Any]) -> None:
    answer = await rig.ask("PUT", NEW_KEY, given)
    assert answer.status == 400, answer.body
    await rig.refused(Refusal(400, answer.code), KEY, NEW_KEY, body=given)
    assert answer.code in ("BadParameter", "BadRequest"), answer.body


async def test_hsm_keys_need_a_premium_vault(rig: Rig) -> None:
    for kty in ("EC-HSM", "RSA-HSM"):
        target = KEY.target(vault="plain", name="coming-in")
        await rig.refused(BAD, KEY, target, body=key(kty=kty, curveName="P-256" if kty == "EC-HSM" else None))


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({"properties": {}}, "value"),
        (secret(value=None), "value"),
        (secret(contentType="x" * 256), "contentType"),
        (secret(attributes={"nbf": -1}), "nbf"),
        (secret(attributes={"exp": 2**70}), "exp"),
        (secret() | {"tags": {f"t{one}": "" for one in range(16)}}, "tags"),
        (secret() | {"tags": {"x" * 513: ""}}, "tags"),
        (secret() | {"tags": {"x": "x" * 513}}, "tags"),
    ],
)
async def test_what_cannot_be_a_secret_is_refused(rig: Rig, given: dict[str, Any], member: str) -> None:
    for target in (NEW_SECRET, SECRET.target()):
        await rig.refused(invalid(member), SECRET, target, body=given)
    if member != "value":
        await rig.refused(invalid(member), CHANGED, CHANGED.target(), body=given)


async def test_a_secret_has_a_size_and_only_one_that_is_there_is_changed(rig: Rig) -> None:
    for value in ("x" * 25_601, "\u00e4" * 12_801):
        for row, target in ((SECRET, NEW_SECRET), (CHANGED, CHANGED.target())):
            await rig.refused(BAD, row, target, body=secret(value=value))
    for given in (secret(), {"properties": {"contentType": "x"}}, {}):
        await rig.refused(Refusal(404, "SecretNotFound"), CHANGED, CHANGED.target(name="never-was"), body=given)


async def test_a_key_that_is_there_is_not_made_again(rig: Rig) -> None:
    with rig.unchanged():
        before = await rig.done("GET", f"{AT['good']}/keys/good")
        after = await rig.done("PUT", KEY.target(), with_member(MODELS["Key"].good, "properties.kty", "RSA"))
    assert after == before
