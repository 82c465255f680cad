"""HTTP/1.1 over TLS, below the door: limits, deadlines, and our own answers to what cannot be parsed.

aiohttp's own handling of a request that its parser refuses echoes and logs the first 100 characters of the offending
header, a bearer token included; ours says nothing of it. Its own default answers are never sent.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from socket import socket
from typing import cast

from aiohttp.web import BaseRequest, RequestHandler, Response, Server, StreamResponse

from hsmvault.errors import BadRequest, RequestError
from hsmvault.wire import failures
from hsmvault.wire.answers import JSON, SECURITY_HEADERS
from hsmvault.wire.entries import PLAIN_ENTRY, Entrance, Entry, NamedEntrance, PlainEntrance
from hsmvault.wire.intake import Intake
from hsmvault.wire.proxy_protocol import ProxyHeader

LOG = logging.getLogger("hsmvault.wire")
_SILENT = logging.getLogger("hsmvault.wire.silent")
_SILENT.disabled = True  # what aiohttp would log of broken requests may hold parts of tokens

_SHARE_OF_RUNNING = 0.8  # of the time to stop, for requests that run
_STOP_POLL_SECONDS = 0.01

Handle = Callable[[BaseRequest], Awaitable[StreamResponse]]


@dataclass(frozen=True, slots=True)
class Limits:
    """header_bytes: one header, or the request line. connections: at once, per worker. The rest: seconds."""

    header_bytes: int = 16_384
    connections: int = 2_000
    header_seconds: float = 30.0
    idle_seconds: float = 120.0
    handshake_seconds: float = 30.0


class _Connection(RequestHandler):
    """One connection. Headers that have begun must be complete within header_seconds. header: of PROXY protocol."""

    def __init__(
        self, manager: "_Server", limits: Limits, loop: asyncio.AbstractEventLoop, header: ProxyHeader | None
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.idle_seconds,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for "no access log"; its hint does not
            logger=_SILENT,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            auto_decompress=False,
        )
        self._limits = limits
        self._header_timer: asyncio.TimerHandle | None = None
        self._proxy_header = header
        self.entry = PLAIN_ENTRY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(self._manager, _Server)
        if len(self._manager.connections) >= self._limits.connections:
            LOG.warning("too many connections: one is closed")
            cast(asyncio.Transport, transport).abort()  # uvloop's transports are no subclasses of asyncio's
            return
        self.entry = self._manager.entrance.look(transport, self._proxy_header)
        super().connection_made(transport)

    @property
    def is_busy(self) -> bool:
        """A request runs, or has come and not begun."""
        return self._request_in_progress or bool(self._messages)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp calls this for every body that was read, with a look of its parser for what it may have held back;
        nothing was held back unless reading was paused.
        """
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        if self._close and self._request_in_progress:
            # aiohttp drops what comes after close(), and with it the rest of a body that a running request waits for.
            self._close = False
            super().data_received(data)
            self._close = True
            return
        super().data_received(data)
        waiting = self._waiter is not None and not self._waiter.done()
        if waiting and not self._messages:
            if self._header_timer is None:
                self._header_timer = self._loop.call_later(self._limits.header_seconds, self.force_close)
        elif self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    async def finish_response(
        self, request: BaseRequest, resp: StreamResponse, start_time: float | None
    ) -> tuple[StreamResponse, bool]:
        """The last answer of a connection says so, or the client would send its next request into the void."""
        if self._close and isinstance(resp, StreamResponse):
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """For requests that the parser refused, and for what escaped the door. Never names what it was about."""
        if status == 500:
            LOG.error("a request failed below the door: %s", type(exc).__name__)
        error = BadRequest("The request is not valid HTTP.") if status < 500 else RequestError("An error has occurred.")
        response = Response(
            status=failures.status_of(error),
            body=failures.body_of(error),
            headers={**SECURITY_HEADERS, "Content-Type": JSON},
        )
        response.force_close()
        return response


class _Server(Server):
    def __init__(self, handle: Handle, limits: Limits, entrance: Entrance) -> None:
        super().__init__(handle)
        self._limits = limits
        self.entrance = entrance

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._limits, self._loop, None)

    def proxied(self, header: ProxyHeader) -> RequestHandler:
        return _Connection(self, self._limits, self._loop, header)

    @property
    def is_busy(self) -> bool:
        return any(connection.is_busy for connection in self.connections if isinstance(connection, _Connection))


def entry_of(request: BaseRequest) -> Entry:
    """How the connection of a request came in."""
    connection = request.protocol
    return connection.entry if isinstance(connection, _Connection) else PLAIN_ENTRY


class Listener:
    """A running server on sockets that somebody else has bound."""

    def __init__(self, server: _Server, listening: "list[asyncio.Server | Intake]") -> None:
        self._server = server
        self._listening = listening

    @staticmethod
    async def start_further(
        handle: Handle, listening: socket, context: ssl.SSLContext | None, limits: Limits, entrance: NamedEntrance
    ) -> "Listener":
        """What arrives here may belong to a named network."""
        if not entrance.proxied:
            return await Listener.start(handle, [listening], context, limits, entrance)
        server = _Server(handle, limits, entrance)
        seconds, most = limits.handshake_seconds, limits.connections
        return Listener(server, [Intake(listening, entrance.proxies, server.proxied, context, seconds, most)])

    @staticmethod
    async def start(
        handle: Handle,
        sockets: list[socket],
        context: ssl.SSLContext | None,
        limits: Limits,
        entrance: Entrance | None = None,
    ) -> "Listener":
        """context None: plain HTTP, for the loopback endpoints of managed identities and metrics."""
        server = _Server(handle, limits, entrance or PlainEntrance())
        loop = asyncio.get_running_loop()
        listening: list[asyncio.Server | Intake] = [
            await loop.create_server(
                server,
                sock=sock,
                ssl=context,
                backlog=1024,
                ssl_handshake_timeout=limits.handshake_seconds if context else None,
            )
            for sock in sockets
        ]
        return Listener(server, listening)

    def connections(self) -> int:
        """Open now."""
        return len(self._server.connections)

    async def stop(self, seconds: float) -> None:
        """Accept nothing more, let running requests end, and close what is left; all within so many seconds."""
        for listening in self._listening:
            listening.close()
        self._server.pre_shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds * _SHARE_OF_RUNNING
        while self._server.is_busy and loop.time() < deadline:  # noqa: ASYNC110  # aiohttp has no event for it
            await asyncio.sleep(_STOP_POLL_SECONDS)
        # Twice: what takes its time, and what takes it although it was cancelled.
        await self._server.shutdown(seconds * (1 - _SHARE_OF_RUNNING) / 2)
