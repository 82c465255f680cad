"""Backup and restore of one certificate with all its versions, their keys and secrets.

The blob opens where that of a key does (key_backups.py). A restored certificate is bound to its new rows: the copy and
the original are independent. The operation that makes the next version is not part of it, nor is that version.
"""

import asyncio
from collections.abc import Mapping

from hsmvault.clock import Clock
from hsmvault.custody.backup import open_backup, seal_backup
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateName
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretName
from hsmvault.resources import certificate_backup_bodies as bodies
from hsmvault.resources import certificate_rows, certificate_schedule, key_cache, refusals, secret_cache
from hsmvault.resources.backup_scope import scope_of, sealer_of
from hsmvault.resources.certificate_backup_bodies import CertificateBackupBody, CertificateVersionBody
from hsmvault.resources.certificate_rows import Names, Rows
from hsmvault.resources.certificates import Certificate
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.secrets import SECRETS

_MOST_VERSIONS = 500
_LONGEST_BODY_BYTES = 17 * 1024 * 1024
"""Base64 of it still fits into a request (wire/data_plane.py): what could not be restored is no backup."""
_AT_ONCE = 50  # versions, between which others get their turn


class CertificateBackups:
    """sealers, geographies: of each security world, by its id."""

    def __init__(
        self,
        database: Database,
        custodians: Custodians,
        sealers: Mapping[str, Sealer],
        geographies: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._database = database
        self._custodians = custodians
        self._sealers = sealers
        self._geographies = geographies
        self._clock = clock

    async def backup(self, container: Container, name: str) -> bytes:
        """Raises NotFound; BadRequest above 500 versions, when they are too large together, for a certificate whose
        first version is pending and for keys that never leave their token; Unavailable, Throttled."""
        async with self._database.read() as tx:
            names = await certificate_rows.names_of(tx, container.id, name)
            if names is None or names.certificate.is_deleted:
                raise refusals.not_found(Kind.CERTIFICATES, name)
            rows = await _all_rows(tx, names)
        if not rows:
            raise BadRequest("A certificate that is pending cannot be backed up.")
        if len(rows) > _MOST_VERSIONS:
            raise BadRequest(f"A certificate with more than {_MOST_VERSIONS} versions cannot be backed up.")
        sealer = sealer_of(self._sealers, container)
        versions: list[CertificateVersionBody] = []
        for row in rows:
            versions.append(await self._pack(sealer, container, row))
            if len(versions) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        body = bodies.encode(names.certificate, versions)
        if len(body) > _LONGEST_BODY_BYTES:
            raise BadRequest("The versions of this certificate are too large together to be backed up.")
        scope, created = scope_of("certificate", container, self._geographies), int(self._clock.now())
        return await seal_backup(sealer, scope, body, created=created)

    async def restore(self, container: Container, blob: bytes, origin: str) -> Certificate:
        """All versions with their ids, attributes and tags, and the policy. Raises BadRequest for a blob that does not
        belong here or holds keys that the container would not make, Conflict when a certificate, key or secret has the
        name, deleted or not; Unavailable, Throttled."""
        sealer = sealer_of(self._sealers, container)
        scope = scope_of("certificate", container, self._geographies)
        backup, policy = bodies.decode(await open_backup(sealer, blob, scope))
        for version in backup.versions:
            refusals.check_key_type(container, version.key.family, hardware=version.key.custody.is_hardware)
        identifier = f"{origin}/certificates/{backup.name}/{backup.latest.key.version}"
        async with self._database.read() as tx:
            for store in (CERTIFICATES, KEYS, SECRETS):
                if await store.name(tx, container.id, backup.name) is not None:
                    raise refusals.restore_conflict(Kind.CERTIFICATES, identifier)
        rows: list[Rows] = []
        for version in backup.versions:
            rows.append(await self._unpack(sealer, container, backup, version))
            if len(rows) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        names = _names(container, backup, policy)
        try:
            async with self._database.write() as tx:
                await CERTIFICATES.restore(tx, names.certificate, [one.certificate for one in rows])
                await KEYS.restore(tx, names.key, [one.key for one in rows])
                await SECRETS.restore(tx, names.secret, [one.secret for one in rows])
                latest, now = rows[-1].certificate, int(self._clock.now())
                await certificate_schedule.begin(tx, container, policy, latest, told_until=now)
        except Conflicted as error:
            raise refusals.restore_conflict(Kind.CERTIFICATES, identifier) from error
        return Certificate(latest, policy, is_pending_open=False)

    async def _pack(self, sealer: Sealer, container: Container, rows: Rows) -> CertificateVersionBody:
        key, secret = rows.key, rows.secret
        custodian = self._custodians.holding(container, key.custody)
        held, binding = key_cache.held_by(key), key_cache.binding_of(container.id, key.name, key.version)
        packed = await custodian.pack(held, binding)
        value = await sealer.open(secret.sealed, secret_cache.binding_of(container.id, secret.name, secret.version))
        return bodies.body_of(rows, packed, value)

    async def _unpack(
        self, sealer: Sealer, container: Container, backup: CertificateBackupBody, version: CertificateVersionBody
    ) -> Rows:
        name, key = backup.name, version.key
        held = await self._custodians.holding(container, key.custody.value).unpack(
            key.spec,
            key.public,
            key.packed,
            key_cache.binding_of(backup.container_id, name, key.version),
            key_cache.binding_of(container.id, name, key.version),
        )
        sealed = await sealer.seal(version.value, secret_cache.binding_of(container.id, name, key.version))
        return bodies.rows_of(version, container.id, name, held.reference, sealed)


async def _all_rows(tx: Transaction, names: Names) -> list[Rows]:
    """Of every version that is there, in the order of their sequence."""
    container_id, folded = names.certificate.container_id, names.certificate.folded
    keys = {row.version: row for row in await KEYS.all_versions(tx, container_id, folded)}
    secrets = {row.version: row for row in await SECRETS.all_versions(tx, container_id, folded)}
    certificates = await CERTIFICATES.all_versions(tx, container_id, folded)
    return [Rows(row, keys[row.version], secrets[row.version]) for row in certificates if not row.is_pending]


def _names(container: Container, backup: CertificateBackupBody, policy: CertificatePolicy) -> Names:
    latest, following = backup.latest.key.version, backup.latest.key.sequence + 1
    place = (container.id, backup.name, latest, following, backup.created, 1)
    return Names(CertificateName(*place, policy=policy), KeyName(*place), SecretName(*place))
