"""Keys: a name with its life, and its versions. Statements are confined to one container, but for
those of the purge job and of the comparison with the token at start.

Names compare by their lower case; the spelling of the first version is kept and answered. Every change of a name or
of any of its versions is a compare-and-swap on the name's revision, so that two nodes cannot lose each other's.
How rows become values is in key_rows.py.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.key_rows import (
    NAME_COLUMNS,
    NAME_FIELDS,
    VERSION_COLUMNS,
    VERSION_FIELDS,
    decode_name,
    decode_version,
    encode_name,
    encode_version,
)
from hsmvault.store.schema import key_names, key_versions
from hsmvault.store.statements import Statement, same

_of_name = sa.and_(key_versions.c.container_id == key_names.c.container_id, key_versions.c.folded == key_names.c.folded)
_every_version = key_names.join(key_versions, _of_name)
_latest_version = key_names.join(key_versions, sa.and_(_of_name, key_versions.c.version == key_names.c.latest_version))
_is_active = key_names.c.deleted_at.is_(None)
_is_deleted = key_names.c.deleted_at.is_not(None)
_this_name = same(key_names.c.container_id, key_names.c.folded)
_as_read = sa.and_(_this_name, key_names.c.revision == sa.bindparam("read_revision"))
_this_version = same(key_versions.c.container_id, key_versions.c.folded, key_versions.c.version)

_NAME = Statement(sa.select(*NAME_COLUMNS).where(_this_name))
_LATEST = Statement(sa.select(*VERSION_COLUMNS).select_from(_latest_version).where(_this_name, _is_active))
_VERSION = Statement(
    sa.select(*VERSION_COLUMNS).select_from(_every_version).where(_this_name, same(key_versions.c.version), _is_active)
)
_LATEST_OF_DELETED = Statement(
    sa.select(*NAME_COLUMNS, *VERSION_COLUMNS).select_from(_latest_version).where(_this_name, _is_deleted)
)
_VERSIONS = Statement(
    sa.select(*VERSION_COLUMNS).select_from(_every_version).where(_this_name).order_by(key_versions.c.sequence)
)
_PAGE = Statement(
    sa.select(*VERSION_COLUMNS)
    .select_from(_latest_version)
    .where(same(key_names.c.container_id), key_names.c.folded > sa.bindparam("after"), _is_active)
    .order_by(key_names.c.folded)
    .limit(sa.bindparam("limit"))
)
_VERSION_PAGE = Statement(
    sa.select(*VERSION_COLUMNS)
    .select_from(_every_version)
    .where(_this_name, _is_active, key_versions.c.sequence > sa.bindparam("after"))
    .order_by(key_versions.c.sequence)
    .limit(sa.bindparam("limit"))
)
_DELETED_PAGE = Statement(
    sa.select(*NAME_COLUMNS, *VERSION_COLUMNS)
    .select_from(_latest_version)
    .where(same(key_names.c.container_id), key_names.c.folded > sa.bindparam("after"), _is_deleted)
    .order_by(key_names.c.folded)
    .limit(sa.bindparam("limit"))
)
_DUE = Statement(
    sa.select(*NAME_COLUMNS)
    .where(key_names.c.purge_at <= sa.bindparam("now"), _is_deleted)
    .order_by(key_names.c.purge_at)
    .limit(sa.bindparam("limit"))
)

_REFERENCES = Statement(sa.select(key_versions.c.reference).where(same(key_versions.c.custody)))

_INSERT_NAME = Statement(sa.insert(key_names), NAME_FIELDS)
_INSERT_VERSION = Statement(sa.insert(key_versions), VERSION_FIELDS)
_NEW_LATEST = Statement(
    sa.update(key_names).where(_as_read, _is_active), ["latest_version", "next_sequence", "revision"]
)
_TOUCH_NAME = Statement(sa.update(key_names).where(_as_read, _is_active), ["revision"])
_UPDATE_VERSION = Statement(
    sa.update(key_versions).where(_this_version),
    ["operations", "updated", "enabled", "not_before", "expires", "exportable", "tags", "release_policy"],
)
_SET_ROTATION_POLICY = Statement(sa.update(key_names).where(_as_read, _is_active), ["rotation_policy", "revision"])
_DELETE_NAME = Statement(sa.update(key_names).where(_as_read, _is_active), ["deleted_at", "purge_at", "revision"])
_RECOVER_NAME = Statement(sa.update(key_names).where(_as_read, _is_deleted), ["deleted_at", "purge_at", "revision"])
_PURGE_VERSIONS = Statement(sa.delete(key_versions).where(same(key_versions.c.container_id, key_versions.c.folded)))
_PURGE_NAME = Statement(sa.delete(key_names).where(_as_read, _is_deleted))


async def name(tx: Transaction, container_id: str, name: str) -> KeyName | None:
    """Active or deleted."""
    row = await tx.row(_NAME, container_id=container_id, folded=name.lower())
    return None if row is None else decode_name(row)


async def version(tx: Transaction, container_id: str, name: str, version: str | None) -> KeyVersion | None:
    """version: None for the latest. None when there is none, or the name is deleted."""
    if version is None:
        row = await tx.row(_LATEST, container_id=container_id, folded=name.lower())
    else:
        row = await tx.row(_VERSION, container_id=container_id, folded=name.lower(), version=version)
    return None if row is None else decode_version(row)


async def deleted_version(tx: Transaction, container_id: str, name: str) -> tuple[KeyName, KeyVersion] | None:
    """A deleted name and its latest version; None when there is none, or the name is active."""
    row = await tx.row(_LATEST_OF_DELETED, container_id=container_id, folded=name.lower())
    return None if row is None else _decode_both(row)


async def versions(tx: Transaction, container_id: str, name: str) -> list[KeyVersion]:
    """All of them by sequence, deleted or not."""
    return [decode_version(row) for row in await tx.rows(_VERSIONS, container_id=container_id, folded=name.lower())]


async def insert_version(tx: Transaction, version: KeyVersion, *, at_name: KeyName | None) -> None:
    """The new latest version. at_name: as it was read, or None for a new name, which then has the revision 1.

    version.sequence is at_name.next_sequence, or 1 or more for a new name. Raises Conflicted when the name exists
    (at_name is None), has changed since, or is deleted or gone.
    """
    if at_name is None:
        new = KeyName(
            container_id=version.container_id,
            name=version.name,
            latest_version=version.version,
            next_sequence=version.sequence + 1,
            created=version.created,
            revision=1,
        )
        await tx.run(_INSERT_NAME, **encode_name(new))
    else:
        _check_belongs(version, at_name)
        if version.sequence != at_name.next_sequence:
            raise ValueError("the sequence of a new version is the next of its name")
        await tx.swap(
            _NEW_LATEST,
            container_id=at_name.container_id,
            folded=at_name.folded,
            read_revision=at_name.revision,
            latest_version=version.version,
            next_sequence=version.sequence + 1,
            revision=at_name.revision + 1,
        )
    await tx.run(_INSERT_VERSION, **encode_version(version))
    tx.changed("key", version.container_id, version.name.lower())


async def restore(tx: Transaction, name: KeyName, versions: Sequence[KeyVersion]) -> None:
    """A name with all its versions, as they are given. Raises Conflicted when the name exists, deleted or not."""
    if name.latest_version not in {version.version for version in versions}:
        raise ValueError("the latest version is not among the versions")
    if name.next_sequence <= max(version.sequence for version in versions):
        raise ValueError("the next sequence comes after that of every version")
    await tx.run(_INSERT_NAME, **encode_name(name))
    for version in versions:
        _check_belongs(version, name)
        await tx.run(_INSERT_VERSION, **encode_version(version))
    tx.changed("key", name.container_id, name.folded)


async def update_version(tx: Transaction, version: KeyVersion, *, at_name: KeyName) -> None:
    """Replace what may change: operations, updated, enabled, not_before, expires, exportable, tags. The name's
    revision goes up by one. Raises Conflicted when the name is not active at the revision that was read.
    """
    _check_belongs(version, at_name)
    await _touch(tx, at_name)
    await tx.swap(
        _UPDATE_VERSION,
        container_id=version.container_id,
        folded=at_name.folded,
        version=version.version,
        operations=columns.texts_to_column(version.operations),
        updated=version.updated,
        enabled=version.enabled,
        not_before=version.not_before,
        expires=version.expires,
        exportable=version.exportable,
        tags=columns.text_map_to_column(version.tags),
        release_policy=columns.value_to_column(version.release_policy),
    )
    tx.changed("key", version.container_id, at_name.folded)


async def set_rotation_policy(tx: Transaction, at_name: KeyName, policy: RotationPolicy | None) -> None:
    """Raises Conflicted when the name is not active at the revision that was read."""
    await tx.swap(
        _SET_ROTATION_POLICY,
        container_id=at_name.container_id,
        folded=at_name.folded,
        read_revision=at_name.revision,
        rotation_policy=columns.value_to_column(policy),
        revision=at_name.revision + 1,
    )
    tx.changed("key", at_name.container_id, at_name.folded)


async def mark_deleted(tx: Transaction, at_name: KeyName, deleted_at: int, purge_at: int) -> None:
    """Both in seconds since 1970 UTC. Raises Conflicted when the name is not active at the revision that was read."""
    await tx.swap(
        _DELETE_NAME,
        container_id=at_name.container_id,
        folded=at_name.folded,
        read_revision=at_name.revision,
        deleted_at=deleted_at,
        purge_at=purge_at,
        revision=at_name.revision + 1,
    )
    tx.changed("key", at_name.container_id, at_name.folded)


async def mark_recovered(tx: Transaction, at_name: KeyName) -> None:
    """Raises Conflicted when the name is not deleted at the revision that was read."""
    await tx.swap(
        _RECOVER_NAME,
        container_id=at_name.container_id,
        folded=at_name.folded,
        read_revision=at_name.revision,
        deleted_at=None,
        purge_at=None,
        revision=at_name.revision + 1,
    )
    tx.changed("key", at_name.container_id, at_name.folded)


async def purge(tx: Transaction, at_name: KeyName) -> None:
    """Remove the name and every version. Raises Conflicted when it is not deleted at the revision that was read."""
    await tx.run(_PURGE_VERSIONS, container_id=at_name.container_id, folded=at_name.folded)
    await tx.swap(_PURGE_NAME, container_id=at_name.container_id, folded=at_name.folded, read_revision=at_name.revision)
    tx.changed("key", at_name.container_id, at_name.folded)


async def page(tx: Transaction, container_id: str, after: str | None, limit: int) -> list[KeyVersion]:
    """The latest versions of active names, by name in lower case. after: the name that ended the page before."""
    rows = await tx.rows(_PAGE, container_id=container_id, after=(after or "").lower(), limit=limit)
    return [decode_version(row) for row in rows]


async def version_page(
    tx: Transaction, container_id: str, name: str, after_sequence: int | None, limit: int
) -> list[KeyVersion]:
    """Versions of an active name, oldest first. after_sequence: of the version that ended the page before."""
    after = -1 if after_sequence is None else after_sequence
    rows = await tx.rows(_VERSION_PAGE, container_id=container_id, folded=name.lower(), after=after, limit=limit)
    return [decode_version(row) for row in rows]


async def deleted_page(
    tx: Transaction, container_id: str, after: str | None, limit: int
) -> list[tuple[KeyName, KeyVersion]]:
    """Deleted names and their latest versions, by name in lower case."""
    rows = await tx.rows(_DELETED_PAGE, container_id=container_id, after=(after or "").lower(), limit=limit)
    return [_decode_both(row) for row in rows]


async def references(tx: Transaction, custody: str) -> list[bytes]:
    """Of all keys of one class of custody in every container, deleted ones too: for the comparison with the token."""
    return [bytes(reference) for (reference,) in await tx.rows(_REFERENCES, custody=custody)]


async def due_for_purge(tx: Transaction, now: int, limit: int) -> list[KeyName]:
    """Deleted names of every container whose purge_at has come, the longest due first."""
    return [decode_name(row) for row in await tx.rows(_DUE, now=now, limit=limit)]


async def _touch(tx: Transaction, at_name: KeyName) -> None:
    await tx.swap(
        _TOUCH_NAME,
        container_id=at_name.container_id,
        folded=at_name.folded,
        read_revision=at_name.revision,
        revision=at_name.revision + 1,
    )


def _check_belongs(version: KeyVersion, name: KeyName) -> None:
    if (version.container_id, version.name.lower()) != (name.container_id, name.folded):
        raise ValueError("the version is of another name")


def _decode_both(row: tuple[object, ...]) -> tuple[KeyName, KeyVersion]:
    split = len(NAME_COLUMNS)
    return decode_name(row[:split]), decode_version(row[split:])
