"""Resource groups, and the resources in them, on the wire."""

from collections.abc import Mapping

import msgspec

from hsmvault.errors import NotFound
from hsmvault.model import filters
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.subscriptions import ResourceGroup
from hsmvault.resources.inventory import TYPES, Inventory, passes_tags
from hsmvault.resources.resource_groups import ResourceGroups
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.pages import asked_items, asked_place, of_group, page_of
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest

_READ = "Microsoft.Resources/subscriptions/resourceGroups/read"
_BATCH = 200


class _Group(msgspec.Struct, frozen=True):
    location: str | None = None
    tags: dict[str, str] | None = None


class GroupHandlers:
    def __init__(self, groups: ResourceGroups, inventory: Inventory) -> None:
        self._groups = groups
        self._inventory = inventory

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "resource_groups_list": self._list,
            "resource_groups_get": self._get,
            "resource_groups_check_existence": self._exists,
            "resource_groups_put": self._put,
            "resource_groups_patch": self._patch,
            "resource_groups_delete": self._delete,
            "resources_list": self._resources,
            "resources_list_by_group": self._resources_of_group,
            "group_operation_results_get": self._operation_result,
        }

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        subscription_id, most = request.names["subscription"].lower(), asked_items(request)
        wanted = filters.parse(request.query.get("$filter", ""))
        after = asked_place(request)
        shown: list[dict[str, object]] = []
        while rows := await self._groups.page(subscription_id, after, _BATCH):
            for group in rows:
                after = group.name.lower()
                fields = {"name": after, "location": group.location.lower()}
                if passes_tags(wanted, fields, group.tags) and await request.may(_READ, group.resource_id):
                    shown.append(shown_group(group))
                    if len(shown) == most:
                        return page_of(request, f"/subscriptions/{subscription_id}/resourcegroups", shown, after)
        return page_of(request, "", shown, "")

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return ok(shown_group(await self._groups.get(request.names["subscription"], request.names["group"])))

    async def _exists(self, request: ManagementRequest) -> WireAnswer:
        """204 or 404, both without a body."""
        try:
            await self._groups.get(request.names["subscription"], request.names["group"])
        except NotFound:
            return WireAnswer(404)
        return WireAnswer(204)

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, _Group)
        put = await self._groups.put(
            request.names["subscription"], request.names["group"], body.location or "", body.tags or {}
        )
        return WireAnswer(201 if put.is_new else 200, encode_body(shown_group(put.group)))

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, _Group)
        return ok(
            shown_group(await self._groups.patch(request.names["subscription"], request.names["group"], body.tags))
        )

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        """Done when it is answered: what is in the group is soft-deleted, which takes no time."""
        await self._groups.delete(request.names["subscription"], request.names["group"], request.may)
        return WireAnswer(200)

    async def _operation_result(self, request: ManagementRequest) -> WireAnswer:
        """Nothing of ours is left to poll for: a deletion is done when it is answered."""
        raise NotFound(f"There is no operation '{request.names['id'][:64]}'.", code="OperationResultNotFound")

    async def _resources(self, request: ManagementRequest) -> WireAnswer:
        subscription_id = request.names["subscription"].lower()
        return await self._shown_resources(request, f"/subscriptions/{subscription_id}/resources", None)

    async def _resources_of_group(self, request: ManagementRequest) -> WireAnswer:
        """Raises NotFound for the group."""
        reading = self._groups.get(request.names["subscription"], request.names["group"])
        group = await of_group(request, reading, None)
        if group is None:
            return page_of(request, "", [], "")
        return await self._shown_resources(request, f"{group.resource_id}/resources", group.name)

    async def _shown_resources(self, request: ManagementRequest, path: str, group: str | None) -> WireAnswer:
        page = await self._inventory.page(
            request.names["subscription"].lower(),
            group,
            filters.parse(request.query.get("$filter", "")),
            request.may,
            asked_place(request),
            asked_items(request),
        )
        return page_of(request, path, [shown_resource(one) for one in page.containers], page.next)


def shown_group(group: ResourceGroup) -> dict[str, object]:
    return {
        "id": group.resource_id,
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": dict(group.tags),
        "properties": {"provisioningState": "Succeeded"},
    }


def shown_resource(container: Container) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": container.resource_id,
        "name": container.properties.shown_name or container.name,
        "type": TYPES[container.kind],
        "location": container.location,
        "tags": dict(container.tags),
    }
    if container.kind is ContainerKind.POOL and container.properties.sku_name:
        shown["sku"] = {"family": container.properties.sku_family, "name": container.properties.sku_name}
    return shown
