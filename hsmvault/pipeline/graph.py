"""The road of every call of the directory's plane (the Graph subset): token there, authentication, operation, audit.

Who may do what is a matter of the directory itself (resources/directory/rules.py), inside the transaction that does
it. A caller's tenant is the only one that it sees.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import Authentication, TokenRefused, has_bearer
from hsmvault.pipeline.call import AnyCall
from hsmvault.pipeline.recording import AnyAnswer, Recording

CODE = "InvalidAuthenticationToken"


@dataclass(slots=True, kw_only=True, repr=False)
class GraphCall(AnyCall):
    """operation: `operationName` of the record, or "" for what is no route."""

    operation: str

    @property
    def place(self) -> str:
        return "/providers/microsoft.graph" if self.caller is None else f"/tenants/{self.caller.tenant_id}/directory"

    @property
    def operation_name(self) -> str:
        return self.operation


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
        self._recording = Recording(audit, clock, status_of, "Service_InternalServerError")

    async def run(self, call: GraphCall, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        """Carry the call out and return its answer, once its record is accepted. Raises RequestError."""
        if not has_bearer(call.authorization):
            raise Unauthorized("Access token is empty.", code=CODE)
        await self._recording.ready()
        return await self._recording.run(call, self._checked(call, work))

    async def _checked(self, call: GraphCall, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        call.caller = caller = await self._identified(call)
        return await work(caller)

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
