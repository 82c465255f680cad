"""Keys of a vault in a real token and a real database, without the wire."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.custody.world import World
from hsmvault.lanes import Lane
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.keys import Keys
from hsmvault.store import containers
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey
from tests.softhsm import SoftToken, offer_export

WORLD_ID = "world"
VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="north",
    tenant_id="22222222-0000-0000-0000-000000000001",
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="group",
    location="local",
    world_id=WORLD_ID,
)
POOL = Container(
    id="11111111-0000-0000-0000-000000000002",
    kind=ContainerKind.POOL,
    name="south",
    tenant_id=VAULT.tenant_id,
    subscription_id=VAULT.subscription_id,
    resource_group="group",
    location="local",
    world_id=WORLD_ID,
)


@dataclass
class Stage:
    clock: MovedClock
    world: World
    database: Database
    custodians: Custodians
    cache: KeyCache
    keys: Keys
    intents: Intents

    def statement_keys(self, purpose: str = "release") -> StatementKeys:
        """As one worker has them: nothing is remembered from others."""
        return StatementKeys(
            purpose,
            WORLD_ID,
            self.custodians.worlds[WORLD_ID],
            database=self.database,
            clock=self.clock,
            identifiers=RandomIdentifiers(),
            intents=self.intents,
            common_name=f"hsmvault {purpose}",
            dns_names=("*.vault.localhost",),
        )


@cache
def _empty_database() -> bytes:
    """With its schema, which takes 40 ms to make."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/hsmvault.db")
        return Path(folder, "hsmvault.db").read_bytes()


@asynccontextmanager
async def stage(token: SoftToken, path: Path, default: CustodyClass = CustodyClass.WRAPPED) -> AsyncIterator[Stage]:
    """path: where the database is made. default: the class of new hard keys."""
    clock, identifiers = MovedClock(), RandomIdentifiers()
    url = f"sqlite:///{path}"
    path.write_bytes(_empty_database())
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation", "checks")]
    async with token.world() as world:
        await offer_export(world)
        database = await Database.open(url, clock=clock)
        async with database.write() as tx:
            for container in (VAULT, POOL):
                await containers.insert(tx, container)
        sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), clock, identifiers)
        soft = SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1])
        intents = Intents(database, "test", clock)
        hard = WorldCustody(
            default,
            {
                CustodyClass.WRAPPED: WrappedCustodian(world, identifiers),
                CustodyClass.RESIDENT: ResidentCustodian(world, identifiers, intents),
            },
            world.mac,
        )
        custodians = Custodians(soft, {WORLD_ID: hard})
        cache = KeyCache(database, custodians)
        feed = ChangeFeed(database)
        feed.subscribe("key", cache.forget)
        keys = Keys(database, custodians, cache, lanes[2], clock, identifiers, intents)
        try:
            yield Stage(clock, world, database, custodians, cache, keys, intents)
        finally:
            for lane in lanes:
                await lane.close()
            await feed.close()
            await database.close()
