"""Backup and restore of one key with all its versions.

The blob opens under the same system key, in the same subscription and geography; whatever does not fit is one refusal,
and nothing is restored. A restored key is bound to its new rows: the copy and the original are independent.
"""

from collections.abc import Mapping

import msgspec

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.backup import BackupScope, open_backup, seal_backup
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import CustodyClass
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import refusals
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.store import keys as store
from hsmvault.store.database import Conflicted, Database

_FORMAT = 1
_MOST_VERSIONS = 500


class _Version(msgspec.Struct, frozen=True):
    """One version in a backup. packed: as its custodian packs it (Custodian.pack); the blob is sealed as a whole."""

    version: str
    sequence: int
    family: Family
    size_bits: int
    curve: Curve | None
    public_exponent: int
    custody: CustodyClass
    public: bytes
    packed: bytes
    public_members: dict[str, bytes]
    operations: tuple[str, ...]
    created: int
    updated: int
    enabled: bool
    not_before: int | None
    expires: int | None
    exportable: bool
    tags: dict[str, str]

    def __repr__(self) -> str:
        return f"_Version({self.version})"


class _Backup(msgspec.Struct, frozen=True):
    """container_id: where it was made, which its material is still bound to."""

    format: int
    container_id: str
    name: str
    created: int
    versions: list[_Version]


class KeyBackups:
    """geography_of: the geography of a container's security world."""

    def __init__(
        self,
        database: Database,
        custodians: Custodians,
        system_keys: KeyRing,
        geographies: Mapping[str, str],
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._database = database
        self._custodians = custodians
        self._system_keys = system_keys
        self._geographies = geographies
        self._clock = clock
        self._identifiers = identifiers

    async def backup(self, container: Container, name: str) -> bytes:
        """Raises NotFound; BadRequest above 500 versions and for keys that never leave their token."""
        async with self._database.read() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            rows = await store.versions(tx, container.id, name.lower())
        if at_name is None or at_name.is_deleted:
            raise refusals.not_found(Kind.KEYS, name)
        if len(rows) > _MOST_VERSIONS:
            raise BadRequest(f"A key with more than {_MOST_VERSIONS} versions cannot be backed up.")
        versions = [await self._pack(container, row) for row in rows]
        body = msgspec.msgpack.encode(_Backup(_FORMAT, container.id, at_name.name, at_name.created, versions))
        return await seal_backup(
            self._system_keys.current,
            self._scope(container),
            body,
            created=int(self._clock.now()),
            identifiers=self._identifiers,
        )

    async def restore(self, container: Container, blob: bytes, origin: str) -> KeyVersion:
        """All versions with their ids, attributes and tags. Returns the latest. Raises BadRequest for a blob that does
        not belong here or holds keys that the container would not make, Conflict when the name exists, deleted or
        not."""
        body = await open_backup(self._system_keys, blob, self._scope(container))
        backup = msgspec.msgpack.decode(body, type=_Backup)
        for version in backup.versions:
            refusals.check_key_class(container, hardware=version.custody.is_hardware)
        latest = backup.versions[-1]
        identifier = f"{origin}/keys/{backup.name}/{latest.version}"
        async with self._database.read() as tx:
            if await store.name(tx, container.id, backup.name.lower()) is not None:
                raise refusals.restore_conflict(Kind.KEYS, identifier)
        rows = [await self._unpack(container, backup, version) for version in backup.versions]
        at_name = KeyName(
            container_id=container.id,
            name=backup.name,
            latest_version=latest.version,
            next_sequence=latest.sequence + 1,
            created=backup.created,
            revision=1,
        )
        try:
            async with self._database.write() as tx:
                await store.restore(tx, at_name, rows)
        except Conflicted as error:
            raise refusals.restore_conflict(Kind.KEYS, identifier) from error
        return rows[-1]

    async def _pack(self, container: Container, row: KeyVersion) -> _Version:
        custodian = self._custodians.holding(container, row.custody)
        packed = await custodian.pack(held_by(row), binding_of(container.id, row.name, row.version))
        return _Version(
            version=row.version,
            sequence=row.sequence,
            family=row.spec.family,
            size_bits=row.spec.size_bits,
            curve=row.spec.curve,
            public_exponent=row.spec.public_exponent,
            custody=CustodyClass(row.custody),
            public=row.public,
            packed=packed,
            public_members=dict(row.public_members),
            operations=row.operations,
            created=row.created,
            updated=row.updated,
            enabled=row.enabled,
            not_before=row.not_before,
            expires=row.expires,
            exportable=row.exportable,
            tags=dict(row.tags),
        )

    async def _unpack(self, container: Container, backup: _Backup, version: _Version) -> KeyVersion:
        spec = KeySpec(version.family, version.size_bits, version.curve, version.public_exponent)
        custodian = self._custodians.holding(container, version.custody.value)
        held = await custodian.unpack(
            spec,
            version.public,
            version.packed,
            binding_of(backup.container_id, backup.name, version.version),
            binding_of(container.id, backup.name, version.version),
        )
        return KeyVersion(
            container_id=container.id,
            name=backup.name,
            version=version.version,
            sequence=version.sequence,
            spec=spec,
            custody=held.custody.value,
            public=held.public,
            reference=held.reference,
            public_members=version.public_members,
            operations=version.operations,
            created=version.created,
            updated=version.updated,
            enabled=version.enabled,
            not_before=version.not_before,
            expires=version.expires,
            exportable=version.exportable,
            tags=version.tags,
        )

    def _scope(self, container: Container) -> BackupScope:
        return BackupScope(
            "key", container.subscription_id, self._geographies.get(container.world_id, ""), container.tenant_id
        )
