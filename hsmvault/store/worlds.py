"""Security worlds and system keys."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.worlds import ACTIVE, RETIRED, SystemKeyRow, WorldRow
from hsmvault.store import schema
from hsmvault.store.database import Transaction
from hsmvault.store.statements import Statement, same

_WORLD_FIELDS: Final = (
    "id",
    "name",
    "geography",
    "token_label",
    "world_key_id",
    "mac_key_id",
    "custody",
    "created",
    "export_key_id",
    "attestation_key_id",
    "attestation_certificate",
)
_WORLD_COLUMNS: Final = [schema.worlds.c[name] for name in _WORLD_FIELDS]
_KEY_FIELDS: Final = ("id", "world_id", "key_id", "state", "created")
_KEY_COLUMNS: Final = [schema.system_keys.c[name] for name in _KEY_FIELDS]

_WORLD = Statement(sa.select(*_WORLD_COLUMNS).where(same(schema.worlds.c.name)))
_WORLDS = Statement(sa.select(*_WORLD_COLUMNS).order_by(schema.worlds.c.name))
_INSERT_WORLD = Statement(sa.insert(schema.worlds), _WORLD_FIELDS)
_SYSTEM_KEYS = Statement(sa.select(*_KEY_COLUMNS).order_by(schema.system_keys.c.created, schema.system_keys.c.id))
_ACTIVE_KEY = Statement(sa.select(*_KEY_COLUMNS).where(schema.system_keys.c.state == sa.bindparam("state")))
_INSERT_KEY = Statement(sa.insert(schema.system_keys), _KEY_FIELDS)
_RETIRE_KEY = Statement(
    sa.update(schema.system_keys).where(
        same(schema.system_keys.c.id), schema.system_keys.c.state == sa.bindparam("read_state")
    ),
    ["state"],
)


async def world(tx: Transaction, name: str) -> WorldRow | None:
    row = await tx.row(_WORLD, name=name)
    return None if row is None else WorldRow(*row)


async def worlds(tx: Transaction) -> list[WorldRow]:
    """By name."""
    return [WorldRow(*row) for row in await tx.rows(_WORLDS)]


async def insert_world(tx: Transaction, row: WorldRow) -> None:
    """Raises Conflicted when the id or the name is taken."""
    await tx.run(
        _INSERT_WORLD,
        id=row.id,
        name=row.name,
        geography=row.geography,
        token_label=row.token_label,
        world_key_id=row.world_key_id,
        mac_key_id=row.mac_key_id,
        custody=row.custody,
        created=row.created,
        export_key_id=row.export_key_id,
        attestation_key_id=row.attestation_key_id,
        attestation_certificate=row.attestation_certificate,
    )
    tx.changed("world", "", row.name)


async def active_system_key(tx: Transaction) -> SystemKeyRow | None:
    row = await tx.row(_ACTIVE_KEY, state=ACTIVE)
    return None if row is None else SystemKeyRow(*row)


async def system_keys(tx: Transaction) -> list[SystemKeyRow]:
    """Active and retired, the oldest first."""
    return [SystemKeyRow(*row) for row in await tx.rows(_SYSTEM_KEYS)]


async def insert_system_key(tx: Transaction, row: SystemKeyRow) -> None:
    """Raises Conflicted when the id is taken, or when there is an active one and this is active too."""
    await tx.run(_INSERT_KEY, id=row.id, world_id=row.world_id, key_id=row.key_id, state=row.state, created=row.created)
    tx.changed("system-key", "", row.id)


async def retire_system_key(tx: Transaction, system_key_id: str) -> None:
    """In the same transaction as the insertion of its successor. Raises Conflicted when it is not active."""
    await tx.swap(_RETIRE_KEY, id=system_key_id, read_state=ACTIVE, state=RETIRED)
    tx.changed("system-key", "", system_key_id)
