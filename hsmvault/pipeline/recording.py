"""What the roads of all planes end in: one record of the call, accepted before its answer leaves."""

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Protocol, TypeVar

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.network import Address
from hsmvault.pipeline.call import AnyCall
from hsmvault.pipeline.records import signature, upper

LOG = logging.getLogger("hsmvault.pipeline")


class Answer(Protocol):
    @property
    def status(self) -> int: ...


AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


class Recording:
    """status_of: the status that a refusal will be answered with. failure_code: for what nobody expected."""

    def __init__(
        self,
        audit: AuditLog,
        clock: Clock,
        status_of: Callable[[RequestError], int],
        failure_code: str = RequestError.code,
    ) -> None:
        self._audit = audit
        self._clock = clock
        self._status_of = status_of
        self._failure_code = failure_code

    async def ready(self) -> None:
        """Before anything is done. Raises Unavailable while the log takes no records."""
        await self._audit.ready()

    async def run(self, call: AnyCall, work: Awaitable[AnyAnswer]) -> AnyAnswer:
        """The answer of the work, once the record of the call is accepted. Raises RequestError, Unavailable without a
        record too."""
        answer: AnyAnswer | None = None
        try:
            answer = await work
            call.status = answer.status
        except RequestError as error:
            call.refusal = error
        except Exception:
            LOG.exception("unexpected failure in %r", call)
            call.refusal = RequestError("An error has occurred.", code=self._failure_code)
        if call.refusal is not None:
            call.status = self._status_of(call.refusal)
        await self._audit.append(self._record(call))
        if answer is None:
            assert call.refusal is not None
            raise call.refusal
        return answer

    def _record(self, call: AnyCall) -> AuditRecord:
        caller, refusal = call.caller, call.refusal
        return AuditRecord(
            time=timestamp(self._clock.now()),
            resourceId=upper(call.place),
            operationName="Authentication" if isinstance(refusal, Unauthorized) else call.operation_name or "Unknown",
            operationVersion=call.api_version,
            category="AuditEvent",
            resultType="Success",
            resultSignature=signature(call.status),
            resultDescription=call.about if refusal is None else refusal.message,
            durationMs=str(int((self._clock.monotonic() - call.started) * 1000)),
            callerIpAddress=_text(call.client_address),
            correlationId=call.client_request_id,
            identity={}
            if caller is None
            else identity(
                object_id=caller.object_id,
                application_id=caller.application_id,
                tenant_id=caller.tenant_id,
                upn=caller.upn,
            ),
            properties=Properties(
                clientInfo=call.user_agent,
                requestUri=call.url,
                id=call.used or call.url,
                httpStatusCode=call.status,
                requestId=call.request_id,
            ),
        )


@lru_cache(maxsize=4096)
def _text(address: Address) -> str:
    return str(address)
