"""Purges keys at the end of their retention, protected or not (audit name KeyPurge)."""

from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import PAGE, failure_of
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import BY_NAME
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.keys import Keys
from hsmvault.store import containers
from hsmvault.store import keys as store
from hsmvault.store.database import Database

_OPERATION = BY_NAME["purge_deleted_key"].audit_name


class PurgeKeys:
    """A key that fails is left to the next run, and does not keep the others waiting."""

    name = "purge"
    interval_seconds = 300.0

    def __init__(self, database: Database, keys: Keys, records: WorkRecords) -> None:
        self._database = database
        self._keys = keys
        self._records = records

    async def run(self, turn: Turn) -> None:
        left: set[tuple[str, str]] = set()
        while True:
            async with self._database.read() as tx:
                page = await store.due_for_purge(tx, turn.now(), PAGE + len(left))
            page = [one for one in page if (one.container_id, one.folded) not in left]
            if not page:
                return
            for one in page:
                if not await turn.goes_on():
                    return
                await self._records.ready()
                if not await self._purge(one, turn.now()):
                    left.add((one.container_id, one.folded))

    async def _purge(self, one: KeyName, now: int) -> bool:
        """Whether it is gone by this."""
        async with self._database.read() as tx:
            container = await containers.by_id(tx, one.container_id)
        assert container is not None  # a container goes after its keys
        path = f"/deletedkeys/{one.name}"

        async def record(_: KeyVersion) -> None:
            await self._records.done(container, _OPERATION, path)

        try:
            return await self._keys.purge_when_due(container, one.name, now, record)
        except Exception as error:  # one damaged row must not keep every other key alive
            refusal = failure_of(error, f"key {one.name} of {container.name} was not purged")
            await self._records.failed(container, _OPERATION, path, refusal)
            return False
