"""Version 2 of the PROXY protocol: what is read of it, and what is not believed."""

import asyncio
import ssl
import struct
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.named_networks import NamedNetwork, NamedNetworks, NetworkKind
from hsmvault.model.network import TrustedProxies, parse_network
from hsmvault.wire.entries import NamedEntrance
from hsmvault.wire.proxy_protocol import (
    FIRST_BYTES,
    LONGEST_REST,
    SIGNATURE,
    NotProxied,
    ProxyHeader,
    parse_header,
    rest_length,
)
from hsmvault.wire.server import Limits
from tests.login.world import tls_context
from tests.pipeline.world import rsa_key
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Answer, Service, read_answer

LOCAL, PROXY = 0x20, 0x21
LINK_7 = (0xEE, b"\x01\x07\x00\x00\x00")
LOOPBACK = TrustedProxies((parse_network("127.0.0.1"),))


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value


def header(
    source: str = "192.0.2.9",
    *parts: tuple[int, bytes],
    command: int = PROXY,
    family: int | None = None,
    rest: bytes | None = None,
) -> bytes:
    address = ip_address(source)
    if rest is None:
        ports = struct.pack(">HH", 40_000, 443)
        rest = address.packed * 2 + ports + b"".join(tlv(*part) for part in parts)
    if family is None:
        family = 0x11 if address.version == 4 else 0x21
    return SIGNATURE + bytes((command, family)) + struct.pack(">H", len(rest)) + rest


def parse(content: bytes) -> ProxyHeader:
    first, rest = content[:FIRST_BYTES], content[FIRST_BYTES:]
    return parse_header(first, rest[: rest_length(first)])


@given(source=st.ip_addresses(), parts=st.lists(st.tuples(st.integers(0, 0x8F), st.binary(max_size=40)), max_size=5))
def test_the_source_is_the_client_whatever_else_is_said(source: IPv6Address, parts: list[tuple[int, bytes]]) -> None:
    expected = getattr(source, "ipv4_mapped", None) or source
    assert parse(header(str(source), *parts)) == ProxyHeader(expected)


def test_a_mapped_source_is_the_ipv4_address() -> None:
    assert parse(header("::ffff:192.0.2.1")).client == ip_address("192.0.2.1")


def test_link_and_markers_are_read() -> None:
    read = parse(header("192.0.2.9", LINK_7, (0xE4, b"office"), (0x01, b"h2"), (0xEE, b"\x02other")))
    assert (read.link_id, read.markers) == (7, {0xE4: b"office", 0xEE: b"\x02other"})


def test_a_connection_of_the_proxy_s_own_has_no_client() -> None:
    for family in (0x00, 0x11, 0x31):
        assert parse(header("192.0.2.9", LINK_7, command=LOCAL, family=family)) == ProxyHeader()
    assert parse(header(command=LOCAL, family=0, rest=b"")) == ProxyHeader()


BAD = {
    "version 1": b"PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "HTTP": b"GET / HTTP/1.1\r\nHost: dev.vault.localhost\r\n\r\n",
    "another signature": b"\r\n\r\n\x00\r\nQUIT\r" + bytes(20),
    "another version": header(command=0x11),
    "another command": header(command=0x22),
    "no family": header(family=0x00),
    "datagrams": header(family=0x12),
    "a UNIX socket": header(family=0x31, rest=bytes(216)),
    "a family that is longer": header(family=0x21),
    "addresses cut short": header(rest=bytes(11)),
    "more than there is room for": header(rest=bytes(12) + tlv(0x04, bytes(LONGEST_REST))),
    "a TLV without a length": header(rest=bytes(12) + b"\xe4\x00"),
    "a TLV that is longer than the rest": header(rest=bytes(12) + b"\xe4\x00\x09office"),
    "two links": header("192.0.2.9", LINK_7, LINK_7),
    "a link of another length": header("192.0.2.9", (0xEE, b"\x01\x07\x00\x00")),
    "two values of one type": header("192.0.2.9", (0xE4, b"office"), (0xE4, b"plant")),
}


@pytest.mark.parametrize("content", BAD.values(), ids=list(BAD))
def test_what_leaves_open_who_the_client_is_is_refused(content: bytes) -> None:
    with pytest.raises(NotProxied):
        parse(content)


@given(content=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for whole in (content, SIGNATURE + content, SIGNATURE + b"\x21\x11" + struct.pack(">H", len(content)) + content):
        with suppress(NotProxied):
            parse(whole)


# over sockets

OFFICE = NamedNetwork("/office", NetworkKind.SUBNET, markers=frozenset({(0xE4, b"office")}))
BRANCH = NamedNetwork("/branch", NetworkKind.PRIVATE_ENDPOINT, link_ids=frozenset({7}))
NETWORKS = NamedNetworks((OFFICE, BRANCH))


async def talk(service: Service, *pieces: bytes, tls: ssl.SSLContext | None = None) -> Answer | None:
    """Send these pieces to the first further listener, TLS behind the first when it is given; None when the connection
    is closed instead of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.further[0])
    try:
        for number, piece in enumerate(pieces):
            writer.write(piece)
            await writer.drain()
            if number == 0 and tls is not None:
                await writer.start_tls(tls, server_hostname="127.0.0.1")
        async with asyncio.timeout(5):
            return await read_answer(reader)
    except ConnectionError:
        return None
    finally:
        writer.close()


def proxied(proxies: TrustedProxies = LOOPBACK) -> NamedEntrance:
    return NamedEntrance("private", NETWORKS, proxies=proxies, proxied=True)


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, ca_file = tls_context(tmp_path, "127.0.0.1", [rsa_key(3), rsa_key(4)])
    client = ssl.create_default_context(cafile=str(ca_file))
    client.check_hostname = False
    return server, client


async def test_the_address_of_the_header_is_the_client_s(start: Start) -> None:
    async with start(networks=NETWORKS, further=[(proxied(), None)]) as service:
        request = service.request("GET", "/keys?" + VERSION, more=["X-Forwarded-For: 198.51.100.1"])
        head = header("2001:db8::9", LINK_7, (0xE4, b"office"))
        answer = await talk(service, head + request)  # all at once: nothing behind the header is lost
        assert answer is not None and answer.status == 200
        assert service.records()[-1]["callerIpAddress"] == "2001:db8::9"
        assert service.calls[-1].networks == {"/office", "/branch"}
        answer = await talk(service, *(bytes((byte,)) for byte in header()), request)
        assert answer is not None and answer.status == 200
        assert service.records()[-1]["callerIpAddress"] == "192.0.2.9"
        assert service.calls[-1].networks == frozenset()


async def test_a_connection_of_the_proxy_s_own_comes_from_the_proxy(start: Start) -> None:
    async with start(networks=NETWORKS, further=[(proxied(), None)]) as service:
        request = service.request("GET", "/keys?" + VERSION)
        answer = await talk(service, header("192.0.2.9", LINK_7, command=LOCAL), request)
        assert answer is not None and answer.status == 200
        assert service.records()[-1]["callerIpAddress"] == "127.0.0.1"
        assert service.calls[-1].networks == frozenset()


async def test_tls_begins_behind_the_header(start: Start, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    async with start(networks=NETWORKS, further=[(proxied(), server)]) as service:
        request = service.request("GET", "/keys?" + VERSION)
        answer = await talk(service, header("192.0.2.9", LINK_7), request, tls=client)
        assert answer is not None and answer.status == 200
        assert service.calls[-1].networks == {"/branch"}
        assert await talk(service, header() + request) is None


async def test_anything_else_than_a_good_header_closes_the_connection(start: Start) -> None:
    limits = Limits(handshake_seconds=0.05)
    async with start(networks=NETWORKS, further=[(proxied(), None)], limits=limits) as service:
        for name, content in BAD.items():
            assert await talk(service, content + service.request("GET", "/keys?" + VERSION)) is None, name
        assert service.calls == []


async def test_a_header_that_does_not_come_to_its_end_is_not_waited_for(start: Start) -> None:
    async with start(further=[(proxied(), None)], limits=Limits(handshake_seconds=0.2)) as service:
        cut = [header()[:length] for length in (0, 1, 15, 16, 27)]
        assert await asyncio.gather(*(talk(service, content) for content in cut)) == [None] * 5
        answer = await talk(service, header(), service.request("GET", "/keys?" + VERSION))
        assert answer is not None and answer.status == 200


async def test_a_stranger_s_header_closes_the_connection(start: Start) -> None:
    strangers = TrustedProxies((parse_network("127.0.0.2"), parse_network("10.0.0.0/8")))
    async with start(networks=NETWORKS, further=[(proxied(strangers), None)]) as service:
        assert await talk(service, header("192.0.2.9", LINK_7), service.request("GET", "/keys?" + VERSION)) is None
        assert service.calls == []


async def test_where_it_is_not_configured_the_header_is_no_request(start: Start) -> None:
    async with start(networks=NETWORKS, further=[(NamedEntrance("plain", NETWORKS), None)]) as service:
        answer = await talk(service, header("192.0.2.9", LINK_7) + service.request("GET", "/keys?" + VERSION))
        assert answer is None or answer.status == 400
        assert service.calls == []
        answer = await talk(service, service.request("GET", "/keys?" + VERSION))
        assert answer is not None and answer.status == 200


async def test_an_idle_beginning_is_closed_with_the_listener(start: Start) -> None:
    async with start(further=[(proxied(), None)]) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.further[0])
        writer.write(header()[:5])
        answer = await talk(service, header(), service.request("GET", "/keys?" + VERSION))
        assert answer is not None
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
