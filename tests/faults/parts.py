"""The resources layer over a folder with a token and a database, put together as app/composition.py does it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hsmvault.app.reconciliation import reconcile
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Custodian, CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.hsm.token import Token
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.lanes import Lane
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.keys import Keys
from hsmvault.store import containers
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from tests.rows import have_system_key
from tests.softhsm import SoftToken

Fault = Callable[[str], None]
VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="crash",
    tenant_id="22222222-0000-0000-0000-000000000001",
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="group",
    location="local",
    world_id="world",
    retention=Retention(7, purge_protection=False),
)


@dataclass(frozen=True)
class Parts:
    database: Database
    token: Token
    keys: Keys
    operations: KeyOperations
    backups: KeyBackups
    resident: ResidentCustodian


def database_url(folder: Path) -> str:
    return f"sqlite:///{folder}/hsmvault.db"


@asynccontextmanager
async def opened(folder: Path, ids: WorldIds, hard: str, fault: Fault) -> AsyncIterator[Parts]:
    """hard: the custody class of new HSM-backed keys. fault: called at each step of everything that changes something.
    What is opened here ends with the process: nothing is closed in order.
    """
    clock, identifiers = SystemClock(), RandomIdentifiers()
    database = await Database.open(database_url(folder), clock=clock)
    async with database.write() as tx:
        if await containers.by_id(tx, VAULT.id) is None:
            await containers.insert(tx, VAULT)
    assert ids.system is not None
    await have_system_key(database, ids.system.hex(), world_id=VAULT.world_id)
    with SoftToken(folder, ids).loaded() as module:
        async with SoftToken(folder, ids).started(module) as token:
            world = World([token], identifiers)
            lanes: list[Lane[None]] = [Lane(name, None, limit=64) for name in ("soft", "generation", "checks")]
            ring = KeyRing(TokenSystemKey(world, ids.system))
            sealer = Sealer(ring, DataKeys(database), clock, identifiers)
            soft = SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1], fault=fault)
            intents = Intents(database, "node", clock)
            wrapped = WrappedCustodian(world, identifiers, fault=fault)
            resident = ResidentCustodian(world, identifiers, intents, fault=fault)
            await reconcile(database, [resident], intents)
            both: dict[CustodyClass, Custodian] = {CustodyClass.WRAPPED: wrapped, CustodyClass.RESIDENT: resident}
            custodians = Custodians(soft, {VAULT.world_id: WorldCustody(CustodyClass(hard), both, world.mac)})
            cache = KeyCache(database, custodians)
            feed = ChangeFeed(database)
            feed.subscribe("key", cache.forget)
            database.fault = fault
            yield Parts(
                database,
                token,
                Keys(database, custodians, cache, lanes[2], clock, identifiers, intents),
                KeyOperations(cache, clock, lanes[2], identifiers),
                KeyBackups(
                    database, custodians, {VAULT.world_id: sealer}, {VAULT.world_id: "local"}, clock, identifiers
                ),
                resident,
            )
            database.fault = None
            for lane in lanes:
                await lane.close()
    await database.close()
