"""The end of a creation: the certificate is there, from an issuer or merged in by a caller."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody import certificate_chains as chains
from hsmvault.custody.bundles import MOST_CERTIFICATES, bundle_of
from hsmvault.errors import BadRequest, Forbidden
from hsmvault.lanes import Lane
from hsmvault.model.certificates import CertificateOperation, CertificateVersion, Status
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_rows, certificate_schedule, refusals
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_rows import Issued
from hsmvault.resources.certificates import Certificate
from hsmvault.resources.key_cache import held_by
from hsmvault.store import certificate_operations as operations
from hsmvault.store.database import Conflicted, Database
from hsmvault.store.keys import KEYS

Record = Callable[[CertificateVersion], Awaitable[None]]
"""The last thing before the commit of what nobody called for: accept a record of it. What it raises undoes everything.
"""
EXPIRED: Final = (
    "The specified X.509 certificate content has expired, or a certificate of its chain has. Please check if "
    "certificate is valid"
)


class Completion:
    """work: a lane, for some milliseconds at a time."""

    def __init__(
        self,
        database: Database,
        material: CertificateMaterial,
        work: Lane[None],
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._database = database
        self._material = material
        self._work = work
        self._clock = clock
        self._identifiers = identifiers

    async def complete(
        self,
        container: Container,
        operation: CertificateOperation,
        chain: Sequence[bytes],
        record: Record | None = None,
    ) -> Certificate:
        """Publish the certificate, its key and its secret; the operation is completed. chain: in DER, the new
        certificate and what leads to its root. operation: as it was read.

        Raises BadRequest when no certificate is for the operation's key, when one cannot be read, and when the secret
        would be too long; Conflict when the operation has changed since it was read, or is gone; Unavailable,
        Throttled.
        """
        async with self._database.read() as tx:
            key = await KEYS.version(tx, container.id, operation.name, operation.version)
        if key is None:
            raise refusals.changed_meanwhile(Kind.CERTIFICATES, operation.name)
        issued = await self._material.issued(
            container,
            key.name,
            key.version,
            held_by(key),
            operation.policy,
            chain,
            preserve_order=operation.preserve_order,
        )
        issued = replace(issued, enabled=operation.enabled, tags=operation.tags)
        try:
            return await self._commit(container, operation, issued, record)
        except Conflicted as error:
            raise refusals.changed_meanwhile(Kind.CERTIFICATES, operation.name) from error

    async def merge(
        self,
        container: Container,
        name: str,
        x5c: Sequence[bytes],
        enabled: bool | None,
        tags: Mapping[str, str] | None,
    ) -> Certificate:
        """Complete with certificates that a caller brings, also where an issuer failed. x5c: each DER, or base64 text
        of DER (clients encode what they are given), in any order. enabled, tags: None for those of the creation.

        Raises NotFound (PendingCertificateNotFound), Forbidden (an issuer is at work, or the operation is completed),
        BadRequest; otherwise as complete.
        """
        async with self._database.read() as tx:
            operation = await operations.find(tx, container.id, name)
        if operation is None:
            raise refusals.pending_not_found(name)
        _check_takes_merge(operation)
        certificates = await self._work.submit(lambda _: _decoded(x5c, self._clock.now()))
        operation = replace(
            operation,
            enabled=operation.enabled if enabled is None else enabled,
            tags=operation.tags if tags is None else tags,
        )
        return await self.complete(container, operation, certificates)

    async def _commit(
        self, container: Container, operation: CertificateOperation, issued: Issued, record: Record | None
    ) -> Certificate:
        now = int(self._clock.now())
        done = replace(
            operation,
            status=Status.COMPLETED,
            details="",
            error_code=None,
            error_message=None,
            state=b"",
            attempts=0,
            retry_at=None,
            updated=now,
        )
        async with self._database.write() as tx:
            await operations.update(tx, done)  # first: whoever comes second ends here
            names = await certificate_rows.names_of(tx, container.id, operation.name)
            rows = await certificate_rows.find(tx, container.id, operation.name, operation.version)
            if names is None or rows is None or not rows.certificate.is_pending:
                raise Conflicted("the pending version is gone")
            rows = await certificate_rows.publish(tx, names, rows, issued, now)
            await certificate_schedule.begin(
                tx,
                container,
                names.certificate.policy,
                rows.certificate,
                is_renewal=operation.is_renewal,
            )
            await certificate_schedule.announce_new(tx, container, rows.certificate, self._identifiers, now)
            if record is not None:
                await record(rows.certificate)
        return Certificate(rows.certificate, names.certificate.policy, is_pending_open=True)


def _check_takes_merge(operation: CertificateOperation) -> None:
    """While an issuer is at work nobody else brings the certificate; when it has failed somebody may."""
    if operation.status is Status.COMPLETED:
        raise Forbidden("Merge is forbidden on pending object whose status is completed.")
    if operation.status is Status.IN_PROGRESS and not operation.policy.issuer.is_unknown:
        raise Forbidden(  # the misspelling is the service's
            f"Merge is forbidden on pending object created with issuer : {operation.policy.issuer.name} while it is in "
            "progess."
        )


def _decoded(x5c: Sequence[bytes], now: float) -> tuple[bytes, ...]:
    """Certificates in DER that can be read and are not over. Raises BadRequest."""
    if not 0 < len(x5c) <= MOST_CERTIFICATES:
        raise refusals.invalid_property("x5c")
    certificates = bundle_of(None, [_der(each) for each in x5c]).certificates
    if chains.expired_in(certificates, now) is not None:
        raise BadRequest(EXPIRED)
    return certificates


def _der(given: bytes) -> bytes:
    if given[:1] == b"\x30":  # SEQUENCE, and in base64 the text of no certificate
        return given
    try:
        return base64.b64decode(b"".join(given.split()), validate=True)
    except binascii.Error:
        raise BadRequest(chains.NOT_A_CERTIFICATE) from None
