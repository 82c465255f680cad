"""A real ACME server for tests: Debian's `pebble`, with a certificate of a CA of the test and a resolver of the test.

pebble forgets everything when it ends, rejects good nonces at random and gives other URLs at every start: a client that
works with it leans on nothing but RFC 8555.
"""

import asyncio
import json
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.login.world import free_socket, tls_context
from tests.pipeline.world import rsa_key

_TYPE_A, _TYPE_TXT = 1, 16


class Resolver(asyncio.DatagramProtocol):
    """A DNS server (RFC 1035): every name is 127.0.0.1, and TXT records are what the test puts there. zone: a folder
    for each name, with a file named as each text.
    """

    def __init__(self) -> None:
        self.zone: Path | None = None
        self.texts: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        question, kind, name = data[12 : at + 5], int.from_bytes(data[at + 1 : at + 3], "big"), ".".join(labels)
        self.asked.append(name)
        records = []
        if kind == _TYPE_A:
            records = [bytes((127, 0, 0, 1))]
        elif kind == _TYPE_TXT:
            records = [bytes((len(text),)) + text.encode() for text in self._texts(name)]
        answers = b"".join(
            b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + bytes(4) + len(one).to_bytes(2, "big") + one
            for one in records
        )
        header = data[:2] + b"\x85\x80" + b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        self._transport.sendto(header + question + answers, address)  # type: ignore[attr-defined]  # of a datagram

    def _texts(self, name: str) -> list[str]:
        folder = None if self.zone is None else self.zone / name
        files = [one.name for one in folder.iterdir()] if folder is not None and folder.is_dir() else []
        return self.texts.get(name, []) + files


@dataclass
class Pebble:
    """http_port: where it looks for answers to http-01. resolver: who answers its questions."""

    directory: str
    ca_file: Path
    http_port: int
    resolver: Resolver
    management: str
    log: Path
    asked: list[str] = field(default_factory=list)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    async def root(self) -> bytes:
        """Of the chains that it issues, in PEM."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.management}/roots/0", ssl=self.context) as response,
        ):
            return await response.read()


def _free_port() -> int:
    with closing(free_socket()) as one:
        return int(one.getsockname()[1])


@asynccontextmanager
async def pebble(
    directory: Path,
    *,
    rejected_nonces: int = 0,
    reused_authorizations: int = 0,
    bindings: Sequence[tuple[str, str]] = (),
    http_port: int = 0,
) -> AsyncIterator[Pebble]:
    """rejected_nonces, reused_authorizations: of a hundred. bindings: kid and HMAC key (base64url), required if any.
    http_port: of the listener that answers http-01, where it is known before.
    """
    program = shutil.which("pebble")
    assert program is not None, "These tests need the ACME server `pebble`: install the Debian package of that name."
    _, ca_file = tls_context(directory, "localhost", [rsa_key(3), rsa_key(4)])
    ports = [_free_port() for _ in range(4)]
    ports[2] = http_port or ports[2]
    config = {
        "listenAddress": f"127.0.0.1:{ports[0]}",
        "managementListenAddress": f"127.0.0.1:{ports[1]}",
        "certificate": str(directory / "chain.pem"),
        "privateKey": str(directory / "chain.pem"),
        "httpPort": ports[2],
        "tlsPort": ports[3],
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(bindings),
        "externalAccountMACKeys": dict(bindings),
    }
    (directory / "pebble.json").write_text(json.dumps({"pebble": config}))
    loop = asyncio.get_running_loop()
    names, resolver = await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 0), family=socket.AF_INET)
    dns_port = names.get_extra_info("sockname")[1]
    log = directory / "pebble.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program,
            *("-config", str(directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns_port}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={
                "PATH": os.environ["PATH"],
                "PEBBLE_VA_NOSLEEP": "1",
                "PEBBLE_WFE_NONCEREJECT": str(rejected_nonces),
                "PEBBLE_AUTHZREUSE": str(reused_authorizations),
            },
        )
    made = Pebble(
        directory=f"https://localhost:{ports[0]}/dir",
        ca_file=ca_file,
        http_port=ports[2],
        resolver=resolver,
        management=f"https://localhost:{ports[1]}",
        log=log,
    )
    try:
        await _until_listening(process, ports[0], log)
        yield made
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        names.close()


async def _until_listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    for _ in range(500):
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)  # there is no other way to see that a stranger's process has begun to listen
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise AssertionError(f"pebble does not listen: {log.read_text()}")
