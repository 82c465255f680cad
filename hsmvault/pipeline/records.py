"""Audit records: what calls and scheduled work have in common, and the records of work that nobody called for.

Scheduled work is recorded before it is committed: no record, no act. When the commit fails behind its record, a second
record says so.
"""

from collections.abc import Callable
from functools import lru_cache

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, timestamp
from hsmvault.clock import Clock, Identifiers
from hsmvault.errors import RequestError
from hsmvault.model.containers import Container

_SIGNATURES = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}


def signature(status: int) -> str:
    return _SIGNATURES.get(status, str(status))


@lru_cache(maxsize=4096)
def upper(resource_id: str) -> str:
    return resource_id.upper()


class WorkRecords:
    """origin_of: `https://host:port` of a container. status_of: the status that a caller would see for a refusal."""

    def __init__(
        self,
        audit: AuditLog,
        clock: Clock,
        identifiers: Identifiers,
        origin_of: Callable[[Container], str],
        status_of: Callable[[RequestError], int],
    ) -> None:
        self._audit = audit
        self._clock = clock
        self._identifiers = identifiers
        self._origin_of = origin_of
        self._status_of = status_of

    async def ready(self) -> None:
        """Before something costly is begun. Raises Unavailable while the log takes no records."""
        await self._audit.ready()

    async def done(self, container: Container, operation_name: str, path: str) -> None:
        """Returns when the record is accepted; then commit. path: of the object, from its slash on. Raises Unavailable
        when it is not: then leave everything as it is."""
        await self._append(container, operation_name, path, 200, "")

    async def failed(self, container: Container, operation_name: str, path: str, error: RequestError) -> None:
        """Nothing was done. Raises Unavailable."""
        await self._append(container, operation_name, path, self._status_of(error), error.message)

    async def _append(
        self, container: Container, operation_name: str, path: str, status: int, description: str
    ) -> None:
        await self._audit.append(
            AuditRecord(
                time=timestamp(self._clock.now()),
                resourceId=upper(container.resource_id),
                operationName=operation_name,
                operationVersion="",
                category="AuditEvent",
                resultType="Success",
                resultSignature=signature(status),
                resultDescription=description,
                durationMs="0",
                callerIpAddress="",
                correlationId="",
                identity={},
                properties=Properties(
                    id=self._origin_of(container) + path,
                    httpStatusCode=status,
                    requestId=self._identifiers.guid(),
                ),
            )
        )
