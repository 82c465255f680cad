"""The data plane of vaults, and that of pools: one request, down the pipeline and back up."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp.web import BaseRequest

from hsmvault.clock import Clock
from hsmvault.errors import MethodNotAllowed, NotBuilt, NotFound, RequestError, Unauthorized
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.named_networks import NO_NETWORKS, NamedNetworks
from hsmvault.model.network import Address
from hsmvault.model.principals import Caller
from hsmvault.pipeline.authentication import has_bearer
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.run import Pipeline
from hsmvault.wire import failures
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.codec import parse_query
from hsmvault.wire.forms import Form
from hsmvault.wire.headers import asked_version, one_authorization, printable
from hsmvault.wire.hosts import Destination
from hsmvault.wire.reading import read_body
from hsmvault.wire.requests import Handler, Request, check_segments
from hsmvault.wire.routes import Match, Router
from hsmvault.wire.server import entry_of
from hsmvault.wire.versions import ApiVersions, is_since

LOG = logging.getLogger("hsmvault.wire")
_RESTORES = frozenset({"restore_key", "restore_secret", "restore_certificate"})
_LONGEST_RESTORE_BYTES = 24 * 1024 * 1024  # a backup of 500 versions of the longest secret


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """largest_bytes: of a request body, backups apart. seconds: until it has to be there as a whole."""

    largest_bytes: int = 1024 * 1024
    seconds: float = 30.0


class Containers(Protocol):
    async def find(self, kind: ContainerKind, name: str) -> Container | None: ...


class News(Protocol):
    """What other workers have changed."""

    def is_behind(self) -> bool: ...

    async def catch_up(self) -> None: ...


class DataPlane:
    """form: whether it is the plane of vaults or of pools, with what differs on the wire.

    authority_of: the URL of the issuer that clients of a tenant shall ask, without a slash at its end.

    observe: told of every finished call, for metrics and the access log. networks: that the firewall may ask for.
    """

    def __init__(
        self,
        form: Form,
        news: News,
        containers: Containers,
        pipeline: Pipeline,
        handlers: Mapping[str, Handler],
        versions: ApiVersions,
        clock: Clock,
        authority_of: Callable[[str], str],
        observe: Callable[[Call], None],
        limits: BodyLimits,
        networks: NamedNetworks = NO_NETWORKS,
    ) -> None:
        self._form = form
        self._news = news
        self._containers = containers
        self._pipeline = pipeline
        self._handlers = handlers
        self._versions = versions
        self._clock = clock
        self._authority_of = authority_of
        self._observe = observe
        self._limits = limits
        self._networks = networks
        self._router = Router(form.kind)

    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer:
        """headers: of the answer; the container's own are added here, also for refusals. Raises RequestError."""
        if self._news.is_behind():
            await self._news.catch_up()
        started = self._clock.monotonic()
        try:
            container = await self._containers.find(self._form.kind, destination.name)
            if container is None:
                raise self._form.unknown(destination.name)
            headers["x-ms-keyvault-region"] = container.location
            return await self._handle(request, destination, container, client, request_id, started, headers)
        finally:
            headers.update(self._form.headers(self._clock.monotonic() - started))

    async def _handle(
        self,
        request: BaseRequest,
        destination: Destination,
        container: Container,
        client: Address,
        request_id: str,
        started: float,
        headers: dict[str, str],
    ) -> WireAnswer:
        path = request.raw_path.partition("?")[0]
        match = self._router.find(request.method, path)
        call = Call(
            request_id=request_id,
            started=started,
            container=container,
            resource=destination.resource,
            operation=None if match is None else match.operation,
            object_name="" if match is None else match.object_name,
            authorization=one_authorization(request),
            client_address=client,
            url=destination.origin + path[:1024],
            api_version=asked_version(request),
            user_agent=printable(request.headers.get("User-Agent", "")[:512]),
            client_request_id=headers.get("x-ms-client-request-id", ""),
            networks=entry_of(request).networks | self._networks.of_address(client),
        )

        async def work(_: Caller) -> WireAnswer:
            answer = await self._carry_out(request, destination, call, match, path)
            call.used = answer.used
            return answer

        try:
            return await self._pipeline.run(call, work)
        except RequestError as refusal:
            call.status, call.refusal = failures.status_of(refusal), refusal
            if isinstance(refusal, Unauthorized):
                authority = self._authority_of(container.tenant_id)
                headers["WWW-Authenticate"] = f'Bearer authorization="{authority}", resource="{destination.resource}"'
                if not has_bearer(call.authorization) and self._form.body_without_token is not None:
                    return WireAnswer(call.status, self._form.body_without_token, content_type="text/plain")
            raise
        finally:
            self._observe(call)

    async def _carry_out(
        self, request: BaseRequest, destination: Destination, call: Call, match: Match | None, path: str
    ) -> WireAnswer:
        query = parse_query(request.raw_path.partition("?")[2])  # as it came: decoded once, by us
        served_as = self._versions.check(call.api_version)
        if match is None:
            if self._router.methods(path):
                raise MethodNotAllowed("The HTTP method is not allowed for this resource.")
            raise self._form.no_route(path)
        operation = match.operation
        self._form.check(match)
        check_segments(operation, match.name, match.version)
        if not is_since(served_as, operation.since):
            raise NotFound(f"The operation is not part of api-version {call.api_version}.")
        self._form.check_activated(call.container, operation)
        handler = self._handlers.get(operation.name)
        if handler is None:
            raise NotBuilt(f"The operation {operation.name} is not served yet.")
        limits = self._limits
        longest = _LONGEST_RESTORE_BYTES if operation.name in _RESTORES else limits.largest_bytes
        return await handler(
            Request(
                container=call.container,
                origin=destination.origin,
                name=match.name,
                version=None if match.version is None else match.version.lower(),
                query=query,
                body=await read_body(request, longest, limits.seconds),
                api_version=call.api_version,
                served_as=served_as,
            )
        )
