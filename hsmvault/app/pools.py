"""Pools of the management plane, put together."""

from hsmvault.app.background import origin_by
from hsmvault.app.base import Base
from hsmvault.app.networks import named_networks
from hsmvault.app.served_worlds import ServedWorlds
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.pools.deleted import DeletedPools
from hsmvault.resources.pools.pools import PoolRules, Pools
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.operation_results import OperationResults
from hsmvault.wire.management.pool_keys import pool_key_handlers
from hsmvault.wire.management.pools import PoolHandlers


def make_pools(base: Base) -> Pools:
    """The life of pools."""
    settings = base.settings
    given = PoolRules(settings.locations, named_networks(settings).subnets)
    return Pools(base.database, base.clock, base.identifiers, given)


def pool_groups(base: Base, served: ServedWorlds, keys: Keys, pools: Pools) -> tuple[ManagementGroup, ...]:
    """Their handlers, and those that answer for long-running operations of every kind."""
    pages, origin_of = ManagementPages(served.default.sealer), origin_by(base.settings.names)
    deleted = DeletedPools(base.database, base.clock, base.identifiers)
    return (
        PoolHandlers(pools, deleted, pages, origin_of),
        pool_key_handlers(pools, keys, KeyRotation(base.database, keys, base.clock), pages, origin_of),
        OperationResults(base.database),
    )
