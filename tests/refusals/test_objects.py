"""The key: what is not there, what was deleted, what is kept."""

import pytest

from tests.refusals import words
from tests.refusals.places import GROUNDS, KINDS, Place
from tests.refusals.rig import Rig
from tests.refusals.table import NO_VERSION, ROWS, Absent, Row
from tests.refusals.words import Refusal
from tests.refusals.wrapped import importable

pytestmark = pytest.mark.asyncio(loop_scope="package")

EMPTY: dict[str, object] = {"value": [], "nextLink": None}
KEPT = (Place("kept"), Place("kepthsm", is_pool=True, hardware=True))


def of(*kinds: Absent) -> list[str]:
    return [name for name, row in ROWS.items() if row.absent in kinds]


def cases(operations: list[str], places: tuple[Place, ...]) -> pytest.MarkDecorator:
    both = [(place, name) for place in places for name in operations if name in place.rows]
    return pytest.mark.parametrize(("place", "operation"), both, ids=[f"{place}-{name}" for place, name in both])


def body_of(row: Row) -> object:
    return None if row.body is None else row.body.good


def absent(row: Row, name: str, version: str = "") -> Refusal:
    if row.absent is Absent.DELETED:
        return words.deleted_not_found(name)
    return words.not_found(name, version if row.absent is Absent.VERSION else "")


@cases(of(Absent.KEY, Absent.VERSION, Absent.DELETED), GROUNDS)
async def test_a_key_that_never_was_is_not_found(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(place, row, absent(row, "never-was"), row.target("never-was"), body=body_of(row))


@cases(of(Absent.VERSION), GROUNDS)
async def test_a_version_that_never_was_is_not_found(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    other = rig.versions[place.name, "turning"]  # a version of another key is none of this one
    for name in ("never-was", "good", "gone"):
        for version in (NO_VERSION, other):
            expected = words.not_found(name, version)
            await rig.refused(place, row, expected, row.target(name, version), body=body_of(row))


@cases(of(Absent.EMPTY), GROUNDS)
async def test_a_list_of_what_is_not_there_is_empty(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for name in ("never-was", "gone"):
        assert await rig.done(place, row.method, row.target(name)) == EMPTY


# deleted


@cases(of(Absent.KEY, Absent.VERSION), GROUNDS)
async def test_a_deleted_key_has_left_the_normal_routes(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for name in ("gone", "GONE"):
        await rig.refused(place, row, absent(row, name), row.target(name), body=body_of(row))
    if row.has_version:
        version = rig.versions[place.name, "gone"]
        expected = words.not_found("gone", version)
        await rig.refused(place, row, expected, row.target("gone", version), body=body_of(row))


@cases(of(Absent.DELETED), GROUNDS)
async def test_a_key_that_is_not_deleted_has_no_deleted_routes(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    await rig.refused(place, row, words.deleted_not_found("good"), row.target("good"))


@pytest.mark.parametrize("place", GROUNDS, ids=str)
async def test_the_name_of_a_deleted_key_is_not_free(rig: Rig, place: Place) -> None:
    create, admit, restore = (ROWS[name] for name in ("create_key", "import_key", "restore_key"))
    kty = "oct-HSM" if place.is_pool else "RSA-HSM" if place.hardware else "RSA"
    await rig.refused(place, create, words.name_is_deleted("gone"), create.target("gone"), body={"kty": kty})
    key = {"key": importable(place.hardware)}
    await rig.refused(place, admit, words.name_is_deleted("gone"), admit.target("gone"), body=key)
    for name in ("gone", "good"):
        kid = f"https://{place.host}/keys/{name}/{rig.versions[place.name, name]}"
        blob = rig.bodies[place.name, f"restore {name}"]
        await rig.refused(place, restore, words.restore_conflict(kid), restore.target(""), body=blob)


@pytest.mark.parametrize("place", KEPT, ids=str)
async def test_under_purge_protection_a_deleted_key_is_kept(rig: Rig, place: Place) -> None:
    row = ROWS["purge_deleted_key"]
    await rig.make(place, "kept", {"kty": "EC-HSM" if place.hardware else "EC"})
    await rig.done(place, "DELETE", "/keys/kept")
    await rig.refused(place, row, words.purge_protected(place.shown), row.target("kept"))
    assert (await rig.done(place, "GET", "/deletedkeys/kept"))["deletedDate"] == rig.now


@pytest.mark.parametrize("place", GROUNDS, ids=str)
async def test_what_is_allowed_on_a_deleted_key_is_not_refused(rig: Rig, place: Place) -> None:
    await rig.make(place, "coming", {"kty": "EC-HSM" if place.hardware else "EC"})
    await rig.done(place, "DELETE", "/keys/coming")
    await rig.done(place, "GET", "/deletedkeys/coming")
    await rig.done(place, "POST", "/deletedkeys/coming/recover")
    await rig.done(place, "DELETE", "/keys/coming")
    await rig.done(place, "DELETE", "/deletedkeys/coming")
    row = ROWS["get_deleted_key"]
    await rig.refused(place, row, words.deleted_not_found("coming"), row.target("coming"))


@pytest.mark.parametrize("place", KINDS, ids=str)
async def test_a_pool_rotates_no_key_without_a_policy_and_a_vault_does(rig: Rig, place: Place) -> None:
    await rig.make(place, "turned", {"kty": "EC-HSM"})
    row = ROWS["rotate_key"]
    if place.is_pool:
        await rig.refused(place, row, Refusal(400, "BadParameter", None), row.target("turned"))
    else:
        await rig.done(place, row.method, row.target("turned"))
