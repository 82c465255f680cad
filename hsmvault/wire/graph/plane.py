"""The plane of the directory: one request, down its pipeline and back up."""

import logging
import re
from collections.abc import Callable, Mapping

from aiohttp.web import BaseRequest

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, MethodNotAllowed, NotBuilt, RequestError, Unauthorized
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.pipeline.graph import GraphCall, GraphPipeline
from hsmvault.resources.directory.refusals import bad
from hsmvault.wire import failures
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.codec import parse_query
from hsmvault.wire.data_plane import BodyLimits, News
from hsmvault.wire.graph.failures import answer_of
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest
from hsmvault.wire.graph.routes import GraphRouter, Match, read_path
from hsmvault.wire.headers import one_authorization, printable
from hsmvault.wire.hosts import Destination
from hsmvault.wire.reading import read_body

LOG = logging.getLogger("hsmvault.wire")
_REQUEST_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}", re.ASCII)


class GraphPlane:
    """authority: URL of the default tenant's issuer, for challenges.

    observe: told of every finished call, for metrics and the access log.
    """

    def __init__(
        self,
        news: News,
        pipeline: GraphPipeline,
        handlers: Mapping[str, GraphHandler],
        clock: Clock,
        authority: str,
        observe: Callable[[GraphCall], None],
        limits: BodyLimits,
    ) -> None:
        self._news = news
        self._pipeline = pipeline
        self._handlers = handlers
        self._clock = clock
        self._authority = authority
        self._observe = observe
        self._limits = limits
        self._router = GraphRouter()

    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer:
        """headers: of the answer. Refusals are answered here: their form is Graph's own."""
        if self._news.is_behind():
            await self._news.catch_up()
        echoed = request.headers.get("client-request-id", "")
        client_request_id = headers.get("x-ms-client-request-id") or (echoed if _REQUEST_ID.fullmatch(echoed) else "")
        headers["request-id"] = request_id
        headers["client-request-id"] = client_request_id or request_id
        path = request.raw_path.partition("?")[0]
        call = GraphCall(
            request_id=request_id,
            started=self._clock.monotonic(),
            operation="",
            resource=destination.resource,
            authorization=one_authorization(request),
            client_address=client,
            url=destination.origin + path[:1024],
            user_agent=printable(request.headers.get("User-Agent", "")[:512]),
            client_request_id=client_request_id,
        )
        try:
            version, segments, match = self._match(request.method, path)
        except BadRequest:
            version, segments, match = "", (), None
        call.api_version, call.operation = version, "" if match is None else match.row.audit_name

        async def work(caller: Caller) -> WireAnswer:
            answer = await self._carry_out(request, destination, version, segments, match, path, caller)
            call.used, call.about = answer.used, answer.about
            return answer

        try:
            return await self._pipeline.run(call, work)
        except RequestError as refusal:
            call.status, call.refusal = failures.status_of(refusal), refusal
            if refusal.detail is not None:
                LOG.warning("refused: %s", refusal.detail)
            if isinstance(refusal, Unauthorized):
                headers["WWW-Authenticate"] = f'Bearer realm="", authorization_uri="{self._authority}/oauth2/authorize"'
            return answer_of(
                refusal,
                now=self._clock.now(),
                request_id=request_id,
                client_request_id=client_request_id,
                headers=headers,
            )
        finally:
            self._observe(call)

    def _match(self, method: str, path: str) -> tuple[str, tuple[str, ...], Match | None]:
        version, segments = read_path(path)
        return version, segments, self._router.find(method, segments)

    async def _carry_out(
        self,
        request: BaseRequest,
        destination: Destination,
        version: str,
        segments: tuple[str, ...],
        match: Match | None,
        path: str,
        caller: Caller,
    ) -> WireAnswer:
        query = parse_query(request.raw_path.partition("?")[2])  # as it came: decoded once, by us
        if match is None:
            read_path(path)
            if self._router.methods(segments):
                raise MethodNotAllowed("Specified HTTP method is not allowed for the request target.")
            raise bad(f"Resource not found for the segment '{segments[0][:64] if segments else ''}'.")
        handler = self._handlers.get(match.row.name)
        if handler is None:
            raise NotBuilt(f"The operation {match.row.name} is not served yet.")
        limits = self._limits
        return await handler(
            GraphRequest(
                caller=caller,
                names=match.names,
                root=f"{destination.origin}/{version}",
                path=path.partition(version)[2] if version in path else path,
                query=query,
                body=await read_body(request, limits.largest_bytes, limits.seconds),
            )
        )
