"""Every operation of vaults that is not one on keys, with each kind of wrong caller: generated from the table, so that
none is forgotten. The operations on keys are in tests/refusals."""

from typing import Any

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation
from tests.pipeline.world import LOGIN, MANAGEMENT, OBJECT_ID, OTHER_TENANT, RESOURCE, TENANT, rsa_key
from tests.wire.service import Answer, Service

FOR_VAULTS = [row for row in OPERATIONS if ContainerKind.VAULT in row.served_by and row.kind is not Kind.KEYS]
VERSION = "0" * 32
NEWEST = "?api-version=2026-04-01"
CHALLENGE = f'Bearer authorization="{LOGIN}/{TENANT}", resource="{RESOURCE}"'


def target(row: Operation, name: str = "key") -> str:
    return row.path.replace("{name}", name).replace("{version}", VERSION)


async def answers(service: Service, rows: list[Operation], query: str = NEWEST, **more: Any) -> dict[str, Answer]:
    """By the operation's name. The body is one that no operation takes: nobody may get so far as to read it."""
    return {row.name: await service.ask(row.method, target(row) + query, b"{not json", **more) for row in rows}


def summary(found: dict[str, Answer]) -> set[tuple[int, str, str | None]]:
    return {(answer.status, answer.code, answer.inner) for answer in found.values()}


async def test_without_a_token_every_operation_answers_with_the_challenge(service: Service) -> None:
    for query in (NEWEST, "", "?api-version=1.0", "?api-version=7.4&api-version=7.4"):
        found = await answers(service, FOR_VAULTS, query or "?", token=None)
        assert summary(found) == {(401, "Unauthorized", None)}
        assert {answer.header("WWW-Authenticate") for answer in found.values()} == {CHALLENGE}
        assert {answer.message for answer in found.values()} == {"AKV10000: Request is missing a Bearer or PoP token."}


@pytest.mark.parametrize(
    ("prefix", "changes"),
    [
        ("AKV10032", {"iss": f"{LOGIN}/{OTHER_TENANT}/", "tid": OTHER_TENANT}),
        ("AKV10022", {"aud": MANAGEMENT}),
        ("AKV10022", {"aud": "https://vault.azure.net"}),
        ("AKV10040", {"exp": 1_750_000_000 - 60}),
        ("AKV10041", {"nbf": 1_750_000_000 + 61}),
        ("AKV10049", {"exp": None}),
        ("AKV10048", {"oid": "44444444-0000-0000-0000-000000000404"}),
    ],
)
async def test_with_a_wrong_token_every_operation_answers_401_with_the_challenge(
    service: Service, prefix: str, changes: dict[str, object]
) -> None:
    found = await answers(service, FOR_VAULTS, token=service.token(service.claims(**changes)))
    assert summary(found) == {(401, "Unauthorized", None)}
    assert {answer.header("WWW-Authenticate") for answer in found.values()} == {CHALLENGE}
    assert {answer.message[:8] for answer in found.values()} == {prefix}


async def test_with_a_forged_token_every_operation_answers_401(service: Service) -> None:
    found = await answers(service, FOR_VAULTS, token=service.token(key=rsa_key(2)))
    assert {answer.message for answer in found.values()} == {"AKV10044: The token's signature is not valid."}


async def test_a_token_of_this_tenant_is_no_token_in_another_ones_vault(service: Service) -> None:
    found = await answers(service, FOR_VAULTS, host="theirs.vault.localhost:8443")
    assert summary(found) == {(401, "Unauthorized", None)}
    assert {answer.header("WWW-Authenticate") for answer in found.values()} == {CHALLENGE.replace(TENANT, OTHER_TENANT)}


async def test_from_a_blocked_address_every_operation_is_refused_by_the_firewall(service: Service) -> None:
    found = await answers(service, FOR_VAULTS, host="blocked.vault.localhost:8443")
    assert summary(found) == {(403, "Forbidden", "ForbiddenByFirewall")}
    assert all("Client address: 127.0.0.1\r\n" in answer.message for answer in found.values())
    assert {row.name for row in FOR_VAULTS} == set(found)
    assert len({answer.message for answer in found.values()}) == 1


async def test_without_a_role_every_operation_is_refused_before_its_body_is_read(service: Service) -> None:
    found = await answers(service, FOR_VAULTS, host="empty.vault.localhost:8443")
    assert summary(found) == {(403, "Forbidden", "ForbiddenByRbac")}
    for row in FOR_VAULTS:
        message = found[row.name].message
        assert f"Action: 'Microsoft.KeyVault/vaults/{row.vault_action}'\r\n" in message
        name = "/" + row.kind.value + "/key" if "{name}" in row.path else ""
        assert f"/providers/microsoft.keyvault/vaults/empty{name}'\r\n" in message


async def test_without_a_permission_every_operation_is_refused_by_the_access_policies(service: Service) -> None:
    found = await answers(service, FOR_VAULTS, host="policies.vault.localhost:8443")
    assert summary(found) == {(403, "Forbidden", "ForbiddenByPolicy")}
    for row in FOR_VAULTS:
        assert f"does not have {row.kind.value} {row.permissions[0]} permission on" in found[row.name].message
        assert f"oid={OBJECT_ID}" in found[row.name].message


async def test_every_operation_is_served_to_who_may(service: Service) -> None:
    found = await answers(service, FOR_VAULTS)
    assert {answer.status for answer in found.values()} == {200, 400, 404}
    for row in FOR_VAULTS:
        answer = found[row.name]
        assert (answer.status == 200) is (row.method == "GET" and "value" in answer.json), row.name
        if answer.status == 400:
            assert answer.message == "The request body is not valid JSON.", row.name


async def test_every_refusal_is_recorded_with_the_operations_name(service: Service) -> None:
    await answers(service, FOR_VAULTS, host="empty.vault.localhost:8443")
    records = service.records()
    assert [record["operationName"] for record in records] == [row.audit_name for row in FOR_VAULTS]
    assert {record["properties"]["httpStatusCode"] for record in records} == {403}
    assert [record["sequence"] for record in records] == list(range(1, len(FOR_VAULTS) + 1))


async def test_an_operation_is_not_part_of_versions_before_it_came(service: Service) -> None:
    rows = [row for row in FOR_VAULTS if row.since != "2015-06-01"]
    for row in rows:
        answer = await service.ask(row.method, target(row) + "?api-version=2015-06-01", {})
        assert (answer.status, answer.code) == (404, "NotFound")
        assert answer.message == "The operation is not part of api-version 2015-06-01."


async def test_operations_of_pools_have_no_route_in_a_vault(service: Service) -> None:
    for row in OPERATIONS:
        if ContainerKind.VAULT not in row.served_by:
            answer = await service.ask(row.method, target(row).replace("/{scope}", "") + NEWEST, {})
            assert answer.status in (404, 405), row.name
