"""Names: a certificate takes that of a key and of a secret with it, so it needs one that is free for all three."""

from dataclasses import replace

import pytest

from tests.refusals import words
from tests.refusals.certificate_bodies import CREATE
from tests.refusals.grounds import pfx
from tests.refusals.places import CERTIFIED, KINDS, SOFT, Place
from tests.refusals.rig import Rig
from tests.refusals.table import ROWS
from tests.refusals.words import Objects, Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

MAKING = ("create_certificate", "import_certificate")
TAKEN = Refusal(409, "Conflict", None)
"""The status and the code of it are published."""
ELSEWHERE = replace(SOFT, kind=Objects.CERTIFICATES)


def body_of(operation: str) -> object:
    return CREATE.good if operation == "create_certificate" else {"value": pfx()}


@pytest.mark.parametrize("operation", MAKING)
@pytest.mark.parametrize("name", ["key", "secret", "KEY", "Secret"])
async def test_a_certificate_does_not_take_the_name_of_a_key_or_a_secret(rig: Rig, operation: str, name: str) -> None:
    row = ROWS[operation]
    await rig.refused(CERTIFIED, row, TAKEN, row.target(name), body=body_of(operation))


@pytest.mark.parametrize("operation", MAKING)
@pytest.mark.parametrize(
    ("kind", "name"), [(Objects.KEYS, "gone-key"), (Objects.SECRETS, "gone-secret")], ids=["key", "secret"]
)
async def test_a_certificate_does_not_take_the_name_of_a_deleted_key_or_secret(
    rig: Rig, operation: str, kind: Objects, name: str
) -> None:
    row = ROWS[operation]
    await rig.refused(CERTIFIED, row, words.name_is_deleted(kind, name), row.target(name), body=body_of(operation))


@pytest.mark.parametrize("name", ["key", "secret", "gone-key", "gone-secret"])
async def test_a_certificate_is_not_restored_over_a_key_or_a_secret(rig: Rig, name: str) -> None:
    row = ROWS["restore_certificate"]
    version = await rig.make(ELSEWHERE, name)
    blob = await rig.done(ELSEWHERE, "POST", f"/certificates/{name}/backup")
    identifier = f"https://{CERTIFIED.host}/certificates/{name}/{version}"
    expected = words.restore_conflict(Objects.CERTIFICATES, identifier)
    await rig.refused(CERTIFIED, row, expected, row.target(""), body=blob)


@pytest.mark.parametrize(("place", "name"), [(SOFT, "hard"), (Place("hardware"), "gone")], ids=str)
async def test_a_certificate_is_restored_where_its_key_could_be_made_alone(rig: Rig, place: Place, name: str) -> None:
    row, blob = ROWS["restore_certificate"], rig.bodies[CERTIFIED.name, "restore gone"]
    if name == "hard":
        blob = await rig.done(CERTIFIED, "POST", "/certificates/hard/backup")
    await rig.refused(place, row, words.NOT_PUBLISHED, row.target(""), body=blob)


async def test_a_key_and_a_secret_may_have_one_name(rig: Rig) -> None:
    for kind in (Objects.KEYS, Objects.SECRETS):
        await rig.make(replace(SOFT, kind=kind), "both")
    row = ROWS["create_certificate"]
    await rig.refused(SOFT, row, TAKEN, row.target("both"), body=CREATE.good)


@pytest.mark.parametrize("operation", MAKING)
@pytest.mark.parametrize("name", ["contacts", "issuers", "Contacts", "ISSUERS"])
async def test_words_of_routes_are_no_names_of_certificates(rig: Rig, operation: str, name: str) -> None:
    row = ROWS[operation]
    await rig.refused(CERTIFIED, row, words.invalid_name(name), row.target(name), body=body_of(operation))


@pytest.mark.parametrize("place", KINDS, ids=str)
async def test_what_was_refused_has_left_nothing(rig: Rig, place: Place) -> None:
    """A name that is free now was never taken: nothing of this name is ever deleted here."""
    for kind in Objects:
        for path in (f"/{kind}/coming-in", f"/deleted{kind}/coming-in"):
            assert (await rig.ask(place, "GET", path)).status == 404
