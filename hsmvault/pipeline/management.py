"""The road of every call of the management plane: token there, authentication, tenant, permission, operation, audit.

Every container is governed by Azure RBAC here, whatever its data plane goes by, and no firewall of a container ever
applies ("Azure Key Vault security": management plane and data plane).
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hsmvault.audit.log import AuditLog
from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Forbidden, NotFound, RequestError, Unauthorized
from hsmvault.model.management import Asks, ManagementOperation
from hsmvault.model.principals import Caller
from hsmvault.model.subscriptions import Subscription
from hsmvault.pipeline.authentication import Authentication, TokenRefused, has_bearer
from hsmvault.pipeline.call import AnyCall
from hsmvault.pipeline.recording import AnyAnswer, Recording

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(slots=True, kw_only=True, repr=False)
class ManagementCall(AnyCall):
    """scope: the ARM id that the permission is asked for, '' for '/'. subscription_id: what stands in its place in the
    path, in lower case and not checked, or "". Whose tenant it is shows when the subscription is looked up.
    """

    operation: ManagementOperation | None
    scope: str
    subscription_id: str

    @property
    def place(self) -> str:
        return self.scope or "/"

    @property
    def operation_name(self) -> str:
        return "" if self.operation is None else self.operation.audit_name


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
        self._recording = Recording(audit, clock, status_of, "InternalServerError")
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
        await self._recording.ready()
        return await self._recording.run(call, self._checked(call, work))

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
            f"The access token has been obtained for wrong audience or resource '{error.audience}'. It should exactly "
            f"match with one of the allowed audiences '{resource}/','{resource}'."
        ),
    }
    return Unauthorized(texts.get(error.in_arm, "The access token is invalid."), code=error.in_arm)
