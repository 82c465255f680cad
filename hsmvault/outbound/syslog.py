"""Syslog out: a batch of messages to one configured server, over UDP, TCP or TLS.

UDP (RFC 5426): a datagram each; whether any arrives nobody knows. TCP (RFC 6587, 3.4.1) and TLS (RFC 5425): octet
counting, a connection for each batch. The protocol has no acknowledgement, but TCP has one: we end our side behind the
batch, and when the server has ended its own in answer it has read everything in front of that. A connection that ends
in any other way counts as not taken.

It blocks, so that each batch has a lane (a thread) of its own. The batch as a whole has a deadline, at which the
connection is cut.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from enum import Enum
from typing import Final

from hsmvault.lanes import Lane

LONGEST_DATAGRAM: Final = 65_507  # bytes, of UDP over IPv4


class Protocol(Enum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class NotSent(Exception):
    """str(): why, for an operator, without anything that was sent."""


class SyslogServer:
    """context: for TLS; it trusts the configured CA file, or the system's CAs. timeout_seconds: for one batch."""

    def __init__(
        self, host: str, port: int, protocol: Protocol, context: ssl.SSLContext | None, timeout_seconds: float
    ) -> None:
        assert (protocol is Protocol.TLS) == (context is not None)
        self._host = host
        self._port = port
        self._protocol = protocol
        self._context = context
        self._timeout_seconds = timeout_seconds

    async def send(self, messages: Sequence[bytes]) -> None:
        """Returns when the server has taken them all. Raises NotSent; then it may have taken some."""
        connection = _Connection(self._host, self._port, self._context, self._timeout_seconds)
        work = connection.send_datagrams if self._protocol is Protocol.UDP else connection.send_counted
        lane: Lane[None] = Lane("syslog", None, limit=1)
        sending = lane.submit(lambda _: work(messages))
        ending = asyncio.ensure_future(lane.close())
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await sending
        except TimeoutError:
            connection.cut()  # the thread ends by itself
            raise NotSent("no answer in time") from None
        except asyncio.CancelledError:
            connection.cut()
            raise
        except (OSError, ValueError) as error:
            await ending
            raise NotSent(_named(error)) from None
        await ending


class _Connection:
    """Used by the lane's thread, and cut by the event loop's."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, timeout_seconds: float) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None

    def send_datagrams(self, messages: Sequence[bytes]) -> None:
        """What is too long for a datagram is cut off (RFC 5426, 3.2). Raises OSError."""
        family, kind, number, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as opened:
            opened.settimeout(self._timeout_seconds)
            opened.connect(address)  # so that a port that nobody listens on is noticed, at the next message
            for message in messages:
                opened.send(message[:LONGEST_DATAGRAM])

    def send_counted(self, messages: Sequence[bytes]) -> None:
        """Raises OSError, ValueError."""
        with socket.create_connection((self._host, self._port), timeout=self._timeout_seconds) as plain:
            self._socket = plain
            content = b"".join([b"%d %s" % (len(message), message) for message in messages])
            if self._context is None:
                plain.sendall(content)
                plain.shutdown(socket.SHUT_WR)
                _read_to_end(plain)
                return
            with self._context.wrap_socket(plain, server_hostname=self._host) as secured:
                self._socket = secured
                secured.sendall(content)
                _close_notify(secured)

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _read_to_end(opened: socket.socket) -> None:
    """What a server says is not looked at. Raises OSError when it does not end as it should."""
    while opened.recv(4096):
        pass


def _close_notify(secured: ssl.SSLSocket) -> None:
    """Say that we are done and wait for the server's word (RFC 5425, 4.4), or for the orderly end of its TCP
    connection, which rsyslog sends in its place. Raises OSError.
    """
    try:
        secured.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        pass
    except OSError as error:
        if error.errno != 0:  # 0 is how some versions of Python say that TCP has ended
            raise


def _named(error: Exception) -> str:
    """Texts of errors may hold what was sent; their names do not."""
    return f"{type(error).__name__} {getattr(error, 'strerror', None) or ''}".strip()
