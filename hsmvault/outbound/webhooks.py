"""One configured webhook: what is posted to it, within bounds, over TLS that it has to prove.

It connects to nothing but the configured URL: no redirect is followed, no proxy of the environment is used. Of the
answer only the status and Retry-After are looked at; its body is not read.
"""

import email.utils
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP; 0 when there was none. problem: for an operator, without anything that was sent; empty when the
    receiver took it. retry_after: what the answer's header of that name says, for retry_after_seconds().
    """

    status: int
    problem: str = ""
    retry_after: str = ""

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Webhook:
    """Belongs to one event loop. Its repr shows nothing of the headers, one of which may be a credential."""

    def __init__(
        self, url: str, *, context: ssl.SSLContext, headers: Mapping[str, str], timeout_seconds: float
    ) -> None:
        """context: trusts the configured CA file, or the system's CAs. timeout_seconds: for one request as a whole."""
        self._url = url
        self._context = context
        self._headers = dict(headers)
        self._timeout_seconds = timeout_seconds

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises nothing but cancellation.

        Each request has a connection of its own: on one that was kept a receiver may hang up at the moment in which
        the next event is sent, and a POST that may have arrived is not repeated by itself.
        """
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                    connector=aiohttp.TCPConnector(ssl=self._context, force_close=True),
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.post(
                    self._url, data=body, headers={**self._headers, **headers}, allow_redirects=False
                ) as response,
            ):
                status, retry_after = response.status, response.headers.get("Retry-After", "")
        except TimeoutError:
            return Answer(0, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # their texts may hold what was sent
            return Answer(0, type(error).__name__)
        return Answer(status, "" if 200 <= status < 300 else f"HTTP {status}", retry_after)


def retry_after_seconds(value: str, now: float) -> float | None:
    """A Retry-After header, seconds or a date (RFC 9110, 10.2.3), in seconds from now. None when it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:12])
    try:
        date = email.utils.parsedate_to_datetime(value)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None
