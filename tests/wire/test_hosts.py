"""One Host header names one container, and nothing else of a request does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.network import TrustedProxies, parse_network
from hsmvault.wire.hosts import Hosts, Plane
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Service

HOSTS = Hosts("keys.example", 8443)


@pytest.mark.parametrize(
    ("header", "plane", "name", "origin"),
    [
        ("a.vault.keys.example:8443", Plane.VAULT, "a", "https://a.vault.keys.example:8443"),
        ("a.vault.keys.example", Plane.VAULT, "a", "https://a.vault.keys.example:8443"),
        ("A.Vault.KEYS.example:8443", Plane.VAULT, "a", "https://a.vault.keys.example:8443"),
        ("a.managedhsm.keys.example:8443", Plane.POOL, "a", "https://a.managedhsm.keys.example:8443"),
        ("a.blob.keys.example", Plane.STORAGE, "a", "https://a.blob.keys.example:8443"),
        ("login.keys.example", Plane.LOGIN, "", "https://login.keys.example:8443"),
        ("management.keys.example", Plane.MANAGEMENT, "", "https://management.keys.example:8443"),
        ("graph.keys.example", Plane.DIRECTORY, "", "https://graph.keys.example:8443"),
        ("attest.keys.example", Plane.ATTESTATION, "", "https://attest.keys.example:8443"),
        ("127.0.0.1:8443", Plane.NONE, "", "https://keys.example:8443"),
        ("[::1]:8443", Plane.NONE, "", "https://keys.example:8443"),
        ("keys.example", Plane.NONE, "", "https://keys.example:8443"),
        ("a.vault.keys.example.", Plane.NONE, "", "https://keys.example:8443"),
        ("a.vault.keys.example.evil", Plane.NONE, "", "https://keys.example:8443"),
        ("a.vault.xkeys.example", Plane.NONE, "", "https://keys.example:8443"),
        ("a.vault.keys.example.:8443", Plane.NONE, "", "https://keys.example:8443"),
    ],
)
def test_a_host_is_one_place(header: str, plane: Plane, name: str, origin: str) -> None:
    found = HOSTS.find(header)
    assert (found.plane, found.name, found.origin) == (plane, name, origin)
    assert HOSTS.find(header) == found


@pytest.mark.parametrize(
    "header",
    [
        "a.vault.keys.example:443", "a.vault.keys.example:99999", "a.vault.keys.example:0", "a.vault.keys.example:x",
        "a.vault.keys.example:", "a.vault.keys.example:8443:8443", "a.vault.keys.example:+8443",
        "user@a.vault.keys.example",
        "a.b.vault.keys.example", ".vault.keys.example", "vault.keys.example", "x.login.keys.example",
        "nothing.keys.example",
        "a_b.vault.keys.example", "a..vault.keys.example", "a.vault..keys.example", "a%2evault.keys.example",
        "a.vault.keys.example/x", "a.vault.keys.example?", "a.vault.keys.example#", "ä.vault.keys.example",
        " a.vault.keys.example",
        "a" * 64 + ".vault.keys.example", "x" * 300, "a.vault.keys.example\0", "a,b.vault.keys.example",
        "ſ.vault.keys.example", "a.vault.keys.example:８443", "a.vault.\u212aeys.example", "[::1", "::1", "[::1]x",
    ],
)  # fmt: skip
def test_any_other_host_is_refused(header: str) -> None:
    with pytest.raises(BadRequest):
        HOSTS.find(header)


@given(text=st.text(max_size=80))
def test_no_text_is_an_accident_and_none_but_a_host_of_ours_is_a_place(text: str) -> None:
    try:
        found = HOSTS.find(text)
    except BadRequest:
        return
    assert found.plane is Plane.NONE or text.lower().partition(":")[0].endswith(".keys.example")


def test_port_443_is_not_shown() -> None:
    found = Hosts("keys.example", 443).find("a.vault.keys.example")
    assert (found.origin, found.resource) == ("https://a.vault.keys.example", "https://vault.keys.example")
    assert Hosts("keys.example", 443).find("a.vault.keys.example:443") == found


def test_strange_headers_do_not_keep_ours_from_being_read_once() -> None:
    hosts = Hosts("keys.example", 8443)
    for number in range(30_000):
        hosts.find(f"x{number}.vault.keys.example")
    assert hosts.find("a.vault.keys.example") is hosts.find("a.vault.keys.example")
    assert hosts._read.cache_info().currsize <= 10_000


# on the wire


async def test_the_answer_names_the_one_container_that_host_named(service: Service) -> None:
    version = await service.create_ec("k")
    for host in ("DEV.Vault.Localhost:8443", "dev.vault.localhost"):
        answer = await service.ask("GET", "/keys/k/", host=host)
        assert answer.json["key"]["kid"] == f"https://dev.vault.localhost:8443/keys/k/{version}"
    assert (await service.ask("GET", "/keys/k/", host="protected.vault.localhost:8443")).status == 404


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: empty.vault.localhost:8443", "Host: dev.vault.localhost:8443"],
        ["Host: dev.vault.localhost:8443", "Host: dev.vault.localhost:8443"],
        [],
        ["Host:"],
        ["Host: dev.vault.localhost:99999"],
        ["Host: dev.vault.localhost:abc"],
        ["Host: dev.vault.localhost:443"],
        ["Host: dev.vault.localhost.:8443"],
        ["Host: a@dev.vault.localhost:8443"],
        ["Host: dev.vault.localhost:8443, empty.vault.localhost:8443"],
        ["Host: dev.vault.localhost:8443\tx"],
        ["Host: 127.0.0.1"],
        ["Host: localhost"],
        ["Host: dev.vault.localhost.evil.example"],
        ["X-Forwarded-Host: dev.vault.localhost:8443"],
        ["Forwarded: host=dev.vault.localhost:8443"],
    ],
)
async def test_a_bad_host_is_400_with_and_without_a_token(service: Service, lines: list[str]) -> None:
    for more in ([], [f"Authorization: Bearer {service.token()}"]):
        head = "\r\n".join([f"GET /keys?{VERSION} HTTP/1.1", *lines, *more]) + "\r\n\r\n"
        (answer,) = await service.raw(head.encode())
        assert (answer.status, answer.code) == (400, "BadParameter")
        assert answer.header("WWW-Authenticate") is None
    assert service.calls == []


async def test_a_forwarded_host_changes_nothing(service: Service) -> None:
    await service.create_ec("k")
    more = ["X-Forwarded-Host: empty.vault.localhost", "X-Original-Host: empty.vault.localhost", "Forwarded: host=x"]
    assert (await service.ask("GET", "/keys/k/", more=more)).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://empty.vault.localhost:8443/keys?api-version=7.4",
        "http://dev.vault.localhost:8443/keys?api-version=7.4",
        "https://dev.vault.localhost:8443",
        "*",
        "keys?api-version=7.4",
        "?api-version=7.4",
    ],
)
async def test_the_target_must_be_a_path(service: Service, target: str) -> None:
    (answer,) = await service.raw(service.request("GET", target))
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert service.calls == []


async def test_a_vault_that_is_not_there_is_404_and_says_nothing_of_others(service: Service) -> None:
    for token in (None, "good"):
        answer = await service.ask("GET", "/keys", host="nobody.vault.localhost:8443", token=token)
        assert (answer.status, answer.code, answer.message) == (
            404,
            "VaultNotFound",
            "The vault 'nobody' was not found.",
        )


async def test_health_is_answered_on_every_host_without_a_token_and_nothing_else_is(service: Service) -> None:
    for host in ("dev.vault.localhost:8443", "login.localhost", "127.0.0.1:8443", "[::1]", "localhost", "10.0.0.7",
                 "10.0.0.7:1", "dev.vault.localhost:443", "a.b.vault.localhost", "balancer_1:80"):  # fmt: skip
        for target in ("/healthstatus", "/healthstatus?", "/healthstatus?x=1", "/healthstatus?api-version=7.4"):
            (answer,) = await service.raw(service.request("GET", target, host=host, token=None))
            assert (answer.status, answer.body) == (200, b"{}")
    assert (await service.ask("POST", "/healthstatus", {}, token=None)).status == 401
    assert (await service.ask("GET", "/keys", host="127.0.0.1", token="x")).status == 400


@pytest.mark.parametrize("host", ["graph.localhost:8443", "attest.localhost:8443", "devstore.blob.localhost:8443"])
async def test_planes_that_are_not_built_say_so(service: Service, host: str) -> None:
    answer = await service.ask("GET", "/", host=host, token=None)
    assert (answer.status, answer.code) == (501, "NotImplemented")


# the client's address


async def test_forwarding_headers_of_strangers_are_ignored(service: Service) -> None:
    more = [
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X-Azure-ClientIP: 192.0.2.1",
    ]
    answer = await service.ask("GET", "/keys", more=more)
    assert answer.header("x-ms-keyvault-network-info") == "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"
    assert service.records()[-1]["callerIpAddress"] == "127.0.0.1"


async def test_a_trusted_proxy_is_believed_up_to_the_rightmost_stranger(start: Start) -> None:
    proxies = TrustedProxies((parse_network("127.0.0.0/8"), parse_network("10.0.0.0/8")))
    async with start(proxies=proxies) as service:
        more = ["X-Forwarded-For: 198.51.100.1, 192.0.2.1", "X-Forwarded-For: 10.1.1.1"]
        answer = await service.ask("GET", "/keys", more=more)
        assert answer.status == 200
        assert service.records()[-1]["callerIpAddress"] == "192.0.2.1"
        answer = await service.ask("GET", "/keys", more=["X-Forwarded-For: 2001:db8::1"])
        assert (
            answer.header("x-ms-keyvault-network-info")
            == "conn_type=Ipv6;addr=2001:db8::1;act_addr_fam=InterNetworkV6;"
        )
        answer = await service.ask("GET", "/keys", more=["X-Forwarded-For: 192.0.2.1, nonsense"])
        assert (answer.status, answer.code) == (400, "BadParameter")


async def test_a_line_of_the_proxy_protocol_is_not_http(service: Service) -> None:
    (answer,) = await service.raw(b"PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\n" + service.request("GET", "/keys"))
    assert answer.status == 400
