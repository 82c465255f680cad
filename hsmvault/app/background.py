"""The background jobs of an installation, put together (see jobs/runner.py)."""

from collections.abc import Callable

from hsmvault.app.certificates import CertificateParts
from hsmvault.app.reconciliation import jobs_owner
from hsmvault.app.sending import sending_jobs, wake_by_changes
from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.config.names import Names
from hsmvault.jobs.container_purge import PurgeContainers
from hsmvault.jobs.events import DropEvents
from hsmvault.jobs.expiry import AnnounceExpiry
from hsmvault.jobs.issuance import AdvanceIssuance
from hsmvault.jobs.login_grants import DropLoginGrants
from hsmvault.jobs.purge import PurgeDeleted, purged_certificates, purged_keys, purged_secrets
from hsmvault.jobs.renewal import RenewCertificates
from hsmvault.jobs.rotation import RotateKeys
from hsmvault.jobs.runner import OUTCOMES, Job, Runner
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.certificate_mails import CertificateMails
from hsmvault.resources.container_removal import ContainerRemoval
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.secrets import Secrets
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Metrics
from hsmvault.wire.failures import status_of


def runner_of(
    database: Database,
    keys: Keys,
    secrets: Secrets,
    certificates: CertificateParts,
    removal: ContainerRemoval,
    records: WorkRecords,
    clock: Clock,
    identifiers: Identifiers,
    settings: Settings,
    metrics: Metrics,
    feed: ChangeFeed,
    node: str,
) -> Runner:
    """Every node has one; the lease lets one of them work at a time. node: this run of it. Raises
    ConfigurationError."""

    def count(job: str, outcome: str) -> None:
        metrics.jobs.child(job, outcome).value += 1

    mails = CertificateMails(enabled=settings.mail_enabled)
    jobs: list[Job] = [
        RotateKeys(database, KeyRotation(database, keys, clock), records),
        AnnounceExpiry(database, records, clock, identifiers),
        RenewCertificates(database, certificates.creation, certificates.issuance, mails, records),
        PurgeDeleted(
            database,
            records,
            [purged_certificates(certificates.certificates), purged_keys(keys), purged_secrets(secrets)],
        ),
        DropEvents(database, [subscription.name for subscription in settings.events]),
        DropLoginGrants(database),
    ]
    sending = sending_jobs(settings, database, origin_by(settings.names), metrics)
    issuance = AdvanceIssuance(database, certificates.issuance, clock)
    purge = PurgeContainers(database, removal, records, clock, identifiers)
    for job in [*jobs, purge, issuance, *sending]:
        for outcome in OUTCOMES:
            metrics.jobs.child(job.name, outcome)  # shown from the start
    runner = Runner(database, jobs, clock, jobs_owner(node), apart=[purge, issuance, *sending], count=count)
    wake_by_changes(feed, runner, sending)
    feed.subscribe("certificate-operation", lambda _, __: runner.wake(issuance.name))
    feed.subscribe("management-operation", lambda _, __: runner.wake(purge.name))
    return runner


def origin_by(names: Names) -> Callable[[Container], str]:
    """`https://host:port` of a container."""

    def origin_of(container: Container) -> str:
        is_vault = container.kind is ContainerKind.VAULT
        return names.vault_url(container.name) if is_vault else names.pool_url(container.name)

    return origin_of


def work_records(audit: AuditLog, clock: Clock, identifiers: Identifiers, names: Names) -> WorkRecords:
    """Of what nobody called for."""
    return WorkRecords(audit, clock, identifiers, origin_by(names), status_of)
