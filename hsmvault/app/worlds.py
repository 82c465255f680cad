"""The security world of an installation: from an empty token to rows in the database, in steps that survive a crash.

The CKA_IDs are drawn and committed as an intent before the ceremony touches the token. After a crash in between, the
next attempt looks for keys with exactly these ids, checks them and goes on. It never adopts a key that it did not plan,
and never destroys one.
"""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError, HsmRefusal
from hsmvault.hsm import ceremony
from hsmvault.hsm.inspection import holds_world
from hsmvault.hsm.module import Module, TokenSelector, load_module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile, load_profile
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import meta, worlds
from hsmvault.store.database import Database

WORLD_NAME = "default"
GEOGRAPHY = "local"
_INTENT = "world-intent"


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
    """The world of this installation, and the system key that it seals with."""

    row: WorldRow
    system: SystemKeyRow

    @property
    def ids(self) -> WorldIds:
        return WorldIds(mac=self.row.mac_key_id, world=self.row.world_key_id or None, system=self.system.key_id)

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
    return load_module(str(settings.hsm.module), profile_of(settings))


async def known_world(database: Database) -> KnownWorld | None:
    """None before the ceremony. Raises HsmRefusal when the database is half a world."""
    async with database.read() as tx:
        row = await worlds.world(tx, WORLD_NAME)
        system = await worlds.active_system_key(tx)
    if row is None:
        return None
    if system is None:
        raise HsmRefusal("The database has a security world without a system key; restore it from a backup.")
    return KnownWorld(row, system)


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
) -> KnownWorld:
    """Make the world of an installation that has none, and commit it. make_token: `hsmvault dev` initialises a token
    of its own for it, with a new label each time, so that a token that a crash left half-made is never used.

    Raises HsmRefusal: a PIN is refused (tried once), no such token, keys on it that this installation did not plan.
    """
    intent = await _earlier_intent(database)
    if intent is None or not holds_world(module, TokenSelector(label=intent.token_label), pin, intent.ids):
        label = f"hsmvault-{identifiers.random(4).hex()}" if make_token else settings.hsm.token_label
        intent = await _commit_intent(database, identifiers, label, module.profile)
        if make_token:
            ceremony.initialise_token(module, label, so_pin=so_pin, user_pin=pin)
        planned = iter([bytes.fromhex(one) for one in (intent.mac, intent.world, intent.system) if one])
        made = ceremony.create_world(
            module, TokenSelector(label=label), so_pin=so_pin, user_pin=pin, random=lambda _: next(planned)
        )
        intent = msgspec.structs.replace(
            intent, mac=made.mac.hex(), world=(made.world or b"").hex(), system=(made.system or b"").hex()
        )
    return await _commit_world(settings, database, clock, identifiers, intent)


async def _earlier_intent(database: Database) -> _Intent | None:
    async with database.read() as tx:
        text = await meta.get(tx, _INTENT)
    with suppress(msgspec.DecodeError):
        return None if text is None else msgspec.json.decode(text, type=_Intent)
    return None


async def _commit_intent(database: Database, identifiers: Identifiers, label: str, profile: Profile) -> _Intent:
    intent = _Intent(
        token_label=label,
        mac=identifiers.random(16).hex(),
        world=identifiers.random(16).hex() if profile.can_lock_world_key else "",
        system=identifiers.random(16).hex() if profile.aes_gcm else "",
    )
    if not intent.system:
        raise ConfigurationError(
            f"The module profile '{profile.name}' has no AES-GCM, so that its token cannot hold the system key."
        )
    async with database.write() as tx:
        await meta.put(tx, _INTENT, msgspec.json.encode(intent).decode())
    return intent


async def _commit_world(
    settings: Settings, database: Database, clock: Clock, identifiers: Identifiers, intent: _Intent
) -> KnownWorld:
    ids, now = intent.ids, int(clock.now())
    assert ids.system is not None
    row = WorldRow(
        id=identifiers.guid(),
        name=WORLD_NAME,
        geography=GEOGRAPHY,
        token_label=intent.token_label,
        world_key_id=ids.world or b"",
        mac_key_id=ids.mac,
        custody=settings.custody.hard,
        created=now,
    )
    system = SystemKeyRow(id=ids.system.hex(), world_id=row.id, key_id=ids.system, state=ACTIVE, created=now)
    async with database.write() as tx:
        await worlds.insert_world(tx, row)
        await worlds.insert_system_key(tx, system)
    return KnownWorld(row, system)
