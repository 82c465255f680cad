"""Nodes of an installation: the jobs, real databases and audit logs, and soft keys. The test moves the clock."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hsmvault.audit.log import AuditLog
from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.jobs.events import DropEvents
from hsmvault.jobs.expiry import AnnounceExpiry
from hsmvault.jobs.purge import PurgeDeleted, purged_keys, purged_secrets
from hsmvault.jobs.rotation import RotateKeys
from hsmvault.jobs.runner import Runner
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.keys import KeyVersion
from hsmvault.model.lifecycle import SECONDS_PER_DAY, Retention
from hsmvault.model.rotation import StatedAction, parse_policy
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.key_settings import KeySettings
from hsmvault.resources.keys import Keys
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.store import containers, outbox, worlds
from hsmvault.store import keys as store
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from hsmvault.store.outbox import Event
from hsmvault.wire.failures import status_of
from tests.custody.doubles import SoftwareSystemKey

DAY = SECONDS_PER_DAY
P256 = KeySpec.ec(Curve.P256)
VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="dev",
    tenant_id="22222222-0000-0000-0000-000000000001",
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="group",
    location="local",
    world_id="world",
    premium=False,
    retention=Retention(7, purge_protection=True),
)


@dataclass
class Node:
    """clock: may be shared with other nodes, or its own."""

    clock: MovedClock
    database: Database
    keys: Keys
    secrets: Secrets
    rotation: KeyRotation
    records: WorkRecords
    runner: Runner
    audit: AuditLog
    audit_path: Path
    custodians: Custodians
    sealer: Sealer
    intents: Intents
    work: Lane[None]
    counted: list[tuple[str, str]] = field(default_factory=list)

    async def create(self, name: str = "key", *, container: Container = VAULT, **settings: Any) -> KeyVersion:
        return await self.keys.create(container, name, P256, KeySettings(**settings), hardware=False)

    async def set_policy(self, after_create: str, name: str = "key", *, expiry: str | None = None) -> None:
        policy = parse_policy([StatedAction("Rotate", after_create)], expiry)
        await self.rotation.set_policy(VAULT, name, policy)

    async def versions(self, name: str = "key") -> list[KeyVersion]:
        async with self.database.read() as tx:
            return await store.versions(tx, VAULT.id, name)

    async def is_there(self, name: str = "key") -> bool:
        """Active or deleted."""
        async with self.database.read() as tx:
            return await store.name(tx, VAULT.id, name) is not None

    async def events(self) -> list[Event]:
        """Of the outbox, the oldest first."""
        async with self.database.read() as tx:
            return [event for _, event in await outbox.page(tx, 0, 1000)]

    async def told(self) -> list[str]:
        """Types of the events but those of new versions."""
        return [event.type for event in await self.events() if event.type != "KeyNewVersionCreated"]

    def recorded(self) -> list[tuple[str, int]]:
        """Operation and status of each audit record."""
        lines = [json.loads(line) for line in self.audit_path.read_bytes().splitlines()]
        return [(line["operationName"], line["properties"]["httpStatusCode"]) for line in lines]

    async def pass_days(self, days: int) -> None:
        """Time passes, and the node runs all along."""
        for _ in range(days):
            self.clock.move(DAY)
            await self.runner.tick()


@cache
def _empty_database() -> bytes:
    """With the schema: a migration takes longer than most tests."""
    with TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/hsmvault.db")
        return (Path(folder) / "hsmvault.db").read_bytes()


Opener = Callable[..., Awaitable[Node]]


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Opener]:
    """Opens one more node of the same installation at each call. The first has made the vault."""
    url = f"sqlite:///{folder}/hsmvault.db"
    (folder / "hsmvault.db").write_bytes(_empty_database())
    system_key = SoftwareSystemKey()
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation", "checks")]
    nodes: list[Node] = []

    async def node(clock: MovedClock) -> Node:
        identifiers, name = RandomIdentifiers(), f"{len(nodes)}"
        database = await Database.open(url, clock=clock)
        async with database.write() as tx:
            if await containers.by_id(tx, VAULT.id) is None:
                await containers.insert(tx, VAULT)
                await worlds.insert_world(tx, WorldRow(VAULT.world_id, "world", "local", "", b"", b"", "", 0))
                await worlds.insert_system_key(tx, SystemKeyRow(system_key.id, VAULT.world_id, b"", ACTIVE, 0))
        audit = AuditLog(folder / "audit", name, clock)
        sealer = Sealer(KeyRing(system_key), DataKeys(database), clock, identifiers)
        custodians = Custodians(SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1]), {})
        cache, intents = KeyCache(database, custodians), Intents(database, name, clock)
        keys = Keys(database, custodians, cache, lanes[2], clock, identifiers, intents)
        secrets = Secrets(database, SecretCache(database), {VAULT.world_id: sealer}, clock, identifiers)
        rotation = KeyRotation(database, keys, clock)
        records = WorkRecords(audit, clock, identifiers, lambda one: f"https://{one.name}", status_of)
        counted: list[tuple[str, str]] = []
        runner = Runner(
            database,
            [
                RotateKeys(database, rotation, records),
                AnnounceExpiry(database, records, clock, identifiers),
                PurgeDeleted(database, records, [purged_keys(keys), purged_secrets(secrets)]),
                DropEvents(database),
            ],
            clock,
            f"node-{name}",
            count=lambda job, outcome: counted.append((job, outcome)),
        )
        path = folder / "audit" / f"audit-{name}-000001.jsonl"
        nodes.append(
            Node(
                clock,
                database,
                keys,
                secrets,
                rotation,
                records,
                runner,
                audit,
                path,
                custodians,
                sealer,
                intents,
                lanes[2],
                counted,
            )
        )
        return nodes[-1]

    try:
        yield node
    finally:
        for one in nodes:
            one.database.fault = None
            await one.audit.close()
            await one.database.close()
        for lane in lanes:
            await lane.close()
