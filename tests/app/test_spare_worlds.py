"""Spare security worlds: made before anybody asks, at work when a pool has them, destroyed with it."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from pkcs11 import Attribute

from hsmvault.app import retirement, world_completion, worlds
from hsmvault.app.base import Base
from hsmvault.app.operator import initialize
from hsmvault.app.retirement import Retirement
from hsmvault.app.served_worlds import ServedWorlds, WorldParts, start_worlds
from hsmvault.app.spare_worlds import SpareWorlds
from hsmvault.app.worlds import KnownWorld, found_world, known_worlds
from hsmvault.audit.log import AuditLog
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.config.settings import DeclaredWorld, Hsm, Server
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Binding, CustodyClass
from hsmvault.custody.sealing import CacheLimits
from hsmvault.errors import ConfigurationError, HsmRefusal, Unavailable
from hsmvault.hsm import ceremony
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.token import Token
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, KeySpec
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.worlds import WorldRow, WorldState
from hsmvault.store import containers
from hsmvault.store import worlds as store
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from hsmvault.telemetry.metrics import Metrics
from tests.softhsm import MODULE_PATH, SO_PIN, USER_PIN, SoftToken, folder_for_tokens

POOL_ID = "55555555-0000-0000-0000-000000000001"


class Crash(BaseException):
    """The process ends here."""


class Rig:
    """An installation with its default world, on tokens of its own. A restart is a new start of the module."""

    def __init__(self, soft: SoftToken, module: Module, database: Database, data_dir: Path) -> None:
        self.soft, self.module, self.database = soft, module, database
        self.clock, self.identifiers = SystemClock(), RandomIdentifiers()
        self.settings = Settings(
            server=Server(data_dir=data_dir), hsm=Hsm(module=Path(MODULE_PATH), softhsm_conf=soft.configuration)
        )

    async def found(self) -> None:
        await found_world(
            self.settings,
            self.database,
            self.module,
            self.clock,
            self.identifiers,
            pin=USER_PIN,
            so_pin=SO_PIN,
            make_token=True,
        )

    async def fill_up(self, most: int = 2) -> None:
        one = SpareWorlds(
            self.settings, self.database, self.module, self.clock, self.identifiers, USER_PIN, SO_PIN, "node-1"
        )
        await one.fill_up(most)

    async def rows(self, state: WorldState | None = None) -> list[WorldRow]:
        async with self.database.read() as tx:
            found = await store.worlds(tx)
        return [row for row in found if row.name != "default" and state in (None, row.state)]

    async def claim(self) -> WorldRow:
        """As a pool does that is made."""
        async with self.database.write() as tx:
            row = await store.spare(tx, "local")
            assert row is not None
            await store.move_world(tx, row, WorldState.SERVING)
            await containers.insert(tx, pool(row.id))
        return row

    def objects(self, row: WorldRow) -> int:
        """On the world's token."""
        with ceremony.user_session(self.module, TokenSelector(label=row.token_label), USER_PIN) as work:
            return len(list(work.session.get_objects({Attribute.TOKEN: True})))

    async def serve(self, known: Sequence[KnownWorld] = ()) -> tuple[ServedWorlds, Base]:
        """As a worker. known: those of the database, unless it has read them a moment ago."""
        metrics, feed = Metrics(), ChangeFeed(self.database)
        intents = Intents(self.database, "node-1", self.clock)
        parts = WorldParts(self.settings, self.database, feed, intents, self.clock, self.identifiers, metrics)
        audit = AuditLog(self.settings.audit_directory, "0", self.clock)
        base = Base(self.settings, self.clock, self.identifiers, metrics, self.database, feed, audit, intents)
        known, limits = known or await known_worlds(self.database), CacheLimits()
        served = await start_worlds(
            parts, known, self.module, USER_PIN, limits, on_fatal=pytest.fail, may_be_down=False
        )
        return served, base


def pool(world_id: str) -> Container:
    return Container(POOL_ID, ContainerKind.POOL, "north", "t", "s", "rg", "local", world_id)


@pytest.fixture
def soft(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    with folder_for_tokens() as folder:
        monkeypatch.setenv("SOFTHSM2_CONF", "")
        yield SoftToken(folder, WorldIds(mac=b""))


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def rig(soft: SoftToken, tmp_path: Path, migrated: Path) -> AsyncIterator[Rig]:
    shutil.copy(migrated, tmp_path / "hsmvault.db")
    database = await Database.open(f"sqlite:///{tmp_path}/hsmvault.db", clock=SystemClock())
    with soft.loaded() as module:
        rig = Rig(soft, module, database, tmp_path)
        await rig.found()
        yield rig
    await database.close()


def crash(*_: object, **__: object) -> None:
    raise Crash


def keepers() -> int:
    """Threads of sessions that are logged in."""
    return sum(thread.name.startswith("hsm-keeper") for thread in threading.enumerate())


async def closed(served: ServedWorlds, base: Base) -> None:
    await served.reload.close()
    for token in served.tokens:
        await token.close()
    await base.feed.close()
    await base.audit.close()


async def test_spare_worlds_are_filled_up_and_a_start_that_finds_them_makes_none(rig: Rig) -> None:
    await rig.fill_up()
    made = await rig.rows()
    assert [(row.name, row.state) for row in made] == [("pool-1", WorldState.SPARE), ("pool-2", WorldState.SPARE)]
    assert all(row.attestation_certificate for row in made)
    assert len({row.token_label for row in made}) == 2
    await rig.fill_up()
    assert await rig.rows() == made
    claimed = await rig.claim()
    await rig.fill_up()
    after = await rig.rows()
    assert [row.name for row in after] == ["pool-1", "pool-2", "pool-3"]
    assert [row.name for row in after if row.state is WorldState.SERVING] == [claimed.name]


@pytest.mark.parametrize("module_of_crash", [worlds, world_completion])
async def test_a_ceremony_that_a_crash_interrupted_is_taken_up_at_the_next_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, module_of_crash: object
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module_of_crash, "sync_token", crash)
        with pytest.raises(Crash):
            await rig.fill_up(1)
    async with rig.database.read() as tx:
        assert await store.spare(tx, "local") is None  # nobody gets a half-made world
    await rig.fill_up(1)
    (row,) = await rig.rows()
    assert row.attestation_certificate is not None
    assert rig.objects(row) == 5


async def test_the_token_of_a_spare_world_sleeps_until_somebody_needs_it(rig: Rig) -> None:
    await rig.fill_up(1)
    served, base = await rig.serve()
    try:
        (row,) = await rig.rows()
        spare = served.get(row.id)
        assert spare is not None
        assert spare.token.is_asleep
        assert keepers() == 1
        await rig.claim()
        served.reload.ask()
        await served.reload.settled()
        assert spare.token.is_asleep
        macs = await asyncio.gather(*(spare.world.mac("test", b"x") for _ in range(8)))  # at once: it wakes once
        assert len(set(macs)) == 1
        assert (spare.token.is_asleep, spare.token.is_up, spare.token.generation) == (False, True, 1)
        assert keepers() == 2
        assert (await served.default.world.mac("test", b"x")) not in macs
    finally:
        await closed(served, base)


@pytest.mark.parametrize("custody", [CustodyClass.WRAPPED, CustodyClass.RESIDENT])
async def test_the_first_key_of_a_pool_wakes_its_token(rig: Rig, custody: CustodyClass) -> None:
    await rig.fill_up(1)
    served, base = await rig.serve()
    try:
        row = await rig.claim()
        one = served.get(row.id)
        assert one is not None
        assert one.token.is_asleep
        custodian, binding = one.custody.custodians[custody], Binding(POOL_ID, "key", "name", "1" * 32)
        held = await custodian.generate(KeySpec.ec(Curve.P256), binding)
        handle = custodian.open(held, binding)
        signature = await handle.sign(SIGNATURE_ALGORITHMS["ES256"], b"d" * 32)
        assert len(signature) == 64
    finally:
        await closed(served, base)


async def test_a_token_that_cannot_wake_is_down_and_a_refused_pin_stays_so(rig: Rig) -> None:
    await rig.fill_up(1)
    (row,) = await rig.rows()
    ids = WorldIds(mac=row.mac_key_id, world=row.world_key_id, system=b"")
    token = Token.asleep(rig.module, TokenSelector(label=row.token_label), Pin("wrong-pin"), ids, on_fatal=pytest.fail)
    for _ in range(2):
        with pytest.raises(Unavailable) as refusal:
            await token.awake()
        assert refusal.value.retry_after_seconds == 60
        assert "refuses the user PIN" in (refusal.value.detail or "")
    await token.close()
    assert rig.module.tenants == []


async def test_a_worker_serves_a_world_that_came_later_and_leaves_one_that_is_retired(rig: Rig) -> None:
    before = await known_worlds(rig.database)
    await rig.fill_up(1)
    served, base = await rig.serve(before)
    try:
        served.reload.ask()
        await served.reload.settled()
        (row,) = await rig.rows()
        assert set(served.custody) == set(served.sealers) == {served.default.id, row.id}
        spare = served.get(row.id)
        assert spare is not None
        await spare.world.mac("test", b"x")
        async with rig.database.write() as tx:
            await store.move_world(tx, row, WorldState.RETIRED)
        served.reload.ask()
        await served.reload.settled()
        assert set(served.custody) == {served.default.id}
        assert row.name not in {
            sample.labels["world"]
            for family in base.metrics.collect()
            if family.name == "hsmvault_hsm_up"
            for sample in family.samples
        }
        with pytest.raises(Unavailable):
            await spare.world.mac("test", b"x")
        await served.default.world.mac("test", b"x")
    finally:
        await closed(served, base)


async def test_with_the_pool_its_world_is_destroyed_and_its_token_serves_another_one(rig: Rig) -> None:
    await rig.fill_up(1)
    row = await rig.claim()
    served, base = await rig.serve()
    try:
        one = served.get(row.id)
        assert one is not None
        before = await one.world.mac("test", b"x")
        await Retirement(base, served, rig.module, USER_PIN, lambda: SO_PIN)(pool(row.id))
        await served.default.world.mac("test", b"x")  # the other tokens of the module go on
        (again,) = await rig.rows()
        assert (again.name, again.token_label, again.state) == (row.name, row.token_label, WorldState.SPARE)
        assert again.id != row.id
        assert again.mac_key_id != row.mac_key_id
        served.reload.ask()
        await served.reload.settled()
        assert served.get(row.id) is None
        other = served.get(again.id)
        assert other is not None
        assert other.token.is_asleep
        assert await other.world.mac("test", b"x") != before
    finally:
        await closed(served, base)
    assert rig.objects(again) == 5


@pytest.mark.parametrize("step", ["wipe", "move", "reuse"])
async def test_a_destruction_that_a_crash_interrupted_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await rig.fill_up(1)
    row = await rig.claim()
    served, base = await rig.serve()
    try:
        retire = Retirement(base, served, rig.module, USER_PIN, lambda: SO_PIN)
        with monkeypatch.context() as patch:
            place, name = {
                "wipe": (ceremony, "wipe_token"),
                "move": (retirement, "forget_intent"),
                "reuse": (SpareWorlds, "reuse"),
            }[step]
            patch.setattr(place, name, crash)
            with pytest.raises(Crash):
                await retire(pool(row.id))
        left = {"wipe": WorldState.RETIRED, "move": WorldState.RETIRED, "reuse": WorldState.WIPED}
        assert [found.state for found in await rig.rows()] == [left[step]]
        await retire(pool(row.id))  # the job comes back to it
    finally:
        await closed(served, base)
    await rig.fill_up(1)
    (again,) = await rig.rows()
    assert (again.state, again.id != row.id, rig.objects(again)) == (WorldState.SPARE, True, 5)


async def test_without_the_officers_pin_what_may_be_destroyed_is_and_the_start_does_the_rest(rig: Rig) -> None:
    await rig.fill_up(1)
    row = await rig.claim()
    served, base = await rig.serve()
    try:
        await Retirement(base, served, rig.module, USER_PIN, lambda: None)(pool(row.id))
    finally:
        await closed(served, base)
    assert [found.state for found in await rig.rows()] == [WorldState.RETIRED]
    assert rig.objects(row) == 3  # world key, MAC key, export key
    await rig.fill_up(1)
    assert [found.state for found in await rig.rows()] == [WorldState.SPARE]


async def test_a_world_that_others_have_is_never_destroyed(rig: Rig) -> None:
    await rig.fill_up(1)
    row = await rig.claim()
    served, base = await rig.serve()
    try:
        retire = Retirement(base, served, rig.module, USER_PIN, lambda: SO_PIN)
        async with rig.database.write() as tx:
            other = Container(rig.identifiers.guid(), ContainerKind.POOL, "south", "t", "s", "rg", "local", row.id)
            await containers.insert(tx, other)
        await retire(pool(row.id))
        await retire(pool(served.default.id))
        assert [found.state for found in await rig.rows()] == [WorldState.SERVING]
    finally:
        await closed(served, base)
    assert rig.objects(row) == 5


async def test_a_token_is_not_wiped_with_a_wrong_pin(rig: Rig) -> None:
    await rig.fill_up(1)
    (row,) = await rig.rows()
    with pytest.raises(HsmRefusal, match="cannot be wiped"):
        ceremony.wipe_token(
            rig.module, TokenSelector(label=row.token_label), so_pin=Pin("not-the-so-pin"), user_pin=USER_PIN
        )
    assert rig.objects(row) == 5


async def test_an_operator_makes_declared_worlds_one_by_one(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `hsmvault init --world`; the token of a retired one has to be wiped first."""
    label = "operators-own"
    ceremony.initialise_token(rig.module, label, so_pin=SO_PIN, user_pin=USER_PIN)
    rig.module.finalize()  # the command loads it anew
    declared = DeclaredWorld(name="berlin", token_label=label, geography="germany")
    hsm = msgspec.structs.replace(rig.settings.hsm, token_label="another")  # the label of a token
    settings = msgspec.structs.replace(rig.settings, hsm=hsm, worlds=(declared,))
    try:
        with pytest.raises(ConfigurationError, match="no \\[\\[worlds\\]\\] table with the name 'paris'"):
            await initialize(settings, USER_PIN, SO_PIN, "paris")
        with monkeypatch.context() as patch:
            patch.setattr(world_completion, "sync_token", crash)
            with pytest.raises(Crash):
                await initialize(settings, USER_PIN, SO_PIN, "berlin")
        (row,) = await rig.rows()
        assert row.state is WorldState.FOUNDED
        said = await initialize(settings, USER_PIN, SO_PIN, "berlin")
        assert "The security world 'berlin' was made on token 'operators-own'" in said[0]
        (row,) = await rig.rows()
        assert (row.state, row.geography, row.attestation_certificate is not None) == (
            WorldState.SPARE,
            "germany",
            True,
        )
        with pytest.raises(HsmRefusal, match="has the security world 'berlin' already"):
            await initialize(settings, USER_PIN, SO_PIN, "berlin")
        async with rig.database.write() as tx:
            await store.move_world(tx, row, WorldState.RETIRED)
        with pytest.raises(HsmRefusal, match="The token holds a world key already"):
            await initialize(settings, USER_PIN, SO_PIN, "berlin")
    finally:
        rig.module.initialize()
    ceremony.wipe_token(rig.module, TokenSelector(label=label), so_pin=SO_PIN, user_pin=USER_PIN)
    rig.module.finalize()
    try:
        await initialize(settings, USER_PIN, SO_PIN, "berlin")
    finally:
        rig.module.initialize()
    (again,) = await rig.rows()
    assert (again.state, again.id != row.id, rig.objects(again)) == (WorldState.SPARE, True, 5)
