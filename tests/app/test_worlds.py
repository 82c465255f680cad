"""The ceremony of an installation, interrupted anywhere: the ids of its world are drawn once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from hsmvault.app import token_files, worlds
from hsmvault.app.worlds import KnownWorld, found_world, known_world, loaded_module
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.config.settings import Hsm
from hsmvault.errors import HsmRefusal
from hsmvault.hsm import ceremony
from hsmvault.hsm.ceremony import initialise_token
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.sessions import in_thread
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import WorldIds, WorldKey
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.softhsm import MODULE_PATH, SO_PIN, USER_PIN, SoftToken, folder_for_tokens

LABEL = "operator"


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def soft_token(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    with folder_for_tokens() as folder:
        token = SoftToken(folder, WorldIds(mac=b""), selector=TokenSelector(label=LABEL))
        monkeypatch.setenv("SOFTHSM2_CONF", "")
        token.configure()
        yield token


@pytest.fixture
def module(soft_token: SoftToken) -> Iterator[Module]:
    with soft_token.loaded() as module:
        initialise_token(module, LABEL, so_pin=SO_PIN, user_pin=USER_PIN)
        yield module


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/hsmvault.db"
    migrate(url)
    database = await Database.open(url, clock=SystemClock())
    yield database
    await database.close()


def settings(soft_token: SoftToken) -> Settings:
    return Settings(hsm=Hsm(module=Path(MODULE_PATH), token_label=LABEL, softhsm_conf=soft_token.configuration))


async def found(soft_token: SoftToken, database: Database, module: Module) -> KnownWorld:
    return await found_world(
        settings(soft_token),
        database,
        module,
        SystemClock(),
        RandomIdentifiers(),
        pin=USER_PIN,
        so_pin=SO_PIN,
        make_token=False,
    )


def ids_on(module: Module) -> set[bytes]:
    session = module.login(module.find_token(TokenSelector(label=LABEL)), USER_PIN)
    try:
        return {one[Attribute.ID] for one in session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})}
    finally:
        session.close()


@pytest.mark.parametrize("made_before", [0, 1, 2, 3])
async def test_a_ceremony_that_a_crash_interrupted_is_completed_with_the_same_ids(
    soft_token: SoftToken, database: Database, module: Module, monkeypatch: pytest.MonkeyPatch, made_before: int
) -> None:
    """The world key, the MAC key and the system key are made in this order."""
    made = 0

    def stop() -> None:
        nonlocal made
        if made == made_before:
            raise Crash
        made += 1

    real_world_key, real_generate = ceremony.make_world_key, ceremony.generate

    def world_key(*arguments: object) -> pkcs11.Object:
        stop()
        return real_world_key(*arguments)  # type: ignore[arg-type]  # passed through

    def generate(work: WorkSession, key: WorldKey, token_id: bytes) -> pkcs11.Object:
        stop()
        return real_generate(work, key, token_id)

    def sync(*_: object) -> None:
        stop()

    with monkeypatch.context() as patch:
        patch.setattr(ceremony, "make_world_key", world_key)
        patch.setattr(ceremony, "generate", generate)
        patch.setattr(worlds, "sync_token", sync)
        with pytest.raises(Crash):
            await found(soft_token, database, module)
    assert await known_world(database) is None
    before = ids_on(module)
    assert len(before) == made_before
    known = await found(soft_token, database, module)
    assert ids_on(module) == {known.ids.mac, known.ids.world, known.ids.system}
    assert before <= ids_on(module)
    assert await known_world(database) == known


async def test_a_refusal_in_the_middle_is_completed_too(
    soft_token: SoftToken, database: Database, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made cannot be destroyed (DESTROYABLE=0), and must not lock the operator out."""

    def full(*_: object) -> pkcs11.Object:
        raise pkcs11.DeviceMemory

    with monkeypatch.context() as patch:
        patch.setattr(ceremony, "generate", full)
        with pytest.raises(HsmRefusal, match="refuses a step"):
            await found(soft_token, database, module)
    before = ids_on(module)
    known = await found(soft_token, database, module)
    assert before <= ids_on(module) == {known.ids.mac, known.ids.world, known.ids.system}


async def test_a_world_that_was_not_planned_is_left_alone(
    soft_token: SoftToken, database: Database, module: Module, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    url = f"sqlite:///{tmp_path}/other/hsmvault.db"
    migrate(url)
    other = await Database.open(url, clock=SystemClock())
    try:
        await found(soft_token, other, module)
    finally:
        await other.close()
    before = ids_on(module)
    for _ in range(2):
        with pytest.raises(HsmRefusal, match="holds a world key already; it is not overwritten"):
            await found(soft_token, database, module)
    assert ids_on(module) == before
    assert await known_world(database) is None


async def test_the_files_of_the_token_are_on_the_disk_before_the_world_is_committed(
    soft_token: SoftToken, database: Database, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def refuse(directory: Path) -> None:
        synced.append(directory)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(token_files, "sync_tree", refuse)
        for _ in range(2):  # the second finds a ceremony that is done
            with pytest.raises(HsmRefusal, match="No space left on device"):
                await found(soft_token, database, module)
            assert await known_world(database) is None
    assert synced == [soft_token.tokens] * 2
    await found(soft_token, database, module)


async def test_the_loop_goes_on_while_a_call_hangs_and_a_hanging_module_is_not_finalised(
    soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C_Finalize with a thread inside the module would crash the process."""
    inside, release = threading.Event(), threading.Event()
    finalized: list[Module] = []
    real = Module.finalize

    def finalize(module: Module) -> None:
        finalized.append(module)
        real(module)

    monkeypatch.setattr(Module, "finalize", finalize)
    modules: list[Module] = []

    def hang() -> None:
        inside.set()
        release.wait(60)

    async def work() -> None:
        async with loaded_module(settings(soft_token)) as module:
            modules.append(module)
            await in_thread("hangs", hang)

    task = asyncio.create_task(work())
    assert await asyncio.to_thread(inside.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finalized == []
    release.set()
    modules[0].finalize()
