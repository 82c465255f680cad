"""The ACME client: the same steps against `pebble` and against a double, and what a bad server gets away with."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography import x509

from hsmvault.clock import MovedClock
from hsmvault.outbound.acme import AcmeClient, AcmeSession
from hsmvault.outbound.acme_jws import AccountKey, ExternalBinding, dns_answer
from hsmvault.outbound.acme_objects import Authorization, Challenge, Identifier
from hsmvault.outbound.acme_problems import AcmeRefused, AcmeUnavailable
from tests.acme_server import AcmeDouble, Fault, acme_double
from tests.login.world import free_socket
from tests.outbound.acme_parts import REQUEST_KEY, account_key, public_of, signing_request, until
from tests.pebble import pebble
from tests.pipeline.world import ec_key, rsa_key

A, B = Identifier("dns", "a.example.com"), Identifier("dns", "*.example.com")
BOTH = x509.DNSName("a.example.com"), x509.DNSName("*.example.com")


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[AcmeDouble]:
    async with acme_double(tmp_path) as made:
        yield made


@pytest.fixture
async def session(double: AcmeDouble) -> AsyncIterator[AcmeSession]:
    """With an account."""
    async with AcmeClient(double.directory, double.context, MovedClock()).connected(account_key(ec_key())) as session:
        await session.register((), None)
        double.asked.clear()
        yield session


def challenge_of(authorization: Authorization, kind: str) -> Challenge:
    return next(one for one in authorization.challenges if one.type == kind)


# the same steps on both


@pytest.mark.parametrize("key", [account_key(ec_key()), account_key(rsa_key())], ids=["ES256", "RS256"])
@pytest.mark.parametrize("kind", [pytest.param("pebble", marks=pytest.mark.slow), "double"])
async def test_a_certificate_is_ordered_proved_by_dns_and_fetched(kind: str, key: AccountKey, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        texts: dict[str, list[str]] = {}
        if kind == "pebble":
            real = await stack.enter_async_context(pebble(tmp_path))
            client, texts = AcmeClient(real.directory, real.context, MovedClock()), real.resolver.texts
        else:
            double = await stack.enter_async_context(acme_double(tmp_path))
            client = AcmeClient(double.directory, double.context, MovedClock())

            async def validate(_: str, name: str, __: str, answer: str) -> bool:
                return dns_answer(answer) in texts.get(f"_acme-challenge.{name}", [])

            double.validate = validate
        session = await stack.enter_async_context(client.connected(key))
        assert session.terms_of_service
        account = await session.register(["pki@example.com"], None)
        await session.change_contacts(["other@example.com"])
        assert await session.register([], None) == account

        url, order = await session.new_order([A, B])
        assert order.status == "pending"
        seen = {}
        for one in order.authorizations:
            authorization = (await session.authorization(one)).value
            seen[authorization.identifier.value] = authorization.wildcard
            challenge = challenge_of(authorization, "dns-01")
            answer = dns_answer(session.key.authorization(challenge.token))
            texts.setdefault(f"_acme-challenge.{authorization.identifier.value}", []).append(answer)
            await session.respond(challenge)
        assert seen == {"a.example.com": False, "example.com": True}

        async def is_now(status: str) -> bool:
            return (await session.order(url)).value.status == status

        await until(lambda: is_now("ready"))
        await session.finalize(order, signing_request(*BOTH))
        await until(lambda: is_now("valid"))
        certificate = (await session.order(url)).value.certificate
        assert certificate is not None
        chain = [x509.load_der_x509_certificate(one) for one in await session.certificate(certificate)]
        assert len(chain) == 2
        assert chain[0].public_key() == REQUEST_KEY.public_key()
        chain[0].verify_directly_issued_by(chain[1])


# accounts


@pytest.mark.slow
async def test_an_account_is_bound_to_the_one_that_the_authority_knows(tmp_path: Path) -> None:
    key, bindings = bytes(range(32)), [("known", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    async with AsyncExitStack() as stack:
        real = await stack.enter_async_context(pebble(tmp_path, bindings=bindings))
        (double_folder := tmp_path / "double").mkdir()
        double = await stack.enter_async_context(acme_double(double_folder))
        double.bindings["known"] = key
        for server in (real, double):
            client = AcmeClient(server.directory, server.context, MovedClock())
            session = await stack.enter_async_context(client.connected(account_key(ec_key())))
            for binding in (None, ExternalBinding("unknown", key), ExternalBinding("known", key[::-1])):
                with pytest.raises(AcmeRefused) as caught:
                    await session.register(["pki@example.com"], binding)
                assert caught.value.kind == ("externalAccountRequired" if binding is None else "unauthorized")
            assert await session.register(["pki@example.com"], ExternalBinding("known", key))


def test_the_key_of_a_binding_is_not_shown() -> None:
    assert "secret" not in repr(ExternalBinding("kid", b"secret"))


def test_a_thumbprint_is_the_one_of_the_standard() -> None:
    """RFC 7638, 3.1."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from hsmvault.model import base64url

    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    numbers = RSAPublicNumbers(65537, int.from_bytes(base64url.decode(n), "big"))
    public = numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def sign(_: bytes) -> bytes:
        return b""

    assert AccountKey(public, sign).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_an_account_key_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    with pytest.raises(ValueError, match="P-256"):
        account_key(ec_key(ec.SECP384R1))
    assert account_key(rsa_key()).algorithm == "RS256"
    assert public_of(rsa_key())


# nonces


async def test_a_nonce_that_the_server_does_not_know_is_replaced_once(session: AcmeSession, double: AcmeDouble) -> None:
    double.fail("/new-order", 400, "badNonce")
    url, order = await session.new_order([A])
    assert order.status == "pending"
    assert double.asked == ["POST /new-order", "POST /new-order"]  # the refusal brought a good one along
    double.asked.clear()
    double.fail("/orders", 400, "badNonce", times=2)
    with pytest.raises(AcmeUnavailable) as caught:
        await session.order(url)
    assert caught.value.kind == "badNonce"
    assert len(double.asked) == 2


@pytest.mark.parametrize("nonce", ["", "not base64url!", "x" * 600])
async def test_what_is_no_nonce_is_not_used(session: AcmeSession, double: AcmeDouble, nonce: str) -> None:
    double.faults.append(Fault("/new-order", 500, b"", {"Replay-Nonce": nonce}))
    double.faults.append(Fault("/nonce", 200, b"", {"Replay-Nonce": nonce}))
    with pytest.raises(AcmeUnavailable):
        await session.new_order([A])
    with pytest.raises(AcmeUnavailable, match="nonce"):
        await session.new_order([A])
    await session.new_order([A])
    assert double.asked == ["POST /new-order", "HEAD /nonce", "HEAD /nonce", "POST /new-order"]


# what it answers


PROBLEMS = (
    (500, "serverInternal", True),
    (429, "rateLimited", True),
    (403, "rateLimited", True),
    (503, "anything", True),
    (400, "malformed", False),
    (400, "badCSR", False),
    (403, "rejectedIdentifier", False),
    (403, "unauthorized", False),
    (403, "userActionRequired", False),
    (409, "unknownToUs", False),
)


async def test_a_problem_is_worth_another_try_or_final(session: AcmeSession, double: AcmeDouble) -> None:
    for status, kind, again in PROBLEMS:
        double.fail("/new-order", status, kind, Retry_After="77")
        with pytest.raises(AcmeUnavailable if again else AcmeRefused) as caught:
            await session.new_order([A])
        assert caught.value.kind == kind
        assert str(caught.value) == f"{kind}: The ACME server answered {kind}: {kind} of the test"
        assert getattr(caught.value, "retry_after_seconds", 77) == 77


WAITS = (
    ("120", 120),
    ("0", 1),
    ("99999999999999999999", 604_800),
    ("Sun, 15 Jun 2025 15:08:40 GMT", 121),  # the clock of the test shows 15:06:40
    ("Sun, 15 Jun 2025 10:00:00 GMT", 1),
    ("-5", None),
    ("soon", None),
    ("Sun, 99 Jun 2025 15:08:40 GMT", None),
)


async def test_a_time_to_wait_is_read_in_both_forms_and_bounded(session: AcmeSession, double: AcmeDouble) -> None:
    url, _ = await session.new_order([A])
    for header, seconds in WAITS:
        double.fail("/new-order", 429, "rateLimited", Retry_After=header)
        with pytest.raises(AcmeUnavailable) as caught:
            await session.new_order([A])
        assert caught.value.retry_after_seconds == seconds
        double.retry_after = header
        assert (await session.order(url)).retry_after_seconds == seconds


NO_ORDERS = (
    (500, b"<html>", True, "http500"),
    (502, b"", True, "http502"),
    (404, b"<html>", False, "notFound"),
    (400, b"[]", False, "http400"),
    (403, b'{"type":7}', False, "http403"),
    (301, b"", False, "http301"),
    (200, b"<html>", True, "unreadable"),
    (200, b"", True, "unreadable"),
    (200, b"[" * 100_000, True, "unreadable"),
    (200, b"\xff", True, "unreadable"),
    (200, b" " * 300_000, True, "unreadable"),
    (200, b'{"status":"new","authorizations":[],"finalize":"x"}', True, "unreadable"),
    (200, b'{"status":"pending","finalize":"x","authorizations":[' + b'"x",' * 100 + b'"x"]}', True, "unreadable"),
)


async def test_an_answer_that_is_no_order_is_a_refusal(session: AcmeSession, double: AcmeDouble) -> None:
    url, _ = await session.new_order([A])
    for status, body, again, kind in NO_ORDERS:
        double.faults.append(Fault("/orders", status, body))
        with pytest.raises(AcmeUnavailable if again else AcmeRefused) as caught:
            await session.order(url)
        assert caught.value.kind == kind
        assert double.faults == []


async def test_what_a_server_says_is_made_harmless(session: AcmeSession, double: AcmeDouble) -> None:
    body = {
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "line\r\nbreak \x1b[31m\x00\ud800 é " + "x" * 1000,
        "subproblems": [{"detail": "inner"}] * 50,
    }
    double.faults.append(Fault("/new-order", 400, json.dumps(body).encode()))
    with pytest.raises(AcmeRefused) as caught:
        await session.new_order([A])
    assert caught.value.text.isascii()
    assert caught.value.text.isprintable()
    assert len(caught.value.text) < 400
    double.faults.append(Fault("/new-order", 400, json.dumps(body | {"detail": "outer"}).encode()))
    with pytest.raises(AcmeRefused, match=r"malformed: outer inner$"):
        await session.new_order([A])


@pytest.mark.parametrize("token", ["short", "../../../../../../etc/passwd", "a" * 300, "ä" * 30, "a" * 30 + "\n"])
async def test_a_token_that_could_be_a_path_is_no_token(session: AcmeSession, double: AcmeDouble, token: str) -> None:
    _, order = await session.new_order([A])
    for authorization in double.authorizations.values():
        authorization.token = token
    with pytest.raises(AcmeUnavailable):
        await session.authorization(order.authorizations[0])


@pytest.mark.parametrize("body", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x30\x03"])
async def test_what_is_no_chain_is_not_taken(session: AcmeSession, double: AcmeDouble, body: bytes) -> None:
    double.faults.append(Fault("/certificates", 200, body))
    with pytest.raises(AcmeUnavailable):
        await session.certificate(f"{double.origin}/certificates/1")


# where it goes


FOREIGN = (
    "http://localhost:{port}/orders/1",
    "https://localhost/orders/1",
    "https://127.0.0.1:{port}/orders/1",
    "https://user@localhost:{port}/orders/1",
    "https://localhost.evil:{port}/orders/1",
    "https://evil@localhost:{port}@evil/",
    "//localhost:{port}/orders/1",
    "/orders/1",
    "file:///etc/passwd",
    "https://localhost:{port}/a b",
    "https://localhost:{port}/\r\nX: y",
    "https://localhost:99999/",
    "https://[::1/",
    "",
)


async def test_a_url_that_is_not_the_servers_own_is_never_asked(session: AcmeSession, double: AcmeDouble) -> None:
    for url in (one.format(port=double.port) for one in FOREIGN):
        for step in (session.order, session.authorization, session.certificate):
            with pytest.raises(AcmeRefused) as caught:
                await step(url)
            assert caught.value.kind == "foreignUrl"
        with pytest.raises(AcmeRefused):
            await session.respond(Challenge("http-01", url))
    assert double.asked == []


async def test_a_directory_that_points_elsewhere_is_not_followed(double: AcmeDouble) -> None:
    async with AsyncExitStack() as stack:
        with free_socket() as other:
            other.listen()
            elsewhere = f"https://127.0.0.1:{other.getsockname()[1]}/x"
            double.rewrite["/directory"] = lambda body: {name: elsewhere for name in body if name != "meta"}
            client = AcmeClient(double.directory, double.context, MovedClock())
            session = await stack.enter_async_context(client.connected(account_key(ec_key())))
            with pytest.raises(AcmeRefused) as caught:
                await session.register([], None)
            assert caught.value.kind == "foreignUrl"
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.accept()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(session: AcmeSession, double: AcmeDouble, status: int) -> None:
    url, _ = await session.new_order([A])
    double.asked.clear()
    double.faults.append(Fault("/orders", status, b"", {"Location": f"{double.origin}/elsewhere"}))
    with pytest.raises(AcmeRefused):
        await session.order(url)
    assert len(double.asked) == 1


async def test_a_server_that_the_ca_did_not_certify_for_this_name_is_not_believed(double: AcmeDouble) -> None:
    for directory, context in (
        (f"https://127.0.0.1:{double.port}/directory", double.context),
        (double.directory, ssl.create_default_context()),
    ):
        with pytest.raises(AcmeUnavailable) as caught:
            async with AcmeClient(directory, context, MovedClock()).connected(account_key(ec_key())):
                pass
        assert caught.value.kind == "unreachable"
    assert double.asked == []


async def test_a_server_that_is_gone_is_no_accident(session: AcmeSession, double: AcmeDouble) -> None:
    with free_socket() as nobody:
        directory = f"https://localhost:{nobody.getsockname()[1]}/directory"
        with pytest.raises(AcmeUnavailable) as caught:
            async with AcmeClient(directory, double.context, MovedClock()).connected(account_key(ec_key())):
                pass
    assert caught.value.text == "The ACME server is out of reach."


@pytest.mark.parametrize("directory", ["http://localhost/dir", "https://user:pw@localhost/dir", "", "https://", "x"])
def test_only_an_https_url_is_a_directory(directory: str) -> None:
    with pytest.raises(ValueError, match="https"):
        AcmeClient(directory, ssl.create_default_context(), MovedClock())
