"""Purges keys, secrets and certificates at the end of their retention, protected or not (audit names KeyPurge,
SecretPurge, CertificatePurge).

The key and the secret of a certificate are left out: the purge of the certificate takes all three.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hsmvault.jobs.runner import Turn
from hsmvault.jobs.scheduled import PAGE, failure_of
from hsmvault.model.containers import Container
from hsmvault.model.objects import ObjectName
from hsmvault.model.operations import BY_NAME, Kind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.certificates import Certificates
from hsmvault.resources.keys import Keys
from hsmvault.resources.secrets import Secrets
from hsmvault.store import containers
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Database, Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.secrets import SECRETS

Record = Callable[[object], Awaitable[None]]


class _Store(Protocol):
    async def due_for_purge(self, tx: Transaction, now: int, limit: int) -> Sequence[ObjectName]: ...


class Purger(Protocol):
    """Has the life of one kind of object."""

    async def purge_when_due(self, container: Container, name: str, now: int, record: Record) -> bool:
        """Purge what is deleted and due by `now`. False: it is gone, recovered, or not to be purged by itself. record:
        called with the latest version and awaited before the commit."""
        ...


@dataclass(frozen=True, slots=True)
class Purgeable:
    """One kind of object. operation: name of the operation that purges it by hand, for the audit record."""

    kind: Kind
    store: _Store
    purger: Purger
    operation: str


def purged_certificates(certificates: Certificates) -> Purgeable:
    return Purgeable(Kind.CERTIFICATES, CERTIFICATES, certificates, "purge_deleted_certificate")


def purged_keys(keys: Keys) -> Purgeable:
    return Purgeable(Kind.KEYS, KEYS, keys, "purge_deleted_key")


def purged_secrets(secrets: Secrets) -> Purgeable:
    return Purgeable(Kind.SECRETS, SECRETS, secrets, "purge_deleted_secret")


class PurgeDeleted:
    """An object that fails is left to the next run, and does not keep the others waiting. kinds: in their order;
    certificates come first, since theirs takes a key and a secret along."""

    name = "purge"
    interval_seconds = 300.0

    def __init__(self, database: Database, records: WorkRecords, kinds: Sequence[Purgeable]) -> None:
        self._database = database
        self._records = records
        self._kinds = tuple(kinds)

    async def run(self, turn: Turn) -> None:
        for kind in self._kinds:
            if not await self._run(kind, turn):
                return

    async def _run(self, kind: Purgeable, turn: Turn) -> bool:
        """False: asked to stop."""
        left: set[tuple[str, str]] = set()
        while True:
            async with self._database.read() as tx:
                due = await kind.store.due_for_purge(tx, turn.now(), PAGE + len(left))
            page = [one for one in due if (one.container_id, one.folded) not in left]
            if not page:
                return True
            for one in page:
                if not await turn.goes_on():
                    return False
                await self._records.ready()
                if not await self._purge(kind, one, turn.now()):
                    left.add((one.container_id, one.folded))

    async def _purge(self, kind: Purgeable, one: ObjectName, now: int) -> bool:
        """Whether it is gone by this."""
        async with self._database.read() as tx:
            container = await containers.by_id(tx, one.container_id)
        if container is None:
            return False  # it has gone since, and took its objects along
        path = f"/deleted{kind.kind.value}/{one.name}"
        operation = BY_NAME[kind.operation].audit_name

        async def record(_: object) -> None:
            await self._records.done(container, operation, path)

        try:
            return await kind.purger.purge_when_due(container, one.name, now, record)
        except Exception as error:  # one damaged row must not keep every other object alive
            refusal = failure_of(error, f"{kind.kind.value}/{one.name} of {container.name} was not purged")
            await self._records.failed(container, operation, path, refusal)
            return False
