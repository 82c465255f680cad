"""Rows that other rows lean on."""

from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import worlds
from hsmvault.store.database import Database


async def have_system_key(database: Database, system_key_id: str, *, world_id: str = "world") -> None:
    """The world and its active system key, when they are not there: without, no data key is taken."""
    async with database.write() as tx:
        if all(row.id != world_id for row in await worlds.worlds(tx)):
            await worlds.insert_world(tx, WorldRow(world_id, world_id, "local", "test", b"", b"", "wrapped", 1))
        if all(row.id != system_key_id for row in await worlds.system_keys_of(tx, world_id)):
            key_id = system_key_id.encode().ljust(16)[:16]
            await worlds.insert_system_key(tx, SystemKeyRow(system_key_id, world_id, key_id, ACTIVE, 1))
