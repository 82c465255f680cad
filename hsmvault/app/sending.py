"""What goes out by itself, put together: events to webhooks, mail to a server, and what wakes the jobs of both."""

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hsmvault.config import Settings
from hsmvault.config.certificates import EventSubscription, Smtp
from hsmvault.config.secret_files import read_secret_file
from hsmvault.errors import ConfigurationError
from hsmvault.jobs import deliveries, mails
from hsmvault.jobs.deliveries import DeliverEvents, Subscription
from hsmvault.jobs.event_bodies import TYPE_PREFIX, Schema
from hsmvault.jobs.mails import SendMails
from hsmvault.jobs.runner import Job, Runner
from hsmvault.model.containers import Container
from hsmvault.outbound.smtp import Login, MailServer, Security
from hsmvault.outbound.webhooks import Webhook
from hsmvault.store import deliveries as store
from hsmvault.store.changes import Callback, ChangeFeed
from hsmvault.store.database import Database
from hsmvault.telemetry.metrics import Count, Labelled, Metrics

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t]*")
# They say how a request is sent, which is not for a file to say.
_OUR_HEADERS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "expect"})


def sending_jobs(
    settings: Settings, database: Database, origin_of: Callable[[Container], str], metrics: Metrics
) -> list[Job]:
    """They are to run apart. origin_of: `https://host:port` of a container. Raises ConfigurationError."""
    jobs: list[Job] = []
    for one in settings.events:
        subscription = Subscription(
            one.name,
            Schema(one.schema),
            frozenset(one.containers),
            frozenset(name.removeprefix(TYPE_PREFIX) for name in one.types),
        )
        count = _counted(metrics.events, deliveries.OUTCOMES, one.name)
        jobs.append(DeliverEvents(database, subscription, webhook_of(one), origin_of, count=count))
    if settings.mail_enabled:
        server = mail_server_of(settings.smtp, settings.smtp_port)
        jobs.append(SendMails(database, server, count=_counted(metrics.mails, mails.OUTCOMES)))
    return jobs


def wake_by_changes(feed: ChangeFeed, runner: Runner, jobs: Sequence[Job]) -> None:
    """An event or a mail that is committed anywhere wakes the jobs that send it."""
    for job in jobs:
        kind = "mails" if isinstance(job, SendMails) else "outbox"
        feed.subscribe(kind, _waking(runner, job.name))


async def begin_subscriptions(settings: Settings, database: Database) -> None:
    """A subscription that is new gets the events from here on. To be called before anybody is served: nothing that a
    client does is missed then.
    """
    if settings.events:
        async with database.write() as tx:
            for one in settings.events:
                await store.begin(tx, one.name)


def read_headers(path: Path, key: str) -> Mapping[str, str]:
    """`Name: value`, one a line. Raises ConfigurationError, which says nothing of what is in the file."""
    headers: dict[str, str] = {}
    for number, line in enumerate(read_secret_file(path, key).replace("\r\n", "\n").split("\n"), 1):
        found = _HEADER.fullmatch(line)
        if found is None:
            raise ConfigurationError(f"{key}: line {number} of {path} is no header; write `Name: value`.")
        if found[1].lower() in _OUR_HEADERS or found[1].lower() in {name.lower() for name in headers}:
            raise ConfigurationError(f"{key}: the header in line {number} of {path} cannot be set, or is set twice.")
        headers[found[1]] = found[2]
    return headers


def _waking(runner: Runner, name: str) -> Callback:
    return lambda _, __: runner.wake(name)


def webhook_of(one: EventSubscription) -> Webhook:
    """Raises ConfigurationError."""
    key = f"events '{one.name}'"
    headers = {} if one.header_file is None else read_headers(one.header_file, f"{key}, header_file")
    return Webhook(
        one.url, context=client_context(one.ca_file, key), headers=headers, timeout_seconds=one.timeout_seconds
    )


def mail_server_of(smtp: Smtp, port: int) -> MailServer:
    """Raises ConfigurationError."""
    login = None
    if smtp.password_file is not None:
        login = Login(smtp.username, read_secret_file(smtp.password_file, "smtp.password_file"))
    return MailServer(
        smtp.host,
        port,
        Security(smtp.tls),
        client_context(smtp.ca_file, "smtp"),
        smtp.sender,
        smtp.timeout_seconds,
        login,
    )


def client_context(ca_file: Path | None, key: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{key}: ca_file {ca_file} cannot be read.") from error


def _counted(family: Labelled[Count], outcomes: Sequence[str], *labels: str) -> Callable[[str], None]:
    """Each outcome is shown from the start."""
    counts = {outcome: family.child(*labels, outcome) for outcome in outcomes}

    def count(outcome: str) -> None:
        counts[outcome].value += 1

    return count
