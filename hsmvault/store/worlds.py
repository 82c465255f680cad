"""Security worlds and system keys."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.worlds import ACTIVE, PLANNED, RETIRED, OlderWorldKeyRow, SystemKeyRow, WorldRow, WorldState
from hsmvault.store import schema
from hsmvault.store.database import Transaction
from hsmvault.store.statements import Row, Statement, same

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
    "state",
)
_WORLD_COLUMNS: Final = [schema.worlds.c[name] for name in _WORLD_FIELDS]
_KEY_FIELDS: Final = ("id", "world_id", "key_id", "state", "created")
_KEY_COLUMNS: Final = [schema.system_keys.c[name] for name in _KEY_FIELDS]
_OLDER_FIELDS: Final = ("id", "world_id", "key_id", "retired")
_OLDER_COLUMNS: Final = [schema.older_world_keys.c[name] for name in _OLDER_FIELDS]

_WORLD = Statement(sa.select(*_WORLD_COLUMNS).where(same(schema.worlds.c.name)))
_WORLD_BY_ID = Statement(sa.select(*_WORLD_COLUMNS).where(same(schema.worlds.c.id)))
_WORLDS = Statement(sa.select(*_WORLD_COLUMNS).order_by(schema.worlds.c.name))
_INSERT_WORLD = Statement(sa.insert(schema.worlds), _WORLD_FIELDS)
_SYSTEM_KEYS = Statement(sa.select(*_KEY_COLUMNS).order_by(schema.system_keys.c.created, schema.system_keys.c.id))
_KEYS_OF = Statement(
    sa.select(*_KEY_COLUMNS)
    .where(same(schema.system_keys.c.world_id))
    .order_by(schema.system_keys.c.created, schema.system_keys.c.id)
)
_ACTIVE_KEY = Statement(sa.select(*_KEY_COLUMNS).where(same(schema.system_keys.c.world_id, schema.system_keys.c.state)))
_INSERT_KEY = Statement(sa.insert(schema.system_keys), _KEY_FIELDS)
_MOVE_KEY = Statement(
    sa.update(schema.system_keys).where(
        same(schema.system_keys.c.id), schema.system_keys.c.state == sa.bindparam("read_state")
    ),
    ["state"],
)
_DELETE_KEY = Statement(sa.delete(schema.system_keys).where(same(schema.system_keys.c.id, schema.system_keys.c.state)))
_OLDER = Statement(
    sa.select(*_OLDER_COLUMNS)
    .where(same(schema.older_world_keys.c.world_id))
    .order_by(schema.older_world_keys.c.retired, schema.older_world_keys.c.id)
)
_INSERT_OLDER = Statement(sa.insert(schema.older_world_keys), _OLDER_FIELDS)
_REPLACE_WORLD_KEY = Statement(
    sa.update(schema.worlds).where(
        same(schema.worlds.c.id), schema.worlds.c.world_key_id == sa.bindparam("read_world_key_id")
    ),
    ["world_key_id"],
)
_IN_STATE = Statement(sa.select(*_WORLD_COLUMNS).where(same(schema.worlds.c.state)).order_by(schema.worlds.c.name))
_MOVE_WORLD = Statement(
    sa.update(schema.worlds).where(same(schema.worlds.c.id), schema.worlds.c.state == sa.bindparam("read_state")),
    ["state"],
)
_DELETE_WORLD = Statement(sa.delete(schema.worlds).where(same(schema.worlds.c.id, schema.worlds.c.state)))
_DELETE_KEYS_OF = Statement(sa.delete(schema.system_keys).where(same(schema.system_keys.c.world_id)))
_DELETE_OLDER = Statement(sa.delete(schema.older_world_keys).where(same(schema.older_world_keys.c.world_id)))
_PLAN_COMPLETION = Statement(
    sa.update(schema.worlds).where(same(schema.worlds.c.id), schema.worlds.c.attestation_key_id.is_(None)),
    ["export_key_id", "attestation_key_id"],
)
_COMPLETE = Statement(
    sa.update(schema.worlds).where(
        same(schema.worlds.c.id, schema.worlds.c.attestation_key_id), schema.worlds.c.attestation_certificate.is_(None)
    ),
    ["attestation_certificate"],
)


async def world_by_id(tx: Transaction, world_id: str) -> WorldRow | None:
    row = await tx.row(_WORLD_BY_ID, id=world_id)
    return None if row is None else _decode(row)


async def world(tx: Transaction, name: str) -> WorldRow | None:
    row = await tx.row(_WORLD, name=name)
    return None if row is None else _decode(row)


async def worlds(tx: Transaction) -> list[WorldRow]:
    """By name."""
    return [_decode(row) for row in await tx.rows(_WORLDS)]


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
        state=row.state.value,
    )
    tx.changed("world", "", row.name)


async def spare(tx: Transaction, geography: str) -> WorldRow | None:
    """The first one, by name, that no container has. geography: without regard to case and blanks."""
    found = [_decode(row) for row in await tx.rows(_IN_STATE, state=WorldState.SPARE.value)]
    return next((one for one in found if _folded(one.geography) == _folded(geography)), None)


async def move_world(tx: Transaction, row: WorldRow, state: WorldState) -> None:
    """From the state of `row` to another. Raises Conflicted when it is not in the first any more."""
    await tx.swap(_MOVE_WORLD, id=row.id, read_state=row.state.value, state=state.value)
    tx.changed("world", "", row.name)


async def delete_world(tx: Transaction, row: WorldRow) -> None:
    """With its system keys and older world keys, once its token holds none of them. Raises Conflicted when its state is
    not the one of `row`."""
    await tx.run(_DELETE_KEYS_OF, world_id=row.id)
    await tx.run(_DELETE_OLDER, world_id=row.id)
    await tx.swap(_DELETE_WORLD, id=row.id, state=row.state.value)
    tx.changed("world", "", row.name)


async def plan_completion(tx: Transaction, row: WorldRow, export_id: bytes | None, attestation_id: bytes) -> None:
    """CKA_IDs, before the token makes these keys. Raises Conflicted when others are planned already."""
    await tx.swap(_PLAN_COMPLETION, id=row.id, export_key_id=export_id, attestation_key_id=attestation_id)


async def complete_world(tx: Transaction, row: WorldRow, certificate: bytes) -> None:
    """The planned keys are there. certificate: X.509 in DER, of the attestation key that `row` names.

    Raises Conflicted when the world was completed meanwhile, or with another key.
    """
    await tx.swap(_COMPLETE, id=row.id, attestation_key_id=row.attestation_key_id, attestation_certificate=certificate)
    tx.changed("world", "", row.name)


async def older_world_keys(tx: Transaction, world_id: str) -> list[OlderWorldKeyRow]:
    """World keys of earlier generations, the first retired first."""
    return [OlderWorldKeyRow(*row) for row in await tx.rows(_OLDER, world_id=world_id)]


async def replace_world_key(tx: Transaction, row: WorldRow, key_id: bytes, *, now: int) -> None:
    """The next generation wraps from now on; the one of `row` stays, for what it wrapped. now: seconds since 1970 UTC.

    Raises Conflicted when the row's world key is another one by now.
    """
    await tx.swap(_REPLACE_WORLD_KEY, id=row.id, read_world_key_id=row.world_key_id, world_key_id=key_id)
    await tx.run(_INSERT_OLDER, id=row.world_key_id.hex(), world_id=row.id, key_id=row.world_key_id, retired=now)
    tx.changed("world", "", row.name)


async def active_system_key(tx: Transaction, world_id: str) -> SystemKeyRow | None:
    """The one that seals what is new."""
    row = await tx.row(_ACTIVE_KEY, world_id=world_id, state=ACTIVE)
    return None if row is None else SystemKeyRow(*row)


async def system_keys(tx: Transaction) -> list[SystemKeyRow]:
    """Of every world and in every state, the oldest first."""
    return [SystemKeyRow(*row) for row in await tx.rows(_SYSTEM_KEYS)]


async def system_keys_of(tx: Transaction, world_id: str) -> list[SystemKeyRow]:
    """Of one world, in every state, the oldest first."""
    return [SystemKeyRow(*row) for row in await tx.rows(_KEYS_OF, world_id=world_id)]


async def insert_system_key(tx: Transaction, row: SystemKeyRow) -> None:
    """Raises Conflicted when the id is taken, or when its world has an active one and this is active too."""
    await tx.run(_INSERT_KEY, id=row.id, world_id=row.world_id, key_id=row.key_id, state=row.state, created=row.created)
    tx.changed("system-key", "", row.id)


async def activate_system_key(tx: Transaction, planned_id: str, active_id: str) -> None:
    """The planned key seals from now on, and the active one only opens. Raises Conflicted when either is not so."""
    await move_system_key(tx, active_id, ACTIVE, RETIRED)
    await move_system_key(tx, planned_id, PLANNED, ACTIVE)


async def move_system_key(tx: Transaction, system_key_id: str, read_state: str, state: str) -> None:
    """From one state to another (model/worlds.py). Raises Conflicted when it is not in the first."""
    await tx.swap(_MOVE_KEY, id=system_key_id, read_state=read_state, state=state)
    tx.changed("system-key", "", system_key_id)


async def delete_system_key(tx: Transaction, system_key_id: str, read_state: str) -> None:
    """Its token object is gone. Raises Conflicted when it is not in this state."""
    await tx.swap(_DELETE_KEY, id=system_key_id, state=read_state)
    tx.changed("system-key", "", system_key_id)


def _folded(geography: str) -> str:
    return "".join(geography.split()).lower()


def _decode(row: Row) -> WorldRow:
    values = dict(zip(_WORLD_FIELDS, row, strict=True))
    values["state"] = WorldState(values["state"])
    return WorldRow(**values)
