"""The life of certificates: read, list, update, delete, recover, purge. How they come to be stands in
certificate_creation.py and its neighbours.

A certificate is three objects of one name and version (certificate_rows.py); each change of the three is one
transaction. The key and the secret are enabled as long as the certificate is, and end with it.

While the first version is being made the certificate is *pending*: it can be read, tagged, deleted and recovered, is
listed when a caller asks for pending ones, and is not enabled. (Terraform reads a certificate whose issuer is Unknown
right after it was created, and goes by its id.)
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from hsmvault.clock import Clock
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateName, CertificateVersion, Status
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_rows, certificate_schedule, refusals, retention
from hsmvault.resources.certificate_rows import Names
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.store import certificate_operations as operations
from hsmvault.store.certificates import CERTIFICATES, set_policy
from hsmvault.store.database import Database, Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.secrets import SECRETS

LOG = logging.getLogger("hsmvault.certificates")

ChangePolicy = Callable[[CertificatePolicy], CertificatePolicy]
"""In the transaction of the change: the policy as it is to be, from what it is. What it raises undoes everything; its
times are not looked at."""
Record = Callable[[CertificateVersion], Awaitable[None]]
"""The last thing before the commit of what nobody called for: accept a record of it. What it raises undoes everything.
"""
_LARGE_PAGE = 250


@dataclass(frozen=True, slots=True)
class Certificate:
    """policy: of the name. is_pending_open: the name has an operation, over or not, which `/pending` shows."""

    row: CertificateVersion
    policy: CertificatePolicy
    is_pending_open: bool


@dataclass(frozen=True, slots=True)
class DeletedCertificate:
    """row: the latest version. deleted_at, purge_at: seconds since 1970 UTC. is_pending_open: as of Certificate; those
    of pages are not asked for it."""

    row: CertificateVersion
    policy: CertificatePolicy
    deleted_at: int
    purge_at: int
    is_pending_open: bool = False


@dataclass(frozen=True, slots=True)
class CertificateChanges:
    """None: it stays. policy: for the next version."""

    enabled: bool | None = None
    tags: Mapping[str, str] | None = None
    policy: ChangePolicy | None = None


class Certificates:
    def __init__(self, database: Database, custodians: Custodians, clock: Clock, intents: Intents) -> None:
        self._database = database
        self._custodians = custodians
        self._clock = clock
        self._intents = intents

    async def get(self, container: Container, name: str, version: str | None) -> Certificate:
        """version None: the latest. A pending one has no certificate and no thumbprint. Raises NotFound."""
        async with self._database.read() as tx:
            at_name, row = await _found(tx, container, name, version)
            return await _certificate(tx, at_name, row)

    async def page(
        self, container: Container, after: str | None, limit: int, *, include_pending: bool = False
    ) -> list[CertificateVersion]:
        """Latest versions by name, those behind `after`; also disabled ones. include_pending: with those whose first
        version is not there yet."""
        found: list[CertificateVersion] = []
        size = limit
        async with self._database.read() as tx:
            while True:
                rows = await CERTIFICATES.page(tx, container.id, after, size)
                found += [row for row in rows if include_pending or not row.is_pending]
                if len(found) >= limit or len(rows) < size:
                    return found[:limit]
                after, size = rows[-1].name, _LARGE_PAGE

    async def version_page(
        self, container: Container, name: str, after: int | None, limit: int
    ) -> list[CertificateVersion]:
        """Versions by their sequence, without a pending one. An unknown name has none."""
        async with self._database.read() as tx:
            rows = await CERTIFICATES.version_page(tx, container.id, name, after, limit + 1)
        return [row for row in rows if not row.is_pending][:limit]

    async def update(
        self, container: Container, name: str, version: str | None, changes: CertificateChanges
    ) -> Certificate:
        """Change what is said, leave the rest. What is pending gets it when it comes: until then it is not enabled.
        Raises NotFound and what changes.policy raises."""
        now = int(self._clock.now())
        async with self._database.write() as tx:
            at_name, row = await _found(tx, container, name, version)
            changed = row
            if changes.enabled is not None or changes.tags is not None:
                changed = await _update_rows(tx, at_name, row, changes, now)
                at_name = replace(at_name, revision=at_name.revision + 1)
            before = at_name.policy
            if changes.policy is not None:
                at_name = await _set_policy(tx, at_name, changes.policy, now)
            was, latest = row, changed
            if row.version != at_name.latest_version:
                _, latest = await _found(tx, container, name, None)
                was = latest
            await certificate_schedule.follow(tx, container, (before, was), (at_name.policy, latest))
            return await _certificate(tx, at_name, changed)

    async def get_policy(self, container: Container, name: str) -> CertificatePolicy:
        """Raises NotFound."""
        async with self._database.read() as tx:
            at_name, _ = await _found(tx, container, name, None)
        return at_name.policy

    async def update_policy(self, container: Container, name: str, change: ChangePolicy) -> CertificatePolicy:
        """For the next version. Raises NotFound and what change raises."""
        return (await self.update(container, name, None, CertificateChanges(policy=change))).policy

    async def delete(self, container: Container, name: str) -> DeletedCertificate:
        """All versions, with keys and secrets, leave the normal routes at once; an operation in progress is cancelled.
        Raises NotFound."""
        now = int(self._clock.now())
        async with self._database.write() as tx:
            names = await certificate_rows.names_of(tx, container.id, name)
            row = await CERTIFICATES.version(tx, container.id, name, None)
            if names is None or row is None:
                raise refusals.not_found(Kind.CERTIFICATES, name)
            await _cancel_operation(tx, container, name, now)
            purge_at = await retention.purge_at(tx, container.retention, now)
            await CERTIFICATES.mark_deleted(tx, names.certificate, now, purge_at)
            await KEYS.mark_deleted(tx, names.key, now, purge_at)
            await SECRETS.mark_deleted(tx, names.secret, now, purge_at)
            await certificate_schedule.cancel(tx, container, name)
            operation = await operations.find_any(tx, container.id, name)
        return DeletedCertificate(row, names.certificate.policy, now, purge_at, operation is not None)

    async def get_deleted(self, container: Container, name: str) -> DeletedCertificate:
        """Raises NotFound."""
        async with self._database.read() as tx:
            found = await CERTIFICATES.deleted_version(tx, container.id, name)
            operation = await operations.find_any(tx, container.id, name)
        if found is None:
            raise refusals.deleted_not_found(Kind.CERTIFICATES, name)
        return replace(_deleted(*found), is_pending_open=operation is not None)

    async def deleted_page(
        self, container: Container, after: str | None, limit: int, *, include_pending: bool = False
    ) -> list[DeletedCertificate]:
        """As page."""
        found: list[DeletedCertificate] = []
        size = limit
        async with self._database.read() as tx:
            while True:
                rows = await CERTIFICATES.deleted_page(tx, container.id, after, size)
                found += [_deleted(name, row) for name, row in rows if include_pending or not row.is_pending]
                if len(found) >= limit or len(rows) < size:
                    return found[:limit]
                after, size = rows[-1][0].name, _LARGE_PAGE

    async def recover(self, container: Container, name: str) -> Certificate:
        """All versions come back as they were, ids unchanged; what was being made is not made any more. Raises
        NotFound."""
        async with self._database.write() as tx:
            names, deleted = await _found_deleted(tx, container, name)
            await CERTIFICATES.mark_recovered(tx, names.certificate)
            await KEYS.mark_recovered(tx, names.key)
            await SECRETS.mark_recovered(tx, names.secret)
            await certificate_schedule.begin(tx, container, deleted.policy, deleted.row, told_until=deleted.deleted_at)
            return await _certificate(tx, names.certificate, deleted.row)

    async def purge(self, container: Container, name: str) -> None:
        """Gone for good; the name is free. Raises NotFound, Forbidden under purge protection.

        Resident keys leave the token after the commit, which also holds the intents to destroy them.
        """
        async with self._database.write() as tx:
            names, _ = await _found_deleted(tx, container, name)
            if container.retention.purge_protection:
                raise refusals.purge_protected(container)
            keys = await self._purge(tx, names)
        await self._destroy_all(container, keys)

    async def purge_when_due(self, container: Container, name: str, now: int, record: Record) -> bool:
        """Purge a certificate whose retention has ended by `now`, whatever protects it until then. False when it is
        gone or was recovered meanwhile."""
        async with self._database.write() as tx:
            found = await CERTIFICATES.deleted_version(tx, container.id, name)
            if found is None or found[0].purge_at is None or found[0].purge_at > now:
                return False
            names, deleted = await _found_deleted(tx, container, name)
            keys = await self._purge(tx, names)
            await record(deleted.row)
        await self._destroy_all(container, keys)
        return True

    async def _purge(self, tx: Transaction, names: Names) -> list[KeyVersion]:
        container_id, folded = names.certificate.container_id, names.certificate.folded
        keys = await KEYS.all_versions(tx, container_id, folded)
        for row in keys:
            await self._intents.give_up(tx, held_by(row))
        await operations.remove(tx, container_id, folded)
        await CERTIFICATES.purge(tx, names.certificate)
        await KEYS.purge(tx, names.key)
        await SECRETS.purge(tx, names.secret)
        return keys

    async def _destroy_all(self, container: Container, keys: list[KeyVersion]) -> None:
        """What fails here is left to the next start: no row has it, and an intent names it."""
        for row in keys:
            try:
                custodian = self._custodians.holding(container, row.custody)
                await custodian.destroy(held_by(row), binding_of(container.id, row.name, row.version))
            except Exception:
                LOG.warning("material of %s/%s could not be destroyed", row.name, row.version, exc_info=True)


async def _found(
    tx: Transaction, container: Container, name: str, version: str | None
) -> tuple[CertificateName, CertificateVersion]:
    at_name = await CERTIFICATES.name(tx, container.id, name)
    row = await CERTIFICATES.version(tx, container.id, name, version)
    if at_name is None or row is None:
        raise refusals.not_found(Kind.CERTIFICATES, name, version)
    return at_name, row


async def _found_deleted(tx: Transaction, container: Container, name: str) -> tuple[Names, DeletedCertificate]:
    found = await CERTIFICATES.deleted_version(tx, container.id, name)
    names = await certificate_rows.names_of(tx, container.id, name)
    if found is None or names is None:
        raise refusals.deleted_not_found(Kind.CERTIFICATES, name)
    return names, _deleted(*found)


async def _certificate(tx: Transaction, at_name: CertificateName, row: CertificateVersion) -> Certificate:
    operation = await operations.find(tx, at_name.container_id, at_name.folded)
    return Certificate(row, at_name.policy, operation is not None)


async def _update_rows(
    tx: Transaction, at_name: CertificateName, row: CertificateVersion, changes: CertificateChanges, now: int
) -> CertificateVersion:
    """The certificate as it is from now on; its key and its secret follow it."""
    names = await certificate_rows.names_of(tx, at_name.container_id, at_name.folded)
    rows = await certificate_rows.find(tx, at_name.container_id, at_name.folded, row.version)
    assert names is not None  # both were there a moment ago
    assert rows is not None
    wanted = row.enabled if changes.enabled is None else changes.enabled
    tags = row.tags if changes.tags is None else changes.tags
    if row.is_pending:
        await _update_operation(tx, row, changes, now)
    enabled = wanted and not row.is_pending
    changed = replace(row, enabled=enabled, tags=tags, updated=now)
    await CERTIFICATES.update_version(tx, changed, at_name=names.certificate)
    if enabled != row.enabled:
        await KEYS.update_version(tx, replace(rows.key, enabled=enabled, updated=now), at_name=names.key)
        await SECRETS.update_version(tx, replace(rows.secret, enabled=enabled, updated=now), at_name=names.secret)
    return changed


async def _update_operation(tx: Transaction, row: CertificateVersion, changes: CertificateChanges, now: int) -> None:
    """The operation says with what its version is published."""
    operation = await operations.find(tx, row.container_id, row.name)
    if operation is not None and operation.version == row.version:
        changed = replace(
            operation,
            enabled=operation.enabled if changes.enabled is None else changes.enabled,
            tags=operation.tags if changes.tags is None else changes.tags,
            updated=now,
        )
        await operations.update(tx, changed)


async def _set_policy(tx: Transaction, at_name: CertificateName, change: ChangePolicy, now: int) -> CertificateName:
    policy = replace(change(at_name.policy), created=at_name.policy.created, updated=now)
    await set_policy(tx, at_name, policy)
    return replace(at_name, policy=policy, revision=at_name.revision + 1)


async def _cancel_operation(tx: Transaction, container: Container, name: str, now: int) -> None:
    """Whoever is at work on it loses, since its revision goes up; what is pending is left, as of every operation that
    was cancelled. An issuer that has begun something is told by the engine."""
    operation = await operations.find(tx, container.id, name)
    if operation is not None and operation.status is Status.IN_PROGRESS:
        retry_at = now if operation.state else None
        cancelled = replace(
            operation, status=Status.CANCELLED, cancellation_requested=True, retry_at=retry_at, updated=now
        )
        await operations.update(tx, cancelled)


def _deleted(at_name: CertificateName, row: CertificateVersion) -> DeletedCertificate:
    assert at_name.deleted_at is not None
    assert at_name.purge_at is not None
    return DeletedCertificate(row, at_name.policy, at_name.deleted_at, at_name.purge_at)
