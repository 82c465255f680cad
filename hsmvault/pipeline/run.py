"""The road of every call: token there, firewall, authentication, authorization, operation, audit.

The order is that of "Authentication, requests and responses" of the Azure Key Vault documentation, with one addition:
a call without any bearer token gets the challenge before anything else is looked at, since clients begin with one.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Protocol, TypeVar

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import Authentication, has_bearer
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.firewall import Firewall, refusal
from hsmvault.pipeline.records import signature, upper

LOG = logging.getLogger("hsmvault.pipeline")


class Answer(Protocol):
    @property
    def status(self) -> int: ...


AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


class Pipeline:
    """status_of: the status that a refusal will be answered with, for the record. firewall: of the installation; the
    rules are the container's own."""

    def __init__(
        self,
        authentication: Authentication,
        authorization: Authorization,
        audit: AuditLog,
        clock: Clock,
        status_of: Callable[[RequestError], int],
        firewall: Firewall | None = None,
    ) -> None:
        self._authentication = authentication
        self._authorization = authorization
        self._audit = audit
        self._clock = clock
        self._status_of = status_of
        self._firewall = firewall or Firewall()

    async def run(self, call: Call, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        """Carry the call out and return its answer, once its record is accepted. Raises RequestError.

        work: the operation; it is called only for a caller who may. A call without a bearer token is the beginning of
        every client's conversation: it changes nothing, and is counted but not recorded.
        """
        if not has_bearer(call.authorization):
            raise Unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
        await self._audit.ready()
        answer: AnyAnswer | None = None
        try:
            answer = await self._checked(call, work)
            call.status = answer.status
        except RequestError as error:
            call.refusal = error
        except Exception:
            LOG.exception("unexpected failure in %r", call)
            call.refusal = RequestError("An error has occurred.")
        if call.refusal is not None:
            call.status = self._status_of(call.refusal)
        await self._audit.append(self._record(call))
        if answer is None:
            assert call.refusal is not None
            raise call.refusal
        return answer

    async def _checked(self, call: Call, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        if self._firewall.admits(call):
            caller = await self._authentication.identify(call)
        else:
            known = await self._authentication.caller_if_known(call)
            if known is None or not self._firewall.trusts(call, known):
                call.caller = known
                raise refusal(call, known)
            caller = known
        call.caller = caller
        if call.operation is not None:
            await self._authorization.permit(caller, call.container, call.operation, call.object_name)
        return await work(caller)

    def _record(self, call: Call) -> AuditRecord:
        caller = call.caller
        return AuditRecord(
            time=timestamp(self._clock.now()),
            resourceId=upper(call.container.resource_id),
            operationName=_operation_name(call),
            operationVersion=call.api_version,
            category="AuditEvent",
            resultType="Success",
            resultSignature=signature(call.status),
            resultDescription="" if call.refusal is None else call.refusal.message,
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
                id=call.object_id or call.url,
                httpStatusCode=call.status,
                requestId=call.request_id,
            ),
        )


def _operation_name(call: Call) -> str:
    if isinstance(call.refusal, Unauthorized):
        return "Authentication"
    return "Unknown" if call.operation is None else call.operation.audit_name


@lru_cache(maxsize=4096)
def _text(address: Address) -> str:
    return str(address)
