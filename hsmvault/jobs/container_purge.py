"""Removes vaults and pools for good: when a purge was asked for, and at the end of their retention (audit name
VaultPurge or ManagedHsmPurge), and drops the rows of long-running operations that ended long ago.
"""

from typing import Final

from hsmvault.clock import Clock, Identifiers
from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import failure_of
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.container_removal import ContainerRemoval, begin_purge
from hsmvault.store import containers, management_operations
from hsmvault.store.database import Conflicted, Database

KEPT_SECONDS: Final = 86_400  # guessed: nobody polls an operation that long
_PAGE: Final = 50
_RETRY_SECONDS: Final = 60.0
_AUDIT_NAMES: Final = {ContainerKind.VAULT: "VaultPurge", ContainerKind.POOL: "ManagedHsmPurge"}


class PurgeContainers:
    """A container that fails is left to the next run, and does not keep the others waiting.

    It goes by the time that jobs trust (trusted_time.py): no jump of the clock ends a retention. The times of
    long-running operations are those of the wall clock, as whoever began them has written them.
    """

    name = "container-purge"
    interval_seconds = 300.0  # it is woken by operations; this is for the ends of retentions

    def __init__(
        self,
        database: Database,
        removal: ContainerRemoval,
        records: WorkRecords,
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._database = database
        self._removal = removal
        self._records = records
        self._clock = clock
        self._identifiers = identifiers

    async def run(self, turn: Turn) -> float | None:
        left: set[str] = set()
        while True:
            async with self._database.read() as tx:
                due = await containers.to_purge(tx, turn.now(), _PAGE + len(left))
            page = [one for one in due if one.id not in left]
            if not page:
                break
            for container in page:
                if not await turn.goes_on():
                    return None
                await self._records.ready()
                if not await self._purge(container, turn):
                    left.add(container.id)
        await self._drop_old(turn)
        return _RETRY_SECONDS if left else None

    async def _purge(self, container: Container, turn: Turn) -> bool:
        """Whether it is gone."""
        operation = _AUDIT_NAMES[container.kind]

        async def record() -> None:
            await self._records.done(container, operation, "/")

        try:
            marked = await self._marked(container, turn.now())
            if marked is None:
                return False
            return await self._removal.remove(marked, int(self._clock.now()), record, turn.goes_on)
        except Exception as error:  # one that cannot go must not keep the others
            refusal = failure_of(error, f"{container.kind.value} {container.name} was not purged")
            await self._records.failed(container, operation, "/", refusal)
            return False

    async def _marked(self, container: Container, now: int) -> Container | None:
        """From here on nobody recovers it. None: somebody has."""
        if container.purging:
            return container
        try:
            async with self._database.write() as tx:
                found = await containers.by_id(tx, container.id)
                if found is None or found.purge_at is None or found.purge_at > now:
                    return None
                await begin_purge(tx, found, self._identifiers, int(self._clock.now()))
                return await containers.by_id(tx, container.id)
        except Conflicted:
            return None

    async def _drop_old(self, turn: Turn) -> None:
        """All of them: callers begin operations as fast as they like."""
        before = int(self._clock.now()) - KEPT_SECONDS
        while await turn.goes_on():
            async with self._database.write() as tx:
                old = await management_operations.finished_before(tx, before, _PAGE)
                for one in old:
                    await management_operations.delete(tx, one.id)
            if len(old) < _PAGE:
                return
