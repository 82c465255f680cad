"""The authorization code grant and refresh tokens, over real sockets."""

import asyncio
import hashlib
import json
from dataclasses import replace

from sqlalchemy import select

from hsmvault.clock import MovedClock
from hsmvault.login.refusals import REFRESH_TOKEN_EXPIRED
from hsmvault.model import base64url
from hsmvault.model.directory import AZURE_CLI, RedirectKind
from hsmvault.model.principals import Principal
from hsmvault.store import directory, login_grants
from hsmvault.store.schema import login_grants as login_grants_table
from hsmvault.store.statements import Statement
from tests.login.people import (
    REDIRECT,
    WEB_REDIRECT,
    Browser,
    add_redirects,
    add_user,
    authorize,
    code_of,
    redeem,
    refresh,
    reply,
)
from tests.login.world import World


async def test_a_code_gets_tokens_with_the_claims_of_a_person(world: World, ada: Principal) -> None:
    answer = await redeem(world, await code_of(world))

    assert answer.status == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json
    assert isinstance(body["expires_in"], int)
    assert body["scope"] == f"{world.vault}/user_impersonation {world.vault}/.default"
    claims = await world.claims(body["access_token"])
    assert (claims["aud"], claims["tid"], claims["oid"]) == (world.vault, world.tenant.id, ada.object_id)
    assert (claims["appid"], claims["appidacr"], claims["idtyp"]) == (AZURE_CLI, "0", "user")
    assert (claims["scp"], claims["upn"], claims["unique_name"]) == ("user_impersonation", ada.upn, ada.upn)
    assert (claims["name"], claims["amr"], claims["acr"]) == ("Ada", ["pwd"], "1")
    assert claims["sub"] != ada.object_id
    assert "cred" not in claims
    assert "nonce" not in claims
    id_claims = await world.claims(body["id_token"])
    assert (id_claims["aud"], id_claims["nonce"], id_claims["oid"]) == (AZURE_CLI, "n1", ada.object_id)
    assert id_claims["iss"] == f"{world.settings.origin}/{world.tenant.id}/v2.0"
    assert (id_claims["preferred_username"], id_claims["tid"]) == (ada.upn, world.tenant.id)
    assert id_claims["sub"] == claims["sub"]
    info = json.loads(base64url.decode(body["client_info"]))
    assert info == {"uid": ada.object_id, "utid": world.tenant.id}
    assert world.recorder.last.object_id == ada.object_id
    assert world.recorder.last.token_id == claims["uti"]


async def test_a_code_works_once_and_its_second_use_takes_everything_back(world: World, ada: Principal) -> None:
    code = await code_of(world)
    first = await redeem(world, code)
    second = await redeem(world, code)
    assert (second.status, second.json["error"], second.code) == (400, "invalid_grant", 54005)
    assert (await refresh(world, first.json["refresh_token"])).code == 70000
    assert (await redeem(world, code)).code == 70000  # its row is gone, and nothing of its family is left


async def test_a_code_that_two_redeem_at_once_works_for_one(world: World, ada: Principal) -> None:
    code = await code_of(world)
    answers = await asyncio.gather(*(redeem(world, code) for _ in range(5)))
    assert sorted(answer.status for answer in answers)[:2] == [200, 400]


BOUND: list[tuple[dict[str, str], int]] = [
    ({"code_verifier": "w" * 43}, 501481),
    ({"code_verifier": ""}, 501481),
    ({"code_verifier": "v"}, 501481),
    ({"redirect_uri": "http://localhost:8401"}, 500112),
    ({"redirect_uri": ""}, 500112),
    ({"client_secret": "x"}, 700025),
    ({"code": ""}, 900144),
    ({"code": "x"}, 70000),
    ({"code": "A" * 64}, 70000),
]


async def test_a_code_is_bound_to_what_it_was_asked_with(world: World, ada: Principal) -> None:
    held = await code_of(world)
    for changes, code in BOUND:
        assert (await redeem(world, held, **changes)).code == code, changes
    assert (await redeem(world, held)).status == 200  # a mistake of somebody else uses nothing up


async def test_a_code_is_of_one_application_and_of_one_tenant(world: World, ada: Principal) -> None:
    code = await code_of(world)
    other = await redeem(world, code, client_id=world.owner.application_id, client_secret=world.secret)
    assert other.code == 70000
    form = {"grant_type": "authorization_code", "client_id": AZURE_CLI, "code": code, "redirect_uri": REDIRECT}
    elsewhere = await world.post(f"/{world.other_tenant.id}/oauth2/v2.0/token", {**form, "code_verifier": "v" * 43})
    assert elsewhere.code == 700005
    assert (await redeem(world, code)).status == 200


async def test_a_code_expires(world: World, ada: Principal, clock: MovedClock) -> None:
    code = await code_of(world)
    clock.move(301)
    assert (await redeem(world, code)).code == 70008


async def test_nothing_is_used_up_while_the_hsm_is_out_of_reach(world: World, ada: Principal) -> None:
    code = await code_of(world)
    world.custodian.is_out = True
    assert (await redeem(world, code)).status == 503
    world.custodian.is_out = False
    assert (await redeem(world, code)).status == 200


async def test_a_confidential_application_proves_itself_and_may_leave_pkce_out(world: World, ada: Principal) -> None:
    await add_redirects(world, world.owner, (RedirectKind.WEB, WEB_REDIRECT))
    asked = {"client_id": world.owner.application_id, "redirect_uri": WEB_REDIRECT}
    bare = {"code_challenge": "", "code_challenge_method": ""}
    code = await code_of(world, **asked, **bare)
    assert (await redeem(world, code, **asked, code_verifier="")).code == 7000218
    assert (await redeem(world, code, **asked, code_verifier="", client_secret="wrong")).code == 7000215
    assert (await redeem(world, code, **asked, client_secret=world.secret)).code == 501481  # a challenge was taken away
    answer = await redeem(world, code, **asked, code_verifier="", client_secret=world.secret)
    assert answer.status == 200, answer.text
    claims = await world.claims(answer.json["access_token"])
    assert (claims["appidacr"], claims["oid"]) == ("1", ada.object_id)
    token = answer.json["refresh_token"]
    mine = {"client_id": world.owner.application_id}
    assert (await refresh(world, token, **mine)).code == 7000218
    assert (await refresh(world, token, **mine, client_secret=world.secret)).status == 200


async def test_version_1_and_adfs_have_their_own_shapes(world: World, ada: Principal) -> None:
    browser = Browser(world)
    path = authorize(world, scope="", resource=world.vault)
    await browser.open(path.replace("/v2.0/", "/"))
    form = {
        "grant_type": "authorization_code",
        "client_id": AZURE_CLI,
        "code": reply(await browser.sign_in(ada.upn))["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": "v" * 43,
    }
    answer = await world.post(world.token_path("oauth2"), form)
    assert answer.status == 200, answer.text
    assert isinstance(answer.json["expires_in"], str)
    assert answer.json["resource"] == world.vault
    assert {"refresh_token", "id_token"} <= set(answer.json)
    id_claims = await world.claims(answer.json["id_token"])
    assert id_claims["iss"] == f"{world.settings.origin}/{world.tenant.id}/"

    adfs = await refresh(world, answer.json["refresh_token"], path="/adfs/oauth2/token")
    assert isinstance(adfs.json["expires_in"], int)
    assert (await world.claims(adfs.json["id_token"]))["iss"] == f"{world.settings.origin}/adfs"


async def test_a_refresh_token_names_another_resource_and_gives_a_new_one(world: World, ada: Principal) -> None:
    first = await redeem(world, await code_of(world))
    second = await refresh(
        world, first.json["refresh_token"], scope="https://management.localhost:8443//.default offline_access"
    )
    assert (await world.claims(second.json["access_token"]))["aud"] == "https://management.localhost:8443/"
    assert second.json["refresh_token"] != first.json["refresh_token"]
    bare = await refresh(world, second.json["refresh_token"], scope="")
    assert (await world.claims(bare.json["access_token"]))["aud"] == world.vault  # as it was asked for at first


async def test_a_refresh_token_works_for_a_minute_more_and_then_ends_its_family(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    first = (await redeem(world, await code_of(world))).json["refresh_token"]
    second = (await refresh(world, first)).json["refresh_token"]
    clock.move(59)
    third = (await refresh(world, first)).json["refresh_token"]  # its answer was lost, or two programs share a cache
    assert (await refresh(world, second)).status == 200
    clock.move(61)
    assert (await refresh(world, first)).code == 70000
    assert (await refresh(world, third)).code == 70000


async def test_the_reuse_of_a_long_forgotten_refresh_token_ends_its_family(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    first = (await redeem(world, await code_of(world))).json["refresh_token"]
    second = (await refresh(world, first)).json["refresh_token"]
    clock.move(30 * 86_400)
    async with world.database.write() as tx:
        assert await login_grants.delete_expired(tx, int(clock.now())) >= 2  # the code and the first refresh token
    assert (await refresh(world, first)).code == 70000
    assert (await refresh(world, second)).code == 70000


async def test_a_refresh_token_that_is_used_lives_on_and_an_idle_one_expires(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    token = (await redeem(world, await code_of(world))).json["refresh_token"]
    for _ in range(3):
        clock.move(60 * 86_400)
        token = (await refresh(world, token)).json["refresh_token"]
    clock.move(91 * 86_400)
    assert (await refresh(world, token)).code == REFRESH_TOKEN_EXPIRED.code


async def test_who_is_disabled_or_signed_out_everywhere_gets_no_more(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    code = await code_of(world)
    token = (await redeem(world, await code_of(world))).json["refresh_token"]
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, False)
    assert (await refresh(world, token)).code == 50057
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, True)
        await directory.revoke_sessions(tx, ada.tenant_id, ada.object_id, int(clock.now()) + 1)
    assert (await refresh(world, token)).code == 50173
    assert (await redeem(world, code)).code == 50173
    async with world.database.write() as tx:
        await directory.delete_principal(tx, ada)
    assert (await refresh(world, token)).code == 50173


async def test_a_disabled_application_refreshes_nothing(world: World, ada: Principal) -> None:
    await add_redirects(world, world.owner, (RedirectKind.PUBLIC, "http://localhost"))
    mine = {"client_id": world.owner.application_id}
    token = (await redeem(world, await code_of(world, **mine), **mine)).json["refresh_token"]
    assert (await refresh(world, token, **mine)).status == 200
    async with world.database.write() as tx:
        await directory.set_enabled(tx, world.owner.tenant_id, world.owner.object_id, False)
    assert (await refresh(world, token, **mine)).code == 7000112


async def test_there_is_no_refresh_token_unless_one_was_asked_for(world: World, ada: Principal) -> None:
    answer = await redeem(world, await code_of(world, scope=f"{world.vault}/.default"))
    assert answer.status == 200
    assert not {"refresh_token", "id_token"} & set(answer.json)


async def test_the_realm_of_all_organizations_finds_the_tenant_by_the_domain(world: World) -> None:
    eve = await add_user(world, "eve@other.example", tenant_id=world.other_tenant.id)
    browser = Browser(world)
    await browser.open(authorize(world, "organizations"))
    code = reply(await browser.sign_in("EVE@other.example"))["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": AZURE_CLI,
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": "v" * 43,
    }
    answer = await world.post("/organizations/oauth2/v2.0/token", form)
    claims = await world.claims(answer.json["access_token"])
    assert (claims["tid"], claims["oid"]) == (world.other_tenant.id, eve.object_id)
    refreshed = await refresh(world, answer.json["refresh_token"], f"/{world.other_tenant.id}/oauth2/v2.0/token")
    assert refreshed.status == 200


async def test_the_built_in_client_can_be_left_out(world: World, ada: Principal) -> None:
    parts = world.application._authorization._registrations
    parts._settings = replace(world.settings, built_in_clients=False)
    answer = await Browser(world).open(authorize(world))
    assert answer.status == 400
    assert "AADSTS700016" in answer.text


async def test_rows_hold_hashes_and_no_code_or_token(world: World, ada: Principal) -> None:
    code = await code_of(world)
    token = (await redeem(world, code)).json["refresh_token"]
    async with world.database.read() as tx:
        rows = await tx.rows(Statement(select(*login_grants_table.c)))
    shown = repr(rows)
    assert code not in shown
    assert token not in shown
    assert hashlib.sha256(token.encode()).hexdigest() in shown
