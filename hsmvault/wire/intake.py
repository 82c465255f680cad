"""Connections that begin with PROXY protocol: accepted here, read to the end of the header and not a byte further, and
handed to the server as they are, before TLS.

The bytes are taken from the socket itself, so that nothing of the TLS handshake behind them is read too early.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from hsmvault.errors import BadRequest
from hsmvault.model.network import TrustedProxies, parse_address
from hsmvault.wire.proxy_protocol import FIRST_BYTES, NotProxied, ProxyHeader, parse_header, rest_length

LOG = logging.getLogger("hsmvault.wire")
_PAUSE_SECONDS = 1.0  # after the machine had no descriptor left; asyncio waits as long


class Intake:
    """One listening socket. proxies: whose header is read; of everybody else the connection is closed at once.

    protocol: for a connection that begins with this header. seconds: for the header, and once more for the handshake.
    most: connections whose header is still awaited.
    """

    def __init__(
        self,
        listening: socket,
        proxies: TrustedProxies,
        protocol: Callable[[ProxyHeader], asyncio.Protocol],
        context: ssl.SSLContext | None,
        seconds: float,
        most: int,
    ) -> None:
        self._listening = listening
        self._proxies = proxies
        self._protocol = protocol
        self._context = context
        self._seconds = seconds
        self._most = most
        self._beginning: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept(), name="proxy-protocol")

    def close(self) -> None:
        """Accept nothing more; what has not come to its header yet is closed."""
        self._accepting.cancel()
        for task in self._beginning:
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, peer = await loop.sock_accept(self._listening)
                except OSError as error:
                    LOG.error("connections cannot be accepted: %s", error.strerror)
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if len(self._beginning) >= self._most or not self._is_trusted(str(peer[0])):
                    connection.close()
                    continue
                task = loop.create_task(self._begin(connection))
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)
        finally:
            self._listening.close()

    def _is_trusted(self, peer: str) -> bool:
        try:
            return self._proxies.trusts(parse_address(peer.partition("%")[0]))
        except BadRequest:
            return False

    async def _begin(self, connection: socket) -> None:
        loop = asyncio.get_running_loop()
        is_handed_over = False
        try:
            connection.setblocking(False)
            async with asyncio.timeout(self._seconds):
                header = await _read_header(connection)
            is_handed_over = True
            await loop.connect_accepted_socket(
                lambda: self._protocol(header),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._seconds if self._context else None,
            )
        except NotProxied:
            LOG.warning("a connection of a trusted proxy does not begin with version 2 of PROXY protocol: closed")
        except (OSError, TimeoutError):  # it has gone, or does not come to the point; a failed handshake is an OSError
            pass
        finally:
            if not is_handed_over:
                with suppress(OSError):
                    connection.close()


async def _read_header(connection: socket) -> ProxyHeader:
    first = await _read(connection, FIRST_BYTES)
    return parse_header(first, await _read(connection, rest_length(first)))


async def _read(connection: socket, length: int) -> bytes:
    """Exactly so many bytes. Raises ConnectionError when it ends before: health checks of a proxy just come and go."""
    loop = asyncio.get_running_loop()
    content = b""
    while len(content) < length:
        more = await loop.sock_recv(connection, length - len(content))
        if not more:
            raise ConnectionAbortedError
        content += more
    return content
