"""What an operator runs by hand: init, migrate, check, and the rotations of system keys and world keys."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from hsmvault.app import checking, system_key_rotation, world_key_rotation
from hsmvault.app.authorities import refuse_changed
from hsmvault.app.command_records import ROTATION_WRITER, of_world, recorded
from hsmvault.app.reconciliation import node_id
from hsmvault.app.rotations import BACK_UP, Rotating, alone_on_node, told, wanted_world
from hsmvault.app.spare_worlds import complete_spare
from hsmvault.app.system_key_rotation import SystemKeyRotation
from hsmvault.app.world_completion import complete_world
from hsmvault.app.worlds import (
    GEOGRAPHY,
    WORLD_NAME,
    KnownWorld,
    forget_intent,
    found_world,
    known_world,
    known_worlds,
    loaded_module,
    profile_of,
)
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Checked, Settings
from hsmvault.custody.world import World
from hsmvault.errors import ConfigurationError, HsmRefusal, OperatorError, RequestError
from hsmvault.hsm.inspection import Inspection, check_token
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.token import Token
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.store import worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate as migrate_schema

_SYSTEM_KEY_MAKE, _SYSTEM_KEY_ROTATE = "SystemKeyMake", "SystemKeyRotate"
_WORLD_KEY_MAKE, _WORLD_KEY_ROTATE = "WorldKeyMake", "WorldKeyRotate"


async def initialize(settings: Settings, pin: Pin, so_pin: Pin, world: str = WORLD_NAME) -> Sequence[str]:
    """The ceremony on the token that is configured for this world, once. Raises OperatorError; an existing world is
    never overwritten.
    """
    clock, identifiers = SystemClock(), RandomIdentifiers()
    migrate_schema(settings.store_url)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        token_label, geography = _declared(settings, world)
        if world != WORLD_NAME and await known_world(database) is None:
            raise HsmRefusal("This installation has no security world yet: run 'hsmvault init' without --world first.")
        row = await _unfinished(database, world)
        async with loaded_module(settings) as module:
            if row is None or row.state is not WorldState.FOUNDED:
                known = await found_world(
                    settings,
                    database,
                    module,
                    clock,
                    identifiers,
                    pin=pin,
                    so_pin=so_pin,
                    make_token=False,
                    name=world,
                    token_label=token_label,
                    geography=geography,
                    state=WorldState.SERVING if world == WORLD_NAME else WorldState.FOUNDED,
                    replaces=row,
                )
                row = known.row
            node = node_id(settings.layout, identifiers)  # complete before the operator is told to back up the token
            complete = complete_world if world == WORLD_NAME else complete_spare
            await complete(settings, database, module, clock, identifiers, row, pin=pin, owner=node)
    finally:
        await database.close()
    return (
        f"The security world '{row.name}' was made on token '{row.token_label}' ({row.custody} custody).",
        "Back up the token and its PINs now, by the procedure of its vendor: without them nothing can be opened again.",
    )


def _declared(settings: Settings, name: str) -> tuple[str, str]:
    """Label of the token and geography of a world of the configuration. Raises ConfigurationError."""
    if name == WORLD_NAME:
        return settings.hsm.token_label, GEOGRAPHY
    for world in settings.worlds:
        if world.name == name:
            return world.token_label, world.geography
    raise ConfigurationError(f"There is no [[worlds]] table with the name '{name}'.")


async def _unfinished(database: Database, name: str) -> WorldRow | None:
    """A world that an interrupted attempt has left to be completed, or what a purged pool has left. The token of that
    is to be wiped by the procedure of its vendor: keys on it are found by the ceremony, which refuses. Raises
    HsmRefusal for a world that is at work.
    """
    async with database.write() as tx:
        row = await worlds.world(tx, name)
        if row is not None and row.is_at_work:
            which = "a security world" if name == WORLD_NAME else f"the security world '{name}'"
            raise HsmRefusal(
                f"This installation has {which} already, on token '{row.token_label}'; it is not overwritten, because "
                "everything that it protects would be lost."
            )
        if row is not None and row.state is not WorldState.FOUNDED:
            await forget_intent(tx, row)
    return row


async def migrate(settings: Settings) -> Sequence[str]:
    """Bring the schema to this version. Raises DatabaseRefusal."""
    migrate_schema(settings.store_url)
    return ("The database has the schema of this version.",)


async def check(settings: Settings, pin: Pin | None) -> Checked:
    """What a start would be refused for, and what later work would fail on, without changing anything. With a PIN: one
    attempt, and the self-test."""
    clock = SystemClock()
    refusals: tuple[OperatorError, ...] = tuple(checking.unreadable(settings, clock))
    notes = _will_fail(checking.missing_on_machine(settings))
    try:
        profile = profile_of(settings)
        database = await Database.open(settings.store_url, clock=clock)
        try:
            known = await known_worlds(database)
            notes += await _generations(database, known)
            notes += _will_fail(await checking.unknown_names(settings, database))
            await refuse_changed(settings, database)
        finally:
            await database.close()
        if not known:
            raise HsmRefusal("There is no security world yet: run 'hsmvault init'.")
        for world in known if pin is not None else ():
            assert pin is not None
            inspection = check_token(
                str(settings.hsm.module),
                profile,
                world.selector,
                pin,
                world.ids,
                certificate=world.row.attestation_certificate,
            )
            notes += _table(world.name, inspection)
            inspection.require()
    except OperatorError as error:
        return Checked((*refusals, error), notes)
    return Checked(refusals, notes)


def _will_fail(sentences: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"will fail: {sentence}." for sentence in sentences)


async def rotate_system_key(
    settings: Settings, pin: Pin, world: str, *, keep_old: bool, make_only: bool, say: Callable[[str], None]
) -> None:
    """Beside a running instance, or without one. make_only: the token gets the next key, and nothing is sealed by it
    yet. say: a sentence for the terminal. Raises OperatorError.
    """
    job_of = system_key_rotation.job_of
    operation = _SYSTEM_KEY_MAKE if make_only else _SYSTEM_KEY_ROTATE
    async with (
        _rotating(settings, world, job_of, operation, say) as (rotating, known),
        loaded_module(settings) as module,
    ):
        token = await Token.start(module, known.selector, pin, known.ids, on_fatal=_hangs)
        try:
            served = World([token], rotating.identifiers)
            await told(SystemKeyRotation(rotating, known, served, keep_old=keep_old, make_only=make_only).run())
        finally:
            await token.close()
        if not make_only:
            say(BACK_UP)


async def rotate_world_key(
    settings: Settings, pin: Pin, so_pin: Pin, world: str, *, make_only: bool, say: Callable[[str], None]
) -> None:
    """As rotate_system_key."""
    job_of = world_key_rotation.job_of
    operation = _WORLD_KEY_MAKE if make_only else _WORLD_KEY_ROTATE
    async with _rotating(settings, world, job_of, operation, say) as (rotating, known):
        async with loaded_module(settings) as module:
            await told(world_key_rotation.rotate(rotating, known, module, pin=pin, so_pin=so_pin, make_only=make_only))
        if make_only:
            return
        known = await wanted_world(rotating.database, world)
        for sentence in await _generations(rotating.database, [known]):
            say(sentence)
        say(BACK_UP)


@asynccontextmanager
async def _rotating(
    settings: Settings, world: str, job_of: Callable[[KnownWorld], str], operation: str, say: Callable[[str], None]
) -> AsyncIterator[tuple[Rotating, KnownWorld]]:
    """operation: as the audit records of this rotation name it."""
    clock, identifiers = SystemClock(), RandomIdentifiers()
    database = await Database.open(settings.store_url, clock=clock)
    try:
        with alone_on_node(settings):
            known = await wanted_world(database, world)
            owner = f"rotation-{node_id(settings.layout, identifiers)}"
            async with recorded(settings, ROTATION_WRITER, clock, identifiers, operation, *of_world(known.row)):
                yield Rotating(settings, database, clock, identifiers, job_of(known), owner, say), known
    finally:
        await database.close()


async def _generations(database: Database, known: Sequence[KnownWorld]) -> tuple[str, ...]:
    """What each world key wraps, for the worlds that have several."""
    sentences: list[str] = []
    for world in known:
        if world.older:
            try:
                sentences += await world_key_rotation.told_by_generation(database, world)
            except RequestError as error:
                sentences.append(f"What is wrapped under which world key is not known: {error.detail or error}.")
    return tuple(sentences)


def _hangs(reason: str) -> None:
    """A call hangs in the module: what was committed stands, and the next call of the command goes on."""
    sys.stderr.write(f"hsmvault: {reason}; run the command again to go on.\n")
    sys.stderr.flush()
    os._exit(HsmRefusal.exit_code)


def _table(world: str, inspection: Inspection) -> tuple[str, ...]:
    """The self-test of a world's token, one line a test."""
    device = f"{inspection.manufacturer} {inspection.model}, serial {inspection.serial}"
    title = f"Token '{inspection.label}' of the world '{world}' ({device}):"
    rows = (
        f"  passed  {row.name}" if row.passed else f"  FAILED  {row.name}: {row.detail}" for row in inspection.checks
    )
    return (title, *rows)
