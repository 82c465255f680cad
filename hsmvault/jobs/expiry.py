"""Puts near-expiry and expired events into the outbox, once each, for the latest version of each object."""

from typing import Final

from hsmvault.clock import Clock, Identifiers
from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import (
    KEYS,
    PAGE,
    SUBJECTS,
    Subject,
    begin_if_absent,
    correct,
    due_object,
    failure_of,
    path_of,
)
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.object_schedule import TOLD, announce, event_of
from hsmvault.store import meta, schedule
from hsmvault.store.database import Database
from hsmvault.store.schedule import Due

_RETRY_SECONDS: Final = 600
_ADOPTED: Final = "keys-have-schedules"


class AnnounceExpiry:
    """Audit names: KeyNearExpiryEventGridNotification, KeyExpiredEventGridNotification, and the same of the other
    kinds."""

    name = "expiry"
    interval_seconds = 300.0

    def __init__(self, database: Database, records: WorkRecords, clock: Clock, identifiers: Identifiers) -> None:
        self._database = database
        self._records = records
        self._clock = clock
        self._identifiers = identifiers
        self._adopted = False

    async def run(self, turn: Turn) -> None:
        if not self._adopted:
            await self._adopt(turn)
            self._adopted = True
        for subject in SUBJECTS:
            for what in TOLD:
                while True:
                    async with self._database.read() as tx:
                        page = await schedule.due(tx, subject.kind.value, what, turn.now(), PAGE)
                    if not page:
                        break
                    for one in page:
                        if not await turn.goes_on():
                            return
                        await self._records.ready()
                        await self._tell(subject, one, turn.now())

    async def _adopt(self, turn: Turn) -> None:
        """Once in the life of a database: keys from before there was a schedule get their places in it. Secrets and
        certificates have had it from their beginning."""
        async with self._database.read() as tx:
            if await meta.get(tx, _ADOPTED) is not None:
                return
        after = ("", "")
        while True:
            async with self._database.write() as tx:
                page = await schedule.expiring_keys(tx, turn.now(), after, PAGE)
                for container_id, folded in page:
                    await begin_if_absent(tx, KEYS, container_id, folded)
                if not page:
                    await meta.put(tx, _ADOPTED, "yes")
                    return
            after = page[-1]

    async def _tell(self, subject: Subject, one: Due, now: int) -> None:
        """One that fails is looked at again later, and does not keep the others waiting."""
        try:
            await self._announce(subject, one, now)
        except Exception as error:
            failure_of(error, f"the expiry of {one.kind}/{one.folded} of {one.container_id} was not told")
            async with self._database.write() as tx:
                await schedule.postpone(tx, one, now + _RETRY_SECONDS)

    async def _announce(self, subject: Subject, one: Due, now: int) -> None:
        """The event, its record and the row of the schedule, in one transaction."""
        async with self._database.write() as tx:
            found = await due_object(tx, subject, one)
            if found is None or found[2] is None or found[2] > now:
                await correct(tx, one, None if found is None else found[2], at_least=now + 1)
                return
            if not await schedule.done(tx, one):
                return  # another node was first
            container, latest, _ = found
            event = event_of(subject.kind, one.what)
            told_at = int(self._clock.now())
            await announce(tx, container, subject.kind, event, latest, self._identifiers, told_at)
            await self._records.done(container, event + "EventGridNotification", path_of(subject.kind, latest))
