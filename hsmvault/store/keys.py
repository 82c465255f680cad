"""Keys: a name with its life, and its versions (objects.py). How rows become values is in key_rows.py."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.key_rows import ROWS
from hsmvault.store.objects import ObjectStore, first_name
from hsmvault.store.schema import key_versions
from hsmvault.store.statements import Statement, same

KEYS: Final = ObjectStore(ROWS)

name = KEYS.name
version = KEYS.version
any_version = KEYS.any_version
deleted_version = KEYS.deleted_version
versions = KEYS.all_versions
add_version = KEYS.add_version
publish = KEYS.publish
remove_version = KEYS.remove_version
remove = KEYS.remove
restore = KEYS.restore
update_version = KEYS.update_version
mark_deleted = KEYS.mark_deleted
mark_recovered = KEYS.mark_recovered
purge = KEYS.purge
page = KEYS.page
version_page = KEYS.version_page
deleted_page = KEYS.deleted_page
due_for_purge = KEYS.due_for_purge

_SET_ROTATION_POLICY = KEYS.setting("rotation_policy")
_REFERENCES = Statement(sa.select(key_versions.c.reference).where(same(key_versions.c.custody)))


async def insert_version(tx: Transaction, version: KeyVersion, *, at_name: KeyName | None) -> None:
    """The new latest version. at_name: as it was read, or None for a new name, which then has the revision 1.

    version.sequence is at_name.next_sequence, or 1 or more for a new name. Raises Conflicted when the name exists
    (at_name is None), has changed since, or is deleted or gone.
    """
    if at_name is not None:
        await KEYS.add_version(tx, version, at_name)
        return
    await KEYS.insert_name(tx, KeyName(**first_name(version)), version)


async def set_rotation_policy(tx: Transaction, at_name: KeyName, policy: RotationPolicy | None) -> None:
    """Raises Conflicted when the name is not active at the revision that was read."""
    await KEYS.set_columns(tx, _SET_ROTATION_POLICY, at_name, rotation_policy=columns.value_to_column(policy))


async def references(tx: Transaction, custody: str) -> list[bytes]:
    """Of all keys of one class of custody in every container, deleted ones too: for the comparison with the token."""
    return [bytes(reference) for (reference,) in await tx.rows(_REFERENCES, custody=custody)]
