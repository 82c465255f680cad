"""Secrets, put together: what composition.py makes of them."""

from hsmvault.app.observation import show_cache
from hsmvault.app.served_worlds import ServedWorlds
from hsmvault.clock import Clock, Identifiers
from hsmvault.lanes import Lane
from hsmvault.resources.secret_backups import SecretBackups
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secret_formats import SecretFormats
from hsmvault.resources.secrets import Secrets
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Metrics
from hsmvault.wire.paging import Pages
from hsmvault.wire.secret_lives import SecretLives


def make_secrets(
    database: Database, feed: ChangeFeed, served: ServedWorlds, clock: Clock, identifiers: Identifiers, metrics: Metrics
) -> Secrets:
    cache = SecretCache(database)
    show_cache(metrics, "secrets", cache)
    feed.subscribe("secret", cache.forget)
    feed.subscribe_all(cache.forget_all)
    return Secrets(database, cache, served.sealers, clock, identifiers)


def secret_handlers(
    secrets: Secrets,
    database: Database,
    served: ServedWorlds,
    conversion: Lane[None],
    clock: Clock,
    identifiers: Identifiers,
    *,
    legacy: bool,
) -> SecretLives:
    """conversion: for certificates in another format. legacy: see SecretFormats."""
    backups = SecretBackups(database, served.sealers, served.geographies, clock)
    return SecretLives(
        secrets, backups, SecretFormats(conversion, identifiers, legacy=legacy), Pages(served.default.sealer)
    )
