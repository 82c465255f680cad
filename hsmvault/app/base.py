"""What nearly every part of a worker is made with."""

from dataclasses import dataclass

from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.intents import Intents
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Base:
    """What nearly every part needs."""

    settings: Settings
    clock: Clock
    identifiers: Identifiers
    metrics: Metrics
    database: Database
    feed: ChangeFeed
    audit: AuditLog
    intents: Intents
