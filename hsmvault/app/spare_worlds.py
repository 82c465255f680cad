"""Worlds that are made before anybody asks for one, for the pools that clients create while the instance runs.

A pool has a security world of its own on a token of its own, and SoftHSM shows a running process no token that came
after its C_Initialize (measured, 2.6.1). So `hsmvault dev` keeps spare worlds, made by the same ceremony as every
other, and fills them up at every start. Under `serve` an operator declares worlds and makes each by `hsmvault init`.

A world whose pool was purged is never used again. Its token is wiped, with every key on it, and serves for another
world: at once where the purge was done (retirement.py), or at the next start. What a process has seen of a token before
it was wiped does not hinder it later (measured, SoftHSM 2.6.1).
"""

import logging
from dataclasses import dataclass

from hsmvault.app.command_records import START_WRITER, of_world, recorded
from hsmvault.app.token_files import sync_token
from hsmvault.app.world_completion import complete_world, is_complete
from hsmvault.app.worlds import forget_intent, found_world
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import HsmRefusal
from hsmvault.hsm import ceremony
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.store import worlds
from hsmvault.store.database import Database

LOG = logging.getLogger("hsmvault.preparation")
SPARE_WORLDS = 4
"""With the pool of the first start as many as the service gives a subscription in a region."""
_WIPE = "WorldDestroy"


@dataclass(frozen=True, slots=True)
class SpareWorlds:
    """node: owner of the leases."""

    settings: Settings
    database: Database
    module: Module
    clock: Clock
    identifiers: Identifiers
    pin: Pin
    so_pin: Pin
    node: str

    async def fill_up(self, most: int = SPARE_WORLDS) -> None:
        """As many as there shall be; before any worker. What is here already is not looked at again. Raises HsmRefusal,
        and OperatorError when the audit log takes no record."""
        rows = await self._rows()
        for row in rows:
            if row.state is WorldState.RETIRED:
                await self._wipe(row)
            elif row.state is WorldState.FOUNDED:
                await self._complete(row)
        rows = await self._rows()
        for _ in range(most - sum(row.state is WorldState.SPARE for row in rows)):
            await self._complete(await self._make(await self._rows()))

    async def reuse(self) -> None:
        """Spare worlds on the tokens that are wiped, beside a running instance. Raises as fill_up."""
        for row in await self._rows():
            if row.state is WorldState.WIPED:
                await self._complete(await self._make(await self._rows()))

    async def _rows(self) -> list[WorldRow]:
        async with self.database.read() as tx:
            return await worlds.worlds(tx)

    async def _make(self, rows: list[WorldRow]) -> WorldRow:
        wiped = next((row for row in rows if row.state is WorldState.WIPED), None)
        made = await found_world(
            self.settings,
            self.database,
            self.module,
            self.clock,
            self.identifiers,
            pin=self.pin,
            so_pin=self.so_pin,
            make_token=wiped is None,
            name=_free_name(rows) if wiped is None else wiped.name,
            token_label="" if wiped is None else wiped.token_label,
            state=WorldState.FOUNDED,
            replaces=wiped,
        )
        LOG.info("the spare security world '%s' was made on token %s", made.name, made.row.token_label)
        return made.row

    async def _complete(self, row: WorldRow) -> None:
        await complete_spare(
            self.settings,
            self.database,
            self.module,
            self.clock,
            self.identifiers,
            row,
            pin=self.pin,
            owner=self.node,
        )

    async def _wipe(self, row: WorldRow) -> None:
        """A token that cannot be wiped now is tried again at the next start."""
        selector = TokenSelector(label=row.token_label)

        def wipe() -> None:
            ceremony.wipe_token(self.module, selector, so_pin=self.so_pin, user_pin=self.pin)
            sync_token(self.settings, self.module.profile)

        try:
            async with recorded(self.settings, START_WRITER, self.clock, self.identifiers, _WIPE, *of_world(row)):
                await in_thread("ceremony", wipe)
        except HsmRefusal as error:
            LOG.error("the keys of the retired world '%s' are not destroyed: %s", row.name, error)
            return
        async with self.database.write() as tx:
            await worlds.move_world(tx, row, WorldState.WIPED)
            await forget_intent(tx, row)
        LOG.info("the keys of the retired world '%s' are destroyed", row.name)


async def complete_spare(
    settings: Settings,
    database: Database,
    module: Module,
    clock: Clock,
    identifiers: Identifiers,
    row: WorldRow,
    *,
    pin: Pin,
    owner: str,
) -> None:
    """A founded world is spare when it is complete. Raises as complete_world()."""
    whole = await complete_world(settings, database, module, clock, identifiers, row, pin=pin, owner=owner)
    if is_complete(whole, module.profile):
        async with database.write() as tx:
            await worlds.move_world(tx, whole, WorldState.SPARE)


def _free_name(rows: list[WorldRow]) -> str:
    taken = {row.name for row in rows}
    return next(name for number in range(1, len(rows) + 2) if (name := f"pool-{number}") not in taken)
