"""What an operator runs by hand: init, migrate, check."""

from collections.abc import Sequence

from hsmvault.app.worlds import found_world, known_world, loaded_module, profile_of
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Checked, Settings
from hsmvault.errors import HsmRefusal, OperatorError
from hsmvault.hsm.inspection import Inspection, check_token
from hsmvault.hsm.pin import Pin
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate as migrate_schema


async def initialize(settings: Settings, pin: Pin, so_pin: Pin) -> Sequence[str]:
    """The ceremony on the configured token, once. Raises OperatorError; an existing world is never overwritten."""
    clock, identifiers = SystemClock(), RandomIdentifiers()
    migrate_schema(settings.store_url)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        known = await known_world(database)
        if known is not None:
            raise HsmRefusal(
                f"This installation has a security world already, on token '{known.row.token_label}'; it is not "
                "overwritten, because everything that it protects would be lost."
            )
        async with loaded_module(settings) as module:
            known = await found_world(
                settings, database, module, clock, identifiers, pin=pin, so_pin=so_pin, make_token=False
            )
    finally:
        await database.close()
    return (
        f"The security world '{known.row.name}' was made on token '{known.row.token_label}' "
        f"({known.row.custody} custody).",
        "Back up the token and its PINs now, by the procedure of its vendor: without them nothing can be opened again.",
    )


async def migrate(settings: Settings) -> Sequence[str]:
    """Bring the schema to this version. Raises DatabaseRefusal."""
    migrate_schema(settings.store_url)
    return ("The database has the schema of this version.",)


async def check(settings: Settings, pin: Pin | None) -> Checked:
    """What a start would be refused for, without changing anything. With a PIN: one attempt, and the self-test."""
    notes: tuple[str, ...] = ()
    try:
        profile = profile_of(settings)
        database = await Database.open(settings.store_url, clock=SystemClock())
        try:
            known = await known_world(database)
        finally:
            await database.close()
        if known is None:
            raise HsmRefusal("There is no security world yet: run 'hsmvault init'.")
        if pin is not None:
            inspection = check_token(str(settings.hsm.module), profile, known.selector, pin, known.ids)
            notes = _table(inspection)
            inspection.require()
    except OperatorError as error:
        return Checked((error,), notes)
    return Checked((), notes)


def _table(inspection: Inspection) -> tuple[str, ...]:
    """The self-test of a token, one line a test."""
    title = f"Token '{inspection.label}' ({inspection.manufacturer} {inspection.model}, serial {inspection.serial}):"
    rows = (
        f"  passed  {row.name}" if row.passed else f"  FAILED  {row.name}: {row.detail}" for row in inspection.checks
    )
    return (title, *rows)
