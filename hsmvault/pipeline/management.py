"""The road of every call of the management plane: token there, authentication, tenant, permission, operation, audit.

Every container is governed by Azure RBAC here, whatever its data plane goes by, and no firewall of a container ever
applies ("Azure Key Vault security": management plane and data plane).
"""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hsmvault.audit.log import AuditLog
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Forbidden, NotFound, RequestError, Unauthorized
from hsmvault.model.management import Asks, ManagementOperation
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.model.subscriptions import Subscription
from hsmvault.pipeline.authentication import Authentication, TokenRefused, has_bearer
from hsmvault.pipeline.records import signature, upper
from hsmvault.pipeline.run import Answer

LOG = logging.getLogger("hsmvault.pipeline")
AnyAnswer = TypeVar("AnyAnswer", bound=Answer)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(slots=True)
class ManagementCall:
    """scope: the ARM id that the permission is asked for, '' for '/'. subscription_id: what stands in its place in the
    path, in lower case and not checked, or "".

    authorization: the header as it came; the repr must not show it. resource: audience of the plane. tenant_id: None;
    whose tenant it is shows when the subscription is looked up. url: without the query. started: monotonic seconds.
    """

    request_id: str
    started: float
    operation: ManagementOperation | None
    scope: str
    subscription_id: str
    resource: str
    authorization: str | None
    client_address: Address
    url: str
    api_version: str = ""
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
        return f"ManagementCall({self.request_id} {self.operation.name if self.operation else '?'} {self.scope})"


class Subscriptions(Protocol):
    async def find(self, subscription_id: str) -> Subscription | None: ...


class Rbac(Protocol):
    """Whether a control action is allowed at a resource id."""

    async def allows(self, caller: Caller, tenant_id: str, action: str, resource_id: str) -> bool: ...


class ManagementPipeline:
    """status_of: the status that a refusal will be answered with, for the record. authority_of: URL of the issuer of a
    tenant, without a slash at its end."""

    def __init__(
        self,
        authentication: Authentication,
        subscriptions: Subscriptions,
        rbac: Rbac,
        audit: AuditLog,
        clock: Clock,
        status_of: Callable[[RequestError], int],
        authority_of: Callable[[str], str],
    ) -> None:
        self._authentication = authentication
        self._subscriptions = subscriptions
        self._rbac = rbac
        self._audit = audit
        self._clock = clock
        self._status_of = status_of
        self._authority_of = authority_of

    async def run(self, call: ManagementCall, work: Callable[[Caller, str], Awaitable[AnyAnswer]]) -> AnyAnswer:
        """Carry the call out and return its answer, once its record is accepted. Raises RequestError.

        work(caller, tenant_id): the operation, for a caller who may. tenant_id: of the subscription in the path, or of
        the caller where the path has none.
        """
        if not has_bearer(call.authorization):
            raise Unauthorized(
                "Authentication failed. The 'Authorization' header is missing.", code="AuthenticationFailed"
            )
        await self._audit.ready()
        answer: AnyAnswer | None = None
        try:
            answer = await self._checked(call, work)
            call.status = answer.status
        except RequestError as error:
            call.refusal = error
        except Exception:
            LOG.exception("unexpected failure in %r", call)
            call.refusal = RequestError("An error has occurred.", code="InternalServerError")
        if call.refusal is not None:
            call.status = self._status_of(call.refusal)
        await self._audit.append(self._record(call))
        if answer is None:
            assert call.refusal is not None
            raise call.refusal
        return answer

    async def may(self, caller: Caller, tenant_id: str, action: str, resource_id: str) -> bool:
        """Whether the caller has a control action; never across tenants."""
        return caller.tenant_id == tenant_id and await self._rbac.allows(caller, tenant_id, action, resource_id)

    async def _checked(self, call: ManagementCall, work: Callable[[Caller, str], Awaitable[AnyAnswer]]) -> AnyAnswer:
        call.caller = caller = await self._identified(call)
        tenant_id = await self._tenant_of(call, caller)
        operation = call.operation
        if operation is not None and operation.asks is Asks.ACTION:
            await self._permit(caller, tenant_id, operation.action, call.scope)
        return await work(caller, tenant_id)

    async def _identified(self, call: ManagementCall) -> Caller:
        try:
            return await self._authentication.identify(call)
        except TokenRefused as error:
            raise _token_refused(error, call.resource) from error
        except Unauthorized as error:
            raise Unauthorized("The access token is invalid.", code="InvalidAuthenticationToken") from error

    async def _tenant_of(self, call: ManagementCall, caller: Caller) -> str:
        """Whoever comes from another tenant hears that there is such a subscription, as in Azure: its id is no secret,
        and the client needs to know which issuer to ask."""
        if not call.subscription_id:
            return caller.tenant_id
        if not _GUID.fullmatch(call.subscription_id):
            raise BadRequest(
                f"The provided subscription identifier '{call.subscription_id}' is malformed or invalid.",
                code="InvalidSubscriptionId",
            )
        found = await self._subscriptions.find(call.subscription_id)
        if found is None:
            raise NotFound(
                f"The subscription '{call.subscription_id}' could not be found.", code="SubscriptionNotFound"
            )
        if found.tenant_id != caller.tenant_id:
            authority = self._authority_of(found.tenant_id)
            raise Unauthorized(
                f"The access token is from the wrong issuer '{caller.issuer}'. It must match the tenant '{authority}/' "
                "associated with this subscription. Please use the authority (URL) "
                f"'{authority}' to get the token.",
                code="InvalidAuthenticationTokenTenant",
            )
        return found.tenant_id

    async def _permit(self, caller: Caller, tenant_id: str, action: str, scope: str) -> None:
        if not await self._rbac.allows(caller, tenant_id, action, scope):
            raise not_authorized(caller, action, scope)

    def _record(self, call: ManagementCall) -> AuditRecord:
        caller, operation = call.caller, call.operation
        name = "Unknown" if operation is None else operation.audit_name
        return AuditRecord(
            time=timestamp(self._clock.now()),
            resourceId=upper(call.scope or "/"),
            operationName="Authentication" if isinstance(call.refusal, Unauthorized) else name,
            operationVersion=call.api_version,
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
                id=call.used or call.scope or "/",
                httpStatusCode=call.status,
                requestId=call.request_id,
            ),
        )


def not_authorized(caller: Caller, action: str, scope: str) -> Forbidden:
    return Forbidden(
        f"The client '{caller.upn or caller.application_id}' with object id '{caller.object_id}' does not have "
        f"authorization to perform action '{action}' over scope '{scope or '/'}' or the scope is invalid. If access "
        "was recently granted, please refresh your credentials.",
        code="AuthorizationFailed",
    )


def _token_refused(error: TokenRefused, resource: str) -> Unauthorized:
    texts = {
        "ExpiredAuthenticationToken": "The access token has expired.",
        "InvalidAuthenticationTokenAudience": (
            "The access token has been obtained for wrong audience or resource. It should exactly match with one of "
            f"the allowed audiences '{resource}/','{resource}'."
        ),
    }
    return Unauthorized(texts.get(error.in_arm, "The access token is invalid."), code=error.in_arm)
