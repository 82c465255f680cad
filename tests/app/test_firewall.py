"""The firewall of a whole node: two workers, real sockets from several addresses, rules that come through ARM."""

import http.client
import json
import socket
import ssl
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hsmvault.wire.proxy_protocol import SIGNATURE
from tests.instance import folder_for_data
from tests.isolation.node import Node, Tenant, set_up

pytestmark = pytest.mark.slow

SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
VAULT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/hsmvault/providers/Microsoft.KeyVault/vaults/north"
NETWORK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/site/providers/Microsoft.Network"
DESKS = f"{NETWORK}/virtualNetworks/Office/subnets/Desks"
BRANCH = f"{NETWORK}/privateEndpoints/Branch"
HANDSHAKE = b"\x16\x03"  # type of the TLS record, and its version
SERVICE = str(uuid.uuid4())
HEADER_OF_BRANCH = struct.pack(">HB", 5, 1) + struct.pack("<I", 7)
CLAIMS = {
    "X-Forwarded-For": "127.0.0.2",
    "Forwarded": "for=127.0.0.2",
    "X-Real-IP": "127.0.0.2",
    "X-Azure-ClientIP": "127.0.0.2",
}
LISTENERS = """
[[server.listeners]]
name = "desks"
address = "127.0.0.5"

[[server.listeners]]
name = "proxied"
address = "127.0.0.6"
proxy_protocol = "v2"
proxies = ["127.0.0.1"]
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with folder_for_data() as folder:
        made = set_up(folder)
        text = made.configuration.read_text()
        text = text.replace("vault = [", f'management = ["https://management.localhost:{made.port}"]\nvault = [')
        text = text.replace("\nretention_days", f'\nsubscription = "{SUBSCRIPTION}"\nretention_days', 1)
        text += LISTENERS + (
            f'[[network.networks]]\nid = "{DESKS}"\nkind = "subnet"\nlisteners = ["desks"]\nranges = ["192.0.2.0/24"]\n'
            f'[[network.networks]]\nid = "{BRANCH}"\nkind = "private-endpoint"\nlink_ids = [7]\n'
            f'[[network.trusted_services]]\nname = "backup"\ntenant = "{made.north.id}"\nobject_id = "{SERVICE}"\n'
            f'[[subscriptions]]\nid = "{SUBSCRIPTION}"\ntenant = "{made.north.id}"\nname = "Site"\n'
            f'owners = ["{made.north.owner}"]\n'
        )
        made.configuration.write_text(text)
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        with made.serving():
            yield made


class Line(http.client.HTTPConnection):
    """A connection that is kept. header: of PROXY protocol, in front of TLS."""

    def __init__(self, node: Node, host: str, to: str, source: str, header: bytes) -> None:
        super().__init__(f"{host}.localhost", node.port, timeout=30)
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(30)
        context = ssl.create_default_context(cafile=str(node.certificate))
        try:
            plain.bind((source, 0))
            plain.connect((to, node.port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.sendall(header)
            self.sock = context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def ask(self, method: str, path: str, token: str, body: object = None, **more: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **more}
        self.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        response = self.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None


class Site:
    """Connections to one node, which end with the test."""

    def __init__(self, node: Node, stack: ExitStack) -> None:
        self.node, self.stack = node, stack
        self.tenant: Tenant = node.north
        self.arm = self.line("management", "127.0.0.1", "127.0.0.1")

    def line(self, host: str, to: str, source: str, header: bytes = b"") -> Line:
        made = Line(self.node, host, to, source, header)
        self.stack.callback(made.close)
        return made

    def to_vault(self, to: str = "127.0.0.1", source: str = "127.0.0.1", header: bytes = b"") -> Line:
        return self.line("north.vault", to, source, header)

    def manage(self, method: str, path: str, body: object = None) -> Any:
        token = self.tenant.token(f"https://management.localhost:{self.node.port}")
        status, answer = self.arm.ask(method, f"{path}?api-version=2026-02-01", token, body)
        assert status < 300, answer
        return answer

    def rules(self, access: str = "Enabled", **acls: object) -> None:
        default = {"bypass": "None", "defaultAction": "Deny", "ipRules": [], "virtualNetworkRules": []}
        self.manage("PATCH", VAULT, {"properties": {"publicNetworkAccess": access, "networkAcls": default | acls}})

    def outcome(self, line: Line, principal: str | None = None, **headers: str) -> str:
        """'in', or the inner code of the refusal."""
        token = self.tenant.token(self.node.audience, principal)
        status, answer = line.ask("GET", "/keys?api-version=7.4", token, **headers)
        return "in" if status == 200 else str(answer["error"]["innererror"]["code"])

    def soon(self, line: Line, expected: str) -> str:
        """The outcome, which is the expected one within a second; of every later request, too."""
        deadline = time.monotonic() + 1.0
        while (found := self.outcome(line)) != expected and time.monotonic() < deadline:
            pass
        return found


@pytest.fixture
def site(node: Node) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(node, stack)


def proxy_header(source: str, link: bytes = b"") -> bytes:
    rest = socket.inet_aton(source) * 2 + struct.pack(">HH", 40_000, 443)
    rest += b"\xee" + link if link else b""
    return SIGNATURE + b"\x21\x11" + struct.pack(">H", len(rest)) + rest


def test_the_address_of_the_socket_decides_for_both_families(site: Site) -> None:
    lines = {source: site.to_vault(source=source) for source in ("127.0.0.1", "127.0.0.2", "127.0.0.9")}
    lines["::1"] = site.to_vault("::1", "::1")
    site.rules(ipRules=[{"value": "127.0.0.2"}, {"value": "127.0.0.8/29"}])
    for source, expected in (
        ("127.0.0.1", "ForbiddenByFirewall"),
        ("127.0.0.2", "in"),
        ("127.0.0.9", "in"),
        ("::1", "ForbiddenByFirewall"),
    ):
        assert site.soon(lines[source], expected) == expected, source
        assert site.outcome(lines[source], **CLAIMS) == expected, source
    site.rules(defaultAction="Allow")
    assert site.soon(lines["::1"], "in") == "in"


def test_a_rule_that_goes_is_gone_on_every_kept_connection_within_a_second(site: Site) -> None:
    lines = [site.to_vault() for _ in range(12)]  # over both workers
    for rules, expected in (
        ({"ipRules": [{"value": "127.0.0.1"}]}, "in"),
        ({"ipRules": [{"value": "127.0.0.2"}]}, "ForbiddenByFirewall"),
        ({"defaultAction": "Allow"}, "in"),
        ({"defaultAction": "Allow", "access": "Disabled"}, "ForbiddenByConnection"),
    ):
        site.rules(**rules)
        assert {site.soon(line, expected) for line in lines} == {expected}
        assert {site.outcome(line) for line in lines} == {expected}


def test_a_subnet_is_a_listener_or_a_range(site: Site) -> None:
    site.rules(virtualNetworkRules=[{"id": DESKS}])
    listener = site.to_vault("127.0.0.5")
    assert site.soon(listener, "in") == "in"
    by_proxy = site.to_vault("127.0.0.6", header=proxy_header("192.0.2.77"))
    assert site.soon(by_proxy, "in") == "in"
    for other in (site.to_vault(), site.to_vault("127.0.0.6", header=proxy_header("198.51.100.1"))):
        assert site.soon(other, "ForbiddenByFirewall") == "ForbiddenByFirewall"
        assert site.outcome(other, **CLAIMS) == "ForbiddenByFirewall"


def test_a_private_endpoint_counts_while_it_is_approved(site: Site) -> None:
    site.rules("Disabled")
    path = f"{VAULT}/privateEndpointConnections/branch"
    state = {"status": "Pending", "description": ""}
    site.manage(
        "PUT", path, {"properties": {"privateEndpoint": {"id": BRANCH}, "privateLinkServiceConnectionState": state}}
    )
    header = proxy_header("198.51.100.1", HEADER_OF_BRANCH)
    lines = [site.to_vault("127.0.0.6", header=header) for _ in range(8)]
    for status, expected in (
        ("Pending", "ForbiddenByConnection"),
        ("Approved", "in"),
        ("Rejected", "ForbiddenByConnection"),
        ("Approved", "in"),
    ):
        site.manage("PUT", path, {"properties": {"privateLinkServiceConnectionState": {"status": status}}})
        assert {site.soon(line, expected) for line in lines} == {expected}
    assert site.manage("GET", VAULT)["properties"]["privateEndpointConnections"][0]["id"] == path
    assert site.outcome(site.to_vault()) == "ForbiddenByConnection"
    site.manage("DELETE", path)
    assert {site.soon(line, "ForbiddenByConnection") for line in lines} == {"ForbiddenByConnection"}


def test_a_trusted_service_passes_by_while_the_vault_lets_it(site: Site) -> None:
    line = site.to_vault()
    site.rules("Disabled", bypass="AzureServices")
    assert site.soon(line, "ForbiddenByConnection") == "ForbiddenByConnection"
    assert site.outcome(line, SERVICE) == "ForbiddenByRbac"  # in, and without a role
    site.rules("Disabled", bypass="None")
    other = site.to_vault()
    assert site.soon(other, "ForbiddenByConnection") == "ForbiddenByConnection"
    deadline = time.monotonic() + 1.0
    while site.outcome(line, SERVICE) != "ForbiddenByConnection":
        assert time.monotonic() < deadline


def first_answer(node: Node, header: bytes, source: str = "127.0.0.1") -> bytes:
    """What a TLS client hears behind this header at the listener of proxies; nothing when it is closed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="north.vault.localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.socket() as plain:
        plain.settimeout(30)
        plain.bind((source, 0))
        plain.connect(("127.0.0.6", node.port))
        try:
            plain.sendall(header + outgoing.read())
            return plain.recv(5)
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "header",
    [b"", b"PROXY TCP4 127.0.0.2 127.0.0.1 5 6\r\n", proxy_header("127.0.0.2")[:-1], b"\r\n" * 20],
    ids=["none", "version 1", "cut short", "another signature"],
)
def test_what_does_not_begin_as_a_proxy_does_comes_to_no_handshake(node: Node, header: bytes) -> None:
    assert not first_answer(node, header).startswith(HANDSHAKE)


def test_only_a_proxy_s_header_is_read(node: Node) -> None:
    assert first_answer(node, proxy_header("127.0.0.2"), source="127.0.0.2") == b""
    assert first_answer(node, proxy_header("127.0.0.2")).startswith(HANDSHAKE)
