"""The authorization endpoint and its pages, with a browser that is a script."""

import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import MovedClock
from hsmvault.login import redirects
from hsmvault.model.directory import AZURE_CLI, Application, RedirectKind, RedirectUri
from hsmvault.model.principals import Principal
from hsmvault.store import directory
from tests.login.people import (
    NEW_PASSWORD,
    PASSWORD,
    REDIRECT,
    WEB_REDIRECT,
    Browser,
    add_redirects,
    add_user,
    authorize,
    redeem,
    reply,
)
from tests.login.world import World


async def test_a_person_signs_in_and_the_code_goes_to_the_application(world: World, ada: Principal) -> None:
    browser = Browser(world)
    page = await browser.open(authorize(world))
    assert page.status == 200
    assert browser.form.buttons == ["sign-in", "cancel"]
    assert "Microsoft Azure CLI" in browser.text
    answer = await browser.sign_in("ADA@dev.example")
    location = answer.headers["Location"]
    assert location.startswith(f"{REDIRECT}?")
    assert reply(answer).keys() == {"code", "state", "session_state"}
    assert reply(answer)["state"] == "a state"
    assert world.recorder.last.grant == "authorization"
    assert (world.recorder.last.result_code, world.recorder.last.object_id) == (0, ada.object_id)


async def test_pages_allow_nothing_that_they_do_not_need(world: World, ada: Principal) -> None:
    page = await Browser(world).open(authorize(world))
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' http://localhost:8400"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy["style-src"])
    assert "script-src" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Referrer-Policy"] == "same-origin"
    for needed in ("<html lang=en>", "<main>", "<label for=username>", "<label for=password>", "autofocus"):
        assert needed in page.text
    assert "<script" not in page.text
    assert "http-equiv" not in page.text
    assert not re.search(r"(?:src|href)=\"?https?:", page.text)


async def test_form_post_is_a_page_that_posts_by_itself_or_at_a_button(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world, response_mode="form_post", state="\"'><b>&"))
    page = await browser.sign_in(ada.upn)
    assert page.status == 200
    assert browser.form.action == REDIRECT
    assert browser.form.fields.keys() == {"code", "state", "session_state"}
    assert browser.form.fields["state"] == "\"'><b>&"
    assert "<b>" not in page.text
    assert "form-action http://localhost:8400;" in page.headers["Content-Security-Policy"]
    assert "<button type=submit>Continue</button>" in page.text


async def test_fragment_puts_the_code_behind_the_hash(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world, response_mode="fragment"))
    assert (await browser.sign_in(ada.upn)).headers["Location"].startswith(f"{REDIRECT}#code=")


async def test_a_browser_that_has_signed_in_is_not_asked_again(world: World, ada: Principal, clock: MovedClock) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    code = reply(await browser.open(authorize(world)))["code"]
    assert (await redeem(world, code)).status == 200
    clock.move(world.settings.session_seconds)
    assert (await browser.open(authorize(world))).status == 200


async def test_prompt_says_how_much_is_asked(world: World, ada: Principal, clock: MovedClock) -> None:
    browser = Browser(world)
    nobody = reply(await browser.open(authorize(world, prompt="none")))
    assert nobody["error"] == "login_required"
    assert "AADSTS50058" in nobody["error_description"]
    assert nobody["state"] == "a state"
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    assert "code" in reply(await browser.open(authorize(world, prompt="none")))

    await browser.open(authorize(world, prompt="select_account"))
    assert browser.form.buttons == ["continue", "other", "cancel"]
    assert ada.upn in browser.text
    assert "code" in reply(await browser.submit("continue"))

    await browser.open(authorize(world, prompt="select_account"))
    await browser.submit("other")
    assert "password" in browser.form.fields

    await browser.open(authorize(world, prompt="login"))
    assert "password" in browser.form.fields
    await browser.submit("continue")
    assert "password" in browser.form.fields  # the session alone does not do

    assert "code" in reply(await browser.open(authorize(world, max_age="60")))
    clock.move(61)
    await browser.open(authorize(world, max_age="60"))
    assert "password" in browser.form.fields

    await browser.open(authorize(world, login_hint="bob@dev.example"))
    assert browser.form.fields["username"] == "bob@dev.example"
    assert "code" in reply(await browser.open(authorize(world, login_hint=ada.upn.upper())))


async def test_a_wrong_password_is_said_on_the_page_and_an_unknown_name_alike(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    pages = []
    for name in (ada.upn, "nobody@dev.example", "nobody@nowhere.example", "nobody"):
        page = await browser.sign_in(name, "wrong password")
        assert page.status == 200
        assert "role=alert" in page.text
        assert "aria-invalid=true" in page.text
        assert "<title>Error: Sign in</title>" in page.text
        assert "wrong password" not in page.text
        pages.append(page.text.replace(name, ""))
        assert world.recorder.last.result_code == 50126
        assert "nobody" not in repr(world.recorder.last)
    assert len(set(pages)) == 1
    assert "code" in reply(await browser.sign_in(ada.upn))


async def test_guessing_is_slowed_down_before_the_comparison_and_not_for_the_owner(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    for _ in range(10):
        await browser.sign_in(ada.upn, "wrong password")
    await browser.sign_in(ada.upn)  # the right one: not looked at now
    assert "too many wrong attempts" in browser.text
    assert world.recorder.last.result_code == 50053
    other = await world.application._authorization._sign_in._people.prove(
        (await _realm(world)), ada.upn, PASSWORD, address="192.0.2.7"
    )
    assert other.principal.object_id == ada.object_id
    clock.move(120)
    assert "code" in reply(await browser.sign_in(ada.upn))


async def _realm(world: World) -> object:
    from hsmvault.login.realms import find_realm

    return await find_realm(world.database, world.settings, world.tenant.id)


async def test_one_address_that_tries_many_names_is_slowed_down_too(world: World, ada: Principal) -> None:
    people = world.application._authorization._sign_in._people
    for number in range(50):
        assert people._by_address.failed(_key("any user name")) == 0, number
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    assert "too many wrong attempts" in browser.text


def _key(name: str) -> object:
    from hsmvault.login.throttle import ThrottleKey

    return ThrottleKey(name, "127.0.0.1")


async def test_a_disabled_person_hears_it_after_the_right_password_alone(world: World, ada: Principal) -> None:
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, False)
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn, "wrong password")
    assert "not right" in browser.text
    await browser.sign_in(ada.upn)
    assert "disabled" in browser.text


async def test_a_session_ends_when_its_person_is_disabled_or_signed_out_everywhere(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    async with world.database.write() as tx:
        await directory.revoke_sessions(tx, ada.tenant_id, ada.object_id, int(clock.now()) + 1)
    assert (await browser.open(authorize(world))).status == 200
    clock.move(2)
    await browser.sign_in(ada.upn)
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, False)
    assert (await browser.open(authorize(world))).status == 200


async def test_the_first_password_is_changed_before_anything_else(world: World) -> None:
    eve = await add_user(world, "evelyn@dev.example", must_change=True)
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(eve.upn)
    assert browser.form.buttons == ["change", "cancel"]
    assert world.recorder.last.result_code == 50055
    assert not any("session" in name for name in browser.cookies)

    async def change(new: str, again: str = "", password: str = PASSWORD) -> str:
        given = {"password": password, "new_password": new, "new_password_again": again or new}
        await browser.submit("change", username=eve.upn, **given)
        return browser.text

    assert "not the same" in await change(NEW_PASSWORD, again="else")
    assert "at least 12" in await change("short")
    assert "your name" in await change("this is Evelyn's password")
    assert "must not be the old one" in await change(PASSWORD)
    assert "not right" in await change(NEW_PASSWORD, password="wrong password")
    await change(NEW_PASSWORD)
    assert "code" in reply(browser.page)
    async with world.database.read() as tx:
        changed = await directory.principal(tx, eve.tenant_id, eve.object_id)
    assert changed is not None
    assert not changed.details.must_change_password
    await browser.open(authorize(world, prompt="login"))
    await browser.sign_in(eve.upn)
    assert "not right" in browser.text
    assert "code" in reply(await browser.sign_in(eve.upn, NEW_PASSWORD))


async def test_a_form_from_elsewhere_does_nothing(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    stranger = Browser(world)
    await stranger.open(authorize(world))
    foreign = stranger.form.fields["form_token"]
    good = {"username": ada.upn, "password": PASSWORD}
    for changes, headers in (
        ({"form_token": ""}, {}),
        ({"form_token": foreign}, {}),
        ({}, {"Origin": "https://evil.example"}),
        ({}, {"Origin": "null"}),
    ):
        page = await browser.submit("sign-in", headers=headers, **good, **changes)
        assert page.status == 200
        assert "Please try again" in browser.text
    cookies, browser.cookies = browser.cookies, {}
    await browser.submit("sign-in", **good)
    assert "Please try again" in browser.text  # who has no cookie cannot have got the page
    browser.cookies = cookies
    await browser.open(authorize(world))
    assert "code" in reply(await browser.submit("sign-in", headers={"Origin": world.settings.origin}, **good))


async def test_the_session_is_a_new_one_after_each_sign_in(world: World, ada: Principal) -> None:
    browser = Browser(world)
    browser.cookies["__Host-hsmvault-8443-session"] = "A" * 64  # planted
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    first = browser.cookies["__Host-hsmvault-8443-session"]
    assert first != "A" * 64
    await browser.open(authorize(world, prompt="login"))
    await browser.sign_in(ada.upn)
    assert browser.cookies["__Host-hsmvault-8443-session"] != first
    thief = Browser(world, cookies={"__Host-hsmvault-8443-session": first})
    assert (await thief.open(authorize(world))).status == 200  # the one before counts no more


async def test_a_session_of_one_tenant_says_nothing_in_another(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    assert (await browser.open(authorize(world, world.other_tenant.id))).status == 200
    assert (await browser.open(authorize(world, "organizations"))).status == 303


async def test_signing_out_ends_the_session_of_this_browser(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    session = dict(browser.cookies)
    target = f"/{world.tenant.id}/oauth2/v2.0/logout?" + urlencode({"post_logout_redirect_uri": "https://evil.example"})
    page = await browser.open(target)
    assert page.status == 200
    assert "signed out" in browser.text
    assert "evil" not in page.text
    assert not any("session" in name for name in browser.cookies)
    assert (await Browser(world, cookies=session).open(authorize(world))).status == 200


async def test_cancelling_is_told_to_the_application(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    answer = reply(await browser.submit("cancel"))
    assert (answer["error"], answer["state"]) == ("access_denied", "a state")


MISTAKES: list[tuple[dict[str, str], str, int]] = [
    ({"response_type": "token"}, "unsupported_response_type", 700051),
    ({"response_type": ""}, "invalid_request", 900144),
    ({"response_mode": "web_message"}, "invalid_request", 9002313),
    ({"code_challenge": ""}, "invalid_request", 9002325),
    ({"code_challenge_method": "plain"}, "invalid_request", 9002313),
    ({"code_challenge_method": ""}, "invalid_request", 9002313),
    ({"scope": "https://evil.example/.default"}, "invalid_resource", 500011),
    ({"scope": "https://vault.localhost:8443/.default https://graph.localhost:8443/.default"}, "invalid_scope",
     700022),
    ({"scope": "User.Read"}, "invalid_scope", 70011),
    ({"prompt": "none login"}, "invalid_request", 9002313),
    ({"max_age": "-1"}, "invalid_request", 9002313),
    ({"nonce": "n" * 2049}, "invalid_request", 9002313),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["query", "fragment"])
async def test_mistakes_are_told_to_the_application(world: World, mode: str) -> None:
    for changes, error, code in MISTAKES:
        told = reply(await Browser(world).open(authorize(world, **{"response_mode": mode, **changes})))
        assert (told["error"], told["state"]) == (error, "a state"), changes
        assert told["error_description"].startswith(f"AADSTS{code}: ")


async def test_a_mistake_is_posted_where_form_post_was_asked_for(world: World) -> None:
    browser = Browser(world)
    page = await browser.open(authorize(world, response_mode="form_post", response_type="token"))
    assert page.status == 200
    assert browser.form.action == REDIRECT
    assert browser.form.fields["error"] == "unsupported_response_type"


STRANGE: list[tuple[dict[str, str], int]] = [
    ({"redirect_uri": "https://evil.example/"}, 50011),
    ({"redirect_uri": "http://localhost.evil.example:8400"}, 50011),
    ({"redirect_uri": "http://localhost:8400@evil.example"}, 50011),
    ({"redirect_uri": "http://localhost:8400/other"}, 50011),
    ({"redirect_uri": "https://localhost:8400"}, 50011),
    ({"redirect_uri": "javascript:alert(1)"}, 50011),
    ({"redirect_uri": "//evil.example"}, 50011),
    ({"redirect_uri": ""}, 900144),
    ({"client_id": ""}, 900144),
    ({"client_id": "11111111-1111-1111-1111-111111111111"}, 700016),
    ({"client_id": "<b>"}, 700016),
]


async def test_without_a_registered_redirect_uri_the_person_reads_what_is_wrong(world: World) -> None:
    for changes, code in STRANGE:
        browser = Browser(world)
        page = await browser.open(authorize(world, **changes))
        assert page.status == 400, changes
        assert "Location" not in page.headers
        assert f"AADSTS{code}" in browser.text
        assert page.headers["x-ms-request-id"] in browser.text
        assert "evil" not in page.text
        assert "<b>" not in page.text


async def test_an_unknown_tenant_and_a_wrong_method_are_pages_too(world: World) -> None:
    page = await Browser(world).open(authorize(world, "nowhere.example"))
    assert (page.status, "AADSTS90002" in page.text) == (400, True)
    async with world.session.put(world.url + authorize(world)) as response:
        assert response.status == 405
        assert response.content_type == "text/html"


async def test_no_one_is_signed_in_when_it_cannot_be_recorded(world: World, ada: Principal) -> None:
    browser = Browser(world)
    await browser.open(authorize(world))
    world.recorder.is_full = True
    page = await browser.sign_in(ada.upn)
    assert page.status == 503
    assert not any("session" in name for name in browser.cookies)


async def test_registered_pages_are_compared_exactly(world: World, ada: Principal) -> None:
    await add_redirects(world, world.owner, (RedirectKind.WEB, WEB_REDIRECT), (RedirectKind.PUBLIC, "myapp://auth"))
    mine = {"client_id": world.owner.application_id}
    for uri in (WEB_REDIRECT, "myapp://auth"):
        assert (await Browser(world).open(authorize(world, **mine, redirect_uri=uri))).status == 200
    for uri in (
        f"{WEB_REDIRECT}/",
        f"{WEB_REDIRECT}?x=1",
        WEB_REDIRECT.upper(),
        WEB_REDIRECT.replace("app.example", "app.example:443"),
        "http://app.example/signed-in",
        "http://localhost:8400",
        "myapp://auth/more",
    ):
        assert (await Browser(world).open(authorize(world, **mine, redirect_uri=uri))).status == 400, uri


CLI = Application(
    AZURE_CLI, "o", "t", "az", public_client=True, redirect_uris=(RedirectUri(RedirectKind.PUBLIC, "http://localhost"),)
)


@given(port=st.integers(1, 65_535), slash=st.sampled_from(["", "/"]))
def test_every_port_of_the_loopback_address_is_the_same_application(port: int, slash: str) -> None:
    assert redirects.kind_of(CLI, f"http://localhost:{port}{slash}") is RedirectKind.PUBLIC


URLISH = st.text("htps:/localhost127.0@#?\\%[]evil.example &'\"<>;\r\n\t8400", max_size=60)


@given(before=URLISH, after=URLISH)
def test_a_redirect_never_leaves_the_machine(before: str, after: str) -> None:
    """What is accepted for az goes to http://localhost on some port, whoever reads it."""
    for uri in (
        before,
        f"http://localhost{after}",
        f"{before}http://localhost{after}",
        f"http://localhost:8400{after}",
    ):
        if redirects.kind_of(CLI, uri) is not None:
            assert re.fullmatch(r"http://localhost(:[1-9][0-9]{0,4})?/?", uri)


@given(uri=st.one_of(URLISH, URLISH.map(lambda tail: f"https://app.example{tail}")))
def test_what_is_registered_badly_is_not_used(uri: str) -> None:
    """Nothing that a policy or a header would take apart, and no scheme that a browser carries out."""
    application = Application("a", "o", "t", "n", redirect_uris=(RedirectUri(RedirectKind.WEB, uri),))
    if redirects.kind_of(application, uri) is not None:
        source = redirects.Reply(uri, "query", "").source
        assert re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?|[a-z][a-z0-9+.-]*:", source)
        assert not re.search(r"[\s\"<>\\#]", uri)
        assert not uri.startswith(("javascript:", "data:", "file:"))
