"""The road of every call of the directory's plane (the Graph subset): token there, authentication, operation, audit.

Who may do what is a matter of the directory itself (resources/directory/rules.py), inside the transaction that does
it. A caller's tenant is the only one that it sees.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import Authentication, TokenRefused, has_bearer
from hsmvault.pipeline.records import signature, upper
from hsmvault.pipeline.run import Answer

LOG = logging.getLogger("hsmvault.pipeline")
AnyAnswer = TypeVar("AnyAnswer", bound=Answer)
CODE = "InvalidAuthenticationToken"


@dataclass(slots=True)
class GraphCall:
    """operation: `operationName` of the record, or "" for what is no route. url: without the query.

    authorization: the header as it came; the repr must not show it. resource: audience of the plane. tenant_id: None;
    everybody is at home in his own. started: monotonic seconds.
    """

    request_id: str
    started: float
    operation: str
    resource: str
    authorization: str | None
    client_address: Address
    url: str
    version: str = ""
    user_agent: str = ""
    client_request_id: str = ""
    # filled in on the way
    caller: Caller | None = None
    used: str = ""
    status: int = 0
    refusal: RequestError | None = None

    @property
    def tenant_id(self) -> str | None:
        return None

    def __repr__(self) -> str:
        return f"GraphCall({self.request_id} {self.operation or '?'})"


class GraphPipeline:
    """status_of: the status that a refusal will be answered with, for the record."""

    def __init__(
        self,
        authentication: Authentication,
        audit: AuditLog,
        clock: Clock,
        status_of: Callable[[RequestError], int],
    ) -> None:
        self._authentication = authentication
        self._audit = audit
        self._clock = clock
        self._status_of = status_of

    async def run(self, call: GraphCall, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        """Carry the call out and return its answer, once its record is accepted. Raises RequestError."""
        if not has_bearer(call.authorization):
            raise Unauthorized("Access token is empty.", code=CODE)
        await self._audit.ready()
        answer: AnyAnswer | None = None
        try:
            call.caller = caller = await self._identified(call)
            answer = await work(caller)
            call.status = answer.status
        except RequestError as error:
            call.refusal = error
        except Exception:
            LOG.exception("unexpected failure in %r", call)
            call.refusal = RequestError("An error has occurred.", code="Service_InternalServerError")
        if call.refusal is not None:
            call.status = self._status_of(call.refusal)
        await self._audit.append(self._record(call))
        if answer is None:
            assert call.refusal is not None
            raise call.refusal
        return answer

    async def _identified(self, call: GraphCall) -> Caller:
        """Of the embedded issuers: an outside issuer's people are not in this directory."""
        try:
            return await self._authentication.identify(call)
        except TokenRefused as error:
            text = {
                "ExpiredAuthenticationToken": "Lifetime validation failed, the token is expired.",
                "InvalidAuthenticationTokenAudience": "Access token validation failure. Invalid audience.",
            }.get(error.in_arm, "Access token validation failure.")
            raise Unauthorized(text, code=CODE) from error
        except Unauthorized as error:
            raise Unauthorized("Access token validation failure.", code=CODE) from error

    def _record(self, call: GraphCall) -> AuditRecord:
        caller = call.caller
        place = "/providers/microsoft.graph" if caller is None else f"/tenants/{caller.tenant_id}/directory"
        return AuditRecord(
            time=timestamp(self._clock.now()),
            resourceId=upper(place),
            operationName="Authentication" if isinstance(call.refusal, Unauthorized) else call.operation or "Unknown",
            operationVersion=call.version,
            category="AuditEvent",
            resultType="Success",
            resultSignature=signature(call.status),
            resultDescription="" if call.refusal is None else call.refusal.message,
            durationMs=str(int((self._clock.monotonic() - call.started) * 1000)),
            callerIpAddress=str(call.client_address),
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
