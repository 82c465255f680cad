"""api-version and the other parameters of a query; paging."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.wire.codec import parse_query
from hsmvault.wire.paging import page_size
from hsmvault.wire.versions import NEWEST, PREVIEW, STABLE, ApiVersions, is_since
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Service

# api-version


@pytest.mark.parametrize("version", [*STABLE, *sorted(PREVIEW)])
async def test_every_known_version_is_served_as_itself(version: str) -> None:
    for serve_newer in (True, False):
        assert ApiVersions(serve_newer=serve_newer).check(version) == version


@pytest.mark.parametrize("version", ["2026-04-02", "2027-01-01", "2030-12-31-preview", "2099-01-01"])
def test_what_is_dated_later_than_the_newest_is_served_as_the_newest_or_refused(version: str) -> None:
    assert ApiVersions().check(version) == NEWEST
    with pytest.raises(BadRequest, match=r"is not recognized\. Consider using the latest supported version"):
        ApiVersions(serve_newer=False).check(version)


@pytest.mark.parametrize(
    "version",
    ["1.0", "7.7", "8.0", "7", "7.40", "2015-06-02", "2025-07-02", "2025-08-01", "2026-03-01",
     "2026-04-01-Preview", "2027-13-99x",
     " 7.4", "7.4 ", "v7.4", "latest", "7.4\n", "٧.4", "2999", "2026-04-01-preview.2", "20260402", "2027-1-1",
     "x" * 500],
)  # fmt: skip
def test_any_other_version_is_refused_in_the_words_of_the_service(version: str) -> None:
    with pytest.raises(BadRequest) as caught:
        ApiVersions().check(version)
    assert caught.value.message == (
        f"The specified version ({version[:64]}) is not recognized. "
        "Consider using the latest supported version (2026-04-01)."
    )


def test_versions_are_ordered_and_previews_stand_at_their_date() -> None:
    for position, since in enumerate(STABLE):
        assert [is_since(version, since) for version in STABLE] == [place >= position for place in range(len(STABLE))]
    assert is_since("7.5-preview.1", "7.5") and not is_since("7.5-preview.1", "7.6")
    assert is_since("7.6-preview.2", "7.6")
    assert not is_since("2025-06-01-preview", "2025-07-01") and is_since("2025-06-01-preview", "7.6")
    assert is_since("2026-05-01-preview", "2026-04-01")


async def test_newer_versions_can_be_refused(start: Start) -> None:
    async with start(versions=ApiVersions(serve_newer=False)) as service:
        assert (await service.ask("GET", "/keys?api-version=2099-01-01")).status == 400


async def test_the_version_that_was_asked_for_is_recorded(service: Service) -> None:
    assert (await service.ask("GET", "/keys?api-version=2099-01-01")).status == 200
    assert service.records()[-1]["operationVersion"] == "2099-01-01"


# parameters


@pytest.mark.parametrize(
    "query", ["api%2Dversion=7.4", "API-VERSION=7.4", "Api-Version=7.4&x", "api-version=7%2E4", "&&api-version=7.4&"]
)
async def test_spellings_of_a_query_that_clients_send_are_understood(service: Service, query: str) -> None:
    assert (await service.ask("GET", f"/keys?{query}")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "api-version=7.4&api-version=7.4",
        "api-version=7.4&API-VERSION=7.5",
        "api-version=7.4&api%2dversion=7.5",
        "api-version=7.4&maxresults=1&maxresults=2",
        "api-version=7.4&x=%ff",
        "api-version=7.4&" + "&".join(f"a{number}" for number in range(40)),
    ],
)
async def test_a_query_with_a_second_meaning_is_refused(service: Service, query: str) -> None:
    answer = await service.ask("GET", f"/keys?{query}")
    assert (answer.status, answer.code) == (400, "BadParameter")


async def test_a_query_is_decoded_once(service: Service) -> None:
    """Twice decoded, the first would be a second maxresults, and the other a version of 7.4."""
    assert (await service.ask("GET", "/keys?api-version=7.4&x=1%26maxresults%3D99")).status == 200
    assert (await service.ask("GET", "/keys?api-version=7%252E4")).status == 400


@given(text=st.text(max_size=60))
def test_no_query_is_an_accident(text: str) -> None:
    try:
        query = parse_query(text)
    except BadRequest:
        return
    assert all(name == name.lower() for name in query)


@pytest.mark.parametrize(
    "text", ["0", "26", "-1", "+5", "5.0", "x", " 5", "5 ", "٥", "1e1", "99999999999999999999", "0x5", "05", "025",
             "000000005", "0000000059", "00000001" + "0" * 5000, "5" * 5000]
)  # fmt: skip
def test_a_page_has_1_to_25_values(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        page_size({"maxresults": text})
    assert caught.value.message == "Property maxresults has invalid value\r\n"
    assert [page_size({"maxresults": str(size)}) for size in (1, 24, 25)] == [1, 24, 25]
    assert page_size({}) == page_size({"maxresults": ""}) == 25


# pages


async def page(service: Service, target: str, **more: str) -> tuple[list[str], str | None]:
    answer = await service.ask("GET", target, **more)
    assert answer.status == 200, answer.body
    return [one["kid"].rpartition("/")[2] for one in answer.json["value"]], answer.json["nextLink"]


async def test_pages_follow_each_other_to_the_end_in_the_order_of_the_names(service: Service) -> None:
    names = [f"K{number:02}" if number % 2 else f"k{number:02}" for number in range(7)]
    for name in reversed(names):
        await service.create_ec(name)
    found, target = [], f"/keys?{VERSION}&maxresults=3"
    sizes = []
    while True:
        values, link = await page(service, target)
        found += values
        sizes.append(len(values))
        if link is None:
            break
        assert link.startswith(f"https://dev.vault.localhost:8443/keys?{VERSION}&$skiptoken=")
        assert link.endswith("&maxresults=3")
        target = link.removeprefix("https://dev.vault.localhost:8443")
    assert (found, sizes) == (names, [3, 3, 1])


async def test_a_page_that_is_full_and_the_last_has_no_next_link(service: Service) -> None:
    for name in ("a", "b"):
        await service.create_ec(name)
    assert await page(service, f"/keys?{VERSION}&maxresults=2") == (["a", "b"], None)


async def test_versions_and_deleted_keys_have_pages_too(service: Service) -> None:
    versions = [await service.create_ec("k") for _ in range(3)]
    first, link = await page(service, f"/keys/k/versions?{VERSION}&maxresults=2")
    assert link is not None
    rest, end = await page(service, link.removeprefix("https://dev.vault.localhost:8443"))
    assert (first + rest, end) == (versions, None)
    for name in ("a", "b", "c"):
        await service.create_ec(name)
        await service.ask("DELETE", f"/keys/{name}")
    first, link = await page(service, f"/deletedkeys?{VERSION}&maxresults=2")
    assert link is not None and "/deletedkeys?" in link
    assert (first, await page(service, link.removeprefix("https://dev.vault.localhost:8443"))) == (
        ["a", "b"],
        (["c"], None),
    )
    assert await page(service, "/keys/unknown/versions") == ([], None)


async def test_a_skip_token_is_good_for_its_own_collection_only_and_cannot_be_made_or_changed(service: Service) -> None:
    for name in ("a", "b"):
        await service.create_ec(name)
        await service.create_ec(name)
        await service.create_ec(name, "protected")
    _, link = await page(service, f"/keys?{VERSION}&maxresults=1")
    _, of_versions = await page(service, f"/keys/a/versions?{VERSION}&maxresults=1")
    assert link is not None and of_versions is not None
    token, version_token = (one.partition("$skiptoken=")[2].partition("&")[0] for one in (link, of_versions))
    assert await page(service, f"/keys?{VERSION}&$skiptoken={token}") == (["b"], None)
    assert await page(service, f"/keys?{VERSION}&%24skiptoken={token}{'=' * (-len(token) % 4)}") == (["b"], None)

    async def refused(target: str, token: str = token, host: str = "dev.vault.localhost:8443") -> None:
        answer = await service.ask("GET", f"{target}?{VERSION}&$skiptoken={token}", host=host)
        assert (answer.status, answer.code, answer.message) == (400, "BadParameter", "The skip token is not valid."), (
            target
        )

    await refused("/keys", host="protected.vault.localhost:8443")
    for elsewhere in ("/deletedkeys", "/keys/a/versions"):
        await refused(elsewhere)
    flipped = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    strange = (
        version_token,
        flipped,
        token[:-4],
        token[4:],
        token + "AAAA",
        "",
        "AAAA",
        "a" * 60,
        "%00",
        "YQ",
        "..",
        "b",
    )
    for other in strange:
        await refused("/keys", other)
    await refused("/keys/b/versions", version_token)


async def test_a_list_names_no_versions_and_keeps_to_its_vault(service: Service) -> None:
    await service.create_ec("mine")
    await service.create_ec("theirs", "protected")
    answer = await service.ask("GET", "/keys")
    assert [one["kid"] for one in answer.json["value"]] == ["https://dev.vault.localhost:8443/keys/mine"]
