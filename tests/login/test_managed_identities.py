"""IMDS and the App Service endpoint, as their clients ask."""

import pytest
from yarl import URL

from hsmvault.clock import RandomIdentifiers
from hsmvault.login import bootstrap
from hsmvault.store import directory
from hsmvault.store.database import Transaction
from tests.login.world import OTHER_VM, VM, Answer, World

LATER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/later"

IMDS = "/metadata/identity/oauth2/token"
APP_SERVICE = "/msi/token"
METADATA = {"Metadata": "true"}


async def ask(world: World, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
    async with world.session.get(world.identity_url + path, params=query, headers=headers) as response:
        return await Answer.read(response)


async def imds(world: World, **changes: str) -> Answer:
    query = {"api-version": "2018-02-01", "resource": world.vault} | changes
    return await ask(world, IMDS, {name: value for name, value in query.items() if value}, METADATA)


async def app_service(world: World, header: str, **changes: str) -> Answer:
    query = {"api-version": "2019-08-01", "resource": world.vault} | changes
    query = {name: value for name, value in query.items() if value}
    return await ask(world, APP_SERVICE, query, {"X-IDENTITY-HEADER": header, **METADATA})


async def test_imds_gives_the_system_assigned_identity(world: World) -> None:
    answer = await imds(world)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == {
        "access_token", "client_id", "expires_in", "expires_on", "ext_expires_in", "not_before", "resource",
        "token_type",
    }  # fmt: skip
    assert all(isinstance(value, str) for value in answer.json.values())
    claims = await world.claims(answer.json["access_token"])
    assert claims["oid"] == world.machine.object_id
    assert claims["appid"] == answer.json["client_id"] == world.machine.application_id
    assert (claims["appidacr"], claims["idtyp"], claims["xms_mirid"]) == ("2", "app", VM)
    assert claims["exp"] - claims["iat"] == 86_400
    assert answer.json["expires_on"] == str(claims["exp"])
    assert answer.json["expires_in"] == "86400"
    assert claims["aud"] == answer.json["resource"] == world.vault
    assert "cred" not in claims


async def test_node_asks_with_a_trailing_slash(world: World) -> None:
    query = {"api-version": "2018-02-01", "resource": world.vault}
    assert (await ask(world, IMDS + "/", query, METADATA)).status == 200


async def test_a_probe_without_the_metadata_header_is_400_and_no_attempt(world: World) -> None:
    for query in ({}, {"api-version": "2018-02-01", "resource": world.vault}):
        for headers in ({}, {"Metadata": "false"}):
            answer = await ask(world, IMDS, query, headers)
            assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert world.recorder.attempts == []


async def test_a_request_that_passed_a_proxy_is_refused(world: World) -> None:
    query = {"api-version": "2018-02-01", "resource": world.vault}
    answer = await ask(world, IMDS, query, METADATA | {"X-Forwarded-For": ""})
    assert answer.status == 400
    header = {"X-IDENTITY-HEADER": world.identity_header, "X-Forwarded-For": "127.0.0.1"}
    answer = await ask(world, APP_SERVICE, query | {"api-version": "2019-08-01"}, header)
    assert answer.status == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"api-version": ""},
        {"api-version": "latest"},
        {"resource": ""},
        {"resource": "https://vault.azure.net"},
        {"resource": "https://vault.localhost:8443/.default"},
        {"client_id": "00000000-0000-0000-0000-000000000000"},
        {"client_id": "x"},
        {"object_id": "00000000-0000-0000-0000-000000000000"},
        {"msi_res_id": OTHER_VM},
        {"msi_res_id": VM + "x"},
    ],
)
async def test_what_imds_does_not_know_is_400_and_never_404(world: World, changes: dict[str, str]) -> None:
    answer = await imds(world, **changes)
    assert answer.status == 400
    assert set(answer.json) == {"error", "error_description"}
    assert world.recorder.last.status == 400


async def test_an_unknown_identity_is_called_not_found(world: World) -> None:
    answer = await imds(world, client_id="00000000-0000-0000-0000-000000000000")
    assert answer.json == {"error": "invalid_request", "error_description": "Identity not found"}


async def test_an_identity_may_be_named_in_three_ways(world: World) -> None:
    machine = world.machine
    for name in (
        {"client_id": machine.application_id.upper()},
        {"object_id": machine.object_id},
        {"msi_res_id": VM.upper()},
        {"client_id": machine.application_id, "object_id": machine.object_id},
    ):
        assert (await imds(world, **name)).status == 200
    assert (await imds(world, client_id=machine.application_id, object_id=world.owner.object_id)).status == 400


async def test_a_second_identity_is_given_when_it_is_named(world: World) -> None:
    async with world.database.write() as tx:
        second, header = await bootstrap.create_managed_identity(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="second", resource_id=OTHER_VM
        )
    assert (await imds(world)).json["client_id"] == world.machine.application_id
    assert (await imds(world, msi_res_id=OTHER_VM)).json["client_id"] == second.application_id
    assert (await app_service(world, header.reveal())).json["client_id"] == second.application_id
    assert (await app_service(world, header.reveal(), client_id=world.machine.application_id)).status == 400


async def test_an_application_that_is_no_managed_identity_is_not_given(world: World) -> None:
    assert (await imds(world, client_id=world.owner.application_id)).status == 400


async def test_a_disabled_identity_is_not_given(world: World) -> None:
    async with world.database.write() as tx:
        await directory.set_enabled(tx, world.tenant.id, world.machine.object_id, False)
    assert (await imds(world)).status == 400
    assert (await app_service(world, world.identity_header)).status == 401


async def test_duplicated_parameters_are_refused(world: World) -> None:
    path = f"{IMDS}?api-version=2018-02-01&resource={world.vault}&resource={world.vault}"
    assert (await ask(world, path, {}, METADATA)).status == 400


async def test_app_service_gives_the_identity_of_its_header(world: World) -> None:
    answer = await app_service(world, world.identity_header)
    assert answer.status == 200
    assert set(answer.json) == {"access_token", "client_id", "expires_on", "not_before", "resource", "token_type"}
    claims = await world.claims(answer.json["access_token"])
    assert claims["oid"] == world.machine.object_id
    assert claims["cred"] == world.recorder.last.credential_id != ""
    assert (await app_service(world, world.identity_header, mi_res_id=VM)).status == 200


async def test_app_service_wants_its_header_and_its_version(world: World) -> None:
    for header in ("", "wrong", world.secret):
        answer = await app_service(world, header)
        assert answer.status == 401
        assert set(answer.json) == {"statusCode", "message"}
        assert answer.json["statusCode"] == 401
    assert (await app_service(world, world.identity_header, **{"api-version": "2017-09-01"})).status == 400


async def test_guessing_the_header_is_slowed_down_and_the_owner_still_gets_in(world: World) -> None:
    statuses = [(await app_service(world, "wrong")).status for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert (await app_service(world, world.identity_header)).status == 200


async def test_attempts_are_recorded_and_no_token_leaves_without_a_record(world: World) -> None:
    await imds(world)
    attempt = world.recorder.last
    assert (attempt.grant, attempt.result_code, attempt.client_id) == (
        "managed_identity",
        0,
        world.machine.application_id,
    )
    assert attempt.tenant_id == world.tenant.id
    world.recorder.is_full = True
    for answer in (await imds(world), await app_service(world, world.identity_header)):
        assert answer.status == 503
        assert "access_token" not in answer.text


async def test_nothing_is_given_unless_identities_are_configured(world: World) -> None:
    object.__setattr__(world.settings, "managed_identities", ())
    assert (await imds(world)).status == 400
    assert (await app_service(world, world.identity_header)).status == 401


async def test_other_paths_and_methods_are_not_served(world: World) -> None:
    for path in ("/", "/metadata/instance", "/msi/token/x", "/metadata/identity/oauth2/%74oken"):
        async with world.session.get(URL(world.identity_url + path, encoded=True), headers=METADATA) as response:
            assert response.status == 404
    async with world.session.post(world.identity_url + IMDS, headers=METADATA) as response:
        assert response.status == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8444", "localhost.evil.example", "127.0.0.1.nip.io", "["]
)
async def test_a_name_that_dns_points_at_loopback_is_refused(world: World, host: str) -> None:
    query = {"api-version": "2018-02-01", "resource": world.vault}
    assert (await ask(world, IMDS, query, METADATA | {"Host": host})).status == 400


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1:8444", "[::1]:8444", "localhost:8444"])
async def test_an_address_or_localhost_is_answered(world: World, host: str) -> None:
    query = {"api-version": "2018-02-01", "resource": world.vault}
    assert (await ask(world, IMDS, query, METADATA | {"Host": host})).status == 200


@pytest.mark.parametrize("target", ["/healthstatus", "/healthstatus?x=1"])
async def test_health_is_answered_without_any_header_and_is_no_attempt(world: World, target: str) -> None:
    for host in ("127.0.0.1:8444", "balancer.example"):
        async with world.session.get(world.identity_url + target, headers={"Host": host}) as response:
            assert (response.status, await response.json()) == (200, {})
    async with world.session.post(world.identity_url + target) as response:
        assert response.status == 404
    assert world.recorder.attempts == []


async def test_an_identity_that_is_added_while_the_service_runs_is_given_at_once(world: World) -> None:
    served = [VM]

    async def named(_: Transaction) -> tuple[str, ...]:
        return tuple(served)

    world.identity_endpoints._named = named
    async with world.database.write() as tx:
        other, _ = await bootstrap.create_managed_identity(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="later", resource_id=LATER
        )
    asked = {"msi_res_id": LATER.upper()}
    assert (await imds(world, **asked)).status == 400
    served.append(LATER)
    assert (await imds(world, **asked)).json["client_id"] == other.application_id
