"""The development attestation authority over real sockets: what it serves, to whom, and that it is believed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio

from hsmvault.clock import RandomIdentifiers
from hsmvault.lanes import Lane
from hsmvault.model.network import TrustedProxies
from hsmvault.outbound.jwks import parse_key_set
from hsmvault.resources.development_authority import ALGORITHM, DevelopmentAuthority
from hsmvault.resources.environment_assertions import AttestationAuthority, EnvironmentAssertions
from hsmvault.wire.attestation import AttestationPlane
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.door import Door
from hsmvault.wire.hosts import Hosts, Plane
from hsmvault.wire.server import Limits, Listener
from tests.login.world import free_socket
from tests.resources.attesting import environment, jwk
from tests.resources.stage import Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

ISSUER = "https://attest.localhost:8443"


class Client:
    def __init__(self, on: Stage, authority: DevelopmentAuthority, session: aiohttp.ClientSession, port: int) -> None:
        self.stage, self.authority, self.session, self.port = on, authority, session, port

    async def ask(self, path: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body)
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Host": "attest.localhost:8443"}
        async with self.session.request(method, url, data=content, headers=headers) as response:
            assert response.headers["Cache-Control"] == "no-cache, no-store"
            text = await response.text()
            return response.status, json.loads(text) if text else None


@pytest_asyncio.fixture
async def client(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Client]:
    generation: Lane[None] = Lane("generation", None, limit=10)
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on, aiohttp.ClientSession() as session:
        keys = on.statement_keys("development-attestation")
        authority = DevelopmentAuthority(ISSUER, keys, on.clock, RandomIdentifiers(), generation)
        door = Door(
            Hosts("localhost", 8443),
            {Plane.ATTESTATION: AttestationPlane(authority, BodyLimits())},
            None,
            TrustedProxies(),
            RandomIdentifiers(),
            lambda _: None,
        )
        listening = free_socket()
        listener = await Listener.start(door.handle, [listening], None, Limits())
        yield Client(on, authority, session, listening.getsockname()[1])
        await listener.stop(1.0)
    await generation.close()


async def test_its_configuration_leads_to_keys_that_verify_its_tokens(client: Client) -> None:
    status, configuration = await client.ask("/.well-known/openid-configuration")
    assert (status, configuration["issuer"]) == (200, ISSUER)
    assert configuration["jwks_uri"] == f"{ISSUER}/keys"
    status, published = await client.ask("/keys")
    keys = parse_key_set(json.dumps(published).encode())
    _, answer = await client.ask("/generate-test-token")
    (key,) = (keys[jwt.get_unverified_header(answer["token"])["kid"]],)
    claims = jwt.decode(
        answer["token"],
        key,
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )  # type: ignore[arg-type]  # RSA
    assert claims["iss"] == ISSUER
    assert claims["sdk-test"] is True
    assert claims["exp"] > claims["nbf"] == claims["iat"] == int(client.stage.clock.now())
    (encryption,) = claims["x-ms-runtime"]["keys"]
    assert encryption.keys() == {"kty", "kid", "n", "e", "use"}


async def test_its_tokens_are_believed_without_a_way_over_http(client: Client) -> None:
    authority = AttestationAuthority(ISSUER, client.authority, frozenset({ALGORITHM}))
    assertions = EnvironmentAssertions((authority,), client.stage.clock)
    first = await assertions.verify((await client.ask("/generate-test-token"))[1]["token"])
    second = await assertions.verify((await client.ask("/generate-test-token"))[1]["token"])
    assert first.claims["jti"] != second.claims["jti"]
    assert first.key.public.spki == second.key.public.spki
    assert await client.authority.find("another") is None


async def test_a_caller_may_bring_the_key_of_its_environment(client: Client) -> None:
    wanted = jwk(environment().public_key())
    status, answer = await client.ask("/generate-test-token", "POST", {"key": wanted})
    assert status == 200
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    (named,) = claims["x-ms-runtime"]["keys"]
    assert (named["n"], named["e"]) == (wanted["n"], wanted["e"])


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"key": 5},
        {"key": {"kty": "RSA"}},
        {"key": {"kty": "EC", "n": "AQAB", "e": "AQAB"}},
        {"key": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
        "x" * 10_000,
    ],
    ids=lambda body: repr(body)[:30],
)
async def test_a_key_that_is_none_is_refused(client: Client, body: object) -> None:
    status, answer = await client.ask("/generate-test-token", "POST", body)
    assert status in (400, 413)
    assert answer["error"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/keys/", 404),
        ("GET", "/certs", 404),
        ("GET", "/attest/SgxEnclave?api-version=2020-10-01", 404),
        ("POST", "/keys", 405),
        ("PUT", "/generate-test-token", 405),
        ("DELETE", "/.well-known/openid-configuration", 405),
        ("GET", "/healthstatus", 200),
        ("GET", "/keys?api-version=7.4", 200),
        ("HEAD", "/keys", 200),
    ],
)
async def test_everything_else_is_refused_in_json(client: Client, method: str, path: str, status: int) -> None:
    answered, body = await client.ask(path, method)
    assert answered == status
    if status >= 400:
        assert body["error"]["message"]
