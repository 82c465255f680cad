"""Goes on with the operations that make certificates where nobody else does: issuers that wait, errors to be tried
again, and what a worker that died left behind (resources/certificate_issuance.py).

It goes by the wall clock, as those who write the times do, and not by the time that jobs trust (trusted_time.py): that
lags for a day behind a long stop, and all that a wrong clock can do here is to ask an issuer too early.
"""

import asyncio
from typing import Final

from hsmvault.clock import Clock
from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import failure_of
from hsmvault.model.certificates import CertificateOperation
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.store import certificate_operations as operations
from hsmvault.store import containers
from hsmvault.store.database import Database

_PAGE: Final = 50
_AT_ONCE: Final = 8  # guessed: issuers that take ten seconds each do not hold up the others for long


class AdvanceIssuance:
    """It waits for issuers, and is to run apart (Runner)."""

    name = "issuance"
    interval_seconds = 60.0  # it is woken by operations, and asks for its time; this is for a wake that was missed

    def __init__(self, database: Database, issuance: Issuance, clock: Clock) -> None:
        self._database = database
        self._issuance = issuance
        self._clock = clock

    async def run(self, turn: Turn) -> float | None:
        seen: set[tuple[str, str]] = set()  # by container and name: each has one turn in a run
        while True:
            now = int(self._clock.now())
            async with self._database.read() as tx:
                due = await operations.due(tx, now, _PAGE + len(seen))
                next_due = await operations.next_due(tx)
            page = [one for one in due if (one.container_id, one.folded) not in seen]
            if not page:
                return None if next_due is None or next_due <= now else next_due - now
            seen.update((one.container_id, one.folded) for one in page)
            for first in range(0, len(page), _AT_ONCE):
                if not await turn.goes_on():
                    return None
                async with asyncio.TaskGroup() as group:
                    for one in page[first : first + _AT_ONCE]:
                        group.create_task(self._advance(one))

    async def _advance(self, one: CertificateOperation) -> None:
        """One that fails does not keep the others waiting."""
        async with self._database.read() as tx:
            container = await containers.by_id(tx, one.container_id)
        if container is None:
            return
        try:
            await self._issuance.advance(container, one.name)
        except Exception as error:
            failure_of(error, f"certificate {one.name} of {container.name} was not issued yet")
