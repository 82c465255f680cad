"""Goes on with the operations that make certificates: asks the issuer, and completes, waits or gives up.

An operation is claimed by a compare-and-swap before its issuer is asked: retry_at is moved into the future, so that
neither another worker nor the job takes it up meanwhile. Who dies on the way leaves a claim that ends by itself, and
the issuer's state in the database; the job (jobs/issuance.py) goes on from there. What is written down afterwards is a
compare-and-swap as well: when a caller has cancelled, merged or forgotten the operation meanwhile, the caller wins.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from hsmvault.clock import Clock
from hsmvault.custody.certificate_signing import Signer, prove_possession
from hsmvault.errors import BadRequest, Conflict, NotFound, RequestError, Retryable, Unavailable
from hsmvault.lanes import Turns
from hsmvault.model.certificates import CertificateOperation, CertificateVersion, Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Issuers
from hsmvault.resources.certificate_issuers.protocol import Enrolment, Issued, Issuer, Outcome, Refused, Waiting
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.key_cache import held_by
from hsmvault.store import certificate_operations as operations
from hsmvault.store.database import Conflicted, Database
from hsmvault.store.keys import KEYS

LOG = logging.getLogger("hsmvault.certificates")
CLAIM_SECONDS: Final = 120
ISSUER_ERROR: Final = "Certificate issuer error"
ENROLLED: Final = "CertificateEnroll"
RENEWED: Final = "CertificateRenew"
_FIRST_RETRY_SECONDS: Final = 10
_LONGEST_RETRY_SECONDS: Final = 3600
_GIVE_UP_SECONDS: Final = 7 * 86_400
_ENROL_SECONDS: Final = 60.0  # an issuer is asked to come back after ten
_ABANDON_SECONDS: Final = 10.0
_MOST_AT_ONCE: Final = 64  # guessed: some wait ten seconds for an issuer, and must not hold up those that do not
_MOST_OF_ONE: Final = 16  # of those for one vault, so that no vault holds up the others
_MOST_WAITING: Final = 1024
_CLOSING_SECONDS: Final = 0.2
_MOMENT_SECONDS: Final = 0.1
_MOST_ROUNDS: Final = 4  # of one advance: each but the first because a caller changed the operation meanwhile


class Records(Protocol):
    """Audit records of what nobody called for: pipeline.records.WorkRecords."""

    async def done(self, container: Container, operation_name: str, path: str) -> None: ...

    async def failed(self, container: Container, operation_name: str, path: str, error: RequestError) -> None: ...


class Issuance:
    def __init__(
        self,
        database: Database,
        issuers: Issuers,
        material: CertificateMaterial,
        completion: Completion,
        records: Records,
        clock: Clock,
    ) -> None:
        self._database = database
        self._issuers = issuers
        self._material = material
        self._completion = completion
        self._records = records
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, str]] = set()
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)
        self._turns = Turns(_MOST_OF_ONE, waiting=_MOST_WAITING)
        self._closing = False

    def start(self, container: Container, name: str) -> None:
        """Go on with a name's operation in the background of this worker: behind its creation, and behind a request to
        cancel it. Returns at once. What fails is tried again later, by the job; so is what is too much for now."""
        place = (container.id, name.lower())
        if place in self._running:
            self._again.add(place)
        elif not self._closing and len(self._running) < _MOST_WAITING:
            task = asyncio.create_task(self._in_background(container, name), name=f"issuance of {name}")
            self._running[place] = task

    async def begin(self, container: Container, name: str) -> None:
        """As start, and wait a moment: most certificates are there before their creator first asks, and clients ask
        again only after seconds."""
        self.start(container, name)
        task = self._running.get((container.id, name.lower()))
        if task is not None:
            await asyncio.wait({task}, timeout=_MOMENT_SECONDS)

    async def advance(self, container: Container, name: str) -> Status | None:
        """Go as far as it goes now: claim the operation, ask its issuer, write down what came of it. It is not asked
        whether it is due. Returns how it stands then; None when the name has no operation. What the issuer or custody
        refuse ends in the operation; raises Unavailable and Throttled, from the database and the audit log alone."""
        for _ in range(_MOST_ROUNDS):
            try:
                claimed = await self._claim(container, name)
                if claimed is None or claimed.retry_at is None:
                    return None if claimed is None else claimed.status
                try:
                    return (await self._settled(container, claimed)).status
                except asyncio.CancelledError:
                    await self._given_back(claimed)
                    raise
            except Conflicted:
                continue  # somebody else has changed it: look again
        return Status.IN_PROGRESS

    async def close(self) -> None:
        """Begin nothing more; what runs has a moment to end, then its claim is given back, and left to the job."""
        self._closing = True
        tasks = set(self._running.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _in_background(self, container: Container, name: str) -> None:
        place = (container.id, name.lower())
        try:
            async with self._turns.of(container.id), self._at_once:
                while True:
                    self._again.discard(place)
                    await self.advance(container, name)
                    if place not in self._again or self._closing:
                        return
        except RequestError as error:
            LOG.warning("certificate %s of %s: %s", name, container.name, error.detail or error.message)
        except Exception:
            LOG.exception("certificate %s of %s: the job goes on with it", name, container.name)
        finally:
            self._running.pop(place, None)
            self._again.discard(place)

    async def _claim(self, container: Container, name: str) -> CertificateOperation | None:
        """The operation as it is now; one that goes on is ours until CLAIM_SECONDS from now. One that was cancelled
        with its certificate goes on until its issuer has been told. Raises Conflicted."""
        async with self._database.write() as tx:
            operation = await operations.find_any(tx, container.id, name)
            if operation is None or (operation.status is not Status.IN_PROGRESS and operation.retry_at is None):
                return operation
            claimed = replace(operation, retry_at=int(self._clock.now()) + CLAIM_SECONDS)
            await operations.update(tx, claimed)
        return replace(claimed, revision=operation.revision + 1)

    async def _given_back(self, claimed: CertificateOperation) -> None:
        """We are to stop: who goes on need not wait for the end of our claim. What was written since stays."""
        with suppress(Exception):
            async with self._database.write() as tx:
                await operations.update(tx, replace(claimed, retry_at=int(self._clock.now())))

    async def _settled(self, container: Container, operation: CertificateOperation) -> CertificateOperation:
        """One round with a claimed operation; as it was written down at the end. Raises Conflicted."""
        if operation.cancellation_requested:
            await self._abandoned(container, operation)
            return await self._ended(container, operation, Status.CANCELLED)
        try:
            issuer, enrolment = await self._enrolment(container, operation)
        except Exception as error:
            return await self._refused(container, operation, error)
        try:
            return await self._asked(container, operation, issuer, enrolment)
        except Conflicted:
            if not await self._goes_on(operation):  # whoever ended it could not know what we were about to begin
                await self._withdrawn(container, issuer, enrolment)
            raise

    async def _asked(
        self, container: Container, operation: CertificateOperation, issuer: Issuer, enrolment: Enrolment
    ) -> CertificateOperation:
        """Raises Conflicted."""
        try:
            if enrolment.account is not None:  # Self has the key sign the certificate
                await prove_possession(Signer(enrolment.key, enrolment.spec, enrolment.public), operation.csr)
            async with asyncio.timeout(_ENROL_SECONDS):
                outcome = await issuer.enrol(enrolment)
            if isinstance(outcome, Issued):
                return await self._completed(container, operation, outcome)
        except Exception as error:
            return await self._refused(container, operation, error)
        if isinstance(outcome, Refused):
            return await self._ended(container, operation, Status.FAILED, outcome)
        return await self._waiting(container, operation, outcome)

    async def _refused(
        self, container: Container, operation: CertificateOperation, error: Exception
    ) -> CertificateOperation:
        """What becomes of the operation. Raises Conflicted."""
        match error:
            case Conflicted():
                raise error
            case TimeoutError():
                slow = Unavailable("The certificate issuer did not answer in time.")
                return await self._postponed(container, operation, slow)
            case Retryable():
                return await self._postponed(container, operation, error)
            case Conflict() | NotFound():  # of the completion: somebody else was first
                raise Conflicted(error.message) from error
            case RequestError():
                return await self._ended(container, operation, Status.FAILED, Refused(ISSUER_ERROR, error.message))
        LOG.error("certificate %s of %s", operation.name, container.name, exc_info=error)
        return await self._postponed(container, operation, Unavailable("An error has occurred."))

    async def _enrolment(self, container: Container, operation: CertificateOperation) -> tuple[Issuer, Enrolment]:
        issuer, account = await self._issuers.resolve(container, operation.policy)
        async with self._database.read() as tx:
            row = await KEYS.any_version(tx, container.id, operation.folded, operation.version)
        if row is None:
            raise NotFound("The key of the pending certificate is gone.")
        signer = self._material.signer(container, row.name, row.version, held_by(row))
        return issuer, Enrolment(container, operation, signer.spec, signer.public, signer.handle, account)

    async def _completed(
        self, container: Container, operation: CertificateOperation, issued: Issued
    ) -> CertificateOperation:
        async def record(row: CertificateVersion) -> None:
            await self._records.done(container, _audit_name(operation), f"/certificates/{row.name}/{row.version}")

        await self._completion.complete(container, operation, issued.chain, record)
        return replace(operation, status=Status.COMPLETED)

    async def _waiting(
        self, container: Container, operation: CertificateOperation, outcome: Outcome
    ) -> CertificateOperation:
        assert isinstance(outcome, Waiting)
        waits_for_caller = outcome.retry_at is None
        if not waits_for_caller and self._is_too_late(operation):
            await self._abandoned(container, replace(operation, state=outcome.state))
            late = Refused(ISSUER_ERROR, "The issuer has not issued the certificate in time.")
            return await self._ended(container, operation, Status.FAILED, late)
        return await self._written(
            replace(
                operation,
                state=outcome.state,
                retry_at=outcome.retry_at,
                details=outcome.details or operation.details,
                attempts=0,
                error_code=None,
                error_message=None,
            )
        )

    async def _postponed(
        self, container: Container, operation: CertificateOperation, error: Retryable
    ) -> CertificateOperation:
        """Tried again, later each time, until it is too late for good."""
        LOG.warning("certificate %s of %s waits: %s", operation.name, container.name, error.detail or error.message)
        if self._is_too_late(operation):
            await self._abandoned(container, operation)
            return await self._ended(container, operation, Status.FAILED, Refused(ISSUER_ERROR, error.message))
        wait = min(_FIRST_RETRY_SECONDS * 2 ** min(operation.attempts, 20), _LONGEST_RETRY_SECONDS)
        wait = max(wait, min(error.retry_after_seconds, _LONGEST_RETRY_SECONDS))
        return await self._written(
            replace(
                operation,
                attempts=operation.attempts + 1,
                retry_at=int(self._clock.now()) + wait,
                error_code=error.code,
                error_message=error.message,
            )
        )

    async def _ended(
        self, container: Container, operation: CertificateOperation, status: Status, refused: Refused | None = None
    ) -> CertificateOperation:
        return await self._written(
            replace(
                operation,
                status=status,
                retry_at=None,
                state=b"",
                details="",
                error_code=None if refused is None else refused.code,
                error_message=None if refused is None else refused.message,
            ),
            container=container,
            refused=refused,
        )

    async def _written(
        self,
        operation: CertificateOperation,
        *,
        container: Container | None = None,
        refused: Refused | None = None,
    ) -> CertificateOperation:
        """refused: recorded before the commit. Raises Conflicted."""
        operation = replace(operation, updated=int(self._clock.now()))
        async with self._database.write() as tx:
            await operations.update(tx, operation)
            if container is not None and refused is not None:
                path = f"/certificates/{operation.name}/{operation.version}"
                await self._records.failed(container, _audit_name(operation), path, _refusal(refused))
        return replace(operation, revision=operation.revision + 1)

    async def _abandoned(self, container: Container, operation: CertificateOperation) -> None:
        """What fails here has no consequence for the operation: nothing is kept of what was begun."""
        try:
            issuer, enrolment = await self._enrolment(container, operation)
        except Exception as error:
            LOG.warning("certificate %s of %s was not withdrawn: %s", operation.name, container.name, error)
            return
        await self._withdrawn(container, issuer, enrolment)

    async def _withdrawn(self, container: Container, issuer: Issuer, enrolment: Enrolment) -> None:
        try:
            async with asyncio.timeout(_ABANDON_SECONDS):
                await issuer.abandon(enrolment)
        except Exception as error:
            name = enrolment.operation.name
            LOG.warning("certificate %s of %s was not withdrawn: %s", name, container.name, error)

    async def _goes_on(self, operation: CertificateOperation) -> bool:
        """Whether it is still in progress, and still the operation of its name."""
        async with self._database.read() as tx:
            now = await operations.find_any(tx, operation.container_id, operation.name)
        return now is not None and now.request_id == operation.request_id and now.status is Status.IN_PROGRESS

    def _is_too_late(self, operation: CertificateOperation) -> bool:
        return self._clock.now() - operation.created >= _GIVE_UP_SECONDS


def _audit_name(operation: CertificateOperation) -> str:
    return RENEWED if operation.is_renewal else ENROLLED


def _refusal(refused: Refused) -> RequestError:
    """For the record: 400 where the request is to blame, 500 where the issuer is."""
    kind = RequestError if refused.code == ISSUER_ERROR else BadRequest
    return kind(refused.message, code=refused.code)
