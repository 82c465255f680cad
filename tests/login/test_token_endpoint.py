"""The token endpoint over real sockets: what a client gets, and what it is refused."""

import asyncio
import base64

import pytest

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.login import bootstrap
from hsmvault.store import directory
from tests.login.world import World


async def test_a_secret_gets_a_token_with_the_claims_of_entra(world: World) -> None:
    answer = await world.token()

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "aiohttp" not in answer.headers["Server"].lower()
    assert set(answer.json) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert answer.json["token_type"] == "Bearer"
    claims = await world.claims(answer.json["access_token"])
    now = int(world.clock.now())
    assert claims["aud"] == "https://vault.localhost:8443"
    assert claims["iss"] == f"https://login.localhost:8443/{world.tenant.id}/"
    assert claims["tid"] == world.tenant.id
    assert claims["oid"] == claims["sub"] == world.owner.object_id
    assert claims["appid"] == world.owner.application_id
    assert (claims["appidacr"], claims["idtyp"], claims["ver"]) == ("1", "app", "1.0")
    assert claims["iat"] == claims["nbf"] == now
    assert now + 3600 <= claims["exp"] <= now + 5400
    assert answer.json["expires_in"] == claims["exp"] - now
    assert {"aio", "rh", "uti", "idp"} <= set(claims)
    assert "scp" not in claims
    assert "xms_mirid" not in claims
    async with world.database.read() as tx:
        ids = {credential.id for credential in await directory.credentials_of(tx, world.owner.application_id)}
    assert claims["cred"] in ids


async def test_groups_are_in_the_token_through_nested_groups_too(world: World) -> None:
    claims = await world.claims((await world.token()).json["access_token"])
    assert claims["groups"] == sorted([world.group.object_id, world.outer_group.object_id])


@pytest.mark.parametrize(("number", "are_named"), [(50, True), (150, False), (201, False)])
async def test_groups_are_left_out_when_the_token_would_be_too_long(world: World, number: int, are_named: bool) -> None:
    async with world.database.write() as tx:
        application, secret = await bootstrap.create_application(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="many"
        )
        for index in range(number):
            await bootstrap.create_group(
                tx,
                RandomIdentifiers(),
                tenant_id=world.tenant.id,
                display_name=str(index),
                members=(application.object_id,),
            )
    token = (await world.token(client_id=application.application_id, client_secret=secret.reveal())).json
    assert len(token["access_token"]) < 8000
    assert ("groups" in await world.claims(token["access_token"])) is are_named


async def test_the_lives_of_tokens_differ(world: World) -> None:
    lives = {(await world.token()).json["expires_in"] for _ in range(10)}
    assert len(lives) > 1


async def test_the_token_header_names_a_published_key(world: World) -> None:
    token = (await world.token()).json["access_token"]
    import jwt

    header = jwt.get_unverified_header(token)
    assert header["typ"] == "JWT"
    assert header["alg"] == "RS256"
    assert header["kid"] == header["x5t"]


async def test_version_1_takes_a_resource_and_writes_numbers_as_strings(world: World) -> None:
    answer = await world.post(world.token_path("oauth2"), world.form(scope="", resource=world.vault))
    assert answer.status == 200
    claims = await world.claims(answer.json["access_token"])
    assert answer.json["resource"] == claims["aud"] == world.vault
    assert answer.json["expires_on"] == str(claims["exp"])
    assert answer.json["not_before"] == str(claims["nbf"])
    assert answer.json["expires_in"] == answer.json["ext_expires_in"] == str(claims["exp"] - claims["nbf"])


@pytest.mark.parametrize("path", ["/adfs/oauth2/token", "/adfs/oauth2/v2.0/token", "/ADFS/oauth2/token/"])
@pytest.mark.parametrize("member", ["scope", "resource"])
async def test_the_alias_adfs_is_the_default_tenant(world: World, path: str, member: str) -> None:
    asked = {"scope": "", "resource": world.vault} if member == "resource" else {}
    answer = await world.post(path, world.form(**asked))
    assert answer.status == 200
    assert isinstance(answer.json["expires_in"], int)
    assert (await world.claims(answer.json["access_token"]))["tid"] == world.tenant.id


async def test_the_domain_of_a_tenant_is_as_good_as_its_guid_in_any_case(world: World) -> None:
    for name in ("dev.example", "DEV.example", world.tenant.id.upper()):
        assert (await world.post(f"/{name}/oauth2/v2.0/token/", world.form())).status == 200


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://vault.localhost:8443/.default", "https://vault.localhost:8443"),
        ("https://vault.localhost:8443//.default", "https://vault.localhost:8443/"),
        ("https://managedhsm.localhost:8443/.default", "https://managedhsm.localhost:8443"),
        ("https://management.localhost:8443//.default", "https://management.localhost:8443/"),
        ("https://graph.localhost:8443/.default", "https://graph.localhost:8443"),
        ("openid profile offline_access https://vault.localhost:8443/.default", "https://vault.localhost:8443"),
    ],
)
async def test_the_audience_is_the_resource_as_it_was_asked_for(world: World, scope: str, audience: str) -> None:
    answer = await world.token(scope=scope)
    assert (await world.claims(answer.json["access_token"]))["aud"] == audience


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("https://vault.azure.net/.default", 500011),
        ("https://management.azure.com/.default", 500011),
        ("https://vault.localhost/.default", 500011),
        ("https://VAULT.localhost:8443/.default", 500011),
        ("https://vault.localhost:8443///.default", 500011),
        ("https://vault.localhost:8443/.default/.default", 500011),
        ("https://vault.localhost:8443.evil.example/.default", 500011),
        ("/.default", 500011),
        ("https://vault.localhost:8443", 70011),
        ("https://vault.localhost:8443/user_impersonation", 70011),
        ("openid profile", 70011),
        ("https://vault.localhost:8443/.default https://management.localhost:8443/.default", 700022),
    ],
)
async def test_a_scope_that_is_no_single_known_resource_is_refused(world: World, scope: str, code: int) -> None:
    answer = await world.token(scope=scope)
    assert (answer.status, answer.code) == (400, code)
    assert "access_token" not in answer.json


async def test_a_wrong_secret_is_refused_in_the_layout_of_entra(world: World, clock: MovedClock) -> None:
    correlation = "11111111-2222-3333-4444-555555555555"
    answer = await world.post(
        world.token_path(), world.form(client_secret="wrong"), headers={"client-request-id": correlation}
    )
    assert (answer.status, answer.code, answer.json["error"]) == (401, 7000215, "invalid_client")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["correlation_id"] == answer.headers["client-request-id"] == correlation
    assert answer.json["timestamp"] == "2025-06-15 15:06:40Z"
    assert answer.json["error_description"].endswith(
        f"Trace ID: {answer.json['trace_id']} Correlation ID: {correlation} Timestamp: {answer.json['timestamp']}"
    )
    assert answer.json["error_uri"] == "https://login.localhost:8443/error?code=7000215"
    assert "wrong" not in answer.text


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"grant_type": ""}, 400, "invalid_request", 900144),
        ({"client_id": ""}, 400, "invalid_request", 900144),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"client_secret": ""}, 401, "invalid_client", 7000218),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, 400, "unauthorized_client", 700016),
        ({"client_id": "dev-owner"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": "refresh_token"}, 400, "invalid_request", 900144),
        ({"grant_type": "device_code"}, 400, "invalid_request", 900144),
        ({"grant_type": "Client_Credentials"}, 400, "unsupported_grant_type", 70003),
        ({"resource": "https://vault.localhost:8443"}, 400, "invalid_request", 901002),
        ({"client_assertion": "a.b.c", "client_assertion_type": "x"}, 400, "invalid_request", 9002313),
    ],
)
async def test_each_mistake_has_the_code_of_entra(
    world: World, changes: dict[str, str], status: int, error: str, code: int
) -> None:
    answer = await world.token(**changes)
    assert (answer.status, answer.json["error"], answer.code) == (status, error, code)


async def test_an_expired_secret_is_told_from_a_wrong_one_and_only_to_who_has_it(
    world: World, clock: MovedClock
) -> None:
    async with world.database.write() as tx:
        secret = await bootstrap.add_secret(
            tx, RandomIdentifiers(), world.owner.application_id, expires=int(clock.now()) + 60
        )
    assert (await world.token(client_secret=secret.reveal())).status == 200
    clock.move(60)
    answer = await world.token(client_secret=secret.reveal())
    assert (answer.status, answer.code) == (401, 7000222)
    assert (await world.token()).status == 200


async def test_several_secrets_of_one_application_work_and_a_removed_one_does_not(world: World) -> None:
    application = world.owner.application_id
    async with world.database.write() as tx:
        second = await bootstrap.add_secret(tx, RandomIdentifiers(), application)
    first_token = await world.claims((await world.token()).json["access_token"])
    second_token = await world.claims((await world.token(client_secret=second.reveal())).json["access_token"])
    assert first_token["cred"] != second_token["cred"]
    async with world.database.write() as tx:
        await directory.delete_credential(tx, application, first_token["cred"])
    assert (await world.token()).code == 7000215
    assert (await world.token(client_secret=second.reveal())).status == 200


async def test_a_disabled_application_is_told_so_only_after_its_proof(world: World) -> None:
    async with world.database.write() as tx:
        await directory.set_enabled(tx, world.tenant.id, world.owner.object_id, False)
    assert (await world.token(client_secret="wrong")).code == 7000215
    answer = await world.token()
    assert (answer.status, answer.code) == (400, 7000112)


async def test_an_application_of_one_tenant_is_unknown_in_the_other(world: World) -> None:
    theirs = {"client_id": world.stranger.application_id, "client_secret": world.stranger_secret}
    assert (await world.token(**theirs)).code == 700016
    answer = await world.post(f"/{world.other_tenant.id}/oauth2/v2.0/token", world.form(**theirs))
    claims = await world.claims(answer.json["access_token"])
    assert claims["tid"] == world.other_tenant.id
    assert claims["iss"] == f"https://login.localhost:8443/{world.other_tenant.id}/"


async def test_a_tenant_that_is_not_there_and_one_that_is_not_named(world: World) -> None:
    unknown = await world.post("/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token", world.form())
    assert (unknown.status, unknown.code, unknown.json["error"]) == (400, 90002, "invalid_request")
    for name in ("common", "organizations"):
        answer = await world.post(f"/{name}/oauth2/v2.0/token", world.form())
        assert (answer.status, answer.code) == (400, 50059)


async def test_a_managed_identity_cannot_use_the_token_endpoint(world: World) -> None:
    answer = await world.token(client_id=world.machine.application_id, client_secret=world.identity_header)
    assert answer.code == 700016


async def test_http_basic_proves_a_client_as_well(world: World) -> None:
    def basic(client_id: str, secret: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}

    form = world.form(client_id="", client_secret="")
    good = basic(world.owner.application_id, world.secret)
    assert (await world.post(world.token_path(), form, headers=good)).status == 200
    wrong = basic(world.owner.application_id, "wrong")
    assert (await world.post(world.token_path(), form, headers=wrong)).code == 7000215
    assert (await world.post(world.token_path(), world.form(), headers=good)).code == 9002313
    other = form | {"client_id": world.stranger.application_id}
    assert (await world.post(world.token_path(), other, headers=good)).code == 9002313
    for header in ("Bearer x", "Basic !", "Basic " + base64.b64encode(b"no colon").decode(), "Basic"):
        assert (await world.post(world.token_path(), form, headers={"Authorization": header})).status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_reaches_the_token_endpoint(world: World, method: str) -> None:
    url = world.url + world.token_path()
    async with world.session.request(method, url, params=world.form(client_secret="")) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["client_secret", "CLIENT_SECRET", "client_assertion", "password", "refresh_token"])
async def test_a_secret_in_the_query_is_refused_even_with_a_good_body(world: World, name: str) -> None:
    answer = await world.post(f"{world.token_path()}?{name}=x", world.form())
    assert (answer.status, answer.code) == (400, 9002313)


async def test_other_query_parameters_do_no_harm(world: World) -> None:
    answer = await world.post(f"{world.token_path()}?client-request-id=x&client-request-id=y", world.form())
    assert answer.status == 200


@pytest.mark.parametrize("name", ["scope", "client_id", "client_secret", "grant_type", "claims"])
async def test_a_duplicated_parameter_is_refused(world: World, name: str) -> None:
    pairs = [*world.form(claims="{}").items(), (name, "x")]
    answer = await world.post(world.token_path(), pairs)
    assert (answer.status, answer.code) == (400, 9002313)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"grant_type=client_credentials", "text/plain", 400),
        (b"grant_type=%ff", "application/x-www-form-urlencoded", 400),
        (b"grant_type=\xff", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"p%d=1" % number for number in range(200)), "application/x-www-form-urlencoded", 400),
        (b"grant_type=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_a_body_that_is_no_small_form_is_refused(
    world: World, body: bytes, content_type: str, status: int
) -> None:
    answer = await world.post(world.token_path(), body, headers={"Content-Type": content_type})
    assert answer.status == status
    assert answer.json["error"] == "invalid_request"


async def test_an_endless_chunked_body_is_cut_off(world: World) -> None:
    async def chunks():
        for _ in range(100):
            yield b"a" * 1024

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await world.post(world.token_path(), chunks(), headers=headers)
    assert answer.status == 413


async def test_a_compressed_body_is_refused(world: World) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert (await world.post(world.token_path(), b"\x1f\x8b", headers=headers)).status == 400


async def test_a_path_has_one_meaning(world: World) -> None:
    tenant = world.tenant.id
    for path in (
        f"/{tenant}/oauth2//v2.0/token",
        f"/{tenant}/oauth2/v2.0/token//",
        f"/{tenant}/oauth2/v2.0/%74oken",
        f"/{tenant}/OAuth2/v2.0/token",
        f"/{tenant}%2foauth2/v2.0/token",
        "/",
        "/common/userrealm/x/y@dev.example?api-version=1.0",
    ):
        async with world.session.post(_unquoted(world.url + path), data=world.form()) as response:
            assert response.status == 404
            assert (await response.json())["error"] == "invalid_request"


def _unquoted(url: str) -> object:
    from yarl import URL

    return URL(url, encoded=True)


async def test_every_attempt_is_recorded_before_its_answer_and_without_a_secret(world: World) -> None:
    await world.token()
    good = world.recorder.last
    assert (good.result_code, good.status, good.grant) == (0, 200, "client_credentials")
    assert (good.tenant_id, good.client_id) == (world.tenant.id, world.owner.application_id)
    assert good.object_id == world.owner.object_id
    assert good.address == "127.0.0.1"
    assert good.resource == world.vault
    assert good.token_id
    await world.token(client_secret="wrong-secret")
    assert world.recorder.last.result_code == 7000215
    assert world.recorder.last.object_id == ""
    await world.token(client_id=world.secret)  # pasted into the wrong field
    await world.token(grant_type=world.secret)
    await world.post(f"/{world.secret}/oauth2/v2.0/token", world.form())
    await world.post(f"{world.token_path()}?client_secret={world.secret}", world.form())
    assert len(world.recorder.attempts) == 6
    for attempt in world.recorder.attempts:
        assert world.secret not in repr(attempt)
        assert "wrong-secret" not in repr(attempt)


async def test_no_token_leaves_when_its_attempt_cannot_be_recorded(world: World) -> None:
    world.recorder.is_full = True
    for secret in (world.secret, "wrong"):
        answer = await world.token(client_secret=secret)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "access_token" not in answer.text
    world.recorder.is_full = False
    assert (await world.token()).status == 200


async def test_an_hsm_out_of_reach_is_503_with_retry_after(world: World) -> None:
    world.custodian.is_out = True
    answer = await world.token()
    assert (answer.status, answer.json["error"], answer.headers["Retry-After"]) == (
        503,
        "temporarily_unavailable",
        "7",
    )
    assert world.recorder.last.status == 503


async def test_an_unforeseen_fault_is_a_plain_server_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret " + world.secret)

    monkeypatch.setattr(directory, "credentials_of", broken)
    answer = await world.token()
    assert (answer.status, answer.json["error"]) == (500, "server_error")
    assert world.secret not in answer.text
    assert "ZeroDivision" not in answer.text


async def test_wrong_secrets_are_slowed_down_and_the_owner_still_gets_in(world: World, clock: MovedClock) -> None:
    for _ in range(10):
        assert (await world.token(client_secret="wrong")).status == 401
    throttled = await world.token(client_secret="wrong")
    assert (throttled.status, throttled.code, throttled.json["error"]) == (429, 90055, "temporarily_unavailable")
    assert int(throttled.headers["Retry-After"]) >= 1
    assert world.recorder.last.result_code == 90055

    assert (await world.token()).status == 200


async def test_the_wait_grows_to_a_minute_and_is_forgotten_after_quiet(world: World, clock: MovedClock) -> None:
    for _ in range(10):
        await world.token(client_secret="wrong")
    waits = []
    for _ in range(10):
        throttled = await world.token(client_secret="wrong")
        waits.append(int(throttled.headers["Retry-After"]))
        clock.move(waits[-1])
        assert (await world.token(client_secret="wrong")).status == 401
    assert waits == sorted(waits)
    assert waits[0] <= 2
    assert waits[-1] == 60
    clock.move(601)
    for _ in range(10):
        assert (await world.token(client_secret="wrong")).status == 401


async def test_another_application_is_not_slowed_down(world: World) -> None:
    for _ in range(12):
        await world.token(client_secret="wrong")
    theirs = world.form(client_id=world.stranger.application_id, client_secret="wrong")
    assert (await world.post(f"/{world.other_tenant.id}/oauth2/v2.0/token", theirs)).status == 401


async def test_a_body_that_does_not_arrive_is_not_waited_for_for_ever(world: World) -> None:
    object.__setattr__(world.settings, "body_seconds", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.url.rpartition(":")[2]))
    writer.write(
        f"POST {world.token_path()} HTTP/1.1\r\nHost: login.localhost:8443\r\nContent-Length: 100\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()


async def test_what_the_client_writes_into_host_is_not_in_any_answer(world: World) -> None:
    answer = await world.get(
        f"/{world.tenant.id}/v2.0/.well-known/openid-configuration", headers={"Host": "evil.example"}
    )
    assert answer.status == 200
    assert "evil" not in answer.text
