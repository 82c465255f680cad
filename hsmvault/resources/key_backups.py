"""Backup and restore of one key with all its versions.

The blob opens in the same security world, kind of container, subscription, tenant and geography; whatever does not fit
is one refusal, and nothing is restored. A restored key is bound to its new rows: the copy and the original are
independent.
"""

from collections.abc import Mapping
from dataclasses import replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.backup import open_backup, seal_backup
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import key_backup_bodies as bodies
from hsmvault.resources import key_schedule, refusals
from hsmvault.resources.backup_scope import scope_of, sealer_of
from hsmvault.resources.key_backup_bodies import BackupBody, VersionBody
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.resources.policy_binding import bound, check_bound
from hsmvault.store import keys as store
from hsmvault.store.database import Conflicted, Database

_MOST_VERSIONS = 500


class KeyBackups:
    """sealers, geographies: of each security world, by its id."""

    def __init__(
        self,
        database: Database,
        custodians: Custodians,
        sealers: Mapping[str, Sealer],
        geographies: Mapping[str, str],
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._database = database
        self._custodians = custodians
        self._sealers = sealers
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
        if rows[-1].managed:
            raise refusals.managed(Kind.KEYS, "backup")
        if len(rows) > _MOST_VERSIONS:
            raise BadRequest(f"A key with more than {_MOST_VERSIONS} versions cannot be backed up.")
        body = bodies.encode(at_name, [await self._pack(container, row) for row in rows])
        sealer, created = sealer_of(self._sealers, container), int(self._clock.now())
        return await seal_backup(sealer, scope_of("key", container, self._geographies), body, created=created)

    async def restore(self, container: Container, blob: bytes, origin: str) -> KeyVersion:
        """All versions with their ids, attributes, policies and tags. Returns the latest. Raises BadRequest for a blob
        that does not belong here or holds keys that the container would not make, Conflict when the name exists,
        deleted or not.
        """
        sealer, scope = sealer_of(self._sealers, container), scope_of("key", container, self._geographies)
        backup = bodies.decode(await open_backup(sealer, blob, scope))
        for version in backup.versions:
            refusals.check_key_type(container, version.family, hardware=version.custody.is_hardware)
        refusals.check_version_count(container, len(backup.versions))
        identifier = f"{origin}/keys/{backup.name}/{backup.latest.version}"
        async with self._database.read() as tx:
            if await store.name(tx, container.id, backup.name.lower()) is not None:
                raise refusals.restore_conflict(Kind.KEYS, identifier)
        rows = [await self._unpack(container, backup, version) for version in backup.versions]
        at_name = KeyName(
            container_id=container.id,
            name=backup.name,
            latest_version=backup.latest.version,
            next_sequence=backup.latest.sequence + 1,
            created=backup.created,
            revision=1,
            rotation_policy=backup.rotation_policy,
        )
        try:
            async with self._database.write() as tx:
                await store.restore(tx, at_name, rows)
                now = int(self._clock.now())
                await key_schedule.begin(tx, container, at_name.rotation_policy, rows[-1], told_until=now)
        except Conflicted as error:
            raise refusals.restore_conflict(Kind.KEYS, identifier) from error
        return rows[-1]

    async def _pack(self, container: Container, row: KeyVersion) -> VersionBody:
        custodian = self._custodians.holding(container, row.custody)
        await check_bound(self._custodians, container, row)
        packed = await custodian.pack(held_by(row), binding_of(container.id, row.name, row.version))
        return bodies.body_of(row, packed)

    async def _unpack(self, container: Container, backup: BackupBody, version: VersionBody) -> KeyVersion:
        custodian = self._custodians.holding(container, version.custody.value)
        held = await custodian.unpack(
            version.spec,
            version.public,
            version.packed,
            binding_of(backup.container_id, backup.name, version.version),
            binding_of(container.id, backup.name, version.version),
        )
        row = bodies.row_of(version, container.id, backup.name, held.reference)
        policy = await bound(self._custodians, container, row.name, row.version, row.release_policy)
        return replace(row, release_policy=policy)
