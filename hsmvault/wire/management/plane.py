"""The management plane: one request, down its pipeline and back up."""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp.web import BaseRequest

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, MethodNotAllowed, NotBuilt, NotFound, RequestError, Unauthorized
from hsmvault.model.management import OPERATIONS, Asks
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import has_bearer
from hsmvault.pipeline.management import ManagementCall, ManagementPipeline
from hsmvault.wire import failures
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.codec import parse_query
from hsmvault.wire.data_plane import BodyLimits, News
from hsmvault.wire.headers import asked_version, one_authorization, printable
from hsmvault.wire.hosts import Destination
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from hsmvault.wire.management.routes import ManagementMatch, ManagementRouter, split
from hsmvault.wire.management.versions import ManagementVersions
from hsmvault.wire.reading import read_body

_NAMESPACES: Final = frozenset(operation.provider.lower() for operation in OPERATIONS)


class ManagementPlane:
    """authority: URL of the default tenant's issuer, for challenges.

    observe: told of every finished call, for metrics and the access log.
    """

    def __init__(
        self,
        news: News,
        pipeline: ManagementPipeline,
        handlers: Mapping[str, ManagementHandler],
        versions: ManagementVersions,
        clock: Clock,
        authority: str,
        observe: Callable[[ManagementCall], None],
        limits: BodyLimits,
    ) -> None:
        self._news = news
        self._pipeline = pipeline
        self._handlers = handlers
        self._versions = versions
        self._clock = clock
        self._authority = authority
        self._observe = observe
        self._limits = limits
        self._router = ManagementRouter()

    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer:
        """headers: of the answer. Raises RequestError."""
        if self._news.is_behind():
            await self._news.catch_up()
        headers["x-ms-correlation-request-id"] = headers.get("x-ms-client-request-id", request_id)
        path = request.raw_path.partition("?")[0]
        match = self._router.find(request.method, path)
        call = ManagementCall(
            request_id=request_id,
            started=self._clock.monotonic(),
            operation=None if match is None else match.operation,
            scope="" if match is None else match.scope,
            subscription_id=_subscription(path),
            resource=destination.resource,
            authorization=one_authorization(request),
            client_address=client,
            url=destination.origin + path[:1024],
            api_version=asked_version(request),
            user_agent=printable(request.headers.get("User-Agent", "")[:512]),
            client_request_id=headers.get("x-ms-client-request-id", ""),
        )

        async def work(caller: Caller, tenant_id: str) -> WireAnswer:
            answer = await self._carry_out(request, destination, call, match, path, caller, tenant_id)
            call.used, call.about = answer.used, answer.about
            return answer

        try:
            if match is not None and match.operation.asks is Asks.NOTHING:
                return await self._open(request, destination, call, match)
            return await self._pipeline.run(call, work)
        except RequestError as refusal:
            call.status, call.refusal = failures.status_of(refusal), refusal
            refusal.inner = None  # what keys and secrets say on the data plane; ARM's errors have no inner ones
            if isinstance(refusal, Unauthorized):
                headers["WWW-Authenticate"] = self._challenge(has_bearer(call.authorization))
            raise
        finally:
            self._observe(call)

    def _challenge(self, has_token: bool) -> str:
        description = (
            "The access token is not valid here."
            if has_token
            else "The authentication failed because of missing 'Authorization' header."
        )
        return f'Bearer authorization_uri="{self._authority}", error="invalid_token", error_description="{description}"'

    async def _open(
        self, request: BaseRequest, destination: Destination, call: ManagementCall, match: ManagementMatch
    ) -> WireAnswer:
        """What is answered to everybody: it says nothing that is not public, and is not recorded."""
        nobody = Caller("", "", "", "")
        answer = await self._carry_out(request, destination, call, match, "", nobody, "")
        call.status = answer.status
        return answer

    async def _carry_out(
        self,
        request: BaseRequest,
        destination: Destination,
        call: ManagementCall,
        match: ManagementMatch | None,
        path: str,
        caller: Caller,
        tenant_id: str,
    ) -> WireAnswer:
        try:
            query = parse_query(request.raw_path.partition("?")[2])  # as it came: decoded once, by us
        except BadRequest as error:
            raise _in_arm(error) from error
        if match is None:
            if self._router.methods(path):
                raise MethodNotAllowed(f"The requested resource does not support http method '{request.method[:16]}'.")
            raise _no_route(path)
        operation = match.operation
        served_as = self._versions.check(operation, call.api_version)
        handler = self._handlers.get(operation.name)
        if handler is None:
            raise NotBuilt(f"The operation {operation.name} is not served yet.")

        async def may(action: str, resource_id: str) -> bool:
            return await self._pipeline.may(caller, tenant_id, action, resource_id)

        try:
            body = await read_body(request, self._limits.largest_bytes, self._limits.seconds)
        except BadRequest as error:
            raise _in_arm(error) from error
        return await handler(
            ManagementRequest(
                operation=operation,
                names=match.names,
                scope=match.scope,
                tenant_id=tenant_id,
                caller=caller,
                origin=destination.origin,
                query=query,
                body=body,
                api_version=call.api_version,
                served_as=served_as,
                may=may,
            )
        )


def _subscription(path: str) -> str:
    """The subscription that a path begins with, in lower case and not checked; "" for none."""
    segments = split(path)
    if not segments or len(segments) < 2 or segments[0].lower() != "subscriptions":
        return ""
    return segments[1].lower()[:64]


def _in_arm(error: BadRequest) -> BadRequest:
    """What every plane refuses in the same words, with the resource manager's code."""
    return BadRequest(error.message, code="BadRequest")


def _no_route(path: str) -> NotFound:
    segments = split(path) or ()
    lowered = [segment.lower() for segment in segments]
    if "providers" in lowered:
        at = len(lowered) - 1 - lowered[::-1].index("providers")
        namespace = segments[at + 1][:128] if at + 1 < len(segments) else ""
        if namespace.lower() not in _NAMESPACES:
            return NotFound(f"The resource namespace '{namespace}' is invalid.", code="InvalidResourceNamespace")
        return NotFound(
            f"The resource type could not be found in the namespace '{namespace}'.", code="InvalidResourceType"
        )
    return NotFound("The requested resource does not exist.", code="NotFound")
