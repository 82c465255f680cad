"""The device authorization flow, from the device and from the browser."""

import re

from hsmvault.clock import MovedClock
from hsmvault.model.directory import AZURE_CLI
from hsmvault.model.principals import Principal
from tests.login.people import NEW_PASSWORD, PASSWORD, Browser, add_user, authorize, refresh
from tests.login.world import Answer, World

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


async def start(world: World, realm: str = "", path: str = "oauth2/v2.0/devicecode", **changes: str) -> Answer:
    form = {"client_id": AZURE_CLI, "scope": f"{world.vault}/.default openid profile offline_access", **changes}
    return await world.post(
        f"/{realm or world.tenant.id}/{path}", {name: value for name, value in form.items() if value}
    )


async def poll(world: World, code: object, path: str = "", /, **changes: object) -> Answer:
    form = {"grant_type": GRANT, "client_id": AZURE_CLI, "device_code": code, "client_info": "1", **changes}
    return await world.post(path or world.token_path(), {name: value for name, value in form.items() if value})


async def enter(world: World, user_code: object) -> Browser:
    browser = Browser(world)
    await browser.open("/device")
    await browser.submit("next", user_code=str(user_code))
    return browser


async def test_a_device_gets_its_tokens_when_its_person_has_said_yes(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    started = (await start(world)).json
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{9}", started["user_code"])
    assert started["verification_uri"] == "https://login.localhost:8443/device"
    assert (started["expires_in"], started["interval"]) == (900, 5)
    assert started["user_code"] in started["message"]
    recorded = len(world.recorder.attempts)
    waiting = await poll(world, started["device_code"])
    assert (waiting.status, waiting.json["error"], waiting.code) == (400, "authorization_pending", 70016)
    assert (await poll(world, started["device_code"])).json["error"] == "slow_down"
    assert len(world.recorder.attempts) == recorded  # to be told to wait is no attempt

    browser = await enter(world, f" {started['user_code'][:4]}-{started['user_code'][4:].lower()} ")
    assert "password" in browser.form.fields
    await browser.sign_in(ada.upn)
    for shown in ("Microsoft Azure CLI", "127.0.0.1", ada.upn, "Go on only if it is you"):
        assert shown in browser.text
    assert (await poll(world, started["device_code"])).json["error"] in ("authorization_pending", "slow_down")
    await browser.submit("continue")
    assert "You have signed in to Microsoft Azure CLI" in browser.text
    assert (world.recorder.last.grant, world.recorder.last.object_id) == ("device_approval", ada.object_id)

    clock.move(5)
    answer = await poll(world, started["device_code"])
    assert answer.status == 200, answer.text
    claims = await world.claims(answer.json["access_token"])
    assert (claims["oid"], claims["appid"], claims["appidacr"]) == (ada.object_id, AZURE_CLI, "0")
    assert {"refresh_token", "id_token", "client_info"} <= set(answer.json)
    assert (await refresh(world, answer.json["refresh_token"])).status == 200
    assert (await poll(world, started["device_code"])).code == 54005
    assert (await enter(world, started["user_code"])).form.buttons == ["next"]  # the user code is used up too


async def test_a_first_password_is_changed_on_the_way_and_the_device_gets_its_tokens(
    world: World, clock: MovedClock
) -> None:
    eve = await add_user(world, "evelyn@dev.example", must_change=True)
    started = (await start(world)).json
    clock.move(3)  # the code is older than the password that lets the person in
    browser = await enter(world, started["user_code"])
    await browser.sign_in(eve.upn)
    new = {"new_password": NEW_PASSWORD, "new_password_again": NEW_PASSWORD}
    await browser.submit("change", username=eve.upn, password=PASSWORD, **new)
    await browser.submit("continue")
    assert "You have signed in to Microsoft Azure CLI" in browser.text
    clock.move(5)
    answer = await poll(world, started["device_code"])
    assert answer.status == 200, answer.text


async def test_node_spells_the_grant_shorter_and_python_sends_the_code_twice(world: World, ada: Principal) -> None:
    code = (await start(world)).json["device_code"]
    assert (await poll(world, code, grant_type="device_code")).code == 70016
    other = (await start(world)).json["device_code"]
    assert (await poll(world, "", code=other)).code == 70016
    assert (await poll(world, other, "/adfs/oauth2/token")).code in (70016, 70017)


async def test_version_1_answers_with_strings_and_a_verification_url(world: World) -> None:
    answer = await start(world, path="oauth2/devicecode", scope="", resource=world.vault)
    assert (answer.json["expires_in"], answer.json["interval"]) == ("900", "5")
    assert answer.json["verification_url"] == answer.json["verification_uri"]
    assert isinstance((await start(world, "adfs", path="oauth2/devicecode")).json["expires_in"], int)


async def test_a_person_says_no(world: World, ada: Principal) -> None:
    started = (await start(world)).json
    browser = await enter(world, started["user_code"])
    await browser.sign_in(ada.upn)
    await browser.submit("cancel")
    assert "not signed in" in browser.text
    declined = await poll(world, started["device_code"])
    assert (declined.json["error"], declined.code) == ("authorization_declined", 70018)


async def test_a_device_code_expires_for_both(world: World, ada: Principal, clock: MovedClock) -> None:
    started = (await start(world)).json
    clock.move(900)
    late = await poll(world, started["device_code"])
    assert (late.json["error"], late.code) == ("expired_token", 70020)
    assert "not known, or it has expired" in (await enter(world, started["user_code"])).text


async def test_a_device_code_is_of_one_application(world: World) -> None:
    code = (await start(world)).json["device_code"]
    mine = {"client_id": world.owner.application_id, "client_secret": world.secret}
    assert (await poll(world, code, **mine)).code == 70000


async def test_a_signed_in_browser_still_asks_and_may_change_its_person(world: World, ada: Principal) -> None:
    bob = await add_user(world, "bob@dev.example")
    browser = Browser(world)
    await browser.open(authorize(world))
    await browser.sign_in(ada.upn)
    started = (await start(world)).json
    await browser.open("/device")
    await browser.submit("next", user_code=started["user_code"])
    assert ada.upn in browser.text
    assert browser.form.buttons == ["cancel", "continue", "other"]
    await browser.submit("other")
    await browser.sign_in(bob.upn)
    await browser.submit("continue")
    claims = await world.claims((await poll(world, started["device_code"])).json["access_token"])
    assert claims["oid"] == bob.object_id


async def test_a_device_of_one_tenant_is_not_for_people_of_another(world: World, ada: Principal) -> None:
    eve = await add_user(world, "eve@other.example", tenant_id=world.other_tenant.id)
    started = (await start(world)).json
    browser = await enter(world, started["user_code"])
    await browser.sign_in(eve.upn)
    assert "not right" in browser.text
    everywhere = (await start(world, "organizations")).json
    browser = await enter(world, everywhere["user_code"])
    await browser.sign_in(eve.upn)
    await browser.submit("continue")
    answer = await poll(world, everywhere["device_code"], "/organizations/oauth2/v2.0/token")
    assert (await world.claims(answer.json["access_token"]))["tid"] == world.other_tenant.id


async def test_nobody_approves_without_a_session_or_with_a_form_from_elsewhere(world: World, ada: Principal) -> None:
    started = (await start(world)).json
    browser = await enter(world, started["user_code"])
    await browser.submit("continue")
    assert "password" in browser.form.fields
    await browser.sign_in(ada.upn)
    for changes, headers in (({"form_token": "0" * 64}, {}), ({}, {"Origin": "https://evil.example"})):
        kept = browser.page
        await browser.submit("continue", headers=headers, **changes)
        assert "open for too long" in browser.text
        browser.page = kept
    assert (await poll(world, started["device_code"])).json["error"] == "authorization_pending"
    await browser.submit("continue")
    assert (await poll(world, started["device_code"])).status == 200


async def test_guessed_codes_are_slowed_down_before_they_are_looked_at(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    started = (await start(world)).json
    for guess in range(10):
        browser = await enter(world, "BCDFGHJKL" if guess % 2 else "no code")  # a browser of its own each time
        assert "not known" in browser.text
    assert "too many wrong codes" in (await enter(world, started["user_code"])).text
    clock.move(61)
    assert "password" in (await enter(world, started["user_code"])).form.fields


async def test_a_flood_of_device_codes_from_one_address_is_slowed_down(world: World) -> None:
    answers = [await start(world) for _ in range(61)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 1
    assert int(refused[0].headers["Retry-After"]) >= 1


REFUSED: list[tuple[dict[str, str], int, int]] = [
    ({"client_id": ""}, 400, 900144),
    ({"client_id": "11111111-1111-1111-1111-111111111111"}, 400, 700016),
    ({"scope": "https://evil.example/.default"}, 400, 500011),
    ({"scope": "User.Read"}, 400, 70011),
]


async def test_what_cannot_start_is_refused(world: World) -> None:
    for changes, status, code in REFUSED:
        answer = await start(world, **changes)
        assert (answer.status, answer.code) == (status, code), changes
    assert (await start(world, client_id=world.owner.application_id)).code == 7000218  # no public client
    assert world.recorder.last.grant == "device_authorization"
