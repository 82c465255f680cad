"""Something that is read anew after every change, in the background, until it has succeeded."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

LOG = logging.getLogger("hsmvault.worker")
_PAUSE_SECONDS = 1.0

Pause = Callable[[float], Awaitable[None]]


class Reload:
    """One task at most, however often it is asked. A reading that was asked for while one runs begins after it; one
    that fails is logged once and tried again every second, and what was read before stays in use until then.

    what: for the log. load: the reading. Belongs to one event loop.
    """

    def __init__(self, what: str, load: Callable[[], Awaitable[None]], *, pause: Pause = asyncio.sleep) -> None:
        self._what = what
        self._load = load
        self._pause = pause
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """What was read is old."""
        self._asked = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"reload {self._what}")

    async def settled(self) -> None:
        """Return when everything that was asked for is read."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failed = False
        try:
            while self._asked:
                self._asked = False
                try:
                    await self._load()
                except Exception:
                    self._asked = True
                    if not failed:
                        LOG.exception("the %s could not be read anew; the old ones stay until they can", self._what)
                    failed = True
                    await self._pause(_PAUSE_SECONDS)
            if failed:
                LOG.warning("the %s are read anew", self._what)
        finally:
            self._task = None
