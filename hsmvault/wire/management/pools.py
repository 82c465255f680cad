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
from hsmvault.resources.pools.settings import TYPE
from hsmvault.resources.vaults.rules import is_name
from hsmvault.resources.vaults.settings import Place
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.management import pool_answers as answers
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.operation_results import POOLS, accepted, poll_headers
from hsmvault.wire.management.pages import of_group
from hsmvault.wire.management.pool_bodies import CheckPoolName, patch_pool_settings, pool_settings
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.management.vaults import actor_of

READ: Final = "Microsoft.KeyVault/managedHSMs/read"


class PoolHandlers:
    def __init__(self, pools: Pools, deleted: DeletedPools, pages: ManagementPages, origin_of: OriginOf) -> None:
        self._pools = pools
        self._deleted = deleted
        self._pages = pages
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

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return self._shown(await self._pools.get(pool_place(request)))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        settings = pool_settings(request.body)
        return self._begun(request, await self._pools.put(pool_place(request), settings, actor_of(request)))

    async def _patch(self, request: ManagementRequest) -> WireAnswer:
        settings = patch_pool_settings(request.body)
        return self._begun(request, await self._pools.patch(pool_place(request), settings, actor_of(request)))

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        deleted = await self._pools.delete(pool_place(request))
        if deleted is None or deleted.operation is None:
            return WireAnswer(204, used=request.scope)
        return accepted(request, deleted.operation, POOLS, deleted.container.location)

    async def _list_of_group(self, request: ManagementRequest) -> WireAnswer:
        subscription, group = request.names["subscription"], request.names["group"]

        async def read(after: str, most: int) -> list[Container]:
            return await of_group(request, self._pools.of_group(subscription, group, after, most), [])

        return await self._pages.answer(
            request,
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{TYPE}",
            read,
            self._pool,
            _name_of,
            may_see=lambda row: request.may(READ, row.resource_id),
        )

    async def _list_of_subscription(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._pools.of_subscription(subscription, after, most)

        return await self._pages.answer(
            request,
            f"/subscriptions/{subscription}/providers/{TYPE}",
            read,
            self._pool,
            _name_of,
            may_see=lambda row: request.may(READ, row.resource_id),
        )

    async def _get_deleted(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        container = await self._deleted.get(names["subscription"], names["location"], names["pool"])
        return ok(answers.deleted_pool(container), container.resource_id)

    async def _list_deleted(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._deleted.page(subscription, after, most)

        path = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/deletedManagedHSMs"
        return await self._pages.answer(request, path, read, answers.deleted_pool, _name_of)

    async def _purge(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        operation = await self._deleted.purge(names["subscription"], names["location"], names["pool"])
        return accepted(request, operation, POOLS, names["location"])

    async def _check_name(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, CheckPoolName)
        members: dict[str, object] = {"nameAvailable": True}
        if not is_name(body.name):
            message = f"The managed HSM name '{body.name[:128]}' is invalid. {NAME_RULE}"
            members = {"nameAvailable": False, "reason": "AccountNameInvalid", "message": message}
        elif not await self._pools.is_name_free(body.name):
            message = f"The name '{body.name}' is already in use."
            members = {"nameAvailable": False, "reason": "AlreadyExists", "message": message}
        return ok(members, request.scope)

    async def _regions(self, request: ManagementRequest) -> WireAnswer:
        container = await self._pools.get(pool_place(request))
        return ok({"value": answers.regions(container)}, container.resource_id)

    def _begun(self, request: ManagementRequest, put: ChangedPool) -> WireAnswer:
        if put.operation is None:
            return self._shown(put.container)
        body = answers.pool(put.container, self._origin_of, provisioning_state="Provisioning")
        location, more = poll_headers(request, put.operation, POOLS, put.container.location)
        return WireAnswer(202, encode_body(body), put.container.resource_id, location=location, more=more)

    def _pool(self, container: Container) -> dict[str, object]:
        return answers.pool(container, self._origin_of)

    def _shown(self, container: Container) -> WireAnswer:
        return ok(self._pool(container), container.resource_id)


def pool_place(request: ManagementRequest) -> Place:
    """Where the pool of the path stands."""
    names = request.names
    return Place(request.tenant_id, names["subscription"], names["group"], names["pool"])


def _name_of(container: Container) -> str:
    return container.name
