"""Drops events from the outbox once they are a day old and every subscription is done with them.

A day is how long Event Grid tries to deliver an event; without a subscription they are kept for as long, too.
"""

from collections.abc import Iterable
from typing import Final

from hsmvault.jobs.runner import Turn
from hsmvault.store import deliveries, outbox
from hsmvault.store.database import Database

LIFE_SECONDS: Final = 24 * 3600


class DropEvents:
    """subscriptions: the names of those that are configured."""

    name = "events"
    interval_seconds = 3600.0

    def __init__(self, database: Database, subscriptions: Iterable[str] = ()) -> None:
        self._database = database
        self._subscriptions = frozenset(subscriptions)

    async def run(self, turn: Turn) -> None:
        before = turn.now() - LIFE_SECONDS
        async with self._database.write() as tx:
            newest = await deliveries.least_delivered(tx, self._subscriptions)
            if newest is None:
                await outbox.delete_older(tx, before)
            else:
                await outbox.delete_older(tx, before, newest)
