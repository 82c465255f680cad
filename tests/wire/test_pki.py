"""What relying parties fetch over a real socket, with openssl as one of them."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from yarl import URL

from hsmvault.model.authorities import AuthorityRole
from hsmvault.resources.authorities import Authorities, revoke
from hsmvault.store import acme_challenges
from hsmvault.store.changes import ChangeFeed
from hsmvault.wire.pki import PkiEndpoints
from hsmvault.wire.server import Limits, Listener
from tests.login.world import free_socket
from tests.resources.authority_stage import RULES, authorities_of, certificate, openssl, order, pem
from tests.resources.stage import Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

OCSP = {"Content-Type": "application/ocsp-request"}


@dataclass
class Client:
    on: Stage
    authorities: Authorities
    session: aiohttp.ClientSession
    port: int

    async def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Status, body, content type."""
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.session.request(method, url, data=body, headers=headers) as response:
            assert response.headers["Server"] == "hsmvault"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            if response.status == 405:
                assert response.headers["Allow"] in {"GET", "POST"}
            return response.status, await response.read(), response.headers["Content-Type"]

    async def raw(self, content: bytes) -> bytes:
        """The answer to bytes that no client library would send, until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(content)
            return await asyncio.wait_for(reader.read(65_536), 10)
        finally:
            writer.close()


@pytest_asyncio.fixture
async def client(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Client]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on, aiohttp.ClientSession() as session:
        on.clock.wall = float(int(time.time()))  # openssl has no other
        authorities = authorities_of(on)
        feed = ChangeFeed(on.database)
        feed.subscribe("authority", lambda _, name: authorities.forget(name))

        async def find(token: str) -> str | None:
            async with on.database.read() as tx:
                return await acme_challenges.find(tx, token)

        listening = free_socket()
        pki = PkiEndpoints(authorities, find)
        listener = await Listener.start(pki.handle, [listening], None, Limits())
        try:
            yield Client(on, authorities, session, listening.getsockname()[1])
        finally:
            await listener.stop(1.0)
            await feed.close()


async def chain(client: Client) -> tuple[bytes, ...]:
    return await client.authorities.by_name["corp"].issue(order())


async def question(client: Client, leaf: bytes) -> bytes:
    issuer = certificate(await client.authorities.by_name["corp"].certificate(AuthorityRole.ISSUING))
    built = ocsp.OCSPRequestBuilder().add_certificate(certificate(leaf), issuer, SHA256()).build()
    return built.public_bytes(Encoding.DER)


async def test_certificates_and_revocation_lists_are_served_in_der(client: Client) -> None:
    leaf, issuing, root = await chain(client)
    assert await client.ask("/corp/issuing.cer") == (200, issuing, "application/pkix-cert")
    assert await client.ask("/corp/root.cer") == (200, root, "application/pkix-cert")
    serial = certificate(leaf).serial_number
    assert await revoke(client.on.database, "corp", f"{serial:032x}", now=int(client.on.clock.now()), reason=1)
    status, content, kind = await client.ask("/corp/issuing.crl")
    assert (status, kind) == (200, "application/pkix-crl")
    assert [one.serial_number for one in x509.load_der_x509_crl(content)] == [serial]
    status, content, _ = await client.ask("/corp/root.crl")
    assert status == 200
    assert x509.load_der_x509_crl(content).issuer == certificate(root).subject


async def test_openssl_follows_the_revocation_lists(client: Client, tmp_path: Path) -> None:
    leaf, issuing, root = await chain(client)
    lists = tmp_path / "lists.pem"

    async def fetch() -> None:
        contents = [(await client.ask(f"/corp/{name}.crl"))[1] for name in ("issuing", "root")]
        lists.write_bytes(b"".join(x509.load_der_x509_crl(one).public_bytes(Encoding.PEM) for one in contents))

    command = ["verify", "-crl_check_all", "-x509_strict", "-CRLfile", str(lists)]
    command += ["-CAfile", pem(tmp_path / "root.pem", root), "-untrusted", pem(tmp_path / "issuing.pem", issuing)]
    command.append(pem(tmp_path / "leaf.pem", leaf))
    await fetch()
    await asyncio.to_thread(openssl, *command)
    serial = f"{certificate(leaf).serial_number:032x}"
    await revoke(client.on.database, "corp", serial, now=int(client.on.clock.now()), reason=1)
    await fetch()
    with pytest.raises(AssertionError, match="certificate revoked"):
        await asyncio.to_thread(openssl, *command)
    assert serial in (await asyncio.to_thread(openssl, "crl", "-in", str(lists), "-noout", "-text")).lower()


async def test_openssl_gets_its_answers_over_http(client: Client, tmp_path: Path) -> None:
    leaf, issuing, root = await chain(client)
    command = ["ocsp", "-url", f"http://127.0.0.1:{client.port}/corp/ocsp", "-CAfile", pem(tmp_path / "root.pem", root)]
    command += ["-issuer", pem(tmp_path / "issuing.pem", issuing), "-cert", pem(tmp_path / "leaf.pem", leaf)]
    said = await asyncio.to_thread(openssl, *command)
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said
    assert "WARNING" not in said  # the nonce came back
    serial = f"{certificate(leaf).serial_number:032x}"
    await revoke(client.on.database, "corp", serial, now=int(client.on.clock.now()), reason=1)
    for more in ([], ["-no_nonce"]):
        said = await asyncio.to_thread(openssl, *command, *more)
        assert "leaf.pem: revoked" in said
        assert "Reason: keyCompromise" in said
    unknown = [*command[:-2], "-serial", "0x1234"]
    assert "0x1234: unknown" in await asyncio.to_thread(openssl, *unknown)


async def test_an_ocsp_request_may_stand_in_the_path(client: Client) -> None:
    leaf, *_ = await chain(client)
    asked = await question(client, leaf)
    encoded = base64.b64encode(asked).decode()
    _, expected, kind = await client.ask("/corp/ocsp", "POST", asked, OCSP)
    assert kind == "application/ocsp-response"
    for path in (quote(encoded, safe=""), encoded, quote(encoded, safe="/")):
        assert await client.ask(f"/corp/ocsp/{path}") == (200, expected, kind)
    for bad in ("%%%", "a", "!!!!", encoded[:-3], "%e4%e4%e4%e4"):
        assert (await client.ask(f"/corp/ocsp/{bad}"))[0] == 400


async def test_what_is_no_ocsp_request_is_refused_or_answered_as_malformed(client: Client) -> None:
    await chain(client)
    status, content, _ = await client.ask("/corp/ocsp", "POST", b"nothing", OCSP)
    assert status == 200
    assert ocsp.load_der_ocsp_response(content).response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    assert (await client.ask("/corp/ocsp", "POST", b"x" * 2049, OCSP))[0] == 413
    assert (await client.ask("/corp/ocsp", "POST", b"x", {"Content-Type": "text/plain"}))[0] == 400
    assert (await client.ask("/corp/ocsp", "POST", b"x", {**OCSP, "Content-Encoding": "deflate"}))[0] == 400
    assert (await client.ask(f"/corp/ocsp/{'A' * 3600}"))[0] == 413


NOTHING_THERE = [
    "/",
    "/corp",
    "/corp/",
    "/corp/issuing.crl/",
    "/corp//issuing.crl",
    "//corp/issuing.crl",
    "/Corp/issuing.crl",
    "/corp/Issuing.crl",
    "/corp/issuing.pem",
    "/corp/%69ssuing.crl",
    "/other/issuing.crl",
    "/corp/issuing.crl?x=1",
    "/corp/../corp/issuing.crl",
    "/.well-known/acme-challenge/",
    "/.well-known/acme-challenge/unknown",
    "/.well-known/acme-challenge/a/b",
    "/.well-known/acme-challenge/..%2fx",
    "/metrics",
    "/keys?api-version=7.4",
    "/" + "a" * 5000,
]


async def test_nothing_else_is_there(client: Client) -> None:
    found = {path: (await client.ask(path))[0] for path in NOTHING_THERE}
    assert found == dict.fromkeys(NOTHING_THERE, 404)


async def test_each_path_has_one_method(client: Client) -> None:
    for path in ("/corp/issuing.crl", "/corp/root.cer", "/corp/ocsp/AAAA", "/.well-known/acme-challenge/x"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert (await client.ask(path, method))[0] == 405
    for method in ("GET", "PUT", "DELETE"):
        assert (await client.ask("/corp/ocsp", method))[0] == 405
    assert (await client.ask("/healthstatus"))[:2] == (200, b"{}")


async def test_the_answer_to_an_acme_challenge_is_its_key_authorization(client: Client) -> None:
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    async with client.on.database.write() as tx:
        await acme_challenges.put(tx, token, f"{token}.thumbprint", expires=int(client.on.clock.now()) + 60)
    found = await client.ask(f"/.well-known/acme-challenge/{token}")
    assert found == (200, f"{token}.thumbprint".encode(), "application/octet-stream")
    async with client.on.database.write() as tx:
        await acme_challenges.delete(tx, token)
    assert (await client.ask(f"/.well-known/acme-challenge/{token}"))[0] == 404


async def test_bytes_that_are_no_request_get_no_answer_that_tells_anything(client: Client) -> None:
    target = b"http://evil.example.org/corp/issuing.crl"
    answer = await client.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    answer = await client.raw(b"GET /corp/issuing.crl HTTP/1.1\r\nno header\r\n\r\n")
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"aiohttp" not in answer


async def test_an_authority_that_is_out_of_reach_is_unavailable_and_its_ocsp_says_try_later(client: Client) -> None:
    leaf, *_ = await chain(client)
    asked = await question(client, leaf)
    await client.on.database.close()
    status, _, _ = await client.ask("/corp/issuing.crl")
    assert status == 503
    _, content, _ = await client.ask("/corp/ocsp", "POST", asked, OCSP)
    assert ocsp.load_der_ocsp_response(content).response_status is ocsp.OCSPResponseStatus.TRY_LATER
    assert (await client.ask("/corp/issuing.cer"))[0] == 200  # it never changes


def test_the_urls_in_certificates_are_those_that_are_served() -> None:
    urls = {RULES.crl_url(role) for role in AuthorityRole} | {RULES.certificate_url(role) for role in AuthorityRole}
    names = ("issuing.crl", "root.crl", "issuing.cer", "root.cer")
    assert urls == {f"http://pki.example.com/corp/{name}" for name in names}
    assert RULES.ocsp_url == "http://pki.example.com/corp/ocsp"
