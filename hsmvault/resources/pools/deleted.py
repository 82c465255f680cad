"""Deleted pools: read, listed, and purged before their time. They are recovered by a PUT (pools.py).

A purge is a long-running operation: the call marks the pool, from then on nobody recovers it, and the job
(jobs/container_purge.py) removes everything in it, has its security world retired (app/retirement.py), and then removes
the pool itself.
"""

from hsmvault.clock import Clock, Identifiers
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.resources.container_removal import begin_purge
from hsmvault.resources.locations import folded_location
from hsmvault.resources.pools import refusals
from hsmvault.store import containers
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.management_operations import LongOperation


class DeletedPools:
    def __init__(self, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers

    async def get(self, subscription_id: str, location: str, name: str) -> Container:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return await _found(tx, subscription_id, location, name)

    async def page(self, subscription_id: str, after: str, most: int) -> list[Container]:
        """By name in lower case, behind the name `after`."""
        async with self._database.read() as tx:
            return await containers.deleted(tx, subscription_id.lower(), ContainerKind.POOL, after=after, most=most)

    async def purge(self, subscription_id: str, location: str, name: str) -> LongOperation:
        """Begin it; whoever asks again while it goes on gets the same operation.

        Raises NotFound, MethodNotAllowed under purge protection, Conflict when it is being recovered.
        """
        try:
            async with self._database.write() as tx:
                container = await _found(tx, subscription_id, location, name)
                if container.retention.purge_protection:
                    raise refusals.purge_protected()
                return await begin_purge(tx, container, self._identifiers, int(self._clock.now()))
        except Conflicted as error:
            raise refusals.changed_meanwhile(name) from error


async def _found(tx: Transaction, subscription_id: str, location: str, name: str) -> Container:
    container = await containers.find(tx, ContainerKind.POOL, name)
    if (
        container is None
        or container.deleted_at is None
        or container.subscription_id.lower() != subscription_id.lower()
        or folded_location(container.location) != folded_location(location)
    ):
        raise refusals.deleted_not_found(name[:128])
    return container
