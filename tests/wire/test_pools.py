"""The data plane of pools: the operations of its administration with each kind of wrong caller, and the form of its
answers. The operations on keys are in tests/refusals."""

import re
from typing import Any

import pytest

from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation
from hsmvault.model.roles import RoleAssignment
from hsmvault.wire.routes import Router
from tests.pipeline.world import LOGIN, MANAGEMENT, OBJECT_ID, OTHER_TENANT, POOL_RESOURCE, RESOURCE, TENANT, rsa_key
from tests.wire.service import POOLS, VERSION, Answer, Service

FOR_POOLS = [row for row in OPERATIONS if ContainerKind.POOL in row.served_by]
ADMINISTRATION = [row for row in FOR_POOLS if row.kind is Kind.ADMINISTRATION]
NOT_BUILT = [row for row in ADMINISTRATION if not row.path.startswith("/settings")]
NEWEST = "?api-version=2026-04-01"
CHALLENGE = f'Bearer authorization="{LOGIN}/{TENANT}", resource="{POOL_RESOURCE}"'
V = "0123456789abcdef0123456789abcdef"
ROUTER = Router(ContainerKind.POOL)


def host(pool: str) -> str:
    return f"{pool}.managedhsm.localhost:8443"


def target(row: Operation, scope: str = "") -> str:
    path = row.path.removeprefix("/{scope}") if "{scope}" in row.path else row.path
    return scope + path.replace("{name}", "key").replace("{version}", V)


async def answers(
    service: Service, rows: list[Operation] = ADMINISTRATION, pool: str = "devhsm", query: str = NEWEST, **more: Any
) -> dict[str, Answer]:
    """By the operation's name. The body is one that no operation takes: nobody may get so far as to read it."""
    return {
        row.name: await service.ask(row.method, target(row) + query, b"{not json", host=host(pool), **more)
        for row in rows
    }


def without_activity(answer: Answer) -> str:
    """The message, once it was seen to end in the id of the request."""
    end = f" (Activity ID: {answer.header('x-ms-request-id')})"
    assert answer.message.endswith(end), answer.message
    return answer.message.removesuffix(end)


# who may not


async def test_without_a_token_every_operation_answers_with_two_bytes_and_the_challenge(service: Service) -> None:
    for query in (NEWEST, "?", "?api-version=1.0"):
        for answer in (await answers(service, query=query, token=None)).values():
            assert (answer.status, answer.body) == (401, b"OK")
            assert answer.header("Content-Type") == "text/plain"
            assert answer.header("WWW-Authenticate") == CHALLENGE
    assert service.records() == []


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (f"Found token with aud={RESOURCE}, but expected aud={POOL_RESOURCE}", {"aud": RESOURCE}),
        (f"Found token with aud={MANAGEMENT}, but expected aud={POOL_RESOURCE}", {"aud": MANAGEMENT}),
        ("Token has expired", {"aud": POOL_RESOURCE, "exp": 1_750_000_000 - 60}),
        ("Token not yet valid", {"aud": POOL_RESOURCE, "nbf": 1_750_000_000 + 61}),
        ("AKV10049: The token's claim 'exp' is missing or not a number.", {"aud": POOL_RESOURCE, "exp": None}),
    ],
)
async def test_with_a_wrong_token_every_operation_answers_401_with_the_challenge(
    service: Service, message: str, changes: dict[str, object]
) -> None:
    for answer in (await answers(service, token=service.token(service.claims(**changes)))).values():
        assert (answer.status, answer.code, without_activity(answer)) == (401, "Unauthorized", message)
        assert answer.header("WWW-Authenticate") == CHALLENGE
        assert answer.header("Content-Type") == "application/json; charset=utf-8"


async def test_a_forged_token_and_one_of_another_tenant_are_refused(service: Service) -> None:
    forged = await answers(service, token=service.token(service.claims(aud=POOL_RESOURCE), key=rsa_key(2)))
    assert {without_activity(answer)[:8] for answer in forged.values()} == {"AKV10044"}
    theirs = await answers(service, pool="theirshsm")
    assert {(answer.status, without_activity(answer)[:8]) for answer in theirs.values()} == {(401, "AKV10032")}
    assert {answer.header("WWW-Authenticate") for answer in theirs.values()} == {
        CHALLENGE.replace(TENANT, OTHER_TENANT)
    }


async def test_from_a_blocked_address_every_operation_is_refused_by_the_firewall(service: Service) -> None:
    for answer in (await answers(service, pool="blockedhsm")).values():
        assert (answer.status, answer.inner) == (403, "ForbiddenByFirewall")
        assert "Client address: 127.0.0.1\r\n" in without_activity(answer)


async def test_without_a_role_every_operation_is_refused_before_its_body_is_read(service: Service) -> None:
    found = await answers(service, pool="emptyhsm")
    for row in ADMINISTRATION:
        answer = found[row.name]
        assert (answer.status, answer.code, answer.inner) == (403, "AccessDenied", None)
        on_key = "{name}" in row.path and row.path.startswith(("/keys/", "/deletedkeys/"))
        scope = "/keys/key" if on_key else "/keys" if row.path.startswith(("/keys", "/deletedkeys")) else "/"
        assert (
            without_activity(answer)
            == f"Not authorized to access Microsoft.KeyVault/managedHsm/{row.pool_action} on {scope}"
        )
    assert [record["operationName"] for record in service.records()] == [row.audit_name for row in ADMINISTRATION]
    assert {record["properties"]["httpStatusCode"] for record in service.records()} == {403}


async def test_roles_of_azure_rbac_give_nothing(service: Service) -> None:
    service.assignments.assignments = service.assignments.assignments[:1]  # an administrator of the subscription
    answer = await service.ask("GET", "/keys", host=host("devhsm"))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert (await service.ask("GET", "/keys")).status == 200


async def test_what_is_not_built_yet_says_so_only_to_who_may(service: Service) -> None:
    found = await answers(service, NOT_BUILT)
    for row in NOT_BUILT:
        answer = found[row.name]
        assert (answer.status, answer.code) == (501, "NotImplemented")
        assert without_activity(answer) == f"The operation {row.name} is not served yet."


async def test_an_operation_is_not_part_of_versions_before_it_came(service: Service) -> None:
    for row in ADMINISTRATION:
        answer = await service.ask(row.method, target(row) + "?api-version=2015-06-01", {}, host=host("devhsm"))
        assert (answer.status, answer.code) == (404, "NotFound")


# the form of answers


async def test_answers_of_a_pool_have_its_headers_and_no_others(service: Service) -> None:
    requests = {
        200: service.request("GET", "/keys?" + VERSION, host=host("devhsm")),
        401: service.request("GET", "/keys?" + VERSION, host=host("devhsm"), token=None),
        403: service.request("GET", "/keys?" + VERSION, host=host("emptyhsm")),
        404: service.request("GET", "/keys/none?" + VERSION, host=host("devhsm")),
    }
    for status, request in requests.items():
        (answer,) = await service.raw(request)
        assert answer.status == status
        assert answer.header("x-ms-keyvault-region") == "westeurope"
        assert answer.header("x-ms-keyvault-network-info") == (
            "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"
        )
        assert answer.header("x-ms-server-latency") == "0"  # the clock stands still
        assert answer.header("x-ms-build-version") == "1"
        assert answer.header("content-security-policy") == "default-src 'self'"
        assert answer.header("x-frame-options") == "SAMEORIGIN"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-ms-keyvault-service-version") is None


async def test_a_vault_has_none_of_the_headers_of_pools(service: Service) -> None:
    answer = await service.ask("GET", "/keys")
    assert answer.header("x-ms-keyvault-service-version") == "1"
    for name in ("x-ms-server-latency", "x-ms-build-version", "content-security-policy", "x-frame-options"):
        assert answer.header(name) is None


async def test_every_refusal_ends_in_the_activity_id_which_is_the_request_id(service: Service) -> None:
    for method, path, status, code, message in (
        (
            "GET",
            "/keys/none?" + VERSION,
            404,
            "KeyNotFound",
            "A key with (name/id) none was not found in this key vault",
        ),
        ("GET", "/deletedkeys/none?" + VERSION, 404, "KeyNotFound", "Deleted Key not found: none"),
        ("GET", "/keys?maxresults=99&" + VERSION, 400, "BadParameter", "Property maxresults has invalid value"),
        ("GET", "/keys?x=1", 400, "BadParameter", "api-version must be specified"),
        ("GET", "/secrets?" + VERSION, 404, "NotFound", "The requested resource does not exist."),
        ("PATCH", "/keys?" + VERSION, 405, "MethodNotAllowed", "The HTTP method is not allowed for this resource."),
    ):
        answer = await service.ask(method, path, host=host("devhsm"))
        assert (answer.status, answer.code) == (status, code), answer.body
        assert without_activity(answer).startswith(message)
        assert "\r\n (" not in answer.message
    request_ids = [record["properties"]["requestId"] for record in service.records()]
    assert request_ids[-1] == answer.header("x-ms-request-id")


async def test_what_nobody_expected_is_a_500_with_the_activity_id(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr("hsmvault.wire.data_plane.check_segments", fail)
    answer = await service.ask("GET", "/keys", host=host("devhsm"))
    assert (answer.status, without_activity(answer)) == (500, "An error has occurred.")


async def test_a_pool_that_is_not_there_is_404_and_a_vault_is_none(service: Service) -> None:
    for name in ("nobody", "dev"):
        for token in (None, "good"):
            answer = await service.ask("GET", "/keys", host=host(name), token=token)
            assert (answer.status, answer.code) == (404, "ManagedHsmNotFound")
            assert without_activity(answer) == f"The managed HSM '{name}' was not found."
    assert (await service.ask("GET", "/keys", host="devhsm.vault.localhost:8443")).code == "VaultNotFound"


async def test_records_name_the_pool_as_a_resource(service: Service) -> None:
    await service.ask("GET", "/keys/k", host=host("devhsm"))
    await service.ask("GET", "/nothing", host=host("devhsm"))
    first, second = service.records()
    assert first["resourceId"].endswith("/PROVIDERS/MICROSOFT.KEYVAULT/MANAGEDHSMS/DEVHSM")
    assert first["properties"]["requestUri"] == "https://devhsm.managedhsm.localhost:8443/keys/k"
    assert (second["operationName"], second["properties"]["httpStatusCode"]) == ("Unknown", 404)


# paths


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/keys/a_b"),
        ("GET", "/keys/" + "k" * 128),
        ("GET", "/keys/%6b"),
        ("GET", "/keys/k/x"),
        ("GET", f"/keys/k/{V}0"),
        ("POST", "/keys/k/xyz/sign"),
        ("GET", "/keys/k/x/y/z"),
        ("GET", "/deletedkeys/a_b"),
        ("GET", "/deletedkeys/k/x"),
        ("GET", "/keys/a_b/providers/Microsoft.Authorization/roleAssignments"),
    ],
)
async def test_a_path_that_names_no_key_is_an_invalid_key_identifier(service: Service, method: str, path: str) -> None:
    answer = await service.ask(method, path, host=host("devhsm"))
    assert (answer.status, answer.code) == (400, "Invalidkeyidentifier")
    assert without_activity(answer) == "Invalid key identifier"
    assert (await service.ask(method, path, host=host("devhsm"), token=None)).body == b"OK"


@pytest.mark.parametrize("row", FOR_POOLS, ids=lambda row: row.name)
def test_every_operation_of_a_pool_has_its_route(row: Operation) -> None:
    scopes = {"/": "", "/keys": "/keys", "/keys/my-key": "/keys/my-key"} if "{scope}" in row.path else {None: ""}
    for scope, begin in scopes.items():
        for slashes in ("", "//"):
            match = ROUTER.find(row.method, slashes + target(row, begin))
            assert match is not None and match.operation is row
            assert match.scope == scope
            assert match.name == ("key" if "{name}" in row.path else "")
            assert match.version == (V if "{version}" in row.path else None)


@pytest.mark.parametrize(
    ("method", "path", "operation", "object_name"),
    [
        ("GET", "/providers/Microsoft.Authorization/roleAssignments", "role_assignments_list_for_scope", ""),
        ("PUT", "///providers/Microsoft.Authorization/roleAssignments/r", "role_assignments_create", ""),
        ("PUT", "/keys/providers/Microsoft.Authorization/roleAssignments/r", "role_assignments_create", ""),
        ("PUT", "/keys/k/providers/Microsoft.Authorization/roleAssignments/r", "role_assignments_create", "k"),
        ("GET", "/keys/restore/providers/Microsoft.Authorization/roleDefinitions", "role_definitions_list", "restore"),
        ("GET", "/backup/0123/pending", "full_backup_status", ""),
        ("PUT", "/keys/k/restore", "selective_key_restore_operation", "k"),
        ("GET", "/settings/s", "get_setting", ""),
        ("DELETE", "/deletedkeys/k", "purge_deleted_key", "k"),
        ("GET", "/keys/k//attestation", "get_key_attestation", "k"),
        ("POST", "/rng", "get_random_bytes", ""),
    ],
)  # fmt: skip
def test_a_permission_is_asked_for_the_key_or_for_the_pool(
    method: str, path: str, operation: str, object_name: str
) -> None:
    match = ROUTER.find(method, path)
    assert match is not None
    assert (match.operation.name, match.object_name) == (operation, object_name)


async def test_a_role_for_one_key_reaches_that_key_alone(service: Service) -> None:
    pool = next(one for one in service.assignments.assignments if one.scope.startswith("/local/"))
    container_id = pool.scope.rpartition("/")[2]
    service.assignments.assignments = [
        type(one)(one.id, local_roles.stored_scope(container_id, "/keys/mine"), one.role_id, one.principal_id)
        for one in service.assignments.assignments
        if one.scope.startswith("/local/")
    ]
    for path, status in (("/keys/mine", 404), ("/keys/MINE", 404), ("/keys/yours", 403), ("/keys", 403)):
        assert (await service.ask("GET", path, host=host("devhsm"))).status == status
    roles = "providers/Microsoft.Authorization/roleAssignments"
    for path, status in ((f"/keys/mine/{roles}", 501), (f"/keys/yours/{roles}", 403), (f"/{roles}", 403)):
        answer = await service.ask("GET", path, host=host("devhsm"))
        assert answer.status == status
    assert re.search(r"roleAssignments/read/action on / \(", answer.message)


# settings, and pools that nobody has activated


async def test_the_settings_of_a_pool_are_read_and_written(service: Service) -> None:
    where, setting = host("devhsm"), {"name": "AllowKeyManagementOperationsThroughARM", "type": "boolean"}
    listed = await service.ask("GET", f"/settings{NEWEST}", host=where)
    assert (listed.status, listed.json) == (200, {"settings": [{**setting, "value": "false"}]})
    path = f"/settings/{setting['name']}"
    changed = await service.ask("PATCH", path + NEWEST, {"value": "TRUE"}, host=where)
    assert (changed.status, changed.json) == (200, {**setting, "value": "true"})
    assert (await service.ask("GET", path.upper().replace("SETTINGS", "settings") + NEWEST, host=where)).json == {
        **setting,
        "value": "true",
    }
    for body, status in (({"value": "maybe"}, 400), ({"value": True}, 400), ({}, 400)):
        assert (await service.ask("PATCH", path + NEWEST, body, host=where)).status == status
    unknown = await service.ask("PATCH", f"/settings/AllowAll{NEWEST}", {"value": "true"}, host=where)
    assert (unknown.status, unknown.code) == (404, "SettingNotFound")
    assert (await service.ask("GET", f"/settings{NEWEST}", host=where)).json["settings"][0]["value"] == "true"


async def test_a_pool_that_is_not_activated_serves_its_security_domain_and_settings_alone(service: Service) -> None:
    everywhere = local_roles.stored_scope(POOLS["newhsm"].id, local_roles.ALL)
    service.assignments.assignments += [
        RoleAssignment(one.id, everywhere, one.id, OBJECT_ID) for one in pool_roles.BUILT_IN
    ]
    found = await answers(service, FOR_POOLS, "newhsm")
    for row in FOR_POOLS:
        answer = found[row.name]
        if row.path.startswith(("/securitydomain", "/settings")):
            assert answer.status in (200, 400, 404, 501), row.name
        else:
            assert (answer.status, answer.code, answer.inner) == (403, "Forbidden", "HsmNotActivated"), row.name
            assert "download its security domain" in without_activity(answer)
