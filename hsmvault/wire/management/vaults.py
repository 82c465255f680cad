"""Handlers of vaults as resources: bodies become settings, the life of vaults does its work, answers come of it."""

from collections.abc import Mapping
from typing import Final

from hsmvault.model.containers import Container
from hsmvault.resources.vaults.access_policies import Change
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.refusals import NAME_RULE, bad
from hsmvault.resources.vaults.settings import TYPE, MaySwitch
from hsmvault.resources.vaults.vaults import Vaults
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management import vault_answers as answers
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_handlers import ContainerHandlers, KindOnWire, actor_of, place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.operation_results import VAULTS
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.management.vault_bodies import CheckName, patch_settings, policies_of, put_settings

RBAC_BY_ITSELF_SINCE: Final = "2026-02-01"
"""api-version from which on a vault whose maker names no permission model has Azure RBAC."""
ASSIGN_ROLES: Final = "Microsoft.Authorization/roleAssignments/write"
_KIND: Final = KindOnWire("vaults", "deletedVaults", VAULTS, "vault name", NAME_RULE)
_MOST_TOLD: Final = 20  # principals in an audit record


class VaultHandlers(ContainerHandlers):
    def __init__(self, vaults: Vaults, deleted: DeletedVaults, pages: ManagementPages, origin_of: OriginOf) -> None:
        def shown(container: Container) -> dict[str, object]:
            return answers.vault(container, origin_of)

        super().__init__(_KIND, vaults, deleted, pages, shown, answers.deleted_vault)
        self._vaults = vaults
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

    async def _check_name(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, CheckName)
        if body.type.lower() != TYPE.lower():
            raise bad(f"The value of the property 'type' is not valid: it is {TYPE}.")
        return await self._is_free(request, body.name)


def _may_switch(request: ManagementRequest) -> MaySwitch:
    return lambda: request.may(ASSIGN_ROLES, place_of(request).resource_id)
