"""Issuers and contacts of a vault: what cannot be one."""

import pytest

from tests.refusals import words
from tests.refusals.places import CERTIFIED
from tests.refusals.rig import Rig
from tests.refusals.table import ROWS
from tests.refusals.words import no_argument, property_invalid

pytestmark = pytest.mark.asyncio(loop_scope="package")

LONG = "x" * 1025
MEMBERS: dict[str, dict[str, object]] = {
    "account_id": {"credentials": {"account_id": LONG}},
    "pwd": {"credentials": {"pwd": LONG}},
    "id": {"org_details": {"id": LONG}},
    "first_name": {"org_details": {"admin_details": [{"first_name": LONG}]}},
    "last_name": {"org_details": {"admin_details": [{}, {"last_name": LONG}]}},
    "email": {"org_details": {"admin_details": [{"email": LONG}]}},
    "phone": {"org_details": {"admin_details": [{"phone": LONG}]}},
    "admin_details": {"org_details": {"admin_details": [{}] * 33}},
}
"""By the member that the refusal names."""


@pytest.mark.parametrize("provider", ["Foo", "", "Self", "Unknown", "Test ", "x" * 64])
async def test_a_provider_that_is_none_is_refused(rig: Rig, provider: str) -> None:
    setting, update = ROWS["set_certificate_issuer"], ROWS["update_certificate_issuer"]
    expected, body = no_argument(provider, "provider"), {"provider": provider}
    await rig.refused(CERTIFIED, setting, expected, setting.target("coming-in"), body=body)
    await rig.refused(CERTIFIED, update, expected, update.target("good"), body=body)


@pytest.mark.parametrize("name", ["Self", "self", "Unknown", "UNKNOWN"])
async def test_the_issuers_that_every_vault_has_are_not_set(rig: Rig, name: str) -> None:
    row = ROWS["set_certificate_issuer"]
    await rig.refused(CERTIFIED, row, words.invalid_name(name), row.target(name), body={"provider": "Test"})


@pytest.mark.parametrize("member", MEMBERS)
async def test_the_members_of_an_issuer_have_their_limits(rig: Rig, member: str) -> None:
    setting, update = ROWS["set_certificate_issuer"], ROWS["update_certificate_issuer"]
    expected, body = property_invalid(member), MEMBERS[member]
    await rig.refused(CERTIFIED, setting, expected, setting.target("coming-in"), body={"provider": "Test", **body})
    await rig.refused(CERTIFIED, update, expected, update.target("good"), body=body)


GOOD = {"email": "a@contoso.com"}


@pytest.mark.parametrize(
    ("contacts", "member"),
    [
        ([], "contacts"),
        ([GOOD] * 101, "contacts"),
        ([{}], "email"),
        ([GOOD, {"name": "b"}], "email"),
        ([{"email": ""}], "email"),
        ([{"email": "a"}], "email"),
        ([{"email": "a@b\r\nBcc: c@d"}], "email"),
        ([{"email": "a@contoso.com, b@contoso.com"}], "email"),
        ([{**GOOD, "name": LONG}], "name"),
        ([{**GOOD, "phone": LONG}], "phone"),
    ],
)
async def test_contacts_are_people_whom_mail_reaches(rig: Rig, contacts: list[object], member: str) -> None:
    row = ROWS["set_certificate_contacts"]
    await rig.refused(CERTIFIED, row, property_invalid(member), row.path, body={"contacts": contacts})
