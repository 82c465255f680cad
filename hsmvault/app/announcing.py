"""Hosts of containers that are made while the instance runs: each worker tells the supervisor of those it hears of,
which makes them known on this machine where it may (`hsmvault dev`)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from hsmvault.app.background import origin_by
from hsmvault.config.names import Names
from hsmvault.errors import RequestError
from hsmvault.store import containers
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database

LOG = logging.getLogger("hsmvault.worker")


class Announcements:
    """announce: takes hosts, and does not wait. Each host is told once."""

    def __init__(
        self, database: Database, feed: ChangeFeed, names: Names, announce: Callable[[Sequence[str]], None]
    ) -> None:
        self._database = database
        self._origin_of = origin_by(names)
        self._announce = announce
        self._told: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        feed.subscribe("container", self._changed)

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _changed(self, container_id: str, _: str) -> None:
        task = asyncio.create_task(self._look(container_id), name="announcement")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _look(self, container_id: str) -> None:
        try:
            async with self._database.read() as tx:
                container = await containers.by_id(tx, container_id)
        except RequestError as error:  # who asks for the vault finds it all the same, where its name resolves
            LOG.warning("the host of a container was not announced: %s", error.detail or error)
            return
        if container is None or container.deleted_at is not None:
            return
        host = urlsplit(self._origin_of(container)).hostname or ""
        if host not in self._told:
            self._told.add(host)
            self._announce((host,))
