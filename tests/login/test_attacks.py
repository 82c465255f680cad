"""What somebody tries who is neither the person nor the application: links, neighbours, and tables that grow."""

import pytest

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.login import bootstrap
from hsmvault.login.refusals import PERSON_LOCKED, WRONG_PASSWORD, LoginRefused
from hsmvault.login.throttle import network_of
from hsmvault.model.directory import RedirectKind
from hsmvault.model.principals import Principal
from hsmvault.store import login_grants
from hsmvault.store.schema import login_grants as grants_table
from hsmvault.store.statements import Statement
from tests.login.people import PASSWORD, Browser, add_redirects, authorize, code_of, redeem, refresh, reply
from tests.login.world import World

EVIL = "https://evil.example/take"


@pytest.fixture
async def lure(world: World) -> str:
    """Client id of an application of the tenant whose pages somebody else owns."""
    async with world.database.write() as tx:
        application, _ = await bootstrap.create_application(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="<b>Free</b> cake", with_secret=False
        )
    await add_redirects(world, application, (RedirectKind.SPA, EVIL))
    return application.application_id


async def test_a_link_gets_no_code_for_an_application_that_the_person_has_not_gone_on_to(
    world: World, ada: Principal, lure: str
) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    link = {"client_id": lure, "redirect_uri": EVIL, "scope": f"{world.settings.resources['management']}/.default"}
    for more in ({}, {"response_mode": "fragment"}, {"response_mode": "form_post"}, {"login_hint": ada.upn}):
        page = await browser.open(authorize(world, **link, **more))
        assert (page.status, browser.form.buttons) == (200, ["continue", "other", "cancel"])
        assert "evil.example" in browser.text
        assert "<b>" not in page.text
    silent = reply(await browser.open(authorize(world, **link, prompt="none")))
    assert (silent["error"], "code" in silent) == ("interaction_required", False)
    assert "code" in reply(await browser.open(authorize(world)))  # where the person has been nobody asks


async def test_an_application_is_asked_about_once_in_a_session(world: World, ada: Principal, lure: str) -> None:
    browser = Browser(world)
    link = {"client_id": lure, "redirect_uri": EVIL}
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    await browser.open(authorize(world, **link))
    assert "code" in reply(await browser.submit("continue"))
    assert "code" in reply(await browser.open(authorize(world, **link)))
    assert "code" in reply(await browser.open(authorize(world, **link, prompt="none")))
    assert "code" in reply(await browser.open(authorize(world)))
    other = Browser(world)
    await other.open(authorize(world))
    await other.sign_in(ada.upn)
    assert (await other.open(authorize(world, **link))).status == 200


async def test_a_person_who_cancels_is_asked_again(world: World, ada: Principal, lure: str) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    await browser.open(authorize(world, client_id=lure, redirect_uri=EVIL))
    assert reply(await browser.submit("cancel"))["error"] == "access_denied"
    assert (await browser.open(authorize(world, client_id=lure, redirect_uri=EVIL))).status == 200


async def test_the_addresses_of_one_network_are_counted_together(world: World, ada: Principal) -> None:
    people = world.application._authorization._sign_in._people
    realm = await world.application._realm(world.tenant.id, WRONG_PASSWORD)

    async def attempt(address: str, *, is_right: bool = False) -> object:
        try:
            return await people.prove(realm, ada.upn, PASSWORD if is_right else "wrong", address=address)
        except LoginRefused as refused:
            return refused.refusal

    assert {await attempt(f"2001:db8:1:2::{number:x}") for number in range(10)} == {WRONG_PASSWORD}
    assert await attempt("2001:db8:1:2:ffff::1", is_right=True) is PERSON_LOCKED
    assert await attempt("2001:db8:1:3::1") is WRONG_PASSWORD  # a neighbour
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("") == ""


async def test_nobody_fills_the_table_of_grants(
    world: World, ada: Principal, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsmvault.login.grants._MOST_OF_A_PERSON", 6)
    token = (await redeem(world, await code_of(world))).json["refresh_token"]
    for _ in range(8):
        clock.move(1)
        token = (await refresh(world, str(token))).json["refresh_token"]
    count = Statement(grants_table.select().with_only_columns(grants_table.c.id))
    async with world.database.read() as tx:
        assert len(await tx.rows(count)) == 6
    clock.move(1)
    assert (await refresh(world, str(token))).status == 200  # the newest is good


async def test_the_newest_grants_of_a_person_stay(world: World, ada: Principal, clock: MovedClock) -> None:
    await redeem(world, await code_of(world))
    async with world.database.write() as tx:
        assert await login_grants.delete_oldest(tx, ada.object_id, kept=1) == 2
        assert await login_grants.delete_oldest(tx, ada.object_id, kept=1) == 0
        assert await login_grants.delete_oldest(tx, world.owner.object_id, kept=0) == 0
