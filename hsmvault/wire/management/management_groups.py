"""Management groups on the wire (Microsoft.Management, 2020-05-01 and 2021-04-01)."""

from collections.abc import Mapping

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.management import MANAGEMENT
from hsmvault.model.subscriptions import ManagementGroup, Subscription, management_group_id
from hsmvault.pipeline.management import not_authorized
from hsmvault.resources.management_groups import ManagementGroups, Shown, name_of, stored_name
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest

_TYPE = f"{MANAGEMENT}/managementGroups"
_READ, _WRITE = f"{_TYPE}/read", f"{_TYPE}/write"
_ASSIGN = "Microsoft.Authorization/roleAssignments/write"
_MOST_LEVELS = 10


class _Parent(msgspec.Struct, frozen=True):
    id: str | None = None


class _Details(msgspec.Struct, frozen=True):
    parent: _Parent | None = None


class _Properties(msgspec.Struct, frozen=True, rename="camel"):
    display_name: str | None = None
    details: _Details | None = None


class _Put(msgspec.Struct, frozen=True):
    properties: _Properties | None = None


class _Patch(msgspec.Struct, frozen=True, rename="camel"):
    display_name: str | None = None
    parent_group_id: str | None = None


class ManagementGroupHandlers:
    def __init__(self, groups: ManagementGroups) -> None:
        self._groups = groups

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "management_groups_list": self._list,
            "management_groups_get": self._get,
            "management_groups_put": self._put,
            "management_groups_patch": self._patch,
            "management_groups_delete": self._delete,
            "management_group_subscriptions_list": self._subscriptions,
            "management_group_subscriptions_get": self._subscription,
            "management_group_subscriptions_put": self._move,
            "management_group_subscriptions_delete": self._take_out,
        }

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        shown = [
            _entry(group)
            for group in await self._groups.list_all(request.tenant_id)
            if await request.may(_READ, group.resource_id)
        ]
        return ok({"value": shown})

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        expand, recurse = request.query.get("$expand", "").lower(), request.query.get("$recurse", "").lower()
        if expand not in ("", "children", "path"):
            raise BadRequest("The value of $expand is invalid.", code="InvalidExpand")
        levels = 0 if expand != "children" else _MOST_LEVELS if recurse == "true" else 1
        found = await self._groups.get(request.tenant_id, request.names["name"], levels=levels)
        return ok(_shown(found, has_children=expand == "children"))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        properties = decode_request(request.body, _Put).properties or _Properties()
        parent = (
            None if properties.details is None or properties.details.parent is None else properties.details.parent.id
        )
        return await self._change(request, properties.display_name, None if not parent else name_of(parent))

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        await self._groups.get(request.tenant_id, request.names["name"])
        body = decode_request(request.body, _Patch)
        return await self._change(
            request, body.display_name, None if not body.parent_group_id else name_of(body.parent_group_id)
        )

    async def _change(self, request: ManagementRequest, display_name: str | None, parent: str | None) -> WireAnswer:
        """Asked for at the group; of a new one, and of where it moves to and from, at the parents. Whoever moves a
        group gives what is in it to those who have roles above its new place: that takes the right to give roles.
        """
        tenant_id, name = request.tenant_id, request.names["name"]
        found = await self._groups.find(tenant_id, name)
        asked: list[str] = []
        if found is None:
            asked.append(parent or tenant_id)
        else:
            asked.append(name)
            if parent is not None and stored_name(tenant_id, parent) != found.parent:
                asked += [parent, found.parent or tenant_id]
                await _permit(request, _ASSIGN, management_group_id(name))
        for one in asked:
            await _permit(request, _WRITE, management_group_id(one))
        return ok(_shown(await self._groups.put(tenant_id, name, display_name, parent, before=found)))

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        """Done when it is answered; clients take nothing but 202 and 204."""
        await self._groups.delete(request.tenant_id, request.names["name"])
        return WireAnswer(204)

    async def _subscriptions(self, request: ManagementRequest) -> WireAnswer:
        name = request.names["name"]
        found = await self._groups.subscriptions_of(request.tenant_id, name)
        return ok({"value": [_shown_subscription(name, one) for one in found]})

    async def _subscription(self, request: ManagementRequest) -> WireAnswer:
        name = request.names["name"]
        found = await self._groups.subscription_in(request.tenant_id, name, request.names["id"])
        return ok(_shown_subscription(name, found))

    async def _move(self, request: ManagementRequest) -> WireAnswer:
        """Whoever moves a subscription gives it to those who have roles at the group: that takes the right to give
        roles at the subscription."""
        found = await self._groups.subscription(request.tenant_id, request.names["id"])
        await _permit(request, _ASSIGN, found.resource_id)
        if found.management_group:
            await _permit(request, _WRITE, management_group_id(found.management_group))
        moved = await self._groups.move(request.tenant_id, request.names["name"], found.id)
        return ok(_shown_subscription(request.names["name"], moved))

    async def _take_out(self, request: ManagementRequest) -> WireAnswer:
        found = await self._groups.subscription(request.tenant_id, request.names["id"])
        await _permit(request, _ASSIGN, found.resource_id)
        was_there = await self._groups.take_out(request.tenant_id, request.names["name"], found.id)
        return WireAnswer(200 if was_there else 204)


async def _permit(request: ManagementRequest, action: str, resource_id: str) -> None:
    """Raises Forbidden."""
    if not await request.may(action, resource_id):
        raise not_authorized(request.caller, action, resource_id)


def _entry(group: ManagementGroup) -> dict[str, object]:
    return {
        "id": group.resource_id,
        "type": _TYPE,
        "name": group.name,
        "properties": {"tenantId": group.tenant_id, "displayName": group.display_name},
    }


def _shown(found: Shown, *, has_children: bool = False) -> dict[str, object]:
    group, parent = found.group, found.parent
    details: dict[str, object] = {"version": 1}
    if parent is not None:
        details["parent"] = {"id": parent.resource_id, "name": parent.name, "displayName": parent.display_name}
    properties: dict[str, object] = {
        "tenantId": group.tenant_id,
        "displayName": group.display_name,
        "details": details,
    }
    if has_children:
        properties["children"] = _children(found)
    return {"id": group.resource_id, "type": _TYPE, "name": group.name, "properties": properties}


def _children(found: Shown) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = [
        {
            "id": one.group.resource_id,
            "type": _TYPE,
            "name": one.group.name,
            "displayName": one.group.display_name,
            "children": _children(one),
        }
        for one in found.groups
    ]
    return groups + [
        {"id": one.resource_id, "type": "/subscriptions", "name": one.id, "displayName": one.display_name}
        for one in found.subscriptions
    ]


def _shown_subscription(group: str, subscription: Subscription) -> dict[str, object]:
    return {
        "id": f"{management_group_id(group)}/subscriptions/{subscription.id}",
        "type": f"{_TYPE}/subscriptions",
        "name": subscription.id,
        "properties": {
            "tenant": subscription.tenant_id,
            "displayName": subscription.display_name,
            "parent": {"id": management_group_id(group)},
            "state": subscription.state.value,
        },
    }
