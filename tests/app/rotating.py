"""A world on a token, its rows, and a worker's sealer that follows them: for the tests of the rotations."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pkcs11 import Attribute, ObjectClass

from hsmvault.app.rotations import Rotating
from hsmvault.app.served_worlds import system_keys
from hsmvault.app.system_key_rotation import SystemKeyRotation, job_of
from hsmvault.app.worlds import KnownWorld, known_world
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.config.settings import Hsm, Server
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.world import World
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import SYSTEM_KEY
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import worlds
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.softhsm import LABEL, MODULE_PATH, SoftToken


class Crash(BaseException):
    """The process ends here."""


def binding(container: str) -> Binding:
    return Binding(container, "secret", "name", "v1")


class Worker:
    """A sealer with a ring of its own. follows: it hears of changes before it is asked; one that does not is late."""

    def __init__(self, database: Database, world: World, known: KnownWorld) -> None:
        self.database, self.world = database, world
        self.reloads = 0
        self.ring = KeyRing(*system_keys(world, known), reload=self.reload)
        self.sealer = Sealer(self.ring, DataKeys(database), SystemClock(), RandomIdentifiers())

    async def reload(self) -> None:
        self.reloads += 1
        known = await known_world(self.database, "default")
        assert known is not None
        self.ring.replace(*system_keys(self.world, known))

    async def seal(self, container: str, value: bytes = b"value") -> bytes:
        return await self.sealer.seal(value, binding(container))

    async def open(self, sealed: bytes, container: str) -> bytes:
        """Cold: the data key is unwrapped for it."""
        self.sealer.forget()
        return await self.sealer.open(sealed, binding(container))


@dataclass
class Installation:
    """Rows, and no token at work."""

    settings: Settings
    database: Database
    said: list[str] = field(default_factory=list, kw_only=True)

    async def known(self) -> KnownWorld:
        known = await known_world(self.database)
        assert known is not None
        return known

    async def rotating(
        self, job: Callable[[KnownWorld], str], owner: str, fault: Callable[[str], None], pause: Callable[..., object]
    ) -> Rotating:
        return Rotating(
            self.settings,
            self.database,
            SystemClock(),
            RandomIdentifiers(),
            job(await self.known()),
            owner,
            self.said.append,
            fault,
            pause,  # type: ignore[arg-type]  # a coroutine function or one that raises
        )

    async def states(self) -> dict[str, str]:
        async with self.database.read() as tx:
            return {key.id: key.state for key in await worlds.system_keys(tx)}


@dataclass
class Rig(Installation):
    world: World

    async def worker(self) -> Worker:
        return Worker(self.database, self.world, await self.known())

    async def rotate(
        self,
        fault: Callable[[str], None] = lambda _: None,
        *,
        owner: str = "node",
        keep_old: bool = False,
        make_only: bool = False,
        pause: Callable[..., object] = lambda _: None,
    ) -> None:
        rotating = await self.rotating(job_of, owner, fault, pause)
        known = await self.known()
        await SystemKeyRotation(rotating, known, self.world, keep_old=keep_old, make_only=make_only).run()

    async def system_keys_on_token(self) -> set[str]:
        def job(work: WorkSession) -> set[str]:
            search = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: SYSTEM_KEY.label}
            return {one[Attribute.ID].hex() for one in work.session.get_objects(search)}

        return await self.world.token().run(job)


def settings_of(token: SoftToken, folder: Path) -> Settings:
    return Settings(
        server=Server(data_dir=folder),
        hsm=Hsm(module=Path(MODULE_PATH), token_label=LABEL, softhsm_conf=token.configuration),
    )


@asynccontextmanager
async def installed(token: SoftToken, folder: Path) -> AsyncIterator[Installation]:
    """The rows are made when there are none, so that it can be opened again after a crash."""
    settings = settings_of(token, folder)
    migrate(settings.store_url)
    database = await Database.open(settings.store_url, clock=SystemClock())
    try:
        if await known_world(database) is None:
            await _insert(database, token)
        known = await known_world(database)
        assert known is not None
        token.ids = known.ids
        yield Installation(settings, database)
    finally:
        await database.close()


@asynccontextmanager
async def opened(token: SoftToken, folder: Path) -> AsyncIterator[Rig]:
    async with installed(token, folder) as rows, token.world() as world:
        yield Rig(rows.settings, rows.database, world)


async def _insert(database: Database, token: SoftToken) -> None:
    ids = token.ids
    assert ids.world is not None and ids.system is not None
    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow("w1", "default", "local", LABEL, ids.world, ids.mac, "wrapped", 1))
        await worlds.insert_system_key(tx, SystemKeyRow(ids.system.hex(), "w1", ids.system, ACTIVE, 1))


@contextmanager
def crash_at(number: int) -> Iterator[Callable[[str], None]]:
    """A fault that ends the process at its n-th point, counted from 0."""
    count = itertools.count()

    def fault(_: str) -> None:
        if next(count) == number:
            raise Crash

    yield fault
