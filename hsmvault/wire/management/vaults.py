"""Handlers of vaults as resources: bodies become settings, the life of vaults does its work, answers come of it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from hsmvault.model.containers import Container
from hsmvault.resources.vaults import rules
from hsmvault.resources.vaults.access_policies import Change
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.refusals import NAME_RULE, bad
from hsmvault.resources.vaults.settings import TYPE, Actor, MaySwitch, Place
from hsmvault.resources.vaults.vaults import Vaults
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management import vault_answers as answers
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.pages import of_group
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.management.vault_bodies import CheckName, patch_settings, policies_of, put_settings

RBAC_BY_ITSELF_SINCE: Final = "2026-02-01"
"""api-version from which on a vault whose maker names no permission model has Azure RBAC."""
ASSIGN_ROLES: Final = "Microsoft.Authorization/roleAssignments/write"
READ: Final = "Microsoft.KeyVault/vaults/read"

_MOST_TOLD = 20  # principals in an audit record


class VaultHandlers:
    def __init__(self, vaults: Vaults, deleted: DeletedVaults, pages: ManagementPages, origin_of: OriginOf) -> None:
        self._vaults = vaults
        self._deleted = deleted
        self._pages = pages
        self._origin_of = origin_of
        self.table: Mapping[str, ManagementHandler] = {
            "vaults_get": self._get,
            "vaults_create_or_update": self._put,
            "vaults_update": self._patch,
            "vaults_delete": self._delete,
            "vaults_list_by_resource_group": self._list_of_group,
            "vaults_list_by_subscription": self._list_of_subscription,
            "vaults_update_access_policy": self._change_policies,
            "vaults_get_deleted": self._get_deleted,
            "vaults_purge_deleted": self._purge,
            "vaults_list_deleted": self._list_deleted,
            "vaults_check_name_availability": self._check_name,
        }

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return self._shown(await self._vaults.get(place_of(request)))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        put = await self._vaults.put(
            place_of(request),
            put_settings(request.body),
            actor_of(request),
            may_switch=_may_switch(request),
            rbac=request.served_as[:10] >= RBAC_BY_ITSELF_SINCE,
        )
        return self._shown(put.container)

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        settings = patch_settings(request.body)
        return self._shown(
            await self._vaults.patch(place_of(request), settings, actor_of(request), _may_switch(request))
        )

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        was_there = await self._vaults.delete(place_of(request))
        return WireAnswer(200 if was_there else 204, used=request.scope)

    async def _change_policies(self, request: ManagementRequest) -> WireAnswer:
        kind = next((one for one in Change if one.value == request.names["kind"].lower()), None)
        if kind is None:
            raise bad("The access policies of a vault are changed by add, replace or remove.")
        given = policies_of(request.body)
        container = await self._vaults.change_policies(place_of(request), kind, given, actor_of(request))
        told = ", ".join(sorted({policy.object_id for policy in given})[:_MOST_TOLD])
        return ok(answers.policies(container), container.resource_id, f"{kind.value} for {told}")

    async def _list_of_group(self, request: ManagementRequest) -> WireAnswer:
        subscription, group = request.names["subscription"], request.names["group"]
        path = quote(f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{TYPE}")

        async def read(after: str, most: int) -> list[Container]:
            return await of_group(request, self._vaults.of_group(subscription, group, after, most), [])

        return await self._pages.answer(
            request, path, read, self._vault, _name_of, may_see=lambda row: request.may(READ, row.resource_id)
        )

    async def _list_of_subscription(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._vaults.of_subscription(subscription, after, most)

        return await self._pages.answer(
            request,
            f"/subscriptions/{subscription}/providers/{TYPE}",
            read,
            self._vault,
            _name_of,
            may_see=lambda row: request.may(READ, row.resource_id),
        )

    async def _get_deleted(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        container = await self._deleted.get(names["subscription"], names["location"], names["vault"])
        return ok(answers.deleted_vault(container), container.resource_id)

    async def _list_deleted(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._deleted.page(subscription, after, most)

        path = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedVaults"
        return await self._pages.answer(request, path, read, answers.deleted_vault, _name_of)

    async def _purge(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        operation = await self._deleted.purge(names["subscription"], names["location"], names["vault"])
        poll = (
            f"{request.origin}/subscriptions/{names['subscription']}/providers/Microsoft.KeyVault/locations/"
            f"{quote(names['location'], safe='')}/operationResults/{operation.id}?api-version={request.api_version}"
        )
        return WireAnswer(202, used=operation.target, location=poll, more=(("Retry-After", "1"),))

    async def _check_name(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, CheckName)
        if body.type.lower() != TYPE.lower():
            raise bad(f"The value of the property 'type' is not valid: it is {TYPE}.")
        members: dict[str, object] = {"nameAvailable": True}
        if not rules.is_name(body.name):
            message = f"The vault name '{body.name[:128]}' is invalid. {NAME_RULE}"
            members = {"nameAvailable": False, "reason": "AccountNameInvalid", "message": message}
        elif not await self._vaults.is_name_free(body.name):
            message = f"The name '{body.name}' is already in use."
            members = {"nameAvailable": False, "reason": "AlreadyExists", "message": message}
        return ok(members, request.scope)

    def _vault(self, container: Container) -> dict[str, object]:
        return answers.vault(container, self._origin_of)

    def _shown(self, container: Container) -> WireAnswer:
        return ok(self._vault(container), container.resource_id)


def place_of(request: ManagementRequest) -> Place:
    """Where the vault of the path stands."""
    names = request.names
    return Place(request.tenant_id, names["subscription"], names["group"], names["vault"])


def actor_of(request: ManagementRequest) -> Actor:
    caller = request.caller
    return Actor(caller.upn, "User") if caller.upn else Actor(caller.application_id, "Application")


def _may_switch(request: ManagementRequest) -> MaySwitch:
    return lambda: request.may(ASSIGN_ROLES, place_of(request).resource_id)


def _name_of(container: Container) -> str:
    return container.name
