"""The load generator: a process of its own, `python -m tests.bench.load`.

Cheap on purpose, since it shares the machine with the server: uvloop, one asyncio Protocol per connection, requests
as prebuilt bytes, answers read as far as status and Content-Length. One request is under way per connection.

A job comes as a line of JSON on standard input. It connects, warms up, says {"ready": true}, waits for a line, runs,
and says what it measured. Any answer with another status than the expected one, any lost connection: {"error": …}.

What a request begins may be followed until it is done: the same connection then asks again and again, and the clock
stops with the last answer.
"""

import asyncio
import base64
import json
import re
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_ANSWER_SECONDS = 60.0
_WARM_UP_REQUESTS = 4
_COUNTER = b"@@@@@@@@@"  # in a request: replaced by a number that no other request of the job has
_SAMPLES = 16
_FOLLOW_SECONDS = 0.01  # from one look at what was begun to the next
_OK = b"HTTP/1.1 200 "


@dataclass(slots=True)
class Run:
    """One stretch of load. most: requests at all. latencies: seconds. samples: (which request, body of the answer).

    follow: what is asked again (status 200) as long as the last answer has unfinished in it; empty: nothing is.
    """

    requests: list[bytes]
    status: bytes
    most: int
    follow: bytes = b""
    unfinished: bytes = b""
    ends: float = 0.0
    issued: int = 0
    running: int = 0
    first_number: int = 0
    latencies: list[float] = field(default_factory=list)
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    finished: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def next(self) -> tuple[int, bytes, bytes]:
        """Which request, the request, and what follows it."""
        which = self.issued % len(self.requests)
        request, follow = self.requests[which], self.follow
        if _COUNTER in request:
            number = b"%09d" % (self.first_number + self.issued)
            request, follow = request.replace(_COUNTER, number), follow.replace(_COUNTER, number)
        self.issued += 1
        return which, request, follow

    def fail(self, reason: str) -> None:
        if not self.finished.done():
            self.finished.set_exception(RuntimeError(reason))


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._run: Run | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._which = 0
        self._status = b""
        self._follow = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none, but has its methods

    def start(self, run: Run) -> None:
        self._run = run
        run.running += 1
        self._send(run)

    def close(self) -> None:
        self._run = None
        if self._transport is not None:
            self._transport.abort()

    def _send(self, run: Run) -> None:
        assert self._transport is not None
        self._which, request, self._follow = run.next()
        self._status = run.status
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _ask_again(self) -> None:
        if self._run is not None and self._transport is not None:
            self._status = _OK
            self._transport.write(self._follow)

    def data_received(self, data: bytes) -> None:
        run = self._run
        if run is None:
            return
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            self._buffer = data
            return
        length = _LENGTH.search(data, 0, end)
        if not data.startswith(self._status) or length is None:
            run.fail(f"answer: {data[:60]!r} … {data[end:][:300]!r}")
            return
        missing = end + int(length[1]) - len(data)
        if missing > 0:
            self._buffer = data
            return
        if missing < 0:
            run.fail("more bytes than Content-Length says")
            return
        self._buffer = b""
        if self._follow and data.find(run.unfinished, end) >= 0:
            asyncio.get_running_loop().call_later(_FOLLOW_SECONDS, self._ask_again)
            return
        now = time.perf_counter()
        run.latencies.append(now - self._sent)
        if len(run.samples) < _SAMPLES:
            run.samples.append((self._which, data[end:]))
        if now < run.ends and run.issued < run.most:
            self._send(run)
            return
        run.running -= 1
        if run.running == 0 and not run.finished.done():
            run.finished.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._run is not None:
            self._run.fail(f"the server closed a connection: {exc!r}")


async def carry_out(run: Run, connections: list[Connection], seconds: float) -> float:
    """Load until the time is over and everything is answered. Returns the seconds that it took."""
    began = time.perf_counter()
    run.ends = began + seconds
    for connection in connections[: run.most]:
        connection.start(run)
    await asyncio.wait_for(run.finished, seconds + _ANSWER_SECONDS)
    return time.perf_counter() - began


async def job(order: dict[str, Any]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=order["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    requests = [base64.b64decode(request) for request in order["requests"]]
    status = b"HTTP/1.1 %d " % order["status"]
    follow, unfinished = base64.b64decode(order["follow"]), order["unfinished"].encode()
    connections: list[Connection] = []
    try:
        for _ in range(order["connections"]):
            _, connection = await loop.create_connection(
                Connection, "127.0.0.1", order["port"], ssl=context, server_hostname=order["host"]
            )
            connections.append(connection)
        warm_up = Run(requests, status, len(connections) * _WARM_UP_REQUESTS, follow, unfinished)
        await carry_out(warm_up, connections, order["warm_up_seconds"])
        say({"ready": True})
        await loop.run_in_executor(None, sys.stdin.readline)
        run = Run(requests, status, order["most"], follow, unfinished, first_number=warm_up.issued)
        own = time.process_time()
        took = await carry_out(run, connections, order["seconds"])
        own = time.process_time() - own
    finally:
        for connection in connections:
            connection.close()
    return {
        "seconds": took,
        "own_cpu_seconds": own,
        "latencies_us": [round(seconds * 1e6) for seconds in run.latencies],
        "samples": [(which, base64.b64encode(body).decode()) for which, body in run.samples],
    }


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    while line := sys.stdin.readline():
        try:
            answer = uvloop.run(job(json.loads(line)))
        except (RuntimeError, OSError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(answer)


if __name__ == "__main__":
    main()
