"""Does what the lifetime actions of certificates say: renews them by themselves, and writes to the contacts.

A renewal is the flow of every creation: it makes an operation in progress, and the engine goes on with it. Its row of
the schedule stays until there is a new version; until then this job looks after it, and starts once more a day after
an operation has failed, until the certificate has expired. Renewals that were missed meanwhile, because nothing ran,
are still begun.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from hsmvault.errors import BadRequest, Conflict
from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import PAGE, correct, failure_of, path_of
from hsmvault.model.certificates import CertificateOperation, CertificateVersion, Status
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources import certificate_schedule
from hsmvault.resources.certificate_creation import NewCertificate
from hsmvault.resources.certificate_mails import CertificateMails, Notice
from hsmvault.store import certificate_operations as operations
from hsmvault.store import containers, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Database, Transaction
from hsmvault.store.schedule import Due, What

OPERATION: Final = "CertificateRenew"
LOOK_SECONDS: Final = 600  # between two looks at a renewal that is under way, and after a moment's refusal
AGAIN_SECONDS: Final = 86_400  # after one that failed; and between two mails about one that does not succeed
_NOTICES: Final = {What.EMAIL: Notice.EXPIRING, What.RENEWED: Notice.RENEWED}


class Creation(Protocol):
    """resources.certificate_creation.Creation."""

    async def create(
        self,
        container: Container,
        name: str,
        new: NewCertificate,
        *,
        is_renewal: bool = False,
        latest: str | None = None,
    ) -> CertificateOperation: ...


class Issuance(Protocol):
    """resources.certificate_issuance.Issuance."""

    def start(self, container: Container, name: str) -> None: ...


class RenewCertificates:
    """A certificate that fails is looked at again later, and does not keep the others waiting."""

    name = "renewal"
    interval_seconds = 300.0

    def __init__(
        self,
        database: Database,
        creation: Creation,
        issuance: Issuance,
        mails: CertificateMails,
        records: WorkRecords,
    ) -> None:
        self._database = database
        self._creation = creation
        self._issuance = issuance
        self._mails = mails
        self._records = records

    async def run(self, turn: Turn) -> None:
        for what in (What.EMAIL, What.RENEWED, What.RENEW):
            while True:
                async with self._database.read() as tx:
                    page = await schedule.due(tx, Kind.CERTIFICATES.value, what, turn.now(), PAGE)
                if not page:
                    break
                for one in page:  # each row is gone, or has a later time, behind this
                    if not await turn.goes_on():
                        return
                    try:
                        if what is What.RENEW:
                            await self._look_after(one, turn.now())
                        else:
                            await self._write(one, turn.now())
                    except Exception as error:
                        failure_of(error, f"{what.value} of certificate {one.folded} of {one.container_id} waits")
                        async with self._database.write() as tx:
                            await schedule.postpone(tx, one, turn.now() + LOOK_SECONDS)

    async def _write(self, one: Due, now: int) -> None:
        """The mails and the row of the schedule, in one transaction."""
        async with self._database.write() as tx:
            found = await _find(tx, one)
            due_at = None if found is None else one.due_at if one.what is What.RENEWED else found.due.get(one.what)
            if found is None or due_at is None or due_at > now:
                await correct(tx, one, due_at, at_least=now + 1)
            elif await schedule.done(tx, one):
                await self._mails.tell(tx, found.container, _NOTICES[one.what], found.latest, now)

    async def _look_after(self, one: Due, now: int) -> None:
        async with self._database.write() as tx:
            found = await _find(tx, one)
            due_at = None if found is None else found.due.get(What.RENEW)
            if found is None or due_at is None or due_at > now:
                await correct(tx, one, due_at, at_least=now + LOOK_SECONDS)
                return
            container, latest = found.container, found.latest
            operation = await operations.find(tx, container.id, one.folded)
            if await self._is_under_way(tx, container, latest, operation, one, now):
                return
            was_tried = one.due_at != due_at
            if was_tried and latest.expires is not None and latest.expires <= now:
                if await schedule.done(tx, one):
                    await self._mails.tell(tx, container, Notice.ENDED, latest, now, _error_of(operation))
                return
        await self._begin(container, latest, one, now)

    async def _is_under_way(
        self,
        tx: Transaction,
        container: Container,
        latest: CertificateVersion,
        operation: CertificateOperation | None,
        one: Due,
        now: int,
    ) -> bool:
        """Whether the last effort goes on, or has ended a moment ago: then the row waits."""
        if operation is None or (operation.status is not Status.IN_PROGRESS and not operation.is_renewal):
            return False
        if operation.status is Status.IN_PROGRESS:
            is_in_trouble = operation.is_renewal and operation.error_code is not None
            if not is_in_trouble or now < operation.created + AGAIN_SECONDS:
                await schedule.postpone(tx, one, now + LOOK_SECONDS)
                return True
            until = now + AGAIN_SECONDS
        elif operation.status is Status.COMPLETED or now >= operation.updated + AGAIN_SECONDS:
            return False
        else:
            until = operation.updated + AGAIN_SECONDS
        if await schedule.postpone(tx, one, until) and operation.status is not Status.CANCELLED:
            await self._mails.tell(tx, container, Notice.NOT_RENEWED, latest, now, _error_of(operation))
        return True

    async def _begin(self, container: Container, latest: CertificateVersion, one: Due, now: int) -> None:
        """Raises Unavailable while the audit log takes no records."""
        await self._records.ready()
        new = NewCertificate(tags=latest.tags, preserve_order=latest.preserve_order)
        try:
            await self._creation.create(container, latest.name, new, is_renewal=True, latest=latest.version)
        except Conflict:  # somebody else makes a version, or has deleted it
            await self._postpone(one, now + LOOK_SECONDS)
            return
        except Exception as error:
            refusal = failure_of(error, f"certificate {latest.name} of {container.name} was not renewed")
            await self._records.failed(container, OPERATION, path_of(Kind.CERTIFICATES, latest), refusal)
            async with self._database.write() as tx:
                is_final = isinstance(error, BadRequest)
                wait = AGAIN_SECONDS if is_final else LOOK_SECONDS
                if await schedule.postpone(tx, one, now + wait) and is_final:
                    await self._mails.tell(tx, container, Notice.NOT_RENEWED, latest, now, refusal.message)
            return
        await self._postpone(one, now + LOOK_SECONDS)
        self._issuance.start(container, latest.name)

    async def _postpone(self, one: Due, until: int) -> None:
        async with self._database.write() as tx:
            await schedule.postpone(tx, one, until)


@dataclass(frozen=True, slots=True)
class _Found:
    """latest: version of the certificate that a row means. due: what is due of it by its own rows."""

    container: Container
    latest: CertificateVersion
    due: dict[What, int]


async def _find(tx: Transaction, one: Due) -> _Found | None:
    container = await containers.by_id(tx, one.container_id)
    at_name = await CERTIFICATES.name(tx, one.container_id, one.folded)
    latest = await CERTIFICATES.version(tx, one.container_id, one.folded, None)
    if container is None or at_name is None or latest is None:
        return None
    return _Found(container, latest, certificate_schedule.due_of(container, at_name.policy, latest))


def _error_of(operation: CertificateOperation | None) -> str:
    if operation is None or not operation.is_renewal:
        return ""
    return ": ".join(text for text in (operation.error_code, operation.error_message) if text)
