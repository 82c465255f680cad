"""Backup and restore of one secret with all its versions.

The blob opens in the same security world, subscription, tenant and geography; whatever does not fit is one refusal, and
nothing is restored. A restored secret is sealed for its new rows: the copy and the original are independent. The secret
of a certificate is backed up with the certificate.
"""

import asyncio
from collections.abc import Mapping, Sequence

from hsmvault.clock import Clock
from hsmvault.custody.backup import backup_container, open_backup, open_carried, seal_backup
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import FORMAT as SEALED_FORMAT
from hsmvault.custody.sealing import ID_BYTES, Sealer
from hsmvault.errors import BadRequest, Damaged
from hsmvault.model.containers import Container
from hsmvault.model.data_keys import DataKeyRow
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.resources import refusals, secret_schedule
from hsmvault.resources import secret_backup_bodies as bodies
from hsmvault.resources.backup_scope import scope_of, sealer_of
from hsmvault.resources.secret_backup_bodies import BackupBody, VersionBody
from hsmvault.resources.secret_cache import binding_of
from hsmvault.store.database import Conflicted, Database
from hsmvault.store.secrets import SECRETS

_KIND = "secret"
_MOST_VERSIONS = 500
_LONGEST_BLOB_BYTES = 17 * 1024 * 1024
"""Five hundred of the longest values, with room for tags. Base64 of it still fits into a request (wire/data_plane.py):
what could not be restored is no backup."""
_AT_ONCE = 50  # versions, between which others get their turn


class SecretBackups:
    """sealers, geographies: of each security world, by its id."""

    def __init__(
        self, database: Database, sealers: Mapping[str, Sealer], geographies: Mapping[str, str], clock: Clock
    ) -> None:
        self._database = database
        self._sealers = sealers
        self._geographies = geographies
        self._clock = clock

    async def backup(self, container: Container, name: str) -> bytes:
        """Raises NotFound; Forbidden for the secret of a certificate; BadRequest above 500 versions, and when they are
        too large together; Damaged, Unavailable, Throttled."""
        async with self._database.read() as tx:
            at_name = await SECRETS.name(tx, container.id, name)
            rows = await SECRETS.all_versions(tx, container.id, name)
        if at_name is None or at_name.is_deleted:
            raise refusals.not_found(Kind.SECRETS, name)
        if rows[-1].managed:
            raise refusals.managed(Kind.SECRETS, "backup")
        if len(rows) > _MOST_VERSIONS:
            raise BadRequest(f"A secret with more than {_MOST_VERSIONS} versions cannot be backed up.")
        sealer = sealer_of(self._sealers, container)
        versions: list[VersionBody] = []
        for row in rows:
            versions.append(await _packed(sealer, container, row))
            if len(versions) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        body = bodies.encode(at_name, versions, await _data_keys(sealer, container, at_name.name, versions))
        if len(body) > _LONGEST_BLOB_BYTES:
            raise BadRequest("The versions of this secret are too large together to be backed up.")
        scope, created = scope_of(_KIND, container, self._geographies), int(self._clock.now())
        return await seal_backup(sealer, scope, body, created=created)

    async def restore(self, container: Container, blob: bytes, origin: str) -> SecretVersion:
        """All versions with their ids, attributes and tags. Returns the latest. Raises BadRequest for a blob that does
        not belong here, Conflict when the name exists, deleted or not; Unavailable, Throttled.
        """
        sealer = sealer_of(self._sealers, container)
        backup = bodies.decode(await open_backup(sealer, blob, scope_of(_KIND, container, self._geographies)))
        identifier = f"{origin}/secrets/{backup.name}/{backup.latest.version}"
        async with self._database.read() as tx:
            if await SECRETS.name(tx, container.id, backup.name) is not None:
                raise refusals.restore_conflict(Kind.SECRETS, identifier)
        rows: list[SecretVersion] = []
        for version in backup.versions:
            rows.append(await _unpacked(sealer, container, backup, version))
            if len(rows) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        at_name = SecretName(
            container_id=container.id,
            name=backup.name,
            latest_version=backup.latest.version,
            next_sequence=backup.latest.sequence + 1,
            created=backup.created,
            revision=1,
        )
        try:
            async with self._database.write() as tx:
                await SECRETS.restore(tx, at_name, rows)
                await secret_schedule.begin(tx, container, rows[-1], is_new=True, told_until=int(self._clock.now()))
        except Conflicted as error:
            raise refusals.restore_conflict(Kind.SECRETS, identifier) from error
        return rows[-1]


async def _packed(sealer: Sealer, container: Container, row: SecretVersion) -> VersionBody:
    value = await sealer.open(row.sealed, binding_of(container.id, row.name, row.version))
    return bodies.body_of(row, await sealer.seal(value, _place(container.world_id, row.name, row.version)))


async def _unpacked(sealer: Sealer, container: Container, backup: BackupBody, version: VersionBody) -> SecretVersion:
    place = _place(container.world_id, backup.name, version.version)
    value = sealer.open_warm(version.sealed, place)
    if value is None:
        value = await open_carried(sealer, version.sealed, place, _carried(backup, version))
    sealed = await sealer.seal(value, binding_of(container.id, backup.name, version.version))
    return bodies.row_of(version, container.id, backup.name, sealed)


async def _data_keys(
    sealer: Sealer, container: Container, name: str, versions: Sequence[VersionBody]
) -> list[DataKeyRow]:
    """Of the values in the backup: one, or two when it was replaced just now."""
    by_id = {_data_key_id(version.sealed): version for version in versions}
    return [
        await sealer.row_of(version.sealed, _place(container.world_id, name, version.version))
        for version in by_id.values()
    ]


def _carried(backup: BackupBody, version: VersionBody) -> DataKeyRow:
    data_key_id = _data_key_id(version.sealed)
    for row in backup.data_keys:
        if row.id == data_key_id:
            return row
    raise Damaged("The object is not available.", detail=f"a backup lacks its data key {data_key_id}")


def _data_key_id(sealed: bytes) -> str:
    """Of a sealed value (custody/sealing.py)."""
    return sealed[len(SEALED_FORMAT) : len(SEALED_FORMAT) + ID_BYTES].hex()


def _place(world_id: str, name: str, version: str) -> Binding:
    """Of a value in a backup: that of no container's row."""
    return Binding(backup_container(world_id), _KIND, name.lower(), version)
