"""Published keys of outside issuers: a real TLS server, a clock that the test moves, and faults of the other side."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hsmvault.clock import MovedClock
from hsmvault.errors import ConfigurationError
from hsmvault.outbound.jwks import FileKeySet, RemoteKeySet, parse_key_set
from tests.login.world import free_socket, serve_on, tls_context
from tests.pipeline.world import ec_key, rsa_key


def jwk(key: object, kid: object = "k1", **more: object) -> dict[str, object]:
    algorithm = (
        jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePublicKey) else jwt.algorithms.RSAAlgorithm
    )
    members = json.loads(algorithm.to_jwk(key))
    members.pop("key_ops", None)
    return {name: value for name, value in (members | {"kid": kid, "use": "sig"} | more).items() if value is not None}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


RSA, EC = rsa_key().public_key(), ec_key().public_key()


def test_rsa_and_ec_keys_are_taken_by_their_id() -> None:
    keys = parse_key_set(key_set(jwk(RSA, "r"), jwk(EC, "e"), jwk(RSA, "plain", use=None)))
    assert {kid: type(key).__name__ for kid, key in keys.items()} == {
        "r": "RSAPublicKey",
        "e": "ECPublicKey",
        "plain": "RSAPublicKey",
    }


def test_what_cannot_verify_our_tokens_is_left_out() -> None:
    short = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505  # that is the point
    okp = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key()))
    odd = [
        jwk(RSA, None),
        jwk(RSA, 5),
        jwk(RSA, "enc", use="enc"),
        jwk(short, "short"),
        okp | {"kid": "okp"},
        {"kty": "oct", "k": "AAAA", "kid": "oct"},
        {"kty": "RSA", "kid": "no-numbers"},
        {"kty": "RSA", "n": 5, "e": [], "kid": "strange"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "off-curve"},
        {"kty": [], "kid": "list"},
        {"kty": "EC", "crv": {}, "x": "AAAA", "y": "AAAA", "kid": "crv"},
        "text",
        None,
    ]
    assert list(parse_key_set(key_set(*odd, jwk(RSA, "good")))) == ["good"]


def test_a_private_key_is_read_as_its_public_part() -> None:
    members = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key())) | {"kid": "k1"}
    (key,) = parse_key_set(key_set(members)).values()
    assert isinstance(key, rsa.RSAPublicKey)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[],"keys":[]}', b"\xff", b"<html>"])
def test_what_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse_key_set(content)


# a file


async def test_a_changed_file_is_read_at_most_once_a_minute(tmp_path: Path) -> None:
    clock, path = MovedClock(), tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(RSA)))
    keys = FileKeySet(path, clock)
    path.write_bytes(key_set(jwk(RSA), jwk(EC, "k2")))
    assert await keys.find("k2") is None
    clock.move(60)
    assert await keys.find("k1") is not None
    assert await keys.find("k2") is not None
    path.write_bytes(b"damaged")
    clock.move(60)
    assert await keys.find("k3") is None
    assert await keys.find("k2") is not None


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_file_that_cannot_be_read_is_refused_at_start_with_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"jwks_file .*keys\.json cannot be read"):
        FileKeySet(path, MovedClock())


# a URL


@dataclass
class Publisher:
    """The other side. answer: what it sends. asked: paths of the requests."""

    port: int = 0
    context: ssl.SSLContext | None = None  # of the client
    clock: MovedClock = field(default_factory=MovedClock)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def keys(self, host: str = "localhost") -> RemoteKeySet:
        assert self.context is not None
        return RemoteKeySet(f"https://{host}:{self.port}/keys", self.clock, self.context)


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Publisher]:
    server_context, ca_file = tls_context(tmp_path, "localhost", [rsa_key(3), rsa_key(4)])
    publisher = Publisher(context=ssl.create_default_context(cafile=str(ca_file)), body=key_set(jwk(RSA)))
    runner, publisher.port = await serve_on(publisher.handle, free_socket(), server_context)
    yield publisher
    await runner.cleanup()


async def test_keys_are_fetched_when_they_are_first_needed_and_then_kept(publisher: Publisher) -> None:
    keys = publisher.keys()
    assert publisher.asked == []
    for _ in range(3):
        assert await keys.find("k1") is not None
    assert publisher.asked == ["/keys"]


async def test_unknown_ids_ask_again_at_most_once_a_minute(publisher: Publisher) -> None:
    keys = publisher.keys()
    for _ in range(20):
        assert await keys.find("unknown") is None
    publisher.body = key_set(jwk(RSA), jwk(EC, "k2"))
    publisher.clock.move(59)
    assert await keys.find("k2") is None
    assert len(publisher.asked) == 1
    publisher.clock.move(1)
    assert await keys.find("k2") is not None
    assert len(publisher.asked) == 2


async def test_a_flood_of_unknown_ids_is_one_request(publisher: Publisher) -> None:
    keys = publisher.keys()
    found = await asyncio.gather(*(keys.find("k1" if number % 2 else f"u{number}") for number in range(50)))
    assert [key is not None for key in found] == [number % 2 == 1 for number in range(50)]
    assert len(publisher.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (404, b"{}"), (204, b""), (200, b"<html>"), (200, b"x" * 1_100_000), (200, b"{}")]
)
async def test_keys_that_were_read_stay_when_a_refresh_fails(publisher: Publisher, status: int, body: bytes) -> None:
    keys = publisher.keys()
    assert await keys.find("k1") is not None
    publisher.status, publisher.body = status, body
    publisher.clock.move(60)
    assert await keys.find("k2") is None
    assert await keys.find("k1") is not None
    assert len(publisher.asked) == 2


async def test_a_withdrawn_key_is_forgotten_within_an_hour(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(RSA)))
    remote, file = publisher.keys(), FileKeySet(path, publisher.clock)
    assert await remote.find("k1") is not None
    publisher.body = key_set(jwk(EC, "k2"))
    path.write_bytes(publisher.body)
    publisher.clock.move(3599)
    assert await remote.find("k1") is not None
    assert await file.find("k1") is not None
    publisher.clock.move(1)
    assert await file.find("k1") is None
    assert await remote.find("k1") is not None  # nobody waits for the renewal
    assert await remote.find("k2") is not None
    assert await remote.find("k1") is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_its_body_not_used(publisher: Publisher, status: int) -> None:
    publisher.status = status
    publisher.headers = {"Location": f"https://localhost:{publisher.port}/elsewhere"}
    assert await publisher.keys().find("k1") is None
    assert publisher.asked == ["/keys"]


async def test_a_server_that_the_ca_did_not_certify_for_this_name_is_not_believed(publisher: Publisher) -> None:
    assert await publisher.keys("127.0.0.1").find("k1") is None
    publisher.context = ssl.create_default_context()
    assert await publisher.keys().find("k1") is None
    assert publisher.asked == []


async def test_a_server_that_is_gone_is_no_accident(publisher: Publisher) -> None:
    keys = publisher.keys()
    with free_socket() as nobody:
        publisher.port = nobody.getsockname()[1]
        assert await publisher.keys().find("k1") is None
    publisher.clock.move(60)
    assert await keys.find("k1") is not None
