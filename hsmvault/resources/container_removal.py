"""The end of a vault or pool: everything in it goes, then what others know of it, then its own row.

It goes on in pieces, each of which is one transaction, so that nobody waits for long and a crash loses nothing: what is
gone is gone, what is left is found again. The row of the container goes in the transaction that sees that nothing is
left, and from then on no request that is still on its way makes anything in it: its rows would name a container that is
not there. Token objects of resident keys go behind the transaction that removes their rows, which also holds the intent
to destroy them (custody/intents.py).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from hsmvault.clock import Identifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.model import local_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.keys import KeyVersion
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.store import container_contents as contents
from hsmvault.store import containers, diagnostic_settings, keys, management_operations, roles
from hsmvault.store.database import Database, Transaction
from hsmvault.store.management_operations import LongOperation, OperationStatus

LOG = logging.getLogger("hsmvault.containers")
PURGE: Final = "purge"
"""Kind of the long-running operation that removes a container for good."""
_PIECE: Final = 25  # names in one transaction

GoesOn = Callable[[], Awaitable[bool]]
Record = Callable[[], Awaitable[None]]
Last = Callable[[Container], Awaitable[None]]
"""What a kind of container needs done outside the database before its row goes; may be called again after a crash."""


async def begin_purge(tx: Transaction, container: Container, identifiers: Identifiers, now: int) -> LongOperation:
    """Mark a deleted vault or pool as one that nobody recovers any more. now: seconds since 1970 UTC.

    Returns the operation that is going on, or a new one. Raises Conflicted.
    """
    if container.purging:
        going_on = [
            one for one in await management_operations.of_container(tx, container.id, PURGE) if one.finished is None
        ]
        if going_on:
            return going_on[0]
    else:
        await containers.update(tx, replace(container, purging=True))
    operation = LongOperation(
        id=identifiers.guid(),
        tenant_id=container.tenant_id,
        subscription_id=container.subscription_id,
        kind=PURGE,
        container_id=container.id,
        target=container.resource_id,
        created=now,
    )
    await management_operations.insert(tx, operation)
    return operation


class ContainerRemoval:
    """last: by kind of container."""

    def __init__(
        self,
        database: Database,
        custodians: Custodians,
        intents: Intents,
        *,
        last: Mapping[ContainerKind, Last] | None = None,
    ) -> None:
        self._database = database
        self._custodians = custodians
        self._intents = intents
        self._last = dict(last or {})

    async def remove(self, container: Container, now: int, record: Record, goes_on: GoesOn) -> bool:
        """container: marked as purging. now: seconds since 1970 UTC. record: accepted before the last commit.

        False: asked to stop, or somebody else has removed it. Raises Unavailable, Throttled: then it is to be tried
        again.
        """
        while True:
            if not await self._remove_objects(container, goes_on):
                return False
            if (last := self._last.get(container.kind)) is not None:
                await last(container)
            async with self._database.write() as tx:
                if not await contents.is_empty(tx, container.id):
                    continue  # a request that was on its way when the container was deleted has made something
                return await self._remove_row(tx, container, now, record)

    async def _remove_objects(self, container: Container, goes_on: GoesOn) -> bool:
        for kind in contents.KINDS:
            while True:
                if not await goes_on():
                    return False
                removed = await self._piece(container.id, kind)
                if removed is None:
                    break
                for row in removed:
                    await self._destroy(container, row)
        return True

    async def _piece(self, container_id: str, kind: str) -> list[KeyVersion] | None:
        """Remove some names. Returns the versions of keys that were removed; None when no name was left."""

        async def work(tx: Transaction) -> list[KeyVersion] | None:
            names = await contents.names(tx, kind, container_id, _PIECE)
            removed: list[KeyVersion] = []
            for name in names:
                if kind == contents.KEYS:
                    versions = await keys.versions(tx, container_id, name)
                    for row in versions:
                        await self._intents.give_up(tx, held_by(row))
                    removed += versions
                await contents.remove(tx, kind, container_id, name)
            return removed if names else None

        return await self._database.write_at_once(work)

    async def _destroy(self, container: Container, row: KeyVersion) -> None:
        """What fails here is left to the next start: no row has it, and an intent names it."""
        try:
            custodian = self._custodians.holding(container, row.custody)
            await custodian.destroy(held_by(row), binding_of(container.id, row.name, row.version))
        except Exception:
            LOG.warning("material of %s/%s could not be destroyed", row.name, row.version, exc_info=True)

    async def _remove_row(self, tx: Transaction, container: Container, now: int, record: Record) -> bool:
        await contents.remove_rest(tx, container.id)
        await roles.delete_at(tx, container.resource_id)
        if container.kind is ContainerKind.POOL:
            await roles.delete_at(tx, local_roles.stored_scope(container.id, local_roles.ALL))
        await diagnostic_settings.delete_all(tx, container.resource_id)
        for operation in await management_operations.of_container(tx, container.id, PURGE):
            await management_operations.finish(tx, operation.id, OperationStatus.SUCCEEDED, now)
        if not await containers.delete(tx, container):
            return False
        await record()
        return True
