"""HTTP requests as bytes, and the small synchronous client that prepares and checks with them."""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.processes import BenchError

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server on 127.0.0.1. host: as in SNI and, with the port, in the Host header. ca: in PEM."""

    name: str
    host: str
    port: int
    ca: Path
    pids: tuple[int, ...]

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """A complete HTTP/1.1 request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> dict[str, Any]:
        """One request on a connection of its own; the JSON of the answer. Raises BenchError unless it is a 2xx."""
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with socket.create_connection(("127.0.0.1", self.port), _SECONDS) as raw:
                connection = HTTPConnection(self.host, self.port)
                connection.sock = context.wrap_socket(raw, server_hostname=self.host)
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
        except OSError as error:
            raise BenchError(f"{self.name}: {method} {path}: {error}") from error
        if answer.status // 100 != 2:
            raise BenchError(f"{self.name}: {method} {path}: {answer.status} {content[:300]!r}")
        parsed: dict[str, Any] = json.loads(content) if content else {}
        return parsed
