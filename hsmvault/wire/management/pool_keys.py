"""Keys of a pool as sub-resources, as those of a vault (vault_keys.py), where the administrators of the pool itself
allow it, by the setting AllowKeyManagementOperationsThroughARM of its data plane."""

from typing import Final

from hsmvault.errors import Forbidden
from hsmvault.model.containers import Container
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.pools.pool_settings import ARM_KEYS
from hsmvault.resources.pools.pools import Pools
from hsmvault.resources.pools.settings import TYPE
from hsmvault.wire.forms import POOL
from hsmvault.wire.management.container_handlers import place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.requests import ManagementRequest
from hsmvault.wire.management.vault_answers import OriginOf
from hsmvault.wire.management.vault_keys import KeyHandlers

_PREFIX: Final = "managed_hsm_keys"


def pool_key_handlers(
    pools: Pools, keys: Keys, rotation: KeyRotation, pages: ManagementPages, origin_of: OriginOf
) -> KeyHandlers:
    async def found(request: ManagementRequest) -> Container:
        container = await pools.get(place_of(request))
        POOL.require_activated(container)
        if not container.arm_keys:
            raise Forbidden(
                f"Key management operations through Azure Resource Manager are not allowed for the managed HSM "
                f"'{container.name}': its setting '{ARM_KEYS}' is false.",
                code="Forbidden",
            )
        return container

    return KeyHandlers(_PREFIX, f"{TYPE}/keys", found, keys, rotation, pages, origin_of)
