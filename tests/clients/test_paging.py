"""Listings: every object once, in pages of the size that was asked for, with links that the clients follow."""

import pytest
from azure.core.rest import HttpRequest

from tests.clients.keys import create, unique
from tests.clients.kinds import Kind
from tests.clients.refusals import refused
from tests.clients.vault import Vault

EC = Kind("EC", curve="P-256")
COUNT = 27  # one page of 25, and more


async def made(vault: Vault, prefix: str) -> list[str]:
    return [(await create(vault, f"{prefix}-{number:03}", EC, tags={"n": str(number)})).name for number in range(COUNT)]


def ours(pages: list[list[object]], prefix: str) -> list[str]:
    return [item.name for page in pages for item in page if item.name.startswith(prefix)]  # type: ignore[attr-defined]  # items of several types of the client


@pytest.mark.parametrize("size", [7, *(pytest.param(size, marks=pytest.mark.slow) for size in (None, 1, 25))])
async def test_pages_hold_every_key_once_and_no_more_than_was_asked(vault: Vault, size: int | None) -> None:
    prefix = unique("paged")
    names = await made(vault, prefix)
    options = {} if size is None else {"max_page_size": size}

    pages = await vault.pages("list_properties_of_keys", **options)

    assert ours(pages, prefix) == names
    assert all(len(page) == (size or 25) for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= (size or 25)
    item = next(item for page in pages for item in page if item.name == names[4])
    assert (item.id, item.version, item.tags) == (f"{vault.url}/keys/{names[4]}", None, {"n": "4"})
    assert (item.enabled, item.recovery_level, item.recoverable_days) == (True, "Recoverable+Purgeable", 90)
    for name in names:
        await vault.delete(name)
    assert ours(await vault.pages("list_properties_of_keys", **options), prefix) == []
    pages = await vault.pages("list_deleted_keys", **options)
    assert ours(pages, prefix) == names
    assert all(len(page) == (size or 25) for page in pages[:-1])
    found = next(item for page in pages for item in page if item.name == names[4])
    assert found.recovery_id == f"{vault.url}/deletedkeys/{names[4]}"
    assert (found.scheduled_purge_date - found.deleted_date).days == 90
    for name in names:
        await vault.purge_deleted_key(name)


async def test_the_versions_of_a_key_come_in_pages_too(vault: Vault, name: str) -> None:
    ids = [(await create(vault, name, EC)).id for _ in range(COUNT)]
    for size in (4, 25):
        pages = await vault.pages("list_properties_of_key_versions", name, max_page_size=size)
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert sorted(item.id for page in pages for item in page) == sorted(ids)


async def test_a_link_leads_back_to_the_same_authority_and_cannot_be_forged(vault: Vault, name: str) -> None:
    for _ in range(3):
        await create(vault, name, EC)
    page = (await vault.send("GET", f"/keys/{name}/versions", maxresults="2")).json()
    assert sorted(page) == ["nextLink", "value"]
    assert page["nextLink"].startswith(f"{vault.url}/keys/{name}/versions?")
    last = (await vault.send_request(HttpRequest("GET", page["nextLink"]))).json()
    assert (len(page["value"]), len(last["value"]), last["nextLink"]) == (2, 1, None)
    assert page["value"][0]["kid"].startswith(f"{vault.url}/keys/{name}/")
    token = page["nextLink"].partition("skiptoken=")[2].partition("&")[0]
    for path, forged in (
        (f"/keys/{name}/versions", token[:20] + ("A" if token[20] != "A" else "B") + token[21:]),
        (f"/keys/{name}/versions", "AAAA"),
        ("/keys", token),  # of another collection
    ):
        response = await vault.send("GET", path, **{"$skiptoken": forged})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("size", ["0", "26", "-1", "x", "1.5", "99999999999999999999"])
async def test_a_page_size_outside_its_range_is_refused(sync_owner: Vault, size: str) -> None:
    for path in ("/keys", "/deletedkeys", "/keys/some/versions"):
        response = await sync_owner.send("GET", path, maxresults=size)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
        assert response.json()["error"]["message"] == "Property maxresults has invalid value\r\n"
    with refused(400, "BadParameter"):
        await sync_owner.items("list_properties_of_keys", max_page_size=100)
