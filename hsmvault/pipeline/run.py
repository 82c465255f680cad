"""The road of every call: token there, firewall, authentication, authorization, operation, audit.

The order is that of "Authentication, requests and responses" of the Azure Key Vault documentation, with one addition:
a call without any bearer token gets the challenge before anything else is looked at, since clients begin with one.
"""

from collections.abc import Awaitable, Callable

from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import Authentication, has_bearer
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.firewall import Firewall, refusal
from hsmvault.pipeline.recording import AnyAnswer, Recording


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
        self._recording = Recording(audit, clock, status_of)
        self._firewall = firewall or Firewall()

    async def run(self, call: Call, work: Callable[[Caller], Awaitable[AnyAnswer]]) -> AnyAnswer:
        """Carry the call out and return its answer, once its record is accepted. Raises RequestError.

        work: the operation; it is called only for a caller who may. A call without a bearer token is the beginning of
        every client's conversation: it changes nothing, and is counted but not recorded.
        """
        if not has_bearer(call.authorization):
            raise Unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
        await self._recording.ready()
        return await self._recording.run(call, self._checked(call, work))

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
