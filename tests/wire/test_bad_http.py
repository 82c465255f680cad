"""What is not proper HTTP is 400 and the end of the connection, and none of it is echoed or logged."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.server import Limits
from tests.login.world import tls_context
from tests.pipeline.world import rsa_key
from tests.wire.conftest import Start
from tests.wire.service import VERSION, Answer, Service, read_answer

HOST = "Host: dev.vault.localhost:8443"
TINY = Limits(header_bytes=4096, header_seconds=0.05, idle_seconds=5.0, handshake_seconds=0.2)


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def exchange(service: Service, content: bytes) -> list[Answer]:
    """Every answer until the service closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    answers = []
    try:
        writer.write(content)
        async with asyncio.timeout(5):
            while (answer := await read_answer(reader)) is not None:
                answers.append(answer)
    finally:
        writer.close()
    return answers


def is_plain_refusal(answer: Answer) -> bool:
    return (
        (answer.status, answer.code, answer.message) == (400, "BadParameter", "The request is not valid HTTP.")
        and answer.header("Server") == "hsmvault"
        and answer.header("X-Content-Type-Options") == "nosniff"
        and answer.header("WWW-Authenticate") is None
    )


GOOD_TAIL = head(f"GET /keys?{VERSION} HTTP/1.1", HOST, "X-Smuggled: 1")


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5 5"],
        ["Content-Length: 5.0"],
        ["Content-Length: \xb2"],
        ["Content-Length:"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length : 5"],
        [" Content-Length: 5"],
        ["X: a", " folded"],
        ["X: a", "\tfolded"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:\x0bchunked"],
        ["X\x00: a"],
        ["X: a\x00b"],
        ["X: a\rContent-Length: 5"],
        ["X"],
        [": a"],
        ["X(y): a"],
        ["X\xe9: a"],
    ],
    ids=lambda lines: repr("|".join(lines)),
)
async def test_requests_with_two_lengths_or_strange_headers_are_refused_and_closed(
    service: Service, lines: list[str]
) -> None:
    content = (
        head("POST /keys/k/sign HTTP/1.1", HOST, f"Authorization: Bearer {service.token()}", *lines) + b"0\r\n\r\n"
    )
    answers = await exchange(service, content + GOOD_TAIL)
    assert len(answers) == 1
    assert is_plain_refusal(answers[0]), answers[0].raw
    assert service.calls == []


@pytest.mark.parametrize(
    "line",
    [
        "GET /keys HTTP/2.0",
        "GET /keys HTTP/1.11",
        "GET /keys HTTP/9.9",
        "GET /keys",
        "GET\t/keys\tHTTP/1.1",
        " GET /keys HTTP/1.1",
        "GET /keys HTTP/1.1 ",
        "GE\x00T /keys HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01",
        "PRI * HTTP/2.0",
        "BREW /keys HTTP/1.1",
        "get /keys HTTP/1.1",
    ],
)
async def test_request_lines_that_are_none_are_refused_and_closed(service: Service, line: str) -> None:
    answers = await exchange(service, head(line, HOST) + GOOD_TAIL)
    assert len(answers) == 1
    assert answers[0].status == 400
    assert service.calls == []


@pytest.mark.parametrize(
    "chunks",
    [b"5;\r\nhello\r\n0\r\n\r\nX", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
     b"-1\r\n", b"fffffffffffffffff\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"\r\n", b"z\r\n"],
)  # fmt: skip
async def test_bad_chunks_end_the_connection(service: Service, chunks: bytes) -> None:
    start = head("POST /keys/k//sign?" + VERSION + " HTTP/1.1", HOST, f"Authorization: Bearer {service.token()}",
                 "Transfer-Encoding: chunked")  # fmt: skip
    answers = await exchange(service, start + chunks + GOOD_TAIL)
    assert [answer.status for answer in answers] in ([400], [400, 400])
    assert all(call.status == 400 for call in service.calls)


async def test_a_chunked_body_is_read_as_one(service: Service) -> None:
    lines = ["POST /keys/k/create?" + VERSION + " HTTP/1.1", HOST, f"Authorization: Bearer {service.token()}"]
    body = b'6\r\n{"kty"\r\n5;x=y\r\n:"EC"\r\n1\r\n}\r\n0\r\n\r\n'
    (answer,) = await service.raw(head(*lines, "Transfer-Encoding: chunked") + body)
    assert answer.status == 200


# headers that are too large; what is in them stays there


async def test_an_oversized_header_is_refused_and_nothing_of_it_is_echoed_or_logged(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    token = service.token() + "A" * 20_000
    for name in ("Authorization: Bearer ", "Cookie: token=", "X-Secret-Header: "):
        answers = await exchange(service, head(f"GET /keys?{VERSION} HTTP/1.1", HOST, name + token))
        assert len(answers) == 1 and is_plain_refusal(answers[0])
        assert token[:20].encode() not in answers[0].raw + answers[0].body
    target = f"/keys?{VERSION}&access_token={token}"
    (answer,) = await exchange(service, head(f"GET {target} HTTP/1.1", HOST))
    assert is_plain_refusal(answer)
    for record in log.records:
        assert token[:20] not in record.getMessage() + repr(record.args) + str(record.exc_info)
    assert service.calls == []


async def test_too_many_headers_are_refused(service: Service) -> None:
    (answer,) = await exchange(service, head("GET / HTTP/1.1", HOST, *(f"X-{number}: a" for number in range(1000))))
    assert is_plain_refusal(answer)


async def test_a_refused_token_is_in_no_log_and_no_record(service: Service, log: pytest.LogCaptureFixture) -> None:
    tokens = [
        service.token(),
        service.token(key=rsa_key(2)),
        service.token(header=service.header(kid="x")),
        "not-a-token-at-all",
    ]
    await service.create_ec("k")
    for token in tokens:
        for target in ("/keys/k", "/keys/../k", "/nothing", "/keys/k?api-version=1"):
            await service.ask("GET", target, token=token)
        await service.ask("POST", "/keys/k/create", b"{" + token.encode(), token=token)
    text = "\n".join(record.getMessage() for record in log.records) + service.audit_path.read_text()
    for token in tokens:
        for part in token.split(".")[1:] or [token]:
            assert part not in text


# time


async def test_headers_that_do_not_arrive_in_time_end_the_connection(start: Start) -> None:
    async with start(limits=TINY) as service:
        for beginning in (b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"):
            assert await exchange(service, beginning) == []
        assert service.listener is not None and service.listener.connections() == 0


async def test_headers_that_trickle_do_not_get_more_time(start: Start) -> None:
    async with start(limits=TINY) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        loop = asyncio.get_running_loop()
        began, closed = loop.time(), asyncio.create_task(reader.read())
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        while not closed.done() and loop.time() - began < 5:
            writer.write(b"x")
            await asyncio.wait([closed], timeout=0.01)
        assert closed.done() and closed.result() == b""
        writer.close()


async def test_a_connection_that_says_nothing_is_closed(start: Start) -> None:
    async with start(limits=Limits(idle_seconds=0.05)) as service:
        assert await exchange(service, b"") == []


async def test_a_connection_that_was_used_is_closed_after_a_while(start: Start) -> None:
    async with start(limits=Limits(idle_seconds=0.05)) as service:
        (answer,) = await exchange(service, service.request("GET", "/keys?" + VERSION))
        assert answer.status == 200


async def test_a_body_that_does_not_arrive_in_time_is_refused(start: Start) -> None:
    async with start(bodies=BodyLimits(seconds=0.05)) as service:
        request = service.request("POST", "/keys/k/create?" + VERSION, {"kty": "EC"})
        (answer,) = await service.raw(request[:-3])
        assert (answer.status, answer.code) == (400, "BadParameter")
        assert answer.message == "The request body did not arrive in time."
        assert (await service.ask("GET", "/keys")).json["value"] == []


async def test_more_connections_than_the_limit_are_closed_and_the_others_go_on(start: Start) -> None:
    async with start(limits=Limits(connections=2)) as service:
        kept = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(service.request("GET", "/keys?" + VERSION))
            assert (await read_answer(reader)) is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        for reader, writer in kept:
            writer.write(service.request("GET", "/keys?" + VERSION))
            answer = await read_answer(reader)
            assert answer is not None and answer.status == 200
            writer.close()


@pytest.mark.parametrize("rest", [b"z\r\n", b"5\r\nhelloX"])
async def test_chunks_that_go_wrong_later_are_400_too(start: Start, log: pytest.LogCaptureFixture, rest: bytes) -> None:
    """aiohttp tells nobody who already waits for the body: the deadline does."""
    async with start(bodies=BodyLimits(seconds=0.05)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        lines = ["POST /keys/k//sign?" + VERSION + " HTTP/1.1", HOST, f"Authorization: Bearer {service.token()}"]
        writer.write(head(*lines, "Transfer-Encoding: chunked") + b"1\r\n{\r\n")
        while not service.authentication.misses:  # noqa: ASYNC110  # until the handler waits for the body
            await asyncio.sleep(0)
        writer.write(rest)
        answer = await read_answer(reader)
        writer.close()
        assert answer is not None and answer.status == 400
    assert not [record for record in log.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_a_client_that_hangs_up_costs_nothing(service: Service, log: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(service.request("POST", "/keys/k/create?" + VERSION, {"kty": "EC"})[:-2])
        writer.close()
        await writer.wait_closed()
    assert (await service.ask("GET", "/keys")).status == 200
    assert not [record for record in log.records if record.levelname in ("ERROR", "CRITICAL")]


# TLS


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, ca_file = tls_context(tmp_path, "127.0.0.1", [rsa_key(3), rsa_key(4)])
    client = ssl.create_default_context(cafile=str(ca_file))
    client.check_hostname = False
    return server, client


async def test_plain_http_on_the_tls_port_gets_no_answer_and_no_redirect(
    start: Start, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with start(tls=contexts) as service:
        assert (await service.ask("GET", "/keys")).status == 200
        service.context = None
        assert await exchange(service, service.request("GET", "/keys?" + VERSION)) == []


async def test_a_handshake_that_does_not_end_is_ended(
    start: Start, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with start(tls=contexts, limits=TINY) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
