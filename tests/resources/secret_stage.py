"""Secrets of two vaults and a stranger's in a real database, without the wire and without an HSM."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.lanes import Lane
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.resources.secret_backups import SecretBackups
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secret_formats import SecretFormats
from hsmvault.resources.secrets import Secrets
from hsmvault.store import containers, worlds
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from tests.custody.doubles import SoftwareSystemKey
from tests.resources.stage import VAULT

SOUTH = replace(VAULT, id="11111111-0000-0000-0000-000000000003", name="south")
FOREIGN = replace(SOUTH, id="11111111-0000-0000-0000-000000000004", name="foreign", tenant_id="other")
ELSEWHERE = replace(SOUTH, id="11111111-0000-0000-0000-000000000005", name="elsewhere", world_id="other")


@dataclass
class SecretStage:
    clock: MovedClock
    database: Database
    sealer: Sealer
    cache: SecretCache
    secrets: Secrets
    backups: SecretBackups
    formats: SecretFormats


@asynccontextmanager
async def secret_stage(path: Path, empty: Path) -> AsyncIterator[SecretStage]:
    """path: where the database is made, as a copy of an empty one."""
    shutil.copy(empty, path)
    clock, identifiers = MovedClock(), RandomIdentifiers()
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    system_keys = {VAULT.world_id: SoftwareSystemKey("system-1"), "other": SoftwareSystemKey("system-2")}
    async with database.write() as tx:
        for world_id, key in system_keys.items():
            await worlds.insert_world(tx, WorldRow(world_id, world_id, "local", "t", b"w", b"m", "wrapped", 0))
            await worlds.insert_system_key(tx, SystemKeyRow(key.id, world_id, key.id.encode(), ACTIVE, 0))
        for container in (VAULT, SOUTH, FOREIGN, ELSEWHERE):
            await containers.insert(tx, container)
    sealers = {
        world_id: Sealer(KeyRing(key), DataKeys(database), clock, identifiers) for world_id, key in system_keys.items()
    }
    cache = SecretCache(database)
    feed = ChangeFeed(database)
    feed.subscribe("secret", cache.forget)
    lane: Lane[None] = Lane("conversion", None, limit=10)
    geographies = dict.fromkeys(sealers, "local")
    yield SecretStage(
        clock,
        database,
        sealers[VAULT.world_id],
        cache,
        Secrets(database, cache, sealers, clock, identifiers),
        SecretBackups(database, sealers, geographies, clock),
        SecretFormats(lane, identifiers),
    )
    await lane.close()
    await feed.close()
    await database.close()
