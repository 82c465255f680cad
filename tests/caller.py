"""A small client for tests that count every answer: one connection, no retries, no pool, a bearer token of its own.

It says what really happened on the wire, which the official client's retries would hide.
"""

import base64
import http.client
import json
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.instance import DevInstance

API_VERSION = "7.4"
LOST = (ConnectionError, http.client.HTTPException, ssl.SSLError, TimeoutError, OSError)
"""What a call may end with when the other side dies."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.status} {self.body}"


class Caller:
    """Calls one vault. Its connection is opened when it is needed, and again after it was lost."""

    def __init__(self, port: int, ca_file: Path, host: str, token: str = "") -> None:
        self.host = host
        self.port = port
        self.token = token
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: object = None, *, request_id: str = "") -> Answer:
        """path: with a query or without; api-version is added. Raises LOST."""
        separator = "&" if "?" in path else "?"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if request_id:
            headers["x-ms-client-request-id"] = request_id
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.send(method, f"{path}{separator}api-version={API_VERSION}", data, headers)

    def send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            if self._connection is None:
                self._connection = self.connect()
            self._connection.request(method, path, data, dict(headers))
            response = self._connection.getresponse()
            content = response.read()
        except LOST:
            self.close()
            raise
        return Answer(response.status, response.headers, json.loads(content) if content else None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> http.client.HTTPConnection:
        """The name is the vault's, the address this machine's."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each body waits 40 ms for the head's ACK
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        return connection


@contextmanager
def owner_of(instance: DevInstance, url: str = "AZURE_KEYVAULT_URL") -> Iterator[Callable[[], Caller]]:
    """Makes callers of the vault `dev` with the owner's token; they are closed with the block. url: the variable that
    names the container, AZURE_MANAGEDHSM_URL for the pool."""
    environment = instance.environment
    vault = urllib.parse.urlsplit(environment[url])
    ca_file = Path(environment["SSL_CERT_FILE"])
    _, plane, suffix = str(vault.hostname).split(".", 2)
    login = Caller(instance.port, ca_file, f"login.{suffix}")
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": environment["AZURE_CLIENT_ID"],
            "client_secret": environment["AZURE_CLIENT_SECRET"],
            "scope": f"https://{plane}.{suffix}{_port(vault.port)}/.default",
        }
    ).encode()
    path = f"/{environment['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    answer = login.send("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
    login.close()
    assert answer.status == 200, answer
    with ExitStack() as stack:

        def make() -> Caller:
            made = Caller(instance.port, ca_file, str(vault.hostname), answer.body["access_token"])
            stack.callback(made.close)
            return made

        yield make


def _port(port: int | None) -> str:
    return "" if port in (None, 443) else f":{port}"


def to_base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def is_signature(jwk: Mapping[str, Any], digest: bytes, signature: bytes) -> bool:
    """Of a SHA-256 digest, by an RSA (RS256) or P-256 key, judged by `cryptography` alone."""
    try:
        if jwk["kty"].startswith("EC"):
            x, y = (int.from_bytes(from_base64url(jwk[name]), "big") for name in ("x", "y"))
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
        else:
            n, e = (int.from_bytes(from_base64url(jwk[name]), "big") for name in ("n", "e"))
            public = rsa.RSAPublicNumbers(e, n).public_key()
            public.verify(signature, digest, padding.PKCS1v15(), Prehashed(SHA256()))
    except InvalidSignature:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float, what: Callable[[], str] | str) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)
