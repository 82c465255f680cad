"""The address: api-versions, methods, names, versions, routes."""

import pytest

from hsmvault.model.operations import OPERATIONS, Kind
from tests.refusals import words
from tests.refusals.cases import served
from tests.refusals.places import CERTIFIED, KINDS, POOL, SECRETS, Place
from tests.refusals.rig import Rig
from tests.refusals.rows import Row
from tests.refusals.table import NEWEST, ROWS, STABLE

pytestmark = pytest.mark.asyncio(loop_scope="package")

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MERGE")
BAD_NAMES = ("a_b", "a.b", "a%20b", "a,b", "%c3%a4", "%6b", "%00", "k" * 128)
BAD_VERSIONS = ("latest", "%30" * 11, "0" * 31, "0" * 33, "g" * 32, "0" * 31 + "_")


def body_of(row: Row) -> object:
    return None if row.body is None else row.body.good


# api-version


@served()
async def test_an_api_version_that_is_none_is_refused(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for version in ("1.0", "7.7", "8.0", "2015-06-02", "2026-03-01", "latest", "7.4x", "preview"):
        expected = words.unknown_api_version(version, NEWEST)
        target = f"{row.target('good')}?api-version={version}"
        await rig.refused(place, row, expected, target, body=body_of(row))


@served()
async def test_without_an_api_version_nothing_is_served(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for query in ("?", "?api-version=", "?version=7.4", "?maxresults=1"):
        await rig.refused(place, row, words.NO_API_VERSION, row.target("good") + query, body=body_of(row))
    twice = f"{row.target('good')}?api-version={NEWEST}&api-version={NEWEST}"
    answer = await rig.ask(place, row.method, twice, body_of(row))
    assert (answer.status, answer.code) == (400, "BadParameter")


@served(lambda row: row.since != STABLE[0])
async def test_an_operation_is_not_part_of_the_versions_before_it_came(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    before = STABLE[: STABLE.index(row.since)]
    for version in before:
        expected = words.not_in_api_version(version)
        target = f"{row.target('good')}?api-version={version}"
        await rig.refused(place, row, expected, target, body=body_of(row))


@served()
async def test_an_operation_is_part_of_every_version_from_its_own_on(rig: Rig, place: Place, operation: str) -> None:
    """On a name that nothing has, or with a body that is no JSON: nothing is made by it."""
    row = ROWS[operation]
    for version in STABLE[STABLE.index(row.since) :]:
        answer = await rig.ask(place, row.method, f"{row.target('never-was')}?api-version={version}", b"{not json")
        assert answer.status in (200, 404) or answer.code == "BadParameter"
        assert answer.status == 200 or "version" not in answer.message


# methods and routes


@served()
async def test_another_method_is_not_allowed(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for target in (row.target("good"), row.target("good", rig.versions[place.name, "good"])):
        for method in METHODS:
            if not any(other.answers(method, target) for other in ROWS.values()):
                await rig.refused(place, None, words.NO_METHOD, target, method=method)


@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if not row.in_vaults])
async def test_what_only_pools_serve_has_no_route_in_a_vault(rig: Rig, operation: str) -> None:
    for method in METHODS:
        await rig.refused(SECRETS, None, words.NO_ROUTE, ROWS[operation].target("good"), method=method)


@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if not row.in_pools])
async def test_what_only_vaults_serve_has_no_route_in_a_pool(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    for target in (row.target("good"), row.target("a_b"), f"{row.target('good')}?api-version=7.4"):
        await rig.refused(POOL, None, words.NO_ROUTE, target, method=row.method, body=body_of(row))


async def test_the_administration_of_pools_has_no_route_in_a_vault(rig: Rig) -> None:
    for row in OPERATIONS:
        if row.kind is Kind.ADMINISTRATION:
            path = row.path.replace("/{scope}", "").replace("{name}", "good")
            answer = await rig.ask(SECRETS, row.method, path, {})
            assert answer.status in (404, 405), row.name


@pytest.mark.parametrize("place", KINDS, ids=str)
@pytest.mark.parametrize(
    ("path", "is_about_keys"),
    [
        ("/", False),
        ("/nothing", False),
        ("/Keys", False),
        ("/rng/x", False),
        ("/keys/", True),
        ("/keys/good/x/unwrap", True),
        ("/keys/good/x/Sign", True),
        ("/keys/good/x/sign/", True),
        ("/deletedkeys/good/purge/now", True),
        ("/Secrets", False),
        ("/secrets/", False),
        ("/secrets/good/x/value", False),
        ("/deletedsecrets/good/recover/now", False),
        ("/certificates/", False),
        ("/certificates/good/pending/now", False),
        ("/certificates/good/x/policy", False),
        ("/deletedcertificates/good/policy", False),
    ],
)
async def test_an_unknown_route_is_not_found(rig: Rig, place: Place, path: str, is_about_keys: bool) -> None:
    expected = words.BAD_IDENTIFIER if place.is_pool and is_about_keys else words.NO_ROUTE
    for method in METHODS:
        await rig.refused(place, None, expected, path, method=method)


# names and versions


@served(lambda row: row.has_name)
async def test_what_cannot_be_a_name_is_refused(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for name in BAD_NAMES:
        expected = words.BAD_IDENTIFIER if place.is_pool else words.invalid_name(name)
        await rig.refused(place, row, expected, row.target(name), body=body_of(row))


@served(lambda row: row.has_version)
async def test_what_cannot_be_a_version_is_none(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for version in BAD_VERSIONS:
        expected = words.BAD_IDENTIFIER if place.is_pool else row.missing("good", version)
        await rig.refused(place, row, expected, row.target("good", version), body=body_of(row))


@served(lambda row: row.is_list)
async def test_a_page_has_one_to_twenty_five_results(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for size in ("0", "26", "-1", "x", "1.5", "1000000"):
        target = f"{row.target('good')}?api-version={NEWEST}&maxresults={size}"
        await rig.refused(place, row, words.property_invalid("maxresults"), target)
    for token in ("", "x", "!", "AAAA"):
        target = f"{row.target('good')}?api-version={NEWEST}&$skiptoken={token}"
        await rig.refused(place, row, words.NOT_PUBLISHED, target)


@pytest.mark.parametrize("operation", ["get_certificates", "get_deleted_certificates"])
async def test_certificates_are_listed_with_pending_ones_or_without(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    for word in ("1", "yes", "truefalse"):
        target = f"{row.path}?api-version={NEWEST}&includePending={word}"
        await rig.refused(CERTIFIED, row, words.property_invalid("includePending"), target)
