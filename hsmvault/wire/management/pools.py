"""Handlers of managed HSM pools as resources: bodies become settings, the life of pools does its work, answers come of
it.

Whatever changes a pool is a long-running operation: 202 with the place to poll, which says at the first poll that it is
over. What changes nothing is answered with 200 at once.
"""

from collections.abc import Mapping
from typing import Final

from hsmvault.model.containers import Container
from hsmvault.resources.pools.deleted import DeletedPools
from hsmvault.resources.pools.pools import ChangedPool, Pools
from hsmvault.resources.pools.refusals import NAME_RULE
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.management import pool_answers as answers
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_handlers import ContainerHandlers, KindOnWire, actor_of, place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.operation_results import POOLS, accepted, poll_headers
from hsmvault.wire.management.pool_bodies import CheckPoolName, patch_pool_settings, pool_settings
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf

_KIND: Final = KindOnWire("managedHSMs", "deletedManagedHSMs", POOLS, "managed HSM name", NAME_RULE)


class PoolHandlers(ContainerHandlers):
    def __init__(self, pools: Pools, deleted: DeletedPools, pages: ManagementPages, origin_of: OriginOf) -> None:
        def shown(container: Container) -> dict[str, object]:
            return answers.pool(container, origin_of)

        super().__init__(_KIND, pools, deleted, pages, shown, answers.deleted_pool)
        self._pools = pools
        self._origin_of = origin_of
        self.table: Mapping[str, ManagementHandler] = {
            "managed_hsms_get": self._get,
            "managed_hsms_create_or_update": self._put,
            "managed_hsms_update": self._patch,
            "managed_hsms_delete": self._delete,
            "managed_hsms_list_by_resource_group": self._list_of_group,
            "managed_hsms_list_by_subscription": self._list_of_subscription,
            "managed_hsms_get_deleted": self._get_deleted,
            "managed_hsms_purge_deleted": self._purge,
            "managed_hsms_list_deleted": self._list_deleted,
            "managed_hsms_check_mhsm_name_availability": self._check_name,
            "mhsm_regions_list_by_resource": self._regions,
        }

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        settings = pool_settings(request.body)
        return self._begun(request, await self._pools.put(place_of(request), settings, actor_of(request)))

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        settings = patch_pool_settings(request.body)
        return self._begun(request, await self._pools.patch(place_of(request), settings, actor_of(request)))

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        deleted = await self._pools.delete(place_of(request))
        if deleted is None or deleted.operation is None:
            return WireAnswer(204, used=request.scope)
        return accepted(request, deleted.operation, POOLS, deleted.container.location)

    async def _check_name(self, request: ManagementRequest) -> WireAnswer:
        return await self._is_free(request, decode_request(request.body, CheckPoolName).name)

    async def _regions(self, request: ManagementRequest) -> WireAnswer:
        container = await self._pools.get(place_of(request))
        return ok({"value": answers.regions(container)}, container.resource_id)

    def _begun(self, request: ManagementRequest, put: ChangedPool) -> WireAnswer:
        if put.operation is None:
            return self._shown(put.container)
        body = answers.pool(put.container, self._origin_of, provisioning_state="Provisioning")
        location, more = poll_headers(request, put.operation, POOLS, put.container.location)
        return WireAnswer(202, encode_body(body), put.container.resource_id, location=location, more=more)
