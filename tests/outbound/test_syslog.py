"""Syslog out, against real sockets: UDP, TCP and TLS, and servers that behave badly."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hsmvault.outbound.syslog import LONGEST_DATAGRAM, NotSent, Protocol, SyslogServer
from tests.login.world import tls_context
from tests.pipeline.world import rsa_key


@dataclass
class Taken:
    port: int
    content: list[bytes] = field(default_factory=list)

    def server(self, context: ssl.SSLContext | None = None, *, seconds: float = 10.0) -> SyslogServer:
        protocol = Protocol.TCP if context is None else Protocol.TLS
        return SyslogServer("localhost", self.port, protocol, context, seconds)


def read_all(opened: socket.socket) -> bytes:
    content = b""
    while block := opened.recv(65_536):
        content += block
    return content


@contextmanager
def listening(serve: Callable[[socket.socket, Taken], None]) -> Iterator[Taken]:
    """serve: called with each connection, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken = Taken(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    serve(connection, taken)
                except OSError:
                    continue

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield taken
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def orderly(connection: socket.socket, taken: Taken) -> None:
    taken.content.append(read_all(connection))


async def test_messages_over_tcp_are_counted_in_octets() -> None:
    with listening(orderly) as taken:
        await taken.server().send(["höst".encode(), b"two words"])
        assert taken.content == [b"5 h\xc3\xb6st9 two words"]


async def test_a_server_that_resets_the_connection_has_not_taken_the_batch() -> None:
    def reset(connection: socket.socket, _: Taken) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with listening(reset) as taken, pytest.raises(NotSent):
        await taken.server().send([b"x" * 1_000_000])


async def test_a_server_that_never_ends_its_side_has_not_taken_the_batch() -> None:
    done = threading.Event()

    def silent(connection: socket.socket, taken: Taken) -> None:
        orderly(connection, taken)
        done.wait(10)

    with listening(silent) as taken:
        with pytest.raises(NotSent, match="no answer in time"):
            await taken.server(seconds=0.1).send([b"x"])
        done.set()


async def test_a_server_that_is_not_there_has_not_taken_the_batch() -> None:
    with listening(orderly) as taken:
        pass
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        await taken.server().send([b"x"])


@pytest.mark.parametrize("is_polite", [True, False])
async def test_tls_is_proved_and_closed(tmp_path: Path, is_polite: bool) -> None:
    server_context, ca_file = tls_context(tmp_path, "localhost", [rsa_key(3), rsa_key(4)])

    def secured(connection: socket.socket, taken: Taken) -> None:
        with server_context.wrap_socket(connection, server_side=True) as opened:
            taken.content.append(read_all(opened))
            if is_polite:
                opened.unwrap()

    with listening(secured) as taken:
        trusting = ssl.create_default_context(cafile=str(ca_file))
        await taken.server(trusting).send([b"a", b"bc"])
        assert taken.content == [b"1 a2 bc"]
        with pytest.raises(NotSent, match="SSLCertVerificationError"):
            await taken.server(ssl.create_default_context()).send([b"secret"])
        assert taken.content == [b"1 a2 bc"]


async def test_a_task_that_is_cancelled_leaves_no_connection_open() -> None:
    began, ended = threading.Event(), threading.Event()

    def holding(connection: socket.socket, _: Taken) -> None:
        began.set()
        read_all(connection)
        ended.wait(10)

    with listening(holding) as taken:
        sending = asyncio.create_task(taken.server().send([b"x"]))
        await asyncio.to_thread(began.wait, 10)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        ended.set()


async def test_over_udp_each_message_is_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        server = SyslogServer("127.0.0.1", receiver.getsockname()[1], Protocol.UDP, None, 10)
        await server.send([b"one", b"two", b"x" * (LONGEST_DATAGRAM + 5)])
        assert [receiver.recv(70_000) for _ in range(2)] == [b"one", b"two"]
        assert len(receiver.recv(70_000)) == LONGEST_DATAGRAM
