"""Posts to a webhook: a real receiver, and every way in which it can be a bad one."""

import asyncio
import ssl
from pathlib import Path

import pytest

from hsmvault.outbound.webhooks import Answer, Webhook, retry_after_seconds
from tests.login.world import free_socket, tls_context
from tests.outbound.receivers import receiving
from tests.pipeline.world import rsa_key

SECRET = "Bearer sesame"
NOW = 1_750_000_000.0  # 2025-06-15T15:06:40Z


def hook(url: str, *, context: ssl.SSLContext | None = None, seconds: float = 10.0) -> Webhook:
    headers = {"Authorization": SECRET}
    return Webhook(url, context=context or ssl.create_default_context(), headers=headers, timeout_seconds=seconds)


async def test_body_and_headers_arrive_over_tls_that_the_receiver_proves(tmp_path: Path) -> None:
    server_context, ca_file = tls_context(tmp_path, "localhost", [rsa_key(3), rsa_key(4)])
    async with receiving(server_context) as receiver:
        url = f"https://localhost:{receiver.port}/hook?a=b"
        trusting = ssl.create_default_context(cafile=str(ca_file))
        assert await hook(url, context=trusting).post(b"body", {"Content-Type": "text/x"}) == Answer(200)
        (received,) = receiver.received
        assert (received.path, received.body) == ("/hook?a=b", b"body")
        assert (received.headers["content-type"], received.headers["authorization"]) == ("text/x", SECRET)

        nameless = hook(url.replace("localhost", "127.0.0.1"), context=trusting)
        assert await nameless.post(b"body", {}) == Answer(0, "ClientConnectorCertificateError")
        assert await hook(url).post(b"body", {}) == Answer(0, "ClientConnectorCertificateError")
        assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 307, 308, 400, 404, 429, 500, 503])
async def test_any_status_of_2xx_is_taken_and_no_redirect_is_followed(status: int) -> None:
    async with receiving() as receiver:
        receiver.statuses, receiver.headers = [status], {"Retry-After": "7", "Location": receiver.url}
        answer = await hook(receiver.url).post(b"", {})
        assert answer == Answer(status, "" if status < 300 else f"HTTP {status}", "7")
        assert answer.is_taken == (status < 300)
        assert len(receiver.received) == 1


async def test_the_body_of_an_answer_is_not_read() -> None:
    async with receiving() as receiver:
        receiver.endless = True
        assert (await hook(receiver.url).post(b"", {})).is_taken


async def test_a_receiver_that_does_not_answer_is_left_in_time() -> None:
    async with receiving() as receiver:
        receiver.holding = asyncio.Event()
        assert await hook(receiver.url, seconds=0.05).post(b"", {}) == Answer(0, "no answer in time")
        receiver.holding.set()


async def test_a_receiver_that_is_gone_or_speaks_no_http_is_no_accident() -> None:
    with free_socket() as nobody:
        port = nobody.getsockname()[1]
    assert await hook(f"http://127.0.0.1:{port}/").post(b"", {}) == Answer(0, "ClientConnectorError")

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    answer = await hook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/").post(b"", {})
    assert answer.status == 0
    assert answer.problem
    server.close()
    await server.wait_closed()


def test_a_webhook_shows_nothing_of_its_headers() -> None:
    assert "sesame" not in repr(hook("https://a.example/?key=sesame"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 100, 999_999_999_999.0),
        ("Sun, 15 Jun 2025 15:07:40 GMT", 60.0),
        ("Sun, 15 Jun 2025 15:07:40 -0000", 60.0),
        ("Sun, 15 Jun 2025 15:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 99 Jun 2025 15:07:40 GMT", None),
        ("Sun, 15 Jun 99999999999 15:07:40 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds
