"""The object: what is not there, what was deleted, what is kept."""

import pytest

from tests.refusals import words
from tests.refusals.cases import missing, served
from tests.refusals.grounds import pfx
from tests.refusals.places import GROUNDS, KEPT, KEPT_POOL, KEY_KINDS, SOFT, Place
from tests.refusals.rig import Rig
from tests.refusals.rows import Absent, Row
from tests.refusals.table import NO_VERSION, ROWS
from tests.refusals.words import Objects, Refusal
from tests.refusals.wrapped import importable

pytestmark = pytest.mark.asyncio(loop_scope="package")

EMPTY: dict[str, object] = {"value": [], "nextLink": None}
NEEDED = (
    Absent.OBJECT, Absent.VERSION, Absent.DELETED, Absent.PENDING, Absent.ISSUER, Absent.CONTACTS
)  # fmt: skip
LEFT = (Absent.OBJECT, Absent.VERSION, Absent.PENDING)
"""What a deleted object answers as one that never was."""


def body_of(row: Row) -> object:
    return None if row.body is None else row.body.good


@served(missing(*NEEDED), GROUNDS)
async def test_what_never_was_is_not_found(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(place, row, row.missing("never-was"), row.target("never-was"), body=body_of(row))


@served(missing(Absent.VERSION), GROUNDS)
async def test_a_version_that_never_was_is_not_found(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    other = rig.versions[place.name, "turning"]  # a version of another object is none of this one
    for name in ("never-was", "good", "gone"):
        for version in (NO_VERSION, other):
            await rig.refused(place, row, row.missing(name, version), row.target(name, version), body=body_of(row))


@served(missing(Absent.EMPTY), GROUNDS)
async def test_a_list_of_what_is_not_there_is_empty(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for name in ("never-was", "gone"):
        assert await rig.done(place, row.method, row.target(name)) == EMPTY


# deleted


@served(missing(*LEFT), GROUNDS)
async def test_a_deleted_object_has_left_the_normal_routes(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for name in ("gone", "GONE"):
        await rig.refused(place, row, row.missing(name), row.target(name), body=body_of(row))
    if row.has_version:
        version = rig.versions[place.name, "gone"]
        await rig.refused(place, row, row.missing("gone", version), row.target("gone", version), body=body_of(row))


@served(missing(Absent.DELETED), GROUNDS)
async def test_what_is_not_deleted_has_no_deleted_routes(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(place, row, row.missing("good"), row.target("good"))


MAKERS = ("create_key", "import_key", "set_secret", "create_certificate", "import_certificate")


@served(lambda row: row in [ROWS[name] for name in MAKERS], GROUNDS)
async def test_the_name_of_a_deleted_object_is_not_free(rig: Rig, place: Place, operation: str) -> None:
    row, body = ROWS[operation], maker_body(place, operation)
    assert place.kind is not None
    for name in ("gone", "GONE"):  # the text has the spelling that it was made with
        await rig.refused(place, row, words.name_is_deleted(place.kind, "gone"), row.target(name), body=body)


def maker_body(place: Place, operation: str) -> object:
    match operation:
        case "create_key":
            return {"kty": "oct-HSM" if place.is_pool else "RSA-HSM" if place.hardware else "RSA"}
        case "import_key":
            return {"key": importable(place.hardware)}
        case "import_certificate":
            return {"value": pfx()}
    return body_of(ROWS[operation])


@pytest.mark.parametrize("place", GROUNDS, ids=str)
async def test_nothing_is_restored_over_a_name(rig: Rig, place: Place) -> None:
    assert place.kind is not None
    row = ROWS[f"restore_{place.kind.word.lower()}"]
    for name in ("gone", "good"):
        identifier = f"https://{place.host}/{place.kind}/{name}/{rig.versions[place.name, name]}"
        blob = rig.bodies[place.name, f"restore {name}"]
        await rig.refused(place, row, words.restore_conflict(place.kind, identifier), row.target(""), body=blob)


BLOBS = (*GROUNDS, *(Place(SOFT.name, kind=kind) for kind in (Objects.SECRETS, Objects.CERTIFICATES)))


@pytest.mark.parametrize("place", BLOBS, ids=lambda place: f"{place}-{place.kind}")
async def test_what_is_no_backup_of_this_kind_of_object_and_place_restores_nothing(rig: Rig, place: Place) -> None:
    assert place.kind is not None
    row = ROWS[f"restore_{place.kind.word.lower()}"]
    others = [one for one in GROUNDS if one.kind is not place.kind or one.is_pool is not place.is_pool]
    own = next(one for one in GROUNDS if one.kind is place.kind and one.is_pool is place.is_pool)
    value = str(rig.bodies[own.name, "restore gone"]["value"])
    changed = (value[:-4], value[4:], value[:40] + "AAAA" + value[44:], value[:-4] + "AAAA")
    for text in ("", "AAAA", "A" * 6668, *changed):
        await rig.refused(place, row, words.NOT_PUBLISHED, row.target(""), body={"value": text})
    for other in others:
        blob = rig.bodies[other.name, "restore gone"]
        await rig.refused(place, row, words.NOT_PUBLISHED, row.target(""), body=blob)


@pytest.mark.parametrize("place", (*KEPT, KEPT_POOL), ids=lambda place: f"{place}-{place.kind}")
async def test_under_purge_protection_a_deleted_object_is_kept(rig: Rig, place: Place) -> None:
    assert place.kind is not None
    row, name = ROWS[f"purge_deleted_{place.kind.word.lower()}"], f"kept-{place.kind}"
    await rig.make(place, name)
    await rig.done(place, "DELETE", f"/{place.kind}/{name}")
    await rig.refused(place, row, words.purge_protected(place.shown), row.target(name))
    assert (await rig.done(place, "GET", f"/deleted{place.kind}/{name}"))["deletedDate"] == rig.now


@pytest.mark.parametrize("place", GROUNDS, ids=str)
async def test_what_is_allowed_on_a_deleted_object_is_not_refused(rig: Rig, place: Place) -> None:
    assert place.kind is not None
    kind = place.kind
    await rig.make(place, "coming")
    await rig.done(place, "DELETE", f"/{kind}/coming")
    await rig.done(place, "GET", f"/deleted{kind}/coming")
    await rig.done(place, "POST", f"/deleted{kind}/coming/recover")
    await rig.done(place, "DELETE", f"/{kind}/coming")
    await rig.done(place, "DELETE", f"/deleted{kind}/coming")
    row = ROWS[f"get_deleted_{kind.word.lower()}"]
    await rig.refused(place, row, words.deleted_not_found(kind, "coming"), row.target("coming"))


@pytest.mark.parametrize("place", KEY_KINDS, ids=str)
async def test_a_pool_rotates_no_key_without_a_policy_and_a_vault_does(rig: Rig, place: Place) -> None:
    await rig.make(place, "turned", {"kty": "EC-HSM"})
    row = ROWS["rotate_key"]
    if place.is_pool:
        await rig.refused(place, row, Refusal(400, "BadParameter", None), row.target("turned"))
    else:
        await rig.done(place, row.method, row.target("turned"))
