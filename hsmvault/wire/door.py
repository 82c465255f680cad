"""The door: every request on the TLS port comes in here and every answer leaves here, errors below the router included.

Host decides the plane. What a plane raises becomes an answer in one place; what nobody expected becomes a 500 with a
fixed text and the request id.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp.web import BaseRequest, Response, StreamResponse

from hsmvault.clock import Identifiers
from hsmvault.errors import BadRequest, NotBuilt, RequestError
from hsmvault.model.network import Address, TrustedProxies, parse_address
from hsmvault.wire import failures
from hsmvault.wire.answers import JSON, SECURITY_HEADERS, WireAnswer, network_info
from hsmvault.wire.hosts import Destination, Hosts, Plane
from hsmvault.wire.server import entry_of

LOG = logging.getLogger("hsmvault.wire")
_REQUEST_ID = re.compile(r"[0-9A-Za-z_.:-]{1,128}", re.ASCII)


class PlaneHandler(Protocol):
    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer: ...


class Door:
    """planes: who serves what. login: the issuer, which answers by itself. A plane that is missing is not built yet."""

    def __init__(
        self,
        hosts: Hosts,
        planes: Mapping[Plane, PlaneHandler],
        login: Callable[[BaseRequest, str], Awaitable[StreamResponse]] | None,
        proxies: TrustedProxies,
        identifiers: Identifiers,
        enter: Callable[[str], object],
    ) -> None:
        self._hosts = hosts
        self._planes = planes
        self._login = login
        self._proxies = proxies
        self._identifiers = identifiers
        self._enter = enter

    async def handle(self, request: BaseRequest) -> StreamResponse:
        request_id = self._identifiers.guid()
        self._enter(request_id)
        activity_id: str | None = None
        headers = dict(SECURITY_HEADERS)
        headers["x-ms-request-id"] = request_id
        echoed = request.headers.get("x-ms-client-request-id", "")
        if _REQUEST_ID.fullmatch(echoed):
            headers["x-ms-client-request-id"] = echoed
        try:
            client = self._client(request)
            headers["x-ms-keyvault-network-info"] = network_info(client)
            if request.method == "GET" and request.raw_path.partition("?")[0] == "/healthstatus":
                return respond(WireAnswer(200, b"{}"), headers)  # whatever Host says: a load balancer has its own idea
            destination = self._destination(request)
            if destination.plane is Plane.POOL:
                activity_id = request_id
            if destination.plane is Plane.NONE:
                raise BadRequest("The Host header names no service.")
            if destination.plane is Plane.LOGIN and self._login is not None:
                return await self._login(request, str(client))
            plane = self._planes.get(destination.plane)
            if plane is None:
                raise NotBuilt(f"The service at {destination.origin} is not built yet.")
            answer = await plane.handle(request, destination, client, request_id, headers)
        except RequestError as error:
            if error.detail is not None:
                LOG.warning("refused: %s", error.detail)
            return refuse(error, headers, activity_id)
        except Exception:
            LOG.exception("unexpected failure")
            return refuse(RequestError("An error has occurred."), headers, activity_id)
        return respond(answer, headers)

    def _client(self, request: BaseRequest) -> Address:
        address = entry_of(request).client or self._peer(request)
        if not self._proxies.networks:
            return address
        return self._proxies.client(address, ",".join(request.headers.getall("X-Forwarded-For", [])))

    def _peer(self, request: BaseRequest) -> Address:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        if not peer:
            raise BadRequest("The client has gone.")
        return parse_address(peer[0].partition("%")[0])

    def _destination(self, request: BaseRequest) -> Destination:
        given = request.headers.getall("Host", [])
        if len(given) != 1:
            raise BadRequest("The request needs exactly one Host header.")
        if not request.raw_path.startswith("/") or not request.raw_path.isascii():
            raise BadRequest("The request target must be a path.")
        return self._hosts.find(given[0])


def respond(answer: WireAnswer, headers: dict[str, str]) -> Response:
    if answer.body:
        headers["Content-Type"] = answer.content_type
    if answer.location:
        headers["Location"] = answer.location
    headers.update(answer.more)
    return Response(status=answer.status, body=answer.body, headers=headers)


def refuse(error: RequestError, headers: dict[str, str], activity_id: str | None) -> Response:
    """activity_id: for a refusal of managed HSM."""
    headers.update(failures.headers_of(error))
    headers["Content-Type"] = JSON
    return Response(status=failures.status_of(error), body=failures.body_of(error, activity_id), headers=headers)
