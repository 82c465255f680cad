"""The background jobs of an installation, put together (see jobs/runner.py)."""

from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock, Identifiers
from hsmvault.config.names import Names
from hsmvault.jobs.events import DropEvents
from hsmvault.jobs.expiry import AnnounceExpiry
from hsmvault.jobs.purge import PurgeKeys
from hsmvault.jobs.rotation import RotateKeys
from hsmvault.jobs.runner import OUTCOMES, Job, Runner
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Metrics
from hsmvault.wire.failures import status_of


def runner_of(
    database: Database,
    keys: Keys,
    audit: AuditLog,
    clock: Clock,
    identifiers: Identifiers,
    names: Names,
    metrics: Metrics,
) -> Runner:
    """Every node has one; the lease lets one of them work at a time."""

    def origin_of(container: Container) -> str:
        is_vault = container.kind is ContainerKind.VAULT
        return names.vault_url(container.name) if is_vault else names.pool_url(container.name)

    def count(job: str, outcome: str) -> None:
        metrics.jobs.child(job, outcome).value += 1

    records = WorkRecords(audit, clock, identifiers, origin_of, status_of)
    jobs: list[Job] = [
        RotateKeys(database, KeyRotation(database, keys, clock), records),
        AnnounceExpiry(database, records, clock, identifiers),
        PurgeKeys(database, keys, records),
        DropEvents(database),
    ]
    for job in jobs:
        for outcome in OUTCOMES:
            metrics.jobs.child(job.name, outcome)  # shown from the start
    return Runner(database, jobs, clock, f"jobs-{identifiers.guid()}", count=count)
