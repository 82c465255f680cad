"""Secrets: their limits, and which of them are read."""

import pytest

from tests.refusals import words
from tests.refusals.places import SECRETS
from tests.refusals.rig import Rig
from tests.refusals.table import NEWEST, ROWS
from tests.refusals.words import NOT_PUBLISHED, Refusal, property_invalid

pytestmark = pytest.mark.asyncio(loop_scope="package")

LATEST = 253_402_300_799  # 9999-12-31T23:59:59Z
TOO_MUCH: dict[str, tuple[dict[str, object], Refusal]] = {
    "a content type of 256 characters": ({"contentType": "x" * 256}, property_invalid("contentType")),
    "sixteen tags": ({"tags": {str(number): "" for number in range(16)}}, property_invalid("tags")),
    "a tag with a name of 513 characters": ({"tags": {"n" * 513: ""}}, property_invalid("tags")),
    "a tag with a value of 513 characters": ({"tags": {"n": "v" * 513}}, property_invalid("tags")),
    "an end before the beginning": ({"attributes": {"nbf": 2000, "exp": 1000}}, NOT_PUBLISHED),
    "a beginning before 1970": ({"attributes": {"nbf": -1}}, property_invalid("nbf")),
    "an end before 1970": ({"attributes": {"exp": -1}}, property_invalid("exp")),
    "an end behind the year 9999": ({"attributes": {"exp": LATEST + 1}}, property_invalid("exp")),
    "an end far behind": ({"attributes": {"exp": 2**70}}, property_invalid("exp")),
}


@pytest.mark.parametrize("which", TOO_MUCH)
async def test_attributes_tags_and_the_content_type_have_their_limits(rig: Rig, which: str) -> None:
    members, expected = TOO_MUCH[which]
    setting, update = ROWS["set_secret"], ROWS["update_secret"]
    await rig.refused(SECRETS, setting, expected, setting.target("coming-in"), body={"value": "v", **members})
    for version in ("", rig.versions[SECRETS.name, "good"]):
        await rig.refused(SECRETS, update, expected, update.target("good", version), body=members)


@pytest.mark.parametrize("value", ["x" * 25_601, "ä" * 12_801, "\U0001f511" * 6_401, "\0" * 25_601], ids=len)
async def test_a_value_has_at_most_25_kilobytes(rig: Rig, value: str) -> None:
    row = ROWS["set_secret"]
    for name in ("coming-in", "good"):
        await rig.refused(SECRETS, row, NOT_PUBLISHED, row.target(name), body={"value": value})


@pytest.mark.parametrize(("member", "value"), [("contentType", "\0"), ("tags", {"\0": ""}), ("tags", {"a": "b\0"})])
async def test_the_character_nul_stands_in_a_value_alone(rig: Rig, member: str, value: object) -> None:
    row, update = ROWS["set_secret"], ROWS["update_secret"]
    body = {"value": "\0", member: value}
    await rig.refused(SECRETS, row, property_invalid(member), row.target("coming-in"), body=body)
    await rig.refused(SECRETS, update, words.NOT_JSON, update.target("good"), body={member: value})


async def test_a_disabled_secret_is_not_read_and_goes_on_otherwise(rig: Rig) -> None:
    row = ROWS["get_secret"]
    for name, version in (("shut", ""), ("SHUT", ""), ("shut", rig.versions[SECRETS.name, "shut"])):
        await rig.refused(SECRETS, row, words.SECRET_DISABLED, row.target(name, version))
    for operation in (
        "get_secret_versions",
        "update_secret",
        "backup_secret",
        "delete_secret",
        "recover_deleted_secret",
    ):
        other = ROWS[operation]
        await rig.done(SECRETS, other.method, other.target("shut"), {} if other.body else None)
    shown = await rig.done(SECRETS, "GET", "/secrets")
    assert "value" not in next(item for item in shown["value"] if item["id"].endswith("/shut"))


async def test_a_deleted_secret_that_was_disabled_is_not_shown(rig: Rig) -> None:
    row = ROWS["get_deleted_secret"]
    await rig.refused(SECRETS, row, words.DELETED_SECRET_DISABLED, row.target("gone-shut"))


async def test_the_times_of_a_secret_do_not_matter(rig: Rig) -> None:
    for times in ({"nbf": rig.now + 1000}, {"exp": rig.now - 1000}):
        await rig.make(SECRETS, "timed", {"value": "v", "attributes": times})
        assert (await rig.done(SECRETS, "GET", "/secrets/timed"))["value"] == "v"


@pytest.mark.parametrize("wanted", ["text/plain", "", "application/x-pkcs12x"])
async def test_a_format_that_is_none_is_refused_since_formats_can_be_asked_for(rig: Rig, wanted: str) -> None:
    row = ROWS["get_secret"]
    target = f"{row.target('good')}?api-version={NEWEST}&outContentType={wanted}"
    await rig.refused(SECRETS, row, property_invalid("outContentType"), target)
    before = await rig.ask(SECRETS, "GET", target.replace(NEWEST, "7.6"))
    assert before.status == 200
