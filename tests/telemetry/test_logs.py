"""Logs are JSON, one line each, and say nothing that a caller sent in confidence."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import LineTooLong

from hsmvault.errors import Unavailable
from hsmvault.telemetry import configure_logs, request_id

SECRET = "Bearer eyJhbGciOi"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logs("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_whatever_is_in_it(stream: io.StringIO) -> None:
    logging.getLogger("hsmvault.x").info("name %s", "a\r\nb\x1b[31m\u2028", extra={"key": "c\nd", "count": 3})
    (line,) = lines(stream)
    assert line["message"] == "name a\r\nb\x1b[31m\u2028"
    assert (line["key"], line["count"], line["level"], line["logger"]) == ("c\nd", 3, "info", "hsmvault.x")
    assert stream.getvalue().isascii()


def test_a_record_carries_the_id_of_its_request(stream: io.StringIO) -> None:
    token = request_id.set("b5a2")
    logging.getLogger("hsmvault").warning("in")
    request_id.reset(token)
    logging.getLogger("hsmvault").warning("out")
    inside, outside = lines(stream)
    assert inside["request_id"] == "b5a2"
    assert "request_id" not in outside


def test_the_message_of_a_foreign_exception_is_not_written(stream: io.StringIO) -> None:
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise Unavailable("Try again.", detail="CKR_DEVICE_ERROR") from error
    except Unavailable:
        logging.getLogger("hsmvault").exception("failed")
    (line,) = lines(stream)
    assert line["exception"] == "hsmvault.errors.Unavailable: Try again. (CKR_DEVICE_ERROR) <- ValueError"
    assert "test_logs.py" in str(line["traceback"])
    assert SECRET not in stream.getvalue()


def test_what_aiohttp_says_of_an_oversized_header_is_not_written(stream: io.StringIO) -> None:
    error = LineTooLong(SECRET.encode(), 8190)
    logging.getLogger("aiohttp.server").error("Error handling request from %s", SECRET, exc_info=error)
    assert SECRET not in stream.getvalue()
    assert "LineTooLong" in stream.getvalue()


async def test_what_asyncio_says_of_a_lost_exception_is_not_written(stream: io.StringIO) -> None:
    error = ValueError(SECRET)
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": error, "future": future}
    )
    assert lines(stream)[0]["message"] == "Task exception was never retrieved"
    assert SECRET not in stream.getvalue()
    with pytest.raises(ValueError, match="Bearer"):
        future.result()


def test_a_record_that_does_not_fit_its_template_is_written_all_the_same(stream: io.StringIO) -> None:
    logging.getLogger("hsmvault").info("%d", "x")
    assert lines(stream)[0]["message"] == "%d"
