"""Audit records on their way to other places, put together: destinations, routes, and how far each has come."""

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from hsmvault.app.base import Base
from hsmvault.app.sending import client_context, read_headers
from hsmvault.audit import export_cursor
from hsmvault.audit.sinks import Destination, Routes
from hsmvault.config import Settings
from hsmvault.config.auditing import AuditDestination
from hsmvault.errors import ConfigurationError
from hsmvault.jobs import audit_export
from hsmvault.jobs.audit_export import ExportAudit
from hsmvault.jobs.audit_sinks import FileSink, Sink, SyslogSink, WebhookSink
from hsmvault.outbound.syslog import Protocol, SyslogServer
from hsmvault.outbound.webhooks import Webhook
from hsmvault.store import diagnostic_settings
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database


def destinations_of(settings: Settings) -> tuple[Destination, ...]:
    """As diagnostic settings name them."""
    return tuple(Destination(one.name, one.id) for one in settings.audit.destinations)


def begin_exports(settings: Settings) -> None:
    """A destination that is new gets the records from here on. To be called before anybody is served. It blocks.

    Raises ConfigurationError.
    """
    directory = settings.layout.audit_exports
    try:
        names = [one.name for one in settings.audit.destinations]
        export_cursor.begin(directory, names, settings.audit_directory)
    except OSError as error:
        raise ConfigurationError(
            f"{directory}, which keeps how far audit records were exported, cannot be used ({error.strerror})."
        ) from error


def exports_of(base: Base) -> tuple[ExportAudit, ...]:
    """One for each destination; one worker of a node runs them. Raises ConfigurationError."""
    settings = base.settings
    routes = _Routing(base.database, base.feed, settings)
    made: list[ExportAudit] = []
    for one in settings.audit.destinations:
        export = ExportAudit(
            one.name,
            sink_of(one),
            settings.audit_directory,
            export_cursor.cursor_of(settings.layout.audit_exports, one.name),
            routes.current,
            base.clock,
            count=_counted(base, one.name),
        )
        base.metrics.audit_export_lag.child(one.name).read = export.lag_seconds
        made.append(export)
    return tuple(made)


async def run_exports(exports: tuple[ExportAudit, ...]) -> None:
    """Until cancellation."""
    await asyncio.gather(*(one.run() for one in exports))


def sink_of(one: AuditDestination) -> Sink:
    """Raises ConfigurationError."""
    key, host = f"audit.destinations '{one.name}'", socket.gethostname()
    if one.kind == "file":
        assert one.path is not None  # a rule of the configuration
        return FileSink(one.path, host)
    if one.kind == "webhook":
        headers = {} if one.header_file is None else read_headers(one.header_file, f"{key}, header_file")
        context = client_context(one.ca_file, key)
        return WebhookSink(
            Webhook(one.url, context=context, headers=headers, timeout_seconds=one.timeout_seconds), host
        )
    protocol, address = Protocol(one.protocol), urlsplit(f"//{one.address}")
    assert address.hostname is not None and address.port is not None  # a rule of the configuration
    secured = client_context(one.ca_file, key) if protocol is Protocol.TLS else None
    return SyslogSink(SyslogServer(address.hostname, address.port, protocol, secured, one.timeout_seconds), host)


class _Routing:
    """The routes as diagnostic settings have them now."""

    def __init__(self, database: Database, feed: ChangeFeed, settings: Settings) -> None:
        self._database = database
        self._feed = feed
        self._destinations = destinations_of(settings)
        self._all_to = frozenset(settings.audit.all_to)
        self._routes: Routes | None = None
        feed.subscribe("diagnostic-settings", lambda _, __: self._forget())
        feed.subscribe_all(self._forget)

    async def current(self) -> Routes:
        """Raises Unavailable."""
        if self._routes is not None:
            return self._routes
        epoch = self._feed.epoch
        async with self._database.read() as tx:
            routes = Routes(self._destinations, self._all_to, await diagnostic_settings.list_all(tx))
        if epoch == self._feed.epoch:
            self._routes = routes
        return routes

    def _forget(self) -> None:
        self._routes = None


def _counted(base: Base, name: str) -> Callable[[str, int], None]:
    """Each outcome is shown from the start."""
    counts = {outcome: base.metrics.audit_exports.child(name, outcome) for outcome in audit_export.OUTCOMES}

    def count(outcome: str, number: int) -> None:
        counts[outcome].value += number

    return count
