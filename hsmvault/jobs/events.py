"""Drops events that nobody took: Event Grid tries to deliver an event for 24 hours and then gives up."""

from typing import Final

from hsmvault.jobs.runner import Turn
from hsmvault.store import outbox
from hsmvault.store.database import Database

LIFE_SECONDS: Final = 24 * 3600


class DropEvents:
    name = "events"
    interval_seconds = 3600.0

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, turn: Turn) -> None:
        async with self._database.write() as tx:
            await outbox.delete_older(tx, turn.now() - LIFE_SECONDS)
