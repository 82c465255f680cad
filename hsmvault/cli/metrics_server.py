"""`GET /metrics` for Prometheus, by the supervisor. A few lines of HTTP/1.1: one request a connection, nothing else."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from hsmvault.telemetry import Family, expose

Collect = Callable[[], Awaitable[Iterable[tuple[Mapping[str, str], Iterable[Family]]]]]
_DEADLINE = 5.0  # seconds for a request to arrive whole, and for its answer to leave
_LONGEST_HEAD = 8192
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    """Serves a socket that listens already."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=_LONGEST_HEAD)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_DEADLINE):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._answer(head.split(b"\r\n", 1)[0])
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
                    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()

    async def _answer(self, request_line: bytes) -> tuple[str, bytes]:
        method, _, rest = request_line.partition(b" ")
        target, _, version = rest.rpartition(b" ")
        if not version.startswith(b"HTTP/1."):
            return "400 Bad Request", b"bad request\n"
        if target.partition(b"?")[0] != b"/metrics":
            return "404 Not Found", b"metrics are at /metrics\n"
        if method != b"GET":
            return "405 Method Not Allowed", b"GET only\n"
        return "200 OK", expose(await self._collect())
