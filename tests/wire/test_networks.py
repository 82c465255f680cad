"""Named networks, private endpoints and trusted services, over real sockets."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.config.network import FurtherListener
from hsmvault.config.settings import Server, Settings
from hsmvault.config.tls import listener_context
from hsmvault.config.values import Address
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.named_networks import NamedNetwork, NamedNetworks, NetworkKind
from hsmvault.model.network import (
    ConnectionStatus,
    NetworkRules,
    PrivateEndpointConnection,
    SubnetRule,
    TrustedProxies,
    parse_network,
)
from hsmvault.pipeline.firewall import Firewall, TrustedService
from hsmvault.store import containers
from hsmvault.wire.entries import NamedEntrance
from tests.login.world import certificate, key_pem
from tests.pipeline.world import OBJECT_ID, VAULT, rsa_key
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Answer, Service, read_answer

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/Office/subnets/Desks"
ENDPOINT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/Branch"
CLOSED = NetworkRules(allow_by_default=False)
PRIVATE = replace(CLOSED, public_access=False)
CLAIMS = [
    "X-Forwarded-For: 192.0.2.1",
    "Forwarded: for=192.0.2.1",
    "X-Real-IP: 192.0.2.1",
    "X-Azure-ClientIP: 192.0.2.1",
    "X-Azure-SocketIP: 192.0.2.1",
    f"X-Azure-PrivateEndpoint: {ENDPOINT}",
    "X-Azure-Ref-OriginShield: 7",
    f"X-MS-Subnet-Id: {SUBNET}",
    "X-MS-Private-Link-Id: 7",
    "User-Agent: AzureBackup/1.0 (trusted service)",
    "Via: 1.1 proxy.example.com",
    "X-Client-Cert: MII",
    "X-SSL-Client-Verify: SUCCESS",
]


def fenced(network: NetworkRules = CLOSED, *connections: PrivateEndpointConnection) -> Container:
    """A vault of the name `fenced`."""
    return replace(
        VAULT,
        id="11111111-0000-0000-0000-0000000000ff",
        name="fenced",
        premium=False,
        network=network,
        connections=connections,
    )


def subnet(**recognised: Any) -> NamedNetwork:
    return replace(NamedNetwork(SUBNET.lower(), NetworkKind.SUBNET), **recognised)


def endpoint(**recognised: Any) -> NamedNetwork:
    return replace(NamedNetwork(ENDPOINT.lower(), NetworkKind.PRIVATE_ENDPOINT), **recognised)


WITH_SUBNET = replace(CLOSED, subnets=(SubnetRule(SUBNET),))


class Line:
    """A connection that is kept."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.service, self.reader, self.writer = service, reader, writer

    async def ask(self, *more: str, token: str = "good") -> Answer | None:  # noqa: S107  # the word for a good one
        host = "fenced.vault.localhost:8443"
        self.writer.write(self.service.request("GET", f"/keys?{VERSION}", host=host, more=list(more), token=token))
        try:
            return await read_answer(self.reader)
        except ConnectionError:
            return None

    async def outcome(self, *more: str, token: str = "good") -> str | None:  # noqa: S107
        """'in', or the inner code of the refusal."""
        answer = await self.ask(*more, token=token)
        assert answer is not None
        return "in" if answer.status == 200 else answer.inner


@asynccontextmanager
async def line(
    service: Service, port: int | None = None, tls: ssl.SSLContext | None = None, source: str = "127.0.0.1"
) -> AsyncIterator[Line]:
    """port: None for the main listener. source: the address that the client has."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port or service.port, ssl=tls, local_addr=(source, 0))
    try:
        yield Line(service, reader, writer)
    finally:
        writer.close()


async def change(service: Service, container: Container) -> Container:
    async with service.database.write() as tx:
        before = await containers.find(tx, ContainerKind.VAULT, "fenced")
        assert before is not None
        after = replace(container, revision=before.revision)
        await containers.update(tx, after)
    return after


async def test_the_address_of_the_socket_decides(start: Start) -> None:
    rules = NetworkRules.of(allow_by_default=False, ranges=["127.0.0.2", "127.0.3.0/24"])
    async with start(more=[fenced(rules)]) as service:
        for source, expected in (
            ("127.0.0.1", "ForbiddenByFirewall"),
            ("127.0.0.2", "in"),
            ("127.0.0.3", "ForbiddenByFirewall"),
            ("127.0.3.255", "in"),
            ("127.0.4.0", "ForbiddenByFirewall"),
        ):
            async with line(service, source=source) as client:
                assert await client.outcome() == expected, source
                assert await client.outcome(*CLAIMS) == expected, source


async def test_a_named_range_is_a_subnet(start: Start) -> None:
    networks = NamedNetworks([subnet(ranges=(parse_network("127.0.2.0/24"),)), endpoint()])
    async with start(more=[fenced(WITH_SUBNET)], networks=networks) as service:
        async with line(service, source="127.0.2.7") as client:
            assert await client.outcome() == "in"
        async with line(service) as client:
            assert await client.outcome(*CLAIMS) == "ForbiddenByFirewall"


async def test_a_named_range_holds_the_address_that_a_trusted_proxy_forwards(start: Start) -> None:
    networks = NamedNetworks([subnet(ranges=(parse_network("192.0.2.0/24"),))])
    proxies = TrustedProxies((parse_network("127.0.0.1"),))
    async with start(more=[fenced(WITH_SUBNET)], networks=networks, proxies=proxies) as service:
        async with line(service) as proxy:
            assert await proxy.outcome("X-Forwarded-For: 192.0.2.1") == "in"
            assert await proxy.outcome("X-Forwarded-For: 192.0.2.1, 198.51.100.1") == "ForbiddenByFirewall"
            assert await proxy.outcome() == "ForbiddenByFirewall"
        async with line(service, source="127.0.0.2") as stranger:
            assert await stranger.outcome("X-Forwarded-For: 192.0.2.1") == "ForbiddenByFirewall"


async def test_what_arrives_at_a_listener_belongs_to_its_network(start: Start) -> None:
    networks = NamedNetworks([subnet(listeners=frozenset({"desks"})), endpoint(listeners=frozenset({"branch"}))])
    entrances = [(NamedEntrance(name, networks), None) for name in ("desks", "branch", "nowhere")]
    approved = PrivateEndpointConnection("one", ENDPOINT, ConnectionStatus.APPROVED)
    async with start(more=[fenced(WITH_SUBNET)], networks=networks, further=entrances) as service:
        expected = {"desks": "in", "branch": "ForbiddenByFirewall", "nowhere": "ForbiddenByFirewall"}
        for port, outcome in zip(service.further, expected.values(), strict=True):
            async with line(service, port) as client:
                assert await client.outcome(*CLAIMS) == outcome
        async with line(service) as client:
            assert await client.outcome(*CLAIMS) == "ForbiddenByFirewall"
        await change(service, fenced(replace(WITH_SUBNET, public_access=False), approved))
        for port, outcome in zip(
            service.further, ("ForbiddenByConnection", "in", "ForbiddenByConnection"), strict=True
        ):
            async with line(service, port) as client:
                assert await client.outcome(*CLAIMS) == outcome


async def test_approval_and_its_withdrawal_count_from_the_next_request_of_a_kept_connection(start: Start) -> None:
    networks = NamedNetworks([endpoint(listeners=frozenset({"branch"}))])
    connection = PrivateEndpointConnection("one", ENDPOINT, ConnectionStatus.PENDING)
    entrance = NamedEntrance("branch", networks)
    async with (
        start(more=[fenced(PRIVATE, connection)], networks=networks, further=[(entrance, None)]) as service,
        line(service, service.further[0]) as client,
    ):
        assert await client.outcome() == "ForbiddenByConnection"
        for status in (
            ConnectionStatus.APPROVED,
            ConnectionStatus.REJECTED,
            ConnectionStatus.APPROVED,
            ConnectionStatus.DISCONNECTED,
        ):
            await change(service, fenced(PRIVATE, replace(connection, status=status)))
            expected = "in" if status is ConnectionStatus.APPROVED else "ForbiddenByConnection"
            assert await client.outcome() == expected
        await change(service, fenced(PRIVATE, replace(connection, status=ConnectionStatus.APPROVED)))
        assert await client.outcome() == "in"
        await change(service, fenced(PRIVATE))
        assert await client.outcome() == "ForbiddenByConnection"


async def test_a_rule_that_goes_counts_from_the_next_request_of_a_kept_connection(start: Start) -> None:
    open_to_us = NetworkRules.of(allow_by_default=False, ranges=["127.0.0.1"])
    async with start(more=[fenced(open_to_us)]) as service, line(service) as client:
        assert await client.outcome() == "in"
        await change(service, fenced(CLOSED))
        assert await client.outcome() == "ForbiddenByFirewall"
        await change(service, fenced(PRIVATE))
        assert await client.outcome() == "ForbiddenByConnection"
        await change(service, fenced(open_to_us))
        assert await client.outcome() == "in"


async def test_a_trusted_service_comes_in_from_anywhere_while_it_may(start: Start) -> None:
    firewall = Firewall((TrustedService(VAULT.tenant_id, OBJECT_ID),))
    async with start(more=[fenced(PRIVATE)], firewall=firewall) as service, line(service) as client:
        assert await client.outcome() == "in"
        person = service.token(service.claims(scp="user_impersonation"))
        assert await client.outcome(token=person) == "ForbiddenByConnection"
        forged = service.token(key=rsa_key(2))
        assert await client.outcome(token=forged) == "ForbiddenByConnection"
        await change(service, fenced(replace(PRIVATE, bypass=False)))
        assert await client.outcome() == "ForbiddenByConnection"


# client certificates


class Authority:
    """Of clients; it also vouches for the server."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.key = folder, rsa_key(number)
        self.own = certificate(self.key, f"authority {number}", is_ca=True)
        self.file = folder / f"ca-{number}.pem"
        self.file.write_bytes(self.own.public_bytes(Encoding.PEM))

    def issue(self, name: str, host: str, number: int) -> tuple[Path, str]:
        """The file with key and certificate, and the fingerprint in hexadecimal."""
        leaf = certificate(rsa_key(number), name, issuer=(self.own, self.key), hosts=(host,))
        path = self.folder / f"{name}.pem"
        path.write_bytes(key_pem(rsa_key(number)) + leaf.public_bytes(Encoding.PEM))
        return path, hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()

    def client(self, file: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        context.check_hostname = False
        if file is not None:
            context.load_cert_chain(file)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, 3)


def server_side(authority: Authority) -> ssl.SSLContext:
    file, _ = authority.issue("server", "localhost", 4)
    settings = Settings(server=Server(certificate_file=file, key_file=file))
    listener = FurtherListener(name="proxies", address=Address("127.0.0.1"), client_ca_file=authority.file)
    return listener_context(settings, listener)


@pytest.mark.parametrize("by", ["sha256", "dns", "subject"])
async def test_a_client_certificate_names_the_network(start: Start, authority: Authority, by: str) -> None:
    known, fingerprint = authority.issue("known", "proxy.example.com", 5)
    other, _ = authority.issue("other", "other.example.com", 6)
    names = {"sha256": f"sha256:{fingerprint}", "dns": "dns:proxy.example.com", "subject": "subject:CN=known"}
    networks = NamedNetworks([subnet(certificates=frozenset({names[by]}))])
    further = [(NamedEntrance("proxies", networks, certified=True), server_side(authority))]
    async with start(more=[fenced(WITH_SUBNET)], networks=networks, further=further) as service:
        (port,) = service.further
        async with line(service, port, authority.client(known)) as client:
            assert await client.outcome() == "in"
        async with line(service, port, authority.client(other)) as client:
            assert await client.outcome(*CLAIMS) == "ForbiddenByFirewall"
        async with line(service) as client:
            assert await client.outcome(*CLAIMS) == "ForbiddenByFirewall"


async def test_without_a_certificate_of_the_authority_nobody_comes_in(start: Start, authority: Authority) -> None:
    foreign, _ = Authority(authority.folder, 7).issue("foreign", "proxy.example.com", 5)
    networks = NamedNetworks([subnet(certificates=frozenset({"dns:proxy.example.com"}))])
    further = [(NamedEntrance("proxies", networks, certified=True), server_side(authority))]
    async with start(more=[fenced(WITH_SUBNET)], networks=networks, further=further) as service:
        for file in (None, foreign):
            try:
                async with line(service, service.further[0], authority.client(file)) as client:
                    assert await client.ask() is None
            except OSError:
                pass  # TLS 1.2 tells it in the handshake, 1.3 behind it
        assert service.calls == []


async def test_a_certificate_is_proved_on_every_connection(start: Start, authority: Authority) -> None:
    """A session that was taken up again would be one without the key."""
    known, _ = authority.issue("known", "proxy.example.com", 5)
    networks = NamedNetworks([subnet(certificates=frozenset({"dns:proxy.example.com"}))])
    further = [(NamedEntrance("proxies", networks, certified=True), server_side(authority))]
    async with start(more=[fenced(WITH_SUBNET)], networks=networks, further=further) as service:

        def twice() -> list[bool]:
            context = authority.client(known)
            session: ssl.SSLSession | None = None
            reused = []
            for _ in range(2):
                with (
                    socket.create_connection(("127.0.0.1", service.further[0])) as plain,
                    context.wrap_socket(plain, session=session) as tls,
                ):
                    tls.sendall(service.request("GET", f"/keys?{VERSION}", host="fenced.vault.localhost:8443"))
                    assert tls.recv(4096).startswith(b"HTTP/1.1 200")
                    session = tls.session
                    reused.append(bool(tls.session_reused))
            return reused

        assert await asyncio.to_thread(twice) == [False, False]
