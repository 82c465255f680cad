"""Private endpoint connections through the management plane: asked for, approved, rejected, taken away."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.network import ConnectionStatus, NetworkRules, PrivateEndpointConnection
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition
from hsmvault.resources.private_endpoints import PrivateEndpoints
from hsmvault.store import containers, role_definitions, roles
from hsmvault.wire.management.private_endpoints import PrivateEndpointHandlers
from tests.pipeline.world import TENANT, VAULT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import NOBODY, PROVIDER, READER, SUBSCRIPTION, ManagementService
from tests.wire.service import POOLS, Answer

ENDPOINT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/branch"
VAULT_ID, POOL_ID = f"{PROVIDER}/vaults/north", f"{PROVIDER}/managedHSMs/devhsm"
HOMES = [VAULT_ID, POOL_ID]
WRITER = "44444444-0000-0000-0000-00000000000d"


def body(status: str | None = None, description: str | None = None, **more: object) -> dict[str, object]:
    state = {"status": status, "description": description, "actionsRequired": "None"}
    given = {name: value for name, value in state.items() if value is not None}
    return {"properties": {"privateLinkServiceConnectionState": given, **more}}


def asked(endpoint: str = ENDPOINT, **more: object) -> dict[str, object]:
    return {"properties": {"privateEndpoint": {"id": endpoint}, **more}}


@pytest.fixture
async def service(govern: Govern) -> AsyncIterator[ManagementService]:
    """With a vault, a pool, and somebody who may write connections and not approve them."""
    definition = RoleDefinition(
        "99999999-0000-0000-0000-000000000001",
        "Connections",
        (Permission(("Microsoft.KeyVault/*/privateEndpointConnections/*",)),),
        assignable_scopes=(f"/subscriptions/{SUBSCRIPTION}",),
        tenant_id=TENANT,
    )
    assignment = RoleAssignment("w", f"/subscriptions/{SUBSCRIPTION}", definition.id, WRITER, tenant_id=TENANT)
    async with govern(
        lambda parts: [PrivateEndpointHandlers(PrivateEndpoints(parts.database, parts.clock), "localhost")]
    ) as service:
        async with service.database.write() as tx:
            for container in (VAULT, POOLS["devhsm"]):
                await containers.insert(tx, replace(container, resource_group="rg"))
            await role_definitions.insert(tx, definition)
            await roles.insert(tx, assignment)
        yield service


async def stored(service: ManagementService, home: str) -> Container:
    kind = ContainerKind.VAULT if home is VAULT_ID else ContainerKind.POOL
    async with service.database.read() as tx:
        found = await containers.find(tx, kind, home.rpartition("/")[2])
    assert found is not None
    return found


async def put(service: ManagementService, home: str, content: object, name: str = "one", **more: str) -> Answer:
    return await service.ask("PUT", f"{home}/privateEndpointConnections/{name}", content, **more)


@pytest.mark.parametrize("home", HOMES)
async def test_the_life_of_a_connection(service: ManagementService, home: str) -> None:
    path = f"{home}/privateEndpointConnections"
    assert (await service.ask("GET", path)).json == {"value": []}
    answer = await put(service, home, asked(privateLinkServiceConnectionState={"status": "Pending"}))
    assert answer.status == 200
    made = answer.json
    assert made["id"] == f"{home}/privateEndpointConnections/one"
    assert made["type"] == f"Microsoft.KeyVault/{home.split('/')[-2]}/privateEndpointConnections"
    assert made["etag"]
    assert made["properties"] == {
        "provisioningState": "Succeeded",
        "privateLinkServiceConnectionState": {"status": "Pending", "description": "", "actionsRequired": "None"},
        "privateEndpoint": {"id": ENDPOINT},
    }
    assert (await service.ask("GET", path + "/ONE")).json == made
    assert (await service.ask("GET", path)).json == {"value": [made]}
    # as `az keyvault private-endpoint-connection approve` does: read, changed, put
    made["properties"]["privateLinkServiceConnectionState"] |= {"status": "Approved", "description": "good"}
    approved = (await put(service, home, made, "ONE")).json
    assert approved["name"] == "one"
    assert approved["properties"]["privateLinkServiceConnectionState"]["status"] == "Approved"
    assert approved["etag"] != made["etag"]
    (connection,) = (await stored(service, home)).connections
    assert (connection.status, connection.description) == (ConnectionStatus.APPROVED, "good")
    assert (await put(service, home, body("rejected"))).status == 200
    (connection,) = (await stored(service, home)).connections
    assert (connection.status, connection.description) == (ConnectionStatus.REJECTED, "good")
    gone = await service.ask("DELETE", path + "/one")
    assert (gone.status, gone.json["name"]) == (200, "one")
    assert (await service.ask("DELETE", path + "/one")).status == 204
    assert (await service.ask("GET", path + "/one")).code == "ResourceNotFound"
    assert (await stored(service, home)).connections == ()


async def test_who_asks_and_may_approve_is_in_at_once_and_another_waits(service: ManagementService) -> None:
    assert (await put(service, VAULT_ID, asked(), "ours")).json["properties"]["privateLinkServiceConnectionState"][
        "status"
    ] == "Approved"
    for number, wanted in enumerate((asked(), asked(privateLinkServiceConnectionState={"status": "Approved"}))):
        answer = await put(service, VAULT_ID, wanted, f"w{number}", token=service.of(WRITER))
        assert answer.json["properties"]["privateLinkServiceConnectionState"]["status"] == "Pending"


async def test_approval_has_a_right_of_its_own(service: ManagementService) -> None:
    await put(service, VAULT_ID, asked(), token=service.of(WRITER))
    answer = await put(service, VAULT_ID, body("Approved"), token=service.of(WRITER))
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")
    assert "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action" in answer.message
    assert VAULT_ID + "'" in answer.message
    assert (await stored(service, VAULT_ID)).connections[0].status is ConnectionStatus.PENDING
    assert (await put(service, VAULT_ID, body("Rejected"), token=service.of(WRITER))).status == 200
    assert (await put(service, VAULT_ID, body("Approved"))).status == 200
    assert (await put(service, VAULT_ID, body(description="seen"), token=service.of(WRITER))).status == 200
    assert (await stored(service, VAULT_ID)).connections[0].description == "seen"


async def test_without_the_action_nothing_is_shown_or_changed(service: ManagementService) -> None:
    for home in HOMES:
        for principal, method in ((NOBODY, "GET"), (NOBODY, "PUT"), (READER, "PUT"), (READER, "DELETE")):
            path = f"{home}/privateEndpointConnections/one"
            content = asked() if method == "PUT" else None
            answer = await service.ask(method, path, content, token=service.of(principal))
            assert (answer.status, answer.code) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    "content",
    [
        asked("branch"),
        asked(ENDPOINT + "/more"),
        asked(ENDPOINT, privateLinkServiceConnectionState={"status": "Perhaps"}),
        asked(ENDPOINT, privateLinkServiceConnectionState={"description": "d" * 1025}),
        {"properties": {"privateEndpoint": {"id": 7}}},
        {"properties": []},
        b"no JSON",
    ],
)
async def test_what_cannot_be_read_changes_nothing(service: ManagementService, content: object) -> None:
    answer = await put(service, VAULT_ID, content)
    assert answer.status == 400
    assert answer.code in ("BadRequest", "InvalidRequestContent")
    assert (await stored(service, VAULT_ID)).connections == ()


async def test_what_is_not_there_is_not_found(service: ManagementService) -> None:
    assert (await put(service, VAULT_ID, body("Approved"))).code == "ResourceNotFound"
    for home, code in (
        (f"{PROVIDER}/vaults/other", "ResourceNotFound"),
        (f"{PROVIDER}/managedHSMs/north", "ResourceNotFound"),
        (VAULT_ID.replace("/rg/", "/other/"), "ResourceGroupNotFound"),
    ):
        for method, content in (("GET", None), ("PUT", asked()), ("DELETE", None)):
            answer = await service.ask(method, f"{home}/privateEndpointConnections/one", content)
            assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize("name", ["%20", "-", "a%3Cb", "x" * 81])
async def test_a_name_has_a_form(service: ManagementService, name: str) -> None:
    assert (await put(service, VAULT_ID, asked(), name)).code == "BadRequest"


async def test_a_connection_keeps_its_endpoint_and_an_old_etag_is_refused(service: ManagementService) -> None:
    first = (await put(service, VAULT_ID, asked())).json
    assert (await put(service, VAULT_ID, asked(ENDPOINT + "2"))).code == "BadRequest"
    assert (await put(service, VAULT_ID, first)).json == first
    await put(service, VAULT_ID, body("Rejected"))
    answer = await put(service, VAULT_ID, first)
    assert (answer.status, answer.code) == (409, "Conflict")
    assert (await stored(service, VAULT_ID)).connections[0].status is ConnectionStatus.REJECTED


async def test_there_is_room_for_64(service: ManagementService) -> None:
    full = tuple(PrivateEndpointConnection(f"c{n}", ENDPOINT, ConnectionStatus.PENDING) for n in range(64))
    async with service.database.write() as tx:
        await containers.update(tx, replace(await stored(service, VAULT_ID), connections=full))
    assert "64" in (await put(service, VAULT_ID, asked())).message
    assert (await put(service, VAULT_ID, body("Approved"), "c63")).status == 200


@pytest.mark.parametrize(
    ("home", "group", "zone"), [(VAULT_ID, "vault", "vault"), (POOL_ID, "managedhsm", "managedhsm")]
)
async def test_a_private_link_resource_names_group_and_zone(
    service: ManagementService, home: str, group: str, zone: str
) -> None:
    (only,) = (await service.ask("GET", f"{home}/privateLinkResources")).json["value"]
    assert only["properties"] == {
        "groupId": group,
        "requiredMembers": ["default"],
        "requiredZoneNames": [f"privatelink.{zone}.localhost"],
    }


async def test_there_are_no_network_security_perimeters(service: ManagementService) -> None:
    path = f"{VAULT_ID}/networkSecurityPerimeterConfigurations"
    assert (await service.ask("GET", path)).json == {"value": []}
    assert (await service.ask("GET", path + "/one")).code == "ResourceNotFound"


async def test_no_firewall_of_a_container_stands_before_the_management_plane(service: ManagementService) -> None:
    for home in HOMES:
        async with service.database.write() as tx:
            await containers.update(tx, replace(await stored(service, home), network=NetworkRules.closed()))
        assert (await put(service, home, asked())).status == 200
