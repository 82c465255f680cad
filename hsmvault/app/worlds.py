"""The security worlds of an installation: from an empty token to rows in the database, in steps that survive a crash.

There is the world "default", which seals what is sealed in software and holds the vaults' hard keys, and one for each
managed HSM pool, on a token of its own.

The CKA_IDs are drawn once and committed as an intent before the ceremony touches the token. After a crash in between,
the next attempt looks for keys with exactly these ids, checks them and makes what is missing. It never adopts a key
that it did not plan, and never destroys one. The world is committed when the token's files are on the disk.

Everything that calls the module runs in a thread of its own: the loop goes on taking signals when a call hangs.
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec

from hsmvault.app.token_files import sync_token
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError, HsmRefusal
from hsmvault.hsm import ceremony
from hsmvault.hsm.inspection import holds_world
from hsmvault.hsm.module import Module, TokenSelector, load_module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile, load_profile
from hsmvault.hsm.sessions import in_thread
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.worlds import ACTIVE, OlderWorldKeyRow, SystemKeyRow, WorldRow, WorldState
from hsmvault.store import meta, worlds
from hsmvault.store.database import Database, Transaction

WORLD_NAME = "default"
GEOGRAPHY = "local"


class _Intent(msgspec.Struct, frozen=True):
    """A ceremony that was begun. The CKA_IDs are in hexadecimal; an empty one is not made."""

    token_label: str
    mac: str
    world: str
    system: str

    @property
    def ids(self) -> WorldIds:
        return WorldIds(
            mac=bytes.fromhex(self.mac),
            world=bytes.fromhex(self.world) or None,
            system=bytes.fromhex(self.system) or None,
        )


@dataclass(frozen=True, slots=True)
class KnownWorld:
    """A world of this installation. system: the key that it seals with. other_systems: its system keys in any other
    state, the oldest first. older: its world keys of earlier generations, the first retired first.
    """

    row: WorldRow
    system: SystemKeyRow
    other_systems: tuple[SystemKeyRow, ...] = ()
    older: tuple[OlderWorldKeyRow, ...] = ()

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def ids(self) -> WorldIds:
        """What its token must show. The export key and the attestation key belong to a world when both are made
        (world_completion.py).
        """
        complete = self.row.attestation_certificate is not None
        return WorldIds(
            mac=self.row.mac_key_id,
            world=self.row.world_key_id or None,
            system=self.system.key_id,
            export=self.row.export_key_id if complete else None,
            attestation=self.row.attestation_key_id if complete else None,
        )

    @property
    def selector(self) -> TokenSelector:
        return TokenSelector(label=self.row.token_label)


def profile_of(settings: Settings) -> Profile:
    """The module's profile, narrowed by the configuration. Raises ConfigurationError."""
    profile = load_profile(settings.hsm.profile_path)
    if settings.custody.hard not in profile.custody:
        raise ConfigurationError(
            f"custody.hard is \"{settings.custody.hard}\", but the module profile '{profile.name}' offers "
            f"{', '.join(profile.custody)} only; change custody.hard."
        )
    if settings.custody.rsa_oaep_256 == "refuse":
        profile = msgspec.structs.replace(profile, oaep256_fallback="refused")
    if settings.custody.loaded_keys:
        profile = msgspec.structs.replace(profile, loaded_keys=settings.custody.loaded_keys)
    return profile


def module_of(settings: Settings) -> Module:
    return load_module(str(settings.hsm.module), profile_of(settings), settings.layout.module_lock)


@asynccontextmanager
async def loaded_module(settings: Settings) -> AsyncIterator[Module]:
    """The module for a while, finalised afterwards; not when we are cancelled: a thread may still be inside it, and
    the process is about to end. Raises OperatorError.
    """
    module = await in_thread("hsm-load", lambda: module_of(settings))
    try:
        yield module
    except CancelledError:
        raise
    except BaseException:
        await in_thread("hsm-finalize", module.finalize)
        raise
    await in_thread("hsm-finalize", module.finalize)


async def known_worlds(database: Database) -> tuple[KnownWorld, ...]:
    """Every world that is at work, spare ones too, the default one first; none before the ceremony. Raises HsmRefusal
    when the database has half a world.
    """
    async with database.read() as tx:
        rows = [row for row in await worlds.worlds(tx) if row.is_at_work]
        found = [await _known(tx, row) for row in sorted(rows, key=lambda row: (row.name != WORLD_NAME, row.name))]
    return tuple(found)


async def known_world(database: Database, name: str = WORLD_NAME) -> KnownWorld | None:
    """One of them; None before its ceremony. Raises HsmRefusal."""
    return next((known for known in await known_worlds(database) if known.name == name), None)


async def _known(tx: Transaction, row: WorldRow) -> KnownWorld:
    keys = await worlds.system_keys_of(tx, row.id)
    active = next((key for key in keys if key.state == ACTIVE), None)
    if active is None:
        raise HsmRefusal(
            f"The database has a security world '{row.name}' without a system key; restore it from a backup."
        )
    others = tuple(key for key in keys if key is not active)
    return KnownWorld(row, active, others, tuple(await worlds.older_world_keys(tx, row.id)))


async def found_world(
    settings: Settings,
    database: Database,
    module: Module,
    clock: Clock,
    identifiers: Identifiers,
    *,
    pin: Pin,
    so_pin: Pin,
    make_token: bool,
    name: str = WORLD_NAME,
    token_label: str = "",
    geography: str = GEOGRAPHY,
    state: WorldState = WorldState.SERVING,
    replaces: WorldRow | None = None,
) -> KnownWorld:
    """Make a world that the installation does not have, and commit it. make_token: `hsmvault dev` initialises a token
    of its own for it, with a new label each time, so that a token that a crash left half-made is never used; `init`
    completes what an earlier attempt began on the operator's token. token_label: of that one, "" for the configured
    one. replaces: a world whose token was wiped, and whose row goes in the same transaction.

    Raises HsmRefusal: a PIN is refused (tried once), no such token, keys on it that this installation did not plan, or
    its files cannot be made durable.
    """
    earlier = await _earlier_intent(database, name)
    if earlier is not None and await in_thread("ceremony", lambda: _is_done(module, earlier, pin)):
        intent = earlier
    else:
        label = f"hsmvault-{identifiers.random(4).hex()}" if make_token else token_label or settings.hsm.token_label
        intent = await _commit_intent(database, name, identifiers, label, module.profile, earlier)
        await in_thread("ceremony", lambda: _hold(module, intent, pin=pin, so_pin=so_pin, make_token=make_token))
    await in_thread("ceremony", lambda: sync_token(settings, module.profile))
    now = int(clock.now())
    assert intent.ids.system is not None
    row = WorldRow(
        id=identifiers.guid(),
        name=name,
        geography=geography,
        token_label=intent.token_label,
        world_key_id=intent.ids.world or b"",
        mac_key_id=intent.ids.mac,
        custody=settings.custody.hard,
        created=now,
        state=state,
    )
    system = SystemKeyRow(
        id=intent.ids.system.hex(), world_id=row.id, key_id=intent.ids.system, state=ACTIVE, created=now
    )
    async with database.write() as tx:
        if replaces is not None:
            await worlds.delete_world(tx, replaces)
        await worlds.insert_world(tx, row)
        await worlds.insert_system_key(tx, system)
    return KnownWorld(row, system)


async def forget_intent(tx: Transaction, row: WorldRow) -> None:
    """The ids that were drawn for this world are never used again. Those of another attempt under its name stay."""
    intent = _decoded(await meta.get(tx, _intent_of(row.name)))
    if intent is not None and intent.ids.mac == row.mac_key_id:
        await meta.put(tx, _intent_of(row.name), "")


def _is_done(module: Module, intent: _Intent, pin: Pin) -> bool:
    return holds_world(module, TokenSelector(label=intent.token_label), pin, intent.ids)


def _hold(module: Module, intent: _Intent, *, pin: Pin, so_pin: Pin, make_token: bool) -> None:
    """The ceremony, with the ids of the intent and no others. Blocks."""
    if make_token:
        ceremony.initialise_token(module, intent.token_label, so_pin=so_pin, user_pin=pin)
    planned = iter([bytes.fromhex(one) for one in (intent.mac, intent.world, intent.system) if one])
    selector = TokenSelector(label=intent.token_label)
    made = ceremony.create_world(module, selector, so_pin=so_pin, user_pin=pin, random=lambda _: next(planned))
    assert made == intent.ids


def _intent_of(name: str) -> str:
    """The name of the fact in `meta`; the first world's was there before others had any."""
    return "world-intent" if name == WORLD_NAME else f"world-intent:{name}"


async def _earlier_intent(database: Database, name: str) -> _Intent | None:
    async with database.read() as tx:
        return _decoded(await meta.get(tx, _intent_of(name)))


def _decoded(text: str | None) -> _Intent | None:
    with suppress(msgspec.DecodeError):
        return None if text is None else msgspec.json.decode(text, type=_Intent)
    return None


async def _commit_intent(
    database: Database, name: str, identifiers: Identifiers, label: str, profile: Profile, earlier: _Intent | None
) -> _Intent:
    """Ids that an earlier attempt drew stay: a token may hold keys that have them."""
    earlier = earlier or _Intent("", "", "", "")
    intent = _Intent(
        token_label=label,
        mac=earlier.mac or identifiers.random(16).hex(),
        world=(earlier.world or identifiers.random(16).hex()) if profile.can_lock_world_key else "",
        system=(earlier.system or identifiers.random(16).hex()) if profile.aes_gcm else "",
    )
    if not intent.system:
        raise ConfigurationError(
            f"The module profile '{profile.name}' has no AES-GCM, so that its token cannot hold the system key."
        )
    async with database.write() as tx:
        await meta.put(tx, _intent_of(name), msgspec.json.encode(intent).decode())
    return intent
