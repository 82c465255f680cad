"""Audit records of what commands and starts do to a security world, to an authority, to the directory, to roles or to
vaults: one before anything is done, one behind it.

Nobody calls for these over the wire, and the processes that do them are no workers. Each has a log of its own beside
theirs, whose writer is named after what keeps a second such process away: the lock of the rotations (`rotation`), that
of the commands on authorities (`authority`), those of the commands on the directory (`directory`), on roles (`role`)
and on vaults (`vault`), and the claim on the data directory (`start`). A record that says `Begun` with none behind it
is of work that was killed; the next one of the same kind goes on with it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hsmvault.audit.log import AuditLog, Durability
from hsmvault.audit.record import AuditRecord, Properties, timestamp
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import OperatorError, RequestError
from hsmvault.model.worlds import WorldRow

ROTATION_WRITER = "rotation"
START_WRITER = "start"
AUTHORITY_WRITER = "authority"
DIRECTORY_WRITER = "directory"
VAULT_WRITER = "vault"
ROLE_WRITER = "role"
PLACE_WRITER = "place"
_BEGUN, _DONE, _FAILED = "Begun", "OK", "Failed"


@asynccontextmanager
async def recorded(
    settings: Settings, writer: str, clock: Clock, identifiers: Identifiers, operation: str, id: str, about: str
) -> AsyncIterator[None]:
    """Around the work. operation: `operationName` of both records. id: of what it is done to. about: for the first of
    them, a sentence.

    Raises OperatorError, before anything is done, when the log takes no records; and at the end, when the work was done
    (or refused) and only that could not be recorded.
    """
    audit = AuditLog(
        settings.audit_directory,
        writer,
        clock,
        durability=Durability(settings.audit.durability),
        rotate_bytes=settings.audit.rotate_bytes,
    )
    request_id = identifiers.guid()

    async def append(signature: str, description: str, otherwise: str) -> None:
        record = AuditRecord(
            time=timestamp(clock.now()),
            resourceId=id.upper(),
            operationName=operation,
            operationVersion="",
            category="AuditEvent",
            resultType="Success",
            resultSignature=signature,
            resultDescription=description,
            durationMs="0",
            callerIpAddress="",
            correlationId="",
            identity={"claim": {"uid": str(os.getuid())}},
            properties=Properties(id=id, requestId=request_id),
        )
        try:
            await audit.append(record)
        except RequestError as error:
            raise OperatorError(
                f"The audit log in {settings.audit_directory} takes no records ({error.detail or error.message}): "
                f"{otherwise}"
            ) from error

    try:
        await append(_BEGUN, about, "nothing was done; make room and try again.")
        try:
            yield
        except Exception as error:
            reason = str(error) if isinstance(error, OperatorError) else type(error).__name__
            await append(_FAILED, reason, f"what was begun has failed, too: {reason}")
            raise
        await append(_DONE, "", "what was asked for is done, and only its last record is missing.")
    finally:
        await audit.close()


def of_world(world: WorldRow) -> tuple[str, str]:
    """id, about: see recorded()."""
    return f"/worlds/{world.id}", f"World '{world.name}'."
