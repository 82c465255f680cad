"""The security worlds that a worker serves, each with its token, custodians, system keys and sealer.

Rotations are done by commands in processes of their own. A worker hears of them through the feed of changes, reads the
rows anew, and uses the keys of the new generation from then on; nothing needs a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hsmvault.app.observation import hide_token, show_cache, show_token, show_tokens
from hsmvault.app.reloading import Reload
from hsmvault.app.worlds import WORLD_NAME, KnownWorld, known_worlds
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.attestation import Attestor
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.protocols import Custodian, CustodyClass, SystemKey
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.sealing import CacheLimits, Sealer
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.hsm.module import Module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.token import Token
from hsmvault.model.worlds import ACTIVE, RETIRED, WorldState
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Metrics

LOG = logging.getLogger("hsmvault.worker")


@dataclass(frozen=True, slots=True)
class ServedWorld:
    """One world at work. sealer: seals and opens under the system keys of this world and no other."""

    id: str
    name: str
    geography: str
    token: Token
    world: World
    ring: KeyRing
    sealer: Sealer
    custody: WorldCustody
    attestor: Attestor

    def follow(self, known: KnownWorld) -> None:
        """Use the keys that the rows name now; the opposite order would look for a key before its id is known."""
        self.token.adopt(known.ids)
        self.attestor.adopt(known.row.attestation_certificate or b"")
        self.ring.replace(*system_keys(self.world, known))


class ServedWorlds:
    """The worlds by their ids, in mappings that grow and shrink with them.

    custody, worlds, sealers, rings, geographies: of every one, by its id; whoever was given one of them keeps it and
    sees what comes. worlds: for a MAC, or for random bytes of the token.
    """

    def __init__(self, default_id: str) -> None:
        self.custody: dict[str, WorldCustody] = {}
        self.worlds: dict[str, World] = {}
        self.sealers: dict[str, Sealer] = {}
        self.rings: dict[str, KeyRing] = {}
        self.geographies: dict[str, str] = {}
        self.reload = Reload("security worlds", self._nobody)
        self._default_id = default_id
        self._by_id: dict[str, ServedWorld] = {}

    @property
    def default(self) -> ServedWorld:
        """Serves the vaults; its sealer everything that is sealed in software, and skip tokens."""
        return self._by_id[self._default_id]

    @property
    def all(self) -> tuple[ServedWorld, ...]:
        """The default one first."""
        return tuple(self._by_id.values())

    @property
    def tokens(self) -> tuple[Token, ...]:
        return tuple([one.token for one in self._by_id.values()])

    def get(self, world_id: str) -> ServedWorld | None:
        return self._by_id.get(world_id)

    def add(self, one: ServedWorld) -> None:
        self._by_id[one.id] = one
        self.custody[one.id] = one.custody
        self.worlds[one.id] = one.world
        self.sealers[one.id] = one.sealer
        self.rings[one.id] = one.ring
        self.geographies[one.id] = one.geography

    async def leave(self, world_id: str) -> None:
        """Serve it no more: its keys are to be destroyed, or are."""
        gone = self._by_id.pop(world_id)
        for mapping in (self.custody, self.worlds, self.sealers, self.rings, self.geographies):
            mapping.pop(world_id)
        await gone.token.close()

    async def _nobody(self) -> None:
        """Until start_worlds() has put its own in place."""


def system_keys(world: World, known: KnownWorld) -> tuple[SystemKey, list[SystemKey]]:
    """The one that seals, and those that only open: for a KeyRing."""
    older = [TokenSystemKey(world, key.key_id) for key in known.other_systems if key.state in (ACTIVE, RETIRED)]
    return TokenSystemKey(world, known.system.key_id), [*older]


@dataclass(frozen=True, slots=True)
class WorldParts:
    """What the worlds of a worker are made with."""

    settings: Settings
    database: Database
    feed: ChangeFeed
    intents: Intents
    clock: Clock
    identifiers: Identifiers
    metrics: Metrics


async def start_worlds(
    parts: WorldParts,
    known: Sequence[KnownWorld],
    module: Module,
    pin: Pin,
    limits: CacheLimits,
    *,
    on_fatal: Callable[[str], None],
    may_be_down: bool,
) -> ServedWorlds:
    """Log in to the token of every world that serves, one after the other; that of a spare one sleeps until a pool has
    the world. known: the default one first. Raises HsmRefusal.
    """
    served = ServedWorlds(known[0].row.id)
    reading = asyncio.Lock()

    async def read_again() -> None:
        async with reading:  # what was read first is used first
            found = {one.row.id: one for one in await known_worlds(parts.database)}
            for one in served.all:
                if one.id not in found:
                    hide_token(parts.metrics, one.name)
                    await served.leave(one.id)
            for known_now in found.values():
                if (there := served.get(known_now.row.id)) is not None:
                    there.follow(known_now)
                else:
                    add(known_now, asleep(known_now))

    def asleep(one: KnownWorld) -> Token:
        return Token.asleep(module, one.selector, pin, one.ids, on_fatal=on_fatal)

    def add(one: KnownWorld, token: Token) -> None:
        world = World([token], parts.identifiers)
        ring = KeyRing(*system_keys(world, one), reload=read_again)
        sealer = Sealer(ring, DataKeys(parts.database), parts.clock, parts.identifiers, limits)
        attestor = Attestor(one.row.attestation_certificate or b"", parts.clock)
        custody = _custody(parts, one, world, attestor)
        show_token(parts.metrics, one.name, token)
        served.add(ServedWorld(one.row.id, one.name, one.row.geography, token, world, ring, sealer, custody, attestor))

    for one in known:
        if one.row.state is WorldState.SPARE:
            token = asleep(one)
        else:
            token = await Token.start(module, one.selector, pin, one.ids, on_fatal=on_fatal, may_be_down=may_be_down)
        add(one, token)
    show_tokens(parts.metrics, lambda: served.tokens)
    served.reload = Reload("security worlds", read_again)
    for kind in ("world", "system-key"):
        parts.feed.subscribe(kind, lambda _, __: served.reload.ask())
    parts.feed.subscribe_all(served.reload.ask)
    return served


def _custody(parts: WorldParts, known: KnownWorld, world: World, attestor: Attestor) -> WorldCustody:
    offered = world.tokens[0].profile.custody
    custodians: dict[CustodyClass, Custodian] = {}
    if "wrapped" in offered and known.row.world_key_id:
        wrapped = WrappedCustodian(world, parts.identifiers, attestor=attestor)
        custodians[CustodyClass.WRAPPED] = wrapped
        _show_loaded(parts.metrics, "wrapped", known, wrapped.loaded)
    if "resident" in offered:
        resident = ResidentCustodian(world, parts.identifiers, parts.intents, attestor=attestor)
        custodians[CustodyClass.RESIDENT] = resident
        _show_loaded(parts.metrics, "resident", known, resident.loaded)
    return WorldCustody(CustodyClass(parts.settings.custody.hard), custodians, world.mac)


def _show_loaded(metrics: Metrics, name: str, known: KnownWorld, of_tokens: tuple[LoadedKeys, ...]) -> None:
    """The caches of other worlds than the default one carry the name of theirs."""
    (loaded,) = of_tokens  # a world has one token so far
    shown = name if known.name == WORLD_NAME else f"{name}:{known.name}"
    show_cache(metrics, shown, loaded.counters)
    metrics.cache_evictions.child(shown).read = lambda: loaded.counters.evictions
