"""What happens once, before the first worker: schema, tokens, worlds, containers and, for `hsmvault dev`, principals.

Every step can be repeated: a crash anywhere in here is healed by the next start. Nothing stays open behind it, so that
workers can be spawned: no session, no connection, no thread. What blocks (schema, module, ceremony, self-test) runs in
a thread, so that the supervisor goes on taking signals when the module hangs.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from hsmvault.app.authorities import refuse_changed
from hsmvault.app.checking import unreadable
from hsmvault.app.containers import declare_containers
from hsmvault.app.exporting import begin_exports
from hsmvault.app.first_start import POOL_WORLD, FirstStart, first_start
from hsmvault.app.reconciliation import is_needed, node_id, reconcile, release_jobs, renew
from hsmvault.app.sending import begin_subscriptions
from hsmvault.app.spare_worlds import SpareWorlds
from hsmvault.app.subscriptions import declare_subscriptions
from hsmvault.app.token_files import write_softhsm_configuration
from hsmvault.app.world_completion import complete_world
from hsmvault.app.worlds import WORLD_NAME, KnownWorld, found_world, known_worlds, loaded_module
from hsmvault.clock import Clock, Identifiers, RandomIdentifiers, SystemClock
from hsmvault.config import Prepared, Settings
from hsmvault.custody.intents import Intents
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.world import World
from hsmvault.errors import HsmRefusal, OperatorError
from hsmvault.hsm.inspection import inspect_token
from hsmvault.hsm.module import Module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread
from hsmvault.hsm.token import Token
from hsmvault.model.worlds import WorldState
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

LOG = logging.getLogger("hsmvault.preparation")


async def prepare(settings: Settings, pin: Pin, so_pin: Pin | None = None) -> Prepared:
    """so_pin: given by `hsmvault dev` alone, which makes its token and its first principals.

    The PIN is tried once; the workers log in with one that was right. Raises OperatorError.
    """
    clock, identifiers = SystemClock(), RandomIdentifiers()
    for refusal in unreadable(settings, clock):  # said once, and not by every worker
        raise refusal
    await in_thread("migrate", lambda: migrate(settings.store_url))
    settings.layout.board.unlink(missing_ok=True)  # ids of an earlier database would hide those of this one
    if so_pin is not None and settings.hsm.softhsm_conf is not None:
        write_softhsm_configuration(settings.hsm.softhsm_conf, settings.layout.tokens)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        await refuse_changed(settings, database)
        async with loaded_module(settings) as module:
            await _prepare_worlds(settings, database, module, clock, identifiers, pin, so_pin)
        first = FirstStart()
        if so_pin is not None:
            first = await first_start(settings, database, clock, identifiers)
        await declare_subscriptions(settings, database, clock, identifiers)
        hosts = await declare_containers(settings, database, clock, identifiers, first)
        await begin_subscriptions(settings, database)
        await in_thread("audit-exports", lambda: begin_exports(settings))
        return Prepared(first.environment, first.identity_environment, hosts)
    finally:
        await database.close()


async def _prepare_worlds(
    settings: Settings,
    database: Database,
    module: Module,
    clock: Clock,
    identifiers: Identifiers,
    pin: Pin,
    so_pin: Pin | None,
) -> None:
    """Every world is there, whole and well; `hsmvault dev` makes what is missing."""
    known = {world.name: world for world in await known_worlds(database)}
    for name in (WORLD_NAME,) if so_pin is None else (WORLD_NAME, POOL_WORLD):
        if name in known:
            continue
        if so_pin is None:
            raise HsmRefusal("This installation has no security world yet: run 'hsmvault init' once, then start again.")
        known[name] = await found_world(
            settings, database, module, clock, identifiers, pin=pin, so_pin=so_pin, make_token=True, name=name
        )
        LOG.info("the security world '%s' was made on token %s", name, known[name].row.token_label)
    node = node_id(settings.layout, identifiers)
    whole = []
    for world in known.values():
        if world.row.state is WorldState.SPARE:
            continue  # nothing depends on it yet; it is looked at at the first start behind its claim
        await _inspect(module, world, pin)
        row = await complete_world(settings, database, module, clock, identifiers, world.row, pin=pin, owner=node)
        whole.append(replace(world, row=row))
    if so_pin is not None:  # behind the others, whose tokens have shown that the PIN is right
        try:
            await SpareWorlds(settings, database, module, clock, identifiers, pin, so_pin, node).fill_up()
        except OperatorError as error:  # what is there is served all the same
            LOG.error("not every spare security world could be made, the next start tries again: %s", error)
    await _reconcile(settings, database, module, whole, clock, identifiers, pin)


async def _inspect(module: Module, world: KnownWorld, pin: Pin) -> None:
    certificate = world.row.attestation_certificate
    (
        await in_thread(
            "self-test", lambda: inspect_token(module, world.selector, pin, world.ids, certificate=certificate)
        )
    ).require()


async def _reconcile(
    settings: Settings,
    database: Database,
    module: Module,
    known: Sequence[KnownWorld],
    clock: Clock,
    identifiers: Identifiers,
    pin: Pin,
) -> None:
    """What the last run of this node held is free, and what it began in any token is ended."""
    node = node_id(settings.layout, identifiers)
    await release_jobs(database, node)
    intents = Intents(database, node, clock)
    if await is_needed(settings, database, intents):
        async with AsyncExitStack() as stack:
            custodians = []
            for world in known:
                token = await Token.start(module, world.selector, pin, world.ids, on_fatal=_hangs)
                stack.push_async_callback(token.close)
                custodians.append(ResidentCustodian(World([token], identifiers), identifiers, intents))
            await reconcile(database, custodians, intents)
    if not await intents.left_over():
        renew(settings.layout, identifiers)


def _hangs(reason: str) -> None:
    """Nothing was promised to anybody yet."""
    LOG.critical("leaving: %s", reason)
    logging.shutdown()
    os._exit(HsmRefusal.exit_code)
