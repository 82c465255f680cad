"""Managed HSM pools over the wire of the management plane: their life, what is answered, and what is refused."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hsmvault.clock import RandomIdentifiers
from hsmvault.model import pool_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.resources.pools.deleted import DeletedPools
from hsmvault.resources.pools.pools import PoolRules, Pools
from hsmvault.store import containers, management_operations, roles, worlds
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.operation_results import OperationResults
from hsmvault.wire.management.pools import PoolHandlers
from tests.pipeline.world import OTHER_TENANT, TENANT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import GROUP, NOBODY, PROVIDER, READER, SUBSCRIPTION, ManagementService, Parts
from tests.wire.service import Answer

UNTOUCHED = [WorldState.SPARE, WorldState.SPARE, WorldState.FOUNDED]
ADMIN = "44444444-0000-0000-0000-0000000000aa"
POOL = f"{PROVIDER}/managedHSMs/North-1"
HERE = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault"
DELETED = f"{HERE}/locations/local/deletedManagedHSMs/north-1"
SUBNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/inner"


def body(**properties: Any) -> dict[str, Any]:
    more: dict[str, Any] = {
        name: properties.pop(name) for name in ("sku", "location", "tags", "identity") if name in properties
    }
    return {
        "location": "local",
        "sku": {"family": "B", "name": "Standard_B1"},
        **more,
        "properties": {"tenantId": TENANT, "initialAdminObjectIds": [ADMIN], **properties},
    }


def handlers(parts: Parts) -> Iterable[ManagementGroup]:
    pools = Pools(
        parts.database, parts.clock, parts.identifiers, PoolRules(("local", "other"), frozenset({SUBNET.lower()}))
    )
    deleted = DeletedPools(parts.database, parts.clock, parts.identifiers)
    pages = ManagementPages(parts.sealer)
    yield PoolHandlers(pools, deleted, pages, lambda pool: f"https://{pool.name}.managedhsm.localhost:8443")
    yield OperationResults(parts.database)


@pytest.fixture
async def service(govern: Govern) -> AsyncIterator[ManagementService]:
    """With two worlds to take, and one whose ceremony is not over."""
    async with govern(handlers) as service:
        async with service.database.write() as tx:
            for number, state in ((1, WorldState.SPARE), (2, WorldState.SPARE), (3, WorldState.FOUNDED)):
                name, token = f"pool-{number}", f"t{number}"
                row = WorldRow(f"w{number}", name, "Local", token, b"w", b"m", "wrapped", 0, state=state)
                await worlds.insert_world(tx, row)
        yield service


async def states(service: ManagementService) -> list[WorldState]:
    async with service.database.read() as tx:
        return [row.state for row in await worlds.worlds(tx) if row.name != "default"]


async def stored(service: ManagementService, name: str = "north-1") -> Container:
    async with service.database.read() as tx:
        found = await containers.find(tx, ContainerKind.POOL, name)
    assert found is not None
    return found


def path_of(url: str | None) -> str:
    assert url is not None
    return url.removeprefix("https://management.localhost:8443")


async def made(service: ManagementService, **properties: object) -> Container:
    answer = await service.ask("PUT", POOL, body(**properties))
    assert answer.status == 202, answer.body
    return await stored(service)


async def test_a_pool_is_made_by_a_long_running_operation_that_is_over_at_the_first_poll(
    service: ManagementService,
) -> None:
    begun = await service.ask("PUT", POOL, body(tags={"a": "b"}, softDeleteRetentionInDays="7"))
    assert begun.status == 202
    assert begun.json["properties"]["provisioningState"] == "Provisioning"
    assert begun.header("retry-after") == "1"
    assert begun.header("location") == begun.header("azure-asyncoperation")
    polled = await service.ask("GET", path_of(begun.header("location")))
    assert (polled.status, polled.json["status"]) == (200, "Succeeded")
    answer = await service.ask("GET", POOL.lower())
    assert answer.status == 200
    shown = answer.json
    assert shown.pop("systemData")["createdByType"] == "Application"
    assert shown == {
        "id": POOL,
        "name": "North-1",
        "type": "Microsoft.KeyVault/managedHSMs",
        "location": "local",
        "tags": {"a": "b"},
        "sku": {"family": "B", "name": "Standard_B1"},
        "properties": {
            "tenantId": TENANT,
            "initialAdminObjectIds": [ADMIN],
            "hsmUri": "https://north-1.managedhsm.localhost:8443/",
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 7,
            "provisioningState": "Succeeded",
            "statusMessage": "The Managed HSM is provisioned and ready to use.",
            "publicNetworkAccess": "Enabled",
            "regions": [{"name": "local", "provisioningState": "Succeeded", "isPrimary": True}],
            "securityDomainProperties": {
                "activationStatus": "NotActivated",
                "activationStatusMessage": shown["properties"]["securityDomainProperties"]["activationStatusMessage"],
            },
        },
    }
    pool = await stored(service)
    assert (pool.activated, pool.arm_keys, pool.world_id, pool.software_keys) == (False, False, "w1", False)
    assert await states(service) == [WorldState.SERVING, WorldState.SPARE, WorldState.FOUNDED]
    async with service.database.read() as tx:
        assigned = await roles.assignments_of(tx, [ADMIN])
    assert [(one.scope, pool_roles.BY_ID[one.role_id].name, one.tenant_id) for one in assigned] == [
        (f"/local/{pool.id}", "Managed HSM Administrator", TENANT)
    ]


async def test_the_same_put_again_changes_nothing_and_is_answered_at_once(service: ManagementService) -> None:
    before = await made(service)
    again = await service.ask("PUT", POOL, body())
    assert (again.status, again.json["properties"]["provisioningState"]) == (200, "Succeeded")
    assert await stored(service) == before


async def test_no_world_left_is_a_clear_refusal_and_changes_nothing(service: ManagementService) -> None:
    for name in ("one", "two"):
        assert (await service.ask("PUT", f"{PROVIDER}/managedHSMs/{name}", body())).status == 202
    answer = await service.ask("PUT", POOL, body())
    assert (answer.status, answer.code) == (409, "QuotaExceeded")
    async with service.database.read() as tx:
        assert await containers.find(tx, ContainerKind.POOL, "north-1") is None
        assert len(await roles.assignments_of(tx, [ADMIN])) == 2
    assert await states(service) == [WorldState.SERVING, WorldState.SERVING, WorldState.FOUNDED]


async def test_a_world_of_another_geography_is_not_taken(service: ManagementService) -> None:
    answer = await service.ask("PUT", POOL, body(location="Other"))
    assert (answer.status, answer.code) == (409, "QuotaExceeded")


async def test_two_pools_that_are_made_at_once_get_a_world_each(service: ManagementService) -> None:
    targets = [f"{PROVIDER}/managedHSMs/pool{number}" for number in range(4)]
    answers = await asyncio.gather(*(service.ask("PUT", target, body()) for target in targets))
    assert sorted(answer.status for answer in answers) == [202, 202, 409, 409]
    async with service.database.read() as tx:
        pools = [one for one in await containers.list_all(tx) if one.kind is ContainerKind.POOL]
    assert sorted(pool.world_id for pool in pools) == ["w1", "w2"]


async def test_what_may_change_is_changed_by_put_and_patch(service: ManagementService) -> None:
    await made(service)
    network = {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [{"value": "20.1.2.3"}],
        "serviceTags": [{"tag": "A"}],
    }
    answer = await service.ask("PATCH", POOL, {"properties": {"networkAcls": network, "enablePurgeProtection": True}})
    assert answer.status == 202
    shown = (await service.ask("GET", POOL)).json
    assert shown["properties"]["enablePurgeProtection"] is True
    assert shown["properties"]["networkAcls"] == {
        **network,
        "ipRules": [{"value": "20.1.2.3/32"}],
        "virtualNetworkRules": [],
    }
    identity = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/backup"
    assigned = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    assert (await service.ask("PATCH", POOL, {"identity": assigned, "tags": {"c": "d"}})).status == 202
    assert (await service.ask("PUT", POOL, body(publicNetworkAccess="disabled"))).status == 202
    shown = (await service.ask("GET", POOL)).json
    assert (shown["identity"], shown["tags"]) == (assigned, {})
    assert shown["properties"]["publicNetworkAccess"] == "Disabled"
    assert shown["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert (await service.ask("PATCH", POOL, {"identity": {"type": "None"}})).status == 202
    assert "identity" not in (await service.ask("GET", POOL)).json
    assert (await service.ask("PATCH", POOL, {})).status == 200


IMPOSSIBLE: list[tuple[dict[str, Any], int, str]] = [
    ({"initialAdminObjectIds": []}, 400, "BadRequest"),
    ({"initialAdminObjectIds": None}, 400, "BadRequest"),
    ({"initialAdminObjectIds": ["me"]}, 400, "BadRequest"),
    ({"initialAdminObjectIds": [f"44444444-0000-0000-0000-{n:012}" for n in range(51)]}, 400, "BadRequest"),
    ({"tenantId": OTHER_TENANT}, 400, "BadRequest"),
    ({"sku": None}, 400, "BadRequest"),
    ({"sku": {"family": "A", "name": "standard"}}, 400, "SkuNotSupported"),
    ({"sku": {"family": "C", "name": "Standard_B1"}}, 400, "SkuNotSupported"),
    ({"sku": {"family": "B", "name": "Standard_B2"}}, 400, "SkuNotSupported"),
    ({"location": None}, 400, "LocationRequired"),
    ({"location": "mars"}, 400, "LocationNotAvailableForResourceType"),
    ({"enableSoftDelete": False}, 400, "BadRequest"),
    ({"enablePurgeProtection": False}, 400, "BadRequest"),
    ({"softDeleteRetentionInDays": 6}, 400, "BadRequest"),
    ({"softDeleteRetentionInDays": 91}, 400, "BadRequest"),
    ({"softDeleteRetentionInDays": "long"}, 400, "BadRequest"),
    ({"softDeleteRetentionInDays": 7.5}, 400, "InvalidRequestContent"),
    ({"createMode": "clone"}, 400, "BadRequest"),
    ({"createMode": "recover"}, 404, "DeletedManagedHsmNotFound"),
    ({"publicNetworkAccess": "Sometimes"}, 400, "BadRequest"),
    ({"networkAcls": {"ipRules": [{"value": "10.0.0.1"}]}}, 400, "BadRequest"),
    ({"networkAcls": {"ipRules": [{"value": f"20.0.0.{n}"} for n in range(11)]}}, 400, "BadRequest"),
    (
        {"networkAcls": {"virtualNetworkRules": [{"id": SUBNET + "x"}]}},
        400,
        "SubnetsHaveNoServiceEndpointsConfigured",
    ),
    ({"regions": [{"name": "other"}]}, 400, "RegionNotSupported"),
    ({"identity": {"type": "SystemAssigned"}}, 400, "BadRequest"),
    ({"identity": {"type": "UserAssigned"}}, 400, "BadRequest"),
    ({"identity": {"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}}}, 400, "BadRequest"),
    ({"tags": {"a": 1}}, 400, "InvalidRequestContent"),
    ({"tags": {str(n): "" for n in range(51)}}, 400, "BadRequest"),
]


async def test_a_body_that_cannot_be_a_pool_is_refused_and_makes_nothing(service: ManagementService) -> None:
    for changes, status, code in IMPOSSIBLE:
        answer = await service.ask("PUT", POOL, body(**changes))
        assert (answer.status, answer.code) == (status, code), (changes, answer.body)
        assert set(answer.json["error"]) == {"code", "message"}
    assert await states(service) == UNTOUCHED


FIXED: list[tuple[dict[str, Any], str]] = [
    ({"sku": {"family": "B", "name": "Standard_B5v2"}}, "BadRequest"),
    ({"initialAdminObjectIds": [READER]}, "BadRequest"),
    ({"softDeleteRetentionInDays": 30}, "BadRequest"),
    ({"enablePurgeProtection": False}, "BadRequest"),
    ({"enableSoftDelete": False}, "BadRequest"),
    ({"tenantId": OTHER_TENANT}, "BadRequest"),
    ({"regions": [{"name": "local"}, {"name": "other"}]}, "RegionNotSupported"),
    ({"location": "other"}, "InvalidResourceLocation"),
]


async def test_what_never_changes_is_refused_in_put(service: ManagementService) -> None:
    before = await made(service, enablePurgeProtection=True)
    for changes, code in FIXED:
        answer = await service.ask("PUT", POOL, body(**changes))
        assert (answer.status, answer.code) == (409 if code == "InvalidResourceLocation" else 400, code), changes
    assert await stored(service) == before


async def test_a_bad_name_is_refused(service: ManagementService) -> None:
    for name in ("ab", "1abc", "abc-", "a--b", "a" * 25, "a_b_c"):
        answer = await service.ask("PUT", f"{PROVIDER}/managedHSMs/{name}", body())
        assert (answer.status, answer.code) == (400, "ManagedHsmNameNotValid")
        availability = await service.ask("POST", f"{HERE}/checkMhsmNameAvailability", {"name": name})
        assert (availability.json["nameAvailable"], availability.json["reason"]) == (False, "AccountNameInvalid")


async def test_a_name_is_one_pools_everywhere(service: ManagementService) -> None:
    async with service.database.write() as tx:
        await containers.insert(
            tx,
            Container(
                RandomIdentifiers().guid(), ContainerKind.POOL, "north-1", OTHER_TENANT, "s", "rg", "local", "w9"
            ),
        )
    answer = await service.ask("PUT", POOL, body())
    assert (answer.status, answer.code) == (409, "ManagedHsmAlreadyExists")
    assert (await service.ask("GET", POOL)).code == "ResourceNotFound"
    availability = await service.ask("POST", f"{HERE}/checkMhsmNameAvailability", {"name": "NORTH-1"})
    assert (availability.json["nameAvailable"], availability.json["reason"]) == (False, "AlreadyExists")
    assert (await service.ask("POST", f"{HERE}/checkMhsmNameAvailability", {"name": "free"})).json == {
        "nameAvailable": True
    }


async def test_a_pool_is_deleted_recovered_and_purged(service: ManagementService) -> None:
    before = await made(service)
    deleted = await service.ask("DELETE", POOL)
    assert (deleted.status, deleted.body, deleted.header("retry-after")) == (202, b"", "1")
    assert (await service.ask("GET", path_of(deleted.header("location")))).json["status"] == "Succeeded"
    assert (await service.ask("GET", POOL)).code == "ResourceNotFound"
    assert (await service.ask("DELETE", POOL)).status == 204
    listed = (await service.ask("GET", f"{HERE}/deletedManagedHSMs")).json["value"]
    found = (await service.ask("GET", DELETED)).json
    assert listed == [found]
    assert (found["type"], found["properties"]["mhsmId"]) == ("Microsoft.KeyVault/deletedManagedHSMs", POOL)
    refused = await service.ask("PUT", POOL, body())
    assert (refused.status, refused.code) == (409, "ConflictError")
    recovered = await service.ask("PUT", POOL, body(createMode="Recover"))
    assert recovered.status == 202
    after = await stored(service)
    assert replace(after, revision=before.revision, properties=before.properties) == before
    assert (await service.ask("PUT", POOL, body(createMode="recover"))).status == 200
    async with service.database.read() as tx:
        assert len(await roles.assignments_of(tx, [ADMIN])) == 1  # local roles are the pool's own, and come back
    await service.ask("DELETE", POOL)
    purged = await service.ask("POST", f"{DELETED}/purge")
    assert (purged.status, purged.body) == (202, b"")
    place = path_of(purged.header("location"))
    going_on = await service.ask("GET", place)
    assert (going_on.status, going_on.json["status"], going_on.header("retry-after")) == (202, "NotStarted", "1")
    assert path_of((await service.ask("POST", f"{DELETED}/purge")).header("location")) == place
    assert (await service.ask("PUT", POOL, body(createMode="recover"))).code == "ConflictError"


async def test_a_protected_pool_is_not_purged_before_its_time(service: ManagementService) -> None:
    await made(service, enablePurgeProtection=True)
    await service.ask("DELETE", POOL)
    answer = await service.ask("POST", f"{DELETED}/purge")
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert (await service.ask("GET", DELETED)).json["properties"]["purgeProtectionEnabled"] is True


async def test_lists_show_what_the_caller_may_read_page_by_page(service: ManagementService) -> None:
    for name in ("one", "two"):
        await service.ask("PUT", f"{PROVIDER}/managedHSMs/{name}", body())
    for path in (f"{PROVIDER}/managedHSMs", f"{HERE}/managedHSMs"):
        first = (await service.ask("GET", f"{path}?$top=1")).json
        second = (await service.ask("GET", path_of(first["nextLink"]))).json
        assert [pool["name"] for pool in (*first["value"], *second["value"])] == ["one", "two"]
        assert "nextLink" not in second
        assert (await service.ask("GET", path, token=service.of(NOBODY))).json == {"value": []}
    forged = await service.ask("GET", f"{HERE}/managedHSMs?$skiptoken=b25l")
    assert (forged.status, forged.code) == (400, "InvalidSkipToken")
    missing = await service.ask("GET", f"{PROVIDER.replace('/rg/', '/none/')}/managedHSMs")
    assert (missing.status, missing.code) == (404, "ResourceGroupNotFound")


async def test_regions_are_the_one_that_the_pool_is_in(service: ManagementService) -> None:
    await made(service)
    answer = await service.ask("GET", f"{POOL}/regions")
    assert answer.json == {"value": [{"name": "local", "provisioningState": "Succeeded", "isPrimary": True}]}


async def test_operations_of_others_are_not_there(service: ManagementService) -> None:
    begun = await service.ask("PUT", POOL, body())
    place = path_of(begun.header("location"))
    theirs = service.token(service.claims(aud="https://management.localhost:8443", tid=OTHER_TENANT))
    async with service.database.read() as tx:
        (operation,) = await management_operations.of_container(tx, (await stored(service)).id, "create")
    assert operation.id in place
    assert (await service.ask("GET", place, token=theirs)).status in (401, 403, 404)
    unknown = place.replace(operation.id, "0" * 32)
    assert (await service.ask("GET", unknown)).code == "OperationNotFound"


async def test_the_group_has_to_be_there_and_readers_make_nothing(service: ManagementService) -> None:
    target = POOL.replace("/rg/", "/none/")
    assert (await service.ask("PUT", target, body())).code == "ResourceGroupNotFound"
    answers: Sequence[Answer] = [
        await service.ask(method, POOL, body(), token=service.of(READER)) for method in ("PUT", "PATCH", "DELETE")
    ]
    assert [(answer.status, answer.code) for answer in answers] == [(403, "AuthorizationFailed")] * 3
    assert await states(service) == UNTOUCHED
