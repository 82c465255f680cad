"""What happens once, before the first worker: schema, token, world, containers and, for `hsmvault dev`, principals.

Every step can be repeated: a crash anywhere in here is healed by the next start. Nothing stays open behind it, so that
workers can be spawned: no session, no connection, no thread.
"""

import logging
from pathlib import Path

from hsmvault.app.containers import declare_containers
from hsmvault.app.first_start import FirstStart, first_start
from hsmvault.app.worlds import found_world, known_world, module_of
from hsmvault.clock import Clock, Identifiers, RandomIdentifiers, SystemClock
from hsmvault.config import Prepared, Settings
from hsmvault.errors import HsmRefusal
from hsmvault.hsm.inspection import inspect_token
from hsmvault.hsm.module import Module
from hsmvault.hsm.pin import Pin
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

LOG = logging.getLogger("hsmvault.preparation")


async def prepare(settings: Settings, pin: Pin, so_pin: Pin | None = None) -> Prepared:
    """so_pin: given by `hsmvault dev` alone, which makes its token and its first principals.

    The PIN is tried once; the workers log in with one that was right. Raises OperatorError.
    """
    clock, identifiers = SystemClock(), RandomIdentifiers()
    migrate(settings.store_url)
    if so_pin is not None and settings.hsm.softhsm_conf is not None:
        write_softhsm_configuration(settings.hsm.softhsm_conf, settings.layout.tokens)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        module = module_of(settings)
        try:
            await _prepare_world(settings, database, module, clock, identifiers, pin, so_pin)
        finally:
            module.finalize()
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
    inspect_token(module, known.selector, pin, known.ids).require()


def write_softhsm_configuration(path: Path, tokens: Path) -> None:
    """SoftHSM's own configuration, in the data directory; tokens are files there (mode 0700)."""
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = (
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
