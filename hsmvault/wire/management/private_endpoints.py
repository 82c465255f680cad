"""Private endpoint connections and private link resources of vaults and pools, and the reads of network security
perimeters, of which there are none.

Every answer is final: a connection that is deleted is gone when its answer comes, and no client has to poll.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from hsmvault.errors import NotFound
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.network import PrivateEndpointConnection
from hsmvault.pipeline.management import not_authorized
from hsmvault.resources.private_endpoints import (
    Home,
    NotApproved,
    PrivateEndpoints,
    WantedConnection,
    etag_of,
)
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest

_TYPE: Final = "Microsoft.KeyVault/{}/privateEndpointConnections"
_SEGMENTS: Final = {ContainerKind.VAULT: "vaults", ContainerKind.POOL: "managedHSMs"}
_GROUPS: Final = {ContainerKind.VAULT: "vault", ContainerKind.POOL: "managedhsm"}
_APPROVAL: Final = "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action"


class _Endpoint(msgspec.Struct, frozen=True):
    id: str | None = None


class _State(msgspec.Struct, frozen=True):
    """actionsRequired: it has one value, and is not read."""

    status: str | None = None
    description: str | None = None


class _Properties(msgspec.Struct, frozen=True):
    privateEndpoint: _Endpoint | None = None
    privateLinkServiceConnectionState: _State | None = None


class _Body(msgspec.Struct, frozen=True):
    properties: _Properties = _Properties()
    etag: str | None = None


class _ShownProperties(msgspec.Struct, frozen=True, omit_defaults=True):
    provisioningState: str
    privateLinkServiceConnectionState: Mapping[str, str]
    privateEndpoint: _Endpoint | None = None


class ConnectionItem(msgspec.Struct, frozen=True):
    """A connection in the body of its vault or pool."""

    id: str
    etag: str
    properties: _ShownProperties


class _Connection(msgspec.Struct, frozen=True):
    id: str
    name: str
    type: str
    location: str
    etag: str
    properties: _ShownProperties


def shown_connections(container: Container) -> list[ConnectionItem] | None:
    """privateEndpointConnections of a vault or pool; None when it has none."""
    return [
        ConnectionItem(_id(container, one), etag_of(one), _properties(one)) for one in container.connections
    ] or None


class PrivateEndpointHandlers:
    """suffix: of the hosts, for the DNS zones that private endpoints need."""

    def __init__(self, endpoints: PrivateEndpoints, suffix: str) -> None:
        self._endpoints = endpoints
        self._zones = {
            ContainerKind.VAULT: f"privatelink.vault.{suffix}",
            ContainerKind.POOL: f"privatelink.managedhsm.{suffix}",
        }

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        table: dict[str, ManagementHandler] = {
            prefix + name: handler
            for prefix in ("", "mhsm_")
            for name, handler in (
                ("private_endpoint_connections_get", self._get),
                ("private_endpoint_connections_put", self._put),
                ("private_endpoint_connections_delete", self._delete),
                ("private_endpoint_connections_list_by_resource", self._list),
            )
        }
        table["private_link_resources_list_by_vault"] = self._link_resources
        table["mhsm_private_link_resources_list_by_mhsm_resource"] = self._link_resources
        table["perimeter_configurations_list"] = self._no_perimeters
        table["perimeter_configurations_get"] = self._no_perimeter
        return table

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        container, connection = await self._endpoints.get(_home(request), request.names["name"])
        return ok(_shown(container, connection))

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        container = await self._endpoints.container(_home(request))
        return ok({"value": [_shown(container, connection) for connection in container.connections]})

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        home, body = _home(request), decode_request(request.body, _Body)
        said, state = body.properties.privateEndpoint, body.properties.privateLinkServiceConnectionState or _State()
        wanted = WantedConnection(None if said is None else said.id, state.status, state.description, body.etag)
        scope = request.scope.rpartition("/privateEndpointConnections/")[0] or request.scope

        async def may_approve() -> bool:
            """Pools have no action of their own for it: who may write a connection may approve it."""
            return home.kind is ContainerKind.POOL or await request.may(_APPROVAL, scope)

        try:
            container, connection = await self._endpoints.put(home, request.names["name"], wanted, may_approve)
        except NotApproved:
            raise not_authorized(request.caller, _APPROVAL, scope) from None
        return ok(_shown(container, connection))

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        deleted = await self._endpoints.delete(_home(request), request.names["name"])
        return WireAnswer(204) if deleted is None else ok(_shown(*deleted))

    async def _link_resources(self, request: ManagementRequest) -> WireAnswer:
        container = await self._endpoints.container(_home(request))
        group = _GROUPS[container.kind]
        return ok(
            {
                "value": [
                    {
                        "id": f"{container.resource_id}/privateLinkResources/{group}",
                        "name": group,
                        "type": f"Microsoft.KeyVault/{_SEGMENTS[container.kind]}/privateLinkResources",
                        "properties": {
                            "groupId": group,
                            "requiredMembers": ["default"],
                            "requiredZoneNames": [self._zones[container.kind]],
                        },
                    }
                ]
            }
        )

    async def _no_perimeters(self, request: ManagementRequest) -> WireAnswer:
        await self._endpoints.container(_home(request))
        return ok({"value": []})

    async def _no_perimeter(self, request: ManagementRequest) -> WireAnswer:
        await self._endpoints.container(_home(request))
        name = request.names["name"][:128]
        raise NotFound(f"The network security perimeter configuration '{name}' was not found.", code="ResourceNotFound")


def _home(request: ManagementRequest) -> Home:
    names = request.names
    kind = ContainerKind.POOL if "pool" in names else ContainerKind.VAULT
    name = names["pool"] if kind is ContainerKind.POOL else names["vault"]
    return Home(kind, request.tenant_id, names["subscription"], names["group"], name)


def _id(container: Container, connection: PrivateEndpointConnection) -> str:
    return f"{container.resource_id}/privateEndpointConnections/{connection.name}"


def _properties(connection: PrivateEndpointConnection) -> _ShownProperties:
    return _ShownProperties(
        "Succeeded",
        {
            "status": connection.status.value,
            "description": connection.description,
            "actionsRequired": connection.actions_required,
        },
        _Endpoint(connection.endpoint_id) if connection.endpoint_id else None,
    )


def _shown(container: Container, connection: PrivateEndpointConnection) -> _Connection:
    return _Connection(
        _id(container, connection),
        connection.name,
        _TYPE.format(_SEGMENTS[container.kind]),
        container.location,
        etag_of(connection),
        _properties(connection),
    )
