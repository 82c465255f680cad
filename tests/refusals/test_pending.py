"""The operation that makes a certificate: who may begin, end and cancel it, and when."""

import base64

import pytest

from tests.custody.certificates import issued
from tests.refusals import words
from tests.refusals.certificate_bodies import CREATE
from tests.refusals.grounds import MANUAL, pfx
from tests.refusals.places import CERTIFIED
from tests.refusals.rig import Rig
from tests.refusals.rows import Row
from tests.refusals.table import NEWEST, NO_VERSION, ROWS
from tests.refusals.words import NOT_PUBLISHED, Refusal, property_invalid
from tests.resources.certificate_stage import signed

pytestmark = pytest.mark.asyncio(loop_scope="package")

GET, CANCEL, FORGET = (ROWS[f"{word}_certificate_operation"] for word in ("get", "update", "delete"))
MERGE = ROWS["merge_certificate"]
NOT_NOW = Refusal(403, "Forbidden", None)
"""The status of it is in the documentation."""


def x5c(*certificates: bytes) -> dict[str, object]:
    return {"x5c": [base64.b64encode(one).decode() for one in certificates]}


def body_of(row: Row) -> object:
    return row.body and row.body.good


async def request_of(rig: Rig, name: str) -> bytes:
    return base64.b64decode((await rig.done(CERTIFIED, "GET", GET.target(name)))["csr"])


@pytest.mark.parametrize("name", ["pending", "busy", "PENDING"])
async def test_a_version_in_progress_is_the_only_one(rig: Rig, name: str) -> None:
    create, admit = ROWS["create_certificate"], ROWS["import_certificate"]
    for body in (CREATE.good, {"policy": MANUAL}, {}):
        await rig.refused(CERTIFIED, create, words.IN_PROGRESS, create.target(name), body=body)
    for value in (pfx(), "AAAA"):
        await rig.refused(CERTIFIED, admit, words.IN_PROGRESS, admit.target(name), body={"value": value})


@pytest.mark.parametrize("row", [GET, CANCEL, FORGET], ids=lambda row: row.method)
@pytest.mark.parametrize("name", ["pending", "good"])
async def test_an_operation_is_found_by_its_own_request_id_alone(rig: Rig, row: Row, name: str) -> None:
    own = (await rig.done(CERTIFIED, "GET", GET.target("busy")))["request_id"]
    for request_id in (NO_VERSION, own, "x", ""):
        target = f"{row.target(name)}?api-version={NEWEST}&request_id={request_id}"
        await rig.refused(CERTIFIED, row, words.pending_not_found(name), target, body=body_of(row))


async def test_an_operation_that_is_over_is_not_cancelled(rig: Rig) -> None:
    for wanted in (True, False):
        body = {"cancellation_requested": wanted}
        await rig.refused(CERTIFIED, CANCEL, NOT_NOW, CANCEL.target("good"), body=body)


async def test_an_operation_that_was_cancelled_is_not_cancelled_again(rig: Rig) -> None:
    await rig.make(CERTIFIED, "cancelled", {"policy": MANUAL})
    operation = await rig.done(CERTIFIED, "PATCH", CANCEL.target("cancelled"), {"cancellation_requested": True})
    while operation["status"] == "inProgress":
        operation = await rig.done(CERTIFIED, "GET", GET.target("cancelled"))
    assert operation["status"] == "cancelled"
    await rig.refused(CERTIFIED, CANCEL, NOT_NOW, CANCEL.target("cancelled"), body=body_of(CANCEL))


async def test_an_imported_certificate_has_no_operation(rig: Rig) -> None:
    await rig.done(CERTIFIED, "POST", "/certificates/imported/import", {"value": pfx()})
    for row in (GET, CANCEL, FORGET, MERGE):
        expected = words.pending_not_found("imported")
        await rig.refused(CERTIFIED, row, expected, row.target("imported"), body=body_of(row))


async def test_a_forgotten_operation_is_gone_and_so_is_a_first_version(rig: Rig) -> None:
    await rig.make(CERTIFIED, "forgotten", {"policy": MANUAL})
    await rig.done(CERTIFIED, "DELETE", FORGET.target("forgotten"))
    for row in (GET, CANCEL, FORGET, MERGE, ROWS["get_certificate"], ROWS["get_key"], ROWS["get_secret"]):
        await rig.refused(CERTIFIED, row, row.missing("forgotten"), row.target("forgotten"), body=body_of(row))


async def test_a_pending_certificate_cannot_be_backed_up(rig: Rig) -> None:
    row = ROWS["backup_certificate"]
    await rig.refused(CERTIFIED, row, NOT_PUBLISHED, row.target("pending"))


# merge


async def test_a_merge_needs_an_operation_that_waits_for_one(rig: Rig) -> None:
    """Not one that is completed, and not one that an issuer works on."""
    other = x5c(signed(await request_of(rig, "pending")))
    for name in ("good", "busy"):
        for body in (other, x5c(signed(await request_of(rig, name)))):
            await rig.refused(CERTIFIED, MERGE, NOT_NOW, MERGE.target(name), body=body)


async def test_a_merge_for_another_key_is_refused(rig: Rig) -> None:
    for certificate in (issued("other").der, signed(await request_of(rig, "busy"))):
        for chain in (x5c(certificate), x5c(certificate, issued("root").der)):
            await rig.refused(CERTIFIED, MERGE, words.OTHER_KEY, MERGE.target("pending"), body=chain)


async def test_a_merge_of_what_is_over_is_refused(rig: Rig) -> None:
    over = signed(await request_of(rig, "pending"), days=1)
    await rig.refused(CERTIFIED, MERGE, NOT_PUBLISHED, MERGE.target("pending"), body=x5c(over))


async def test_a_merge_of_what_is_no_certificate_is_refused(rig: Rig) -> None:
    good = base64.b64encode(signed(await request_of(rig, "pending"))).decode()
    for texts in ([], ["!"], ["A"], ["é"], [good] * 33):
        await rig.refused(CERTIFIED, MERGE, property_invalid("x5c"), MERGE.target("pending"), body={"x5c": texts})
    for texts in ([""], ["AAAA"], [good[:-8]], [good, "AAAA"], ["MAAA"], [base64.b64encode(b"0" * 70_000).decode()]):
        await rig.refused(CERTIFIED, MERGE, NOT_PUBLISHED, MERGE.target("pending"), body={"x5c": texts})


async def test_a_merge_has_the_limits_of_tags(rig: Rig) -> None:
    good = x5c(signed(await request_of(rig, "pending")))
    for tags in ({str(number): "" for number in range(16)}, {"n" * 257: ""}, {"n": "v" * 257}):
        body = {**good, "tags": tags}
        await rig.refused(CERTIFIED, MERGE, property_invalid("tags"), MERGE.target("pending"), body=body)
