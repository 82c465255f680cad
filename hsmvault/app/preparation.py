"""What happens once, before the first worker: schema, token, world, containers and, for `hsmvault dev`, principals.

Every step can be repeated: a crash anywhere in here is healed by the next start. Nothing stays open behind it, so that
workers can be spawned: no session, no connection, no thread. What blocks (schema, module, ceremony, self-test) runs in
a thread, so that the supervisor goes on taking signals when the module hangs.
"""

import logging
import os

from hsmvault.app.containers import declare_containers
from hsmvault.app.first_start import FirstStart, first_start
from hsmvault.app.reconciliation import is_needed, node_id, reconcile, renew
from hsmvault.app.token_files import write_softhsm_configuration
from hsmvault.app.worlds import found_world, known_world, loaded_module
from hsmvault.clock import Clock, Identifiers, RandomIdentifiers, SystemClock
from hsmvault.config import Prepared, Settings
from hsmvault.custody.intents import Intents
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.world import World
from hsmvault.errors import HsmRefusal
from hsmvault.hsm.inspection import inspect_token
from hsmvault.hsm.module import Module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread
from hsmvault.hsm.token import Token
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

LOG = logging.getLogger("hsmvault.preparation")


async def prepare(settings: Settings, pin: Pin, so_pin: Pin | None = None) -> Prepared:
    """so_pin: given by `hsmvault dev` alone, which makes its token and its first principals.

    The PIN is tried once; the workers log in with one that was right. Raises OperatorError.
    """
    clock, identifiers = SystemClock(), RandomIdentifiers()
    await in_thread("migrate", lambda: migrate(settings.store_url))
    settings.layout.board.unlink(missing_ok=True)  # ids of an earlier database would hide those of this one
    if so_pin is not None and settings.hsm.softhsm_conf is not None:
        write_softhsm_configuration(settings.hsm.softhsm_conf, settings.layout.tokens)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        async with loaded_module(settings) as module:
            await _prepare_world(settings, database, module, clock, identifiers, pin, so_pin)
        first = FirstStart()
        if so_pin is not None:
            first = await first_start(settings, database, clock, identifiers)
        hosts = await declare_containers(settings, database, clock, identifiers, first)
        return Prepared(first.environment, first.identity_environment, hosts)
    finally:
        await database.close()


async def _prepare_world(
    settings: Settings,
    database: Database,
    module: Module,
    clock: Clock,
    identifiers: Identifiers,
    pin: Pin,
    so_pin: Pin | None,
) -> None:
    known = await known_world(database)
    if known is None:
        if so_pin is None:
            raise HsmRefusal("This installation has no security world yet: run 'hsmvault init' once, then start again.")
        known = await found_world(
            settings, database, module, clock, identifiers, pin=pin, so_pin=so_pin, make_token=True
        )
        LOG.info("a security world was made on token %s", known.row.token_label)
    found = known
    (await in_thread("self-test", lambda: inspect_token(module, found.selector, pin, found.ids))).require()
    intents = Intents(database, node_id(settings.layout, identifiers), clock)
    if await is_needed(settings, database, intents):
        token = await Token.start(module, known.selector, pin, known.ids, on_fatal=_hangs)
        try:
            await reconcile(database, ResidentCustodian(World([token], identifiers), identifiers, intents), intents)
        finally:
            await token.close()
    if not await intents.left_over():
        renew(settings.layout, identifiers)


def _hangs(reason: str) -> None:
    """Nothing was promised to anybody yet."""
    LOG.critical("leaving: %s", reason)
    logging.shutdown()
    os._exit(HsmRefusal.exit_code)
