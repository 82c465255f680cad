"""The operation of a name, as callers see it: read, cancel, forget. And its key, for the engine and its issuers."""

import asyncio
import logging
from dataclasses import replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.custody.intents import Intents
from hsmvault.errors import Forbidden
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_rows, refusals
from hsmvault.resources.certificate_creation import Issuers
from hsmvault.resources.certificate_issuers.protocol import Enrolment
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.key_cache import held_by
from hsmvault.store import certificate_operations as store
from hsmvault.store.database import Conflicted, Database, Transaction

LOG = logging.getLogger("hsmvault.certificates")
_ATTEMPTS: Final = 4  # to change an operation that an issuer is at work on
_ABANDON_SECONDS: Final = 10.0  # a caller waits for it


class Operations:
    def __init__(
        self, database: Database, material: CertificateMaterial, issuers: Issuers, clock: Clock, intents: Intents
    ) -> None:
        self._database = database
        self._material = material
        self._issuers = issuers
        self._clock = clock
        self._intents = intents

    async def get(self, container: Container, name: str, request_id: str | None = None) -> CertificateOperation:
        """request_id: a filter; None for none. Raises NotFound (PendingCertificateNotFound)."""
        async with self._database.read() as tx:
            return await _found(tx, container, name, request_id)

    async def request_cancellation(
        self, container: Container, name: str, request_id: str | None = None, *, requested: bool = True
    ) -> CertificateOperation:
        """Whoever goes on with the operation then cancels it: the caller has the engine do so. requested: False takes
        the wish back. Raises NotFound, Forbidden when the operation is over, Conflict."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._request_cancellation(container, name, request_id, requested=requested)
            except Conflicted as error:
                if attempt == _ATTEMPTS - 1:
                    raise refusals.changed_meanwhile(Kind.CERTIFICATES, name) from error
        raise AssertionError

    async def forget(self, container: Container, name: str, request_id: str | None = None) -> CertificateOperation:
        """Remove the operation and what is pending; a name without another version is free again. Returns the operation
        as it was. Raises NotFound, Conflict."""
        try:
            async with self._database.write() as tx:
                operation = await _found(tx, container, name, request_id)
                names = await certificate_rows.names_of(tx, container.id, name)
                assert names is not None  # an operation is found by its name
                names, gone = await certificate_rows.remove_pending(tx, names)
                for row in gone:
                    await self._intents.give_up(tx, held_by(row))
                await store.remove(tx, container.id, name)
        except Conflicted as error:
            raise refusals.changed_meanwhile(Kind.CERTIFICATES, name) from error
        for row in gone:
            is_known_to_issuer = operation.status is Status.IN_PROGRESS or operation.retry_at is not None
            if is_known_to_issuer and row.version == operation.version:
                await self._abandon(container, operation, row)
            await self._material.destroy(container, row.name, row.version, held_by(row))
        return operation

    async def _request_cancellation(
        self, container: Container, name: str, request_id: str | None, *, requested: bool
    ) -> CertificateOperation:
        now = int(self._clock.now())
        async with self._database.write() as tx:
            operation = await _found(tx, container, name, request_id)
            if operation.status is not Status.IN_PROGRESS:
                raise Forbidden(f"The pending certificate operation is not in progress: {operation.status.value}.")
            if operation.cancellation_requested is requested:
                return operation
            waits = operation.policy.issuer.is_unknown and not requested
            changed = replace(operation, cancellation_requested=requested, updated=now, retry_at=None if waits else now)
            await store.update(tx, changed)
        return replace(changed, revision=changed.revision + 1)

    async def _abandon(self, container: Container, operation: CertificateOperation, row: KeyVersion) -> None:
        """Tell the issuer, which may have begun something. Whether it hears it is of no matter here."""
        signer = self._material.signer(container, row.name, row.version, held_by(row))
        try:
            async with asyncio.timeout(_ABANDON_SECONDS):
                issuer, account = await self._issuers.resolve(container, operation.policy)
                enrolment = Enrolment(container, operation, signer.spec, signer.public, signer.handle, account)
                await issuer.abandon(enrolment)
        except Exception:
            LOG.warning("the issuer of %s was not told that nobody waits any more", operation.name, exc_info=True)


async def _found(tx: Transaction, container: Container, name: str, request_id: str | None) -> CertificateOperation:
    operation = await store.find(tx, container.id, name)
    if operation is None or (request_id is not None and request_id.lower() != operation.request_id):
        raise refusals.pending_not_found(name)
    return operation
