"""Rotates the keys whose rotation policies say so (audit name KeyRotateIfDue)."""

from typing import Final

from hsmvault.errors import BadRequest
from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import KEYS, PAGE, correct, due_object, failure_of, path_of
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.store import schedule
from hsmvault.store.database import Database
from hsmvault.store.schedule import Due, What

OPERATION: Final = "KeyRotateIfDue"
_RETRY_SECONDS: Final = 600  # the token is out of reach, or busy
_REFUSED_SECONDS: Final = 86_400  # the key takes no more versions, its vault no such keys


class RotateKeys:
    """A key that fails is looked at again later, and does not keep the others waiting."""

    name = "rotation"
    interval_seconds = 300.0

    def __init__(self, database: Database, rotation: KeyRotation, records: WorkRecords) -> None:
        self._database = database
        self._rotation = rotation
        self._records = records

    async def run(self, turn: Turn) -> None:
        while True:
            async with self._database.read() as tx:
                page = await schedule.due(tx, Kind.KEYS.value, What.ROTATE, turn.now(), PAGE)
            if not page:
                return
            for one in page:  # each row is gone, or has a later time, behind this; or the run has ended with an error
                if not await turn.goes_on():
                    return
                await self._records.ready()
                await self._rotate(one, turn.now())

    async def _rotate(self, one: Due, now: int) -> None:
        async with self._database.read() as tx:
            found = await due_object(tx, KEYS, one)
        if found is not None and found[2] is not None and found[2] <= now:
            container, latest, _ = found

            async def record(row: KeyVersion) -> None:
                await self._records.done(container, OPERATION, path_of(Kind.KEYS, row))

            try:
                if await self._rotation.rotate_if_due(container, one.folded, now, record) is not None:
                    return
            except Exception as error:
                refusal = failure_of(error, f"key {latest.name} of {container.name} was not rotated")
                await self._records.failed(container, OPERATION, path_of(Kind.KEYS, latest), refusal)
                wait = _REFUSED_SECONDS if isinstance(error, BadRequest) else _RETRY_SECONDS
                async with self._database.write() as tx:
                    await schedule.postpone(tx, one, now + wait)
                return
        async with self._database.write() as tx:
            found = await due_object(tx, KEYS, one)
            await correct(tx, one, None if found is None else found[2], at_least=now + _RETRY_SECONDS)
