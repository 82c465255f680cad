"""The kinds of destinations of audit records: what each is sent, and when it has taken it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hsmvault.audit import sinks
from hsmvault.audit.sinks import LoggedLine
from hsmvault.outbound import record_files
from hsmvault.outbound.syslog import NotSent, SyslogServer
from hsmvault.outbound.webhooks import Webhook, retry_after_seconds

_TOO_LARGE: Final = 413


@dataclass(frozen=True, slots=True)
class Sent:
    """problem: why the batch was not taken, for an operator; empty when it was. is_too_large: a shorter one might be.

    retry_after_seconds: what the receiver asks for; None when it says nothing.
    """

    problem: str = ""
    is_too_large: bool = False
    retry_after_seconds: float | None = None


class Sink(Protocol):
    async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
        """All of them or none, as far as one can tell. now: seconds since 1970 UTC. Raises nothing but cancellation."""
        ...


class FileSink:
    """host: this node, for the records."""

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host

    async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
        lines = [sinks.exported(record, self._host) for record in records]
        try:
            await asyncio.to_thread(record_files.append_lines, self._path, lines)
        except OSError as error:
            return Sent(error.strerror or type(error).__name__)
        return Sent()


class WebhookSink:
    def __init__(self, webhook: Webhook, host: str) -> None:
        self._webhook = webhook
        self._host = host

    async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
        body = sinks.batch([sinks.exported(record, self._host) for record in records])
        answer = await self._webhook.post(body, {"Content-Type": "application/json; charset=utf-8"})
        if answer.is_taken:
            return Sent()
        wait = retry_after_seconds(answer.retry_after, now)
        return Sent(answer.problem, is_too_large=answer.status == _TOO_LARGE, retry_after_seconds=wait)


class SyslogSink:
    def __init__(self, server: SyslogServer, host: str) -> None:
        self._server = server
        self._host = host

    async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
        try:
            await self._server.send([sinks.syslog(record, self._host) for record in records])
        except NotSent as error:
            return Sent(str(error))
        return Sent()
