"""Where the parts meet telemetry and the audit log: calls become metrics, attempts to log in become audit records, and
what parts count for themselves is asked for when metrics are collected.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import Clock
from hsmvault.hsm.token import Token
from hsmvault.lanes import Lane
from hsmvault.login.attempts import LoginAttempt
from hsmvault.pipeline.call import AnyCall, Call
from hsmvault.pipeline.graph import GraphCall
from hsmvault.pipeline.management import ManagementCall
from hsmvault.telemetry.metrics import Metrics

LOG = logging.getLogger("hsmvault.calls")


class LookedUp(Protocol):
    """A cache that counts its look-ups, or the counters of one."""

    hits: int
    misses: int


def show_cache(metrics: Metrics, name: str, cache: LookedUp) -> None:
    metrics.cache.child(name, "hit").read = lambda: cache.hits
    metrics.cache.child(name, "miss").read = lambda: cache.misses


def show_tokens(metrics: Metrics, tokens: Callable[[], Iterable[Token]]) -> None:
    """What has no world in its labels: the sum of all tokens, whichever there are."""
    metrics.hsm_waiting.child("work").read = lambda: float(sum(token.waiting() for token in tokens()))
    metrics.throttled.child("hsm").read = lambda: sum(token.counters.queue_full for token in tokens())


def show_token(metrics: Metrics, world: str, token: Token) -> None:
    """world: its name. A token that sleeps is well, as far as anybody knows."""
    counters = token.counters
    metrics.hsm_up.child(world).read = lambda: float(token.is_up or token.is_asleep)
    metrics.hsm_events.child(world, "refusal").read = lambda: counters.jobs_refused
    metrics.hsm_events.child(world, "canary").read = lambda: counters.canaries
    metrics.hsm_events.child(world, "canary_failed").read = lambda: counters.canaries_failed
    metrics.hsm_events.child(world, "recovery").read = lambda: counters.recoveries


def hide_token(metrics: Metrics, world: str) -> None:
    """A world that is not served any more is not down."""
    metrics.hsm_up.drop(world)
    for event in ("refusal", "canary", "canary_failed", "recovery"):
        metrics.hsm_events.drop(world, event)


def show_queues(metrics: Metrics, lanes: Mapping[str, Lane[None]]) -> None:
    for name, lane in lanes.items():
        metrics.throttled.child(name).read = lambda lane=lane: float(lane.refused)


def show_audit(metrics: Metrics, audit: AuditLog) -> None:
    metrics.audit_failing.child().read = lambda: float(audit.is_failing)
    metrics.audit_records.child("accepted").read = lambda: audit.accepted
    metrics.audit_records.child("refused").read = lambda: audit.refused


class Observation:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def call(self, call: Call) -> None:
        """One call of the data plane has ended."""
        operation = "unknown" if call.operation is None else call.operation.name
        self._ended(call, operation, {"vault": call.container.name})

    def management_call(self, call: ManagementCall) -> None:
        """One call of the management plane has ended."""
        operation = "unknown" if call.operation is None else call.operation.name
        self._ended(call, f"management_{operation}", {"scope": call.scope})

    def graph_call(self, call: GraphCall) -> None:
        """One call of the directory's plane has ended."""
        self._ended(call, f"graph_{call.operation or 'unknown'}", {})

    def _ended(self, call: AnyCall, operation: str, members: dict[str, str]) -> None:
        """members: of the line in the log."""
        seconds = self._clock.monotonic() - call.started
        self._metrics.answered(operation, call.status, seconds)
        if call.status >= 500 or LOG.isEnabledFor(logging.DEBUG):
            extra = {**members, "seconds": round(seconds, 6)}
            LOG.log(_level(call.status), "%s %s", operation, call.status, extra=extra)


class RecordLogin:
    """The hook of the issuer: awaited before an answer of the token endpoint leaves."""

    def __init__(self, audit: AuditLog, metrics: Metrics, clock: Clock) -> None:
        self._audit = audit
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, attempt: LoginAttempt) -> None:
        self._metrics.answered("login", attempt.status, max(0.0, self._clock.now() - attempt.time))
        await self._audit.append(
            AuditRecord(
                time=timestamp(attempt.time),
                resourceId=f"/TENANTS/{attempt.tenant_id.upper()}",
                operationName="Login",
                operationVersion="",
                category="AuditEvent",
                resultType="Success",
                resultSignature="OK" if attempt.result_code == 0 else f"AADSTS{attempt.result_code}",
                resultDescription=f"{attempt.grant} {attempt.resource}".strip(),
                durationMs="0",
                callerIpAddress=attempt.address,
                correlationId=attempt.correlation_id,
                identity=identity(
                    object_id=attempt.object_id, application_id=attempt.client_id, tenant_id=attempt.tenant_id
                ),
                properties=Properties(
                    id=attempt.credential_id, httpStatusCode=attempt.status, requestId=attempt.trace_id
                ),
            )
        )


def _level(status: int) -> int:
    """Whoever asks for what is not built (501) learns that; no operator has to look at it as at a fault."""
    if status < 500:
        return logging.DEBUG
    return logging.WARNING if status == 501 else logging.ERROR
