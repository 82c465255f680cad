"""The end of a pool's security world: nobody uses it any more, and its keys are destroyed in its token, so that nothing
that it ever wrapped or sealed opens again, from no backup either.

First every process is told to leave the world; then its token is wiped where the officer's PIN is at hand (`hsmvault
dev`), or what may be destroyed is destroyed: the world key, the MAC key and the export key of a locked world may not be
(CKA_DESTROYABLE, hsm/world_keys.py), and go when the operator wipes the token. On a wiped token another spare world is
made at once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hsmvault.app.base import Base
from hsmvault.app.reconciliation import node_id
from hsmvault.app.served_worlds import ServedWorlds
from hsmvault.app.spare_worlds import SpareWorlds
from hsmvault.app.token_files import sync_token
from hsmvault.app.worlds import forget_intent
from hsmvault.errors import HsmRefusal, OperatorError, RequestError
from hsmvault.hsm import ceremony
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.returncodes import ModuleError
from hsmvault.hsm.sessions import in_thread
from hsmvault.model.containers import Container
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.store import containers, worlds
from hsmvault.store.database import Conflicted

LOG = logging.getLogger("hsmvault.worlds")


@dataclass(frozen=True, slots=True)
class Retirement:
    """Called for a pool that is purged, before its row goes; again after a crash. so_pin: gives the officer's PIN where
    the installation has it, else None.
    """

    base: Base
    served: ServedWorlds
    module: Module
    pin: Pin
    so_pin: Callable[[], Pin | None]

    async def __call__(self, container: Container) -> None:
        """What cannot be destroyed now stays retired, and the next start or the operator takes it up: a token that is
        away does not hold up a purge. Raises Unavailable from the database.
        """
        async with self.base.database.write() as tx:
            row = await worlds.world_by_id(tx, container.world_id)
            if row is None or row.state is WorldState.WIPED:
                return
            sharing = await containers.of_world(tx, row.id)
            if row.id == self.served.default.id or sharing != [(container.kind, container.name)]:
                LOG.error("the world '%s' serves others too and stays", row.name)
                return
            if row.state is not WorldState.RETIRED:
                await worlds.move_world(tx, row, WorldState.RETIRED)
        self.served.reload.ask()
        await self.served.reload.settled()  # this process has no session on the token any more
        try:
            so_pin = self.so_pin()
            async with self.module.turn:
                left = await in_thread("ceremony", lambda: self._destroy(row, so_pin))
        except (HsmRefusal, *ModuleError) as error:
            LOG.error("the keys of the retired world '%s' are not destroyed yet: %s", row.name, error)
            return
        if left:
            LOG.warning(
                "the retired world '%s' has left %s on the token '%s'; wipe it", row.name, left, row.token_label
            )
            return
        async with self.base.database.write() as tx:
            found = await worlds.world_by_id(tx, row.id)
            if found is not None and found.state is WorldState.RETIRED:
                await worlds.move_world(tx, found, WorldState.WIPED)
                await forget_intent(tx, found)
        LOG.info("the keys of the retired world '%s' are destroyed", row.name)
        if so_pin is not None:
            await self._reuse(so_pin)

    async def _reuse(self, so_pin: Pin) -> None:
        """What does not succeed is the next start's."""
        base = self.base
        node = node_id(base.settings.layout, base.identifiers)
        spares = SpareWorlds(
            base.settings, base.database, self.module, base.clock, base.identifiers, self.pin, so_pin, node
        )
        try:
            async with self.module.turn:
                await spares.reuse()
        except (OperatorError, RequestError, Conflicted) as error:
            LOG.error("no spare world was made on the wiped token: %s", error)

    def _destroy(self, row: WorldRow, so_pin: Pin | None) -> str:
        """Names of the keys that are left, "" for none. Blocks."""
        selector = TokenSelector(label=row.token_label)
        with self.module.alone():
            if so_pin is not None:
                ceremony.wipe_token(self.module, selector, so_pin=so_pin, user_pin=self.pin)
                left: list[str] = []
            else:
                with ceremony.user_session(self.module, selector, self.pin) as work:
                    left = ceremony.destroy_world_keys(work)
            sync_token(self.base.settings, self.module.profile)
        return ", ".join(left)
