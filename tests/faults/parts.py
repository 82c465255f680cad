"""The resources layer over a folder with a token and a database, put together as app/composition.py does it."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hsmvault.app.reconciliation import reconcile
from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock, RandomIdentifiers, SystemClock
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Custodian, CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.hsm.token import Token
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.lanes import Lane
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.store import containers
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.wire.failures import status_of
from tests.faults.vault_parts import VaultParts, vault_parts
from tests.rows import have_system_key
from tests.softhsm import SoftToken

Fault = Callable[[str], None]
NODE = "node"
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
POOL = replace(VAULT, id="11111111-0000-0000-0000-000000000002", kind=ContainerKind.POOL, name="crashing")


@dataclass(frozen=True)
class Parts:
    database: Database
    token: Token
    keys: Keys
    operations: KeyOperations
    backups: KeyBackups
    rotation: KeyRotation
    custodians: Custodians
    statements: StatementKeys
    records: WorkRecords
    clock: Clock
    vault: VaultParts


class _Clock(SystemClock):
    def __init__(self, earlier: float) -> None:
        self._earlier = earlier

    def now(self) -> float:
        return super().now() - self._earlier


def database_url(folder: Path) -> str:
    return f"sqlite:///{folder}/hsmvault.db"


@asynccontextmanager
async def opened(
    folder: Path, ids: WorldIds, hard: str, fault: Fault, *, joins: bool = False, earlier: float = 0
) -> AsyncIterator[Parts]:
    """hard: the custody class of new HSM-backed keys. fault: called at each step of everything that changes something.
    joins: another process of the same run is at work. earlier: seconds by which it is not yet as late as it is. What is
    opened here ends with the process: nothing is closed in order.
    """
    clock, identifiers = _Clock(earlier), RandomIdentifiers()
    database = await Database.open(database_url(folder), clock=clock)
    async with database.write() as tx:
        for container in (VAULT, POOL):
            if await containers.by_id(tx, container.id) is None:
                await containers.insert(tx, container)
    assert ids.system is not None
    await have_system_key(database, ids.system.hex(), world_id=VAULT.world_id)
    soft_token = SoftToken(folder, ids, lock=folder / "module.lock")
    with soft_token.loaded() as module:
        async with soft_token.started(module) as token:
            world = World([token], identifiers)
            lanes: list[Lane[None]] = [Lane(name, None, limit=64) for name in ("soft", "generation", "checks")]
            ring = KeyRing(TokenSystemKey(world, ids.system))
            sealer = Sealer(ring, DataKeys(database), clock, identifiers)
            soft = SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1], fault=fault)
            intents = Intents(database, NODE, clock)
            wrapped = WrappedCustodian(world, identifiers, fault=fault)
            resident = ResidentCustodian(world, identifiers, intents, fault=fault)
            if not joins:
                await reconcile(database, [resident], intents)
            both: dict[CustodyClass, Custodian] = {CustodyClass.WRAPPED: wrapped, CustodyClass.RESIDENT: resident}
            custody = WorldCustody(CustodyClass(hard), both, world.mac)
            custodians = Custodians(soft, {VAULT.world_id: custody})
            cache = KeyCache(database, custodians)
            feed = ChangeFeed(database)
            feed.subscribe("key", cache.forget)
            audit = AuditLog(folder / "audit", f"{os.getpid()}", clock)
            records = WorkRecords(audit, clock, identifiers, lambda one: f"https://{one.name}", status_of)
            keys = Keys(database, custodians, cache, lanes[2], clock, identifiers, intents)
            database.fault = fault
            yield Parts(
                database,
                token,
                keys,
                KeyOperations(cache, clock, lanes[2], identifiers),
                KeyBackups(
                    database, custodians, {VAULT.world_id: sealer}, {VAULT.world_id: "local"}, clock, identifiers
                ),
                KeyRotation(database, keys, clock),
                custodians,
                StatementKeys(
                    "release",
                    VAULT.world_id,
                    custody,
                    database=database,
                    clock=clock,
                    identifiers=identifiers,
                    intents=intents,
                    common_name="hsmvault release",
                ),
                records,
                clock,
                vault_parts(database, feed, VAULT, custodians, sealer, lanes[2], records, clock, identifiers, intents),
            )
            database.fault = None
            await audit.close()
            for lane in lanes:
                await lane.close()
    await database.close()
