"""Requests to one ACME server: its origin and no other, no redirects, bounded bodies, bounded time.

A server's answers are full of URLs that a client is to follow. An ACME server that was taken over, or a stranger in its
place, must not be able to send us to hosts of our own network: what is not of the origin of the configured directory is
refused before any connection.
"""

import logging
import re
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from hsmvault.clock import Clock
from hsmvault.outbound.acme_problems import (
    FOREIGN_URL,
    UNREACHABLE,
    UNREADABLE,
    AcmeRefused,
    AcmeUnavailable,
    error_of,
    retry_after,
)

LOG = logging.getLogger("hsmvault.outbound")
_TIMEOUT_SECONDS = 10.0  # of one request; guessed: a busy authority takes a few seconds to sign
_LONGEST_BYTES = 256 * 1024
_NONCE = re.compile(r"[A-Za-z0-9_-]{1,512}")  # RFC 8555, 6.5.1
_MOST_NONCES = 8
_URL = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a request that went well. location: the header, which is no URL to follow yet."""

    body: bytes = field(repr=False)
    location: str
    retry_after_seconds: int | None


class AcmeHttp:
    """Connections to one server while its `async with` lasts. directory_url: https; ValueError otherwise.

    context: trusts the configured CA file, or the system's CAs.
    """

    def __init__(self, directory_url: str, context: ssl.SSLContext, clock: Clock) -> None:
        self._origin = _origin(directory_url)
        if self._origin is None:
            raise ValueError("not an https URL")
        self._context = context
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._nonces: list[str] = []

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            connector=aiohttp.TCPConnector(ssl=self._context, limit=2),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "hsmvault", "Accept-Encoding": "identity", "Accept-Language": "en"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def take_nonce(self) -> str | None:
        """One that an answer brought along and nobody has used; each is good once."""
        return self._nonces.pop() if self._nonces else None

    async def send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        """Raises AcmeRefused when the URL is not the server's own; AcmeUnavailable, AcmeRefused for what it answers."""
        if self._session is None:
            raise RuntimeError("not connected")
        headers = {} if body is None else {"Content-Type": "application/jose+json"}
        try:
            async with self._session.request(
                method, self.checked(url), data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await _read(response)
                wait = retry_after(response.headers, self._clock.now())
                self._keep_nonce(response.headers.get("Replay-Nonce", ""))
                status, location = response.status, response.headers.get("Location", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
            LOG.warning("acme: %s is out of reach: %s", url, type(error).__name__)
            raise AcmeUnavailable(UNREACHABLE, "The ACME server is out of reach.") from error
        if not 200 <= status < 300:
            raise error_of(status, content, wait)
        return Answer(content, location, wait)

    def checked(self, url: str) -> URL:
        """Raises AcmeRefused when it is not the server's own."""
        if _URL.fullmatch(url) is None or _origin(url) != self._origin:
            raise AcmeRefused(FOREIGN_URL, "The ACME server names a URL that is not its own.")
        return URL(url, encoded=True)  # as it is: it is signed, too

    def _keep_nonce(self, nonce: str) -> None:
        if _NONCE.fullmatch(nonce) is not None and len(self._nonces) < _MOST_NONCES:
            self._nonces.append(nonce)


def _origin(url: str) -> tuple[str, int] | None:
    """Host and port of an https URL without a user name; None for any other."""
    try:
        parts = URL(url, encoded=True)
        if parts.scheme != "https" or parts.raw_user is not None or parts.raw_password is not None:
            return None
        host, port = parts.raw_host, parts.port
    except ValueError:
        return None
    return None if not host or port is None else (host.lower(), port)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > _LONGEST_BYTES:
            raise AcmeUnavailable(UNREADABLE, "The ACME server's answer is too long.")
    return bytes(content)
