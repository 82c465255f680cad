"""Mail out: one message to one recipient, through one configured server (RFC 5321; STARTTLS: RFC 3207).

smtplib blocks, so that each message has a lane (a thread) of its own, which ends with it. smtplib bounds each wait for
the server, and not their sum; here the message as a whole has a deadline, at which the connection is cut.
"""

import asyncio
import contextlib
import email.policy
import re
import smtplib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from enum import Enum
from typing import Final

from hsmvault.errors import HsmvaultError
from hsmvault.lanes import Lane

_ADDRESS: Final = re.compile(r"[^\s\x00-\x1f\x7f<>()\[\]\\,;:\"@]+@[^\s\x00-\x1f\x7f<>()\\,;\"@]+")
_LONGEST_ADDRESS: Final = 254
_LINE_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
# Quoted-printable or base64 for what is not ASCII: a server need not speak 8BITMIME.
_POLICY: Final = email.policy.SMTP.clone(cte_type="7bit")


class Security(Enum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class NotAMail(HsmvaultError):
    """The message can never be sent: an address or a subject with a line break in it, or no address at all."""


class NotSent(HsmvaultError):
    """str(): why, for an operator; without anything that was sent. is_servers_fault: at the moment no other mail would
    be taken either.
    """

    def __init__(self, problem: str, *, is_servers_fault: bool) -> None:
        super().__init__(problem)
        self.is_servers_fault = is_servers_fault


@dataclass(frozen=True, slots=True)
class Login:
    """What the server asks for. The password does not show itself."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.username!r}, ***)"


@dataclass(frozen=True, slots=True)
class MailServer:
    """context: trusts the configured CA file, or the system's CAs. sender: a bare address. timeout_seconds: for one
    message as a whole.
    """

    host: str
    port: int
    security: Security
    context: ssl.SSLContext
    sender: str
    timeout_seconds: float
    login: Login | None = None

    async def send(self, recipient: str, subject: str, body: str, *, time: int, number: int) -> None:
        """Returns when the server has taken it. See message_of(). Raises NotAMail, NotSent."""
        message = message_of(self.sender, recipient, subject, body, time=time, number=number)
        connection = _Connection(self)
        lane: Lane[None] = Lane("smtp", None, limit=1)
        sending = lane.submit(lambda _: connection.send(message, recipient))
        ending = asyncio.ensure_future(lane.close())
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await sending
        except TimeoutError:
            connection.cut()  # the thread ends by itself
            raise NotSent("no answer in time", is_servers_fault=True) from None
        except asyncio.CancelledError:
            connection.cut()
            raise
        except NotSent:
            await ending
            raise
        await ending


class _Connection:
    """Used by the lane's thread, and cut by the event loop's."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None

    def send(self, message: EmailMessage, recipient: str) -> None:
        try:
            smtp = self._smtp = self._opened()
            try:
                self._secure(smtp)
                self._hand_over(smtp, message, recipient)
                with contextlib.suppress(OSError):  # it is sent
                    smtp.quit()
            finally:
                smtp.close()
        except smtplib.SMTPResponseException as error:
            raise NotSent(f"{type(error).__name__} {error.smtp_code}", is_servers_fault=True) from None
        except (OSError, ValueError) as error:  # smtplib's are OSErrors; their texts may hold what was sent
            raise NotSent(type(error).__name__, is_servers_fault=True) from None

    def cut(self) -> None:
        smtp = self._smtp
        if smtp is not None and smtp.sock is not None:
            with contextlib.suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)

    def _opened(self) -> smtplib.SMTP:
        server = self._server
        name = socket.gethostname()  # smtplib would ask the DNS for a longer one
        if server.security is Security.TLS:
            return smtplib.SMTP_SSL(
                server.host, server.port, name, timeout=server.timeout_seconds, context=server.context
            )
        return smtplib.SMTP(server.host, server.port, name, timeout=server.timeout_seconds)

    def _secure(self, smtp: smtplib.SMTP) -> None:
        """A server that offers no STARTTLS where it is asked for gets neither the password nor the message."""
        if self._server.security is Security.STARTTLS:
            smtp.starttls(context=self._server.context)
        if self._server.login is not None:
            smtp.login(self._server.login.username, self._server.login.password)

    def _hand_over(self, smtp: smtplib.SMTP, message: EmailMessage, recipient: str) -> None:
        try:
            smtp.send_message(message, self._server.sender, [recipient])
        except smtplib.SMTPRecipientsRefused as error:
            code, _ = error.recipients[recipient]
            raise NotSent(f"the recipient is refused with {code}", is_servers_fault=False) from None
        except smtplib.SMTPDataError as error:
            raise NotSent(f"the message is refused with {error.smtp_code}", is_servers_fault=False) from None
        except smtplib.SMTPNotSupportedError:
            raise NotSent("the server takes no such address (SMTPUTF8)", is_servers_fault=False) from None


def message_of(sender: str, recipient: str, subject: str, body: str, *, time: int, number: int) -> EmailMessage:
    """time: seconds since 1970 UTC. number: of the mail; the same mail has the same Message-ID when it is sent again.

    Raises NotAMail, so that no name or address adds a header or a recipient.
    """
    for address in (sender, recipient):
        if not _ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS:
            raise NotAMail("not an address")
    if _LINE_BREAKS.search(subject):
        raise NotAMail("a subject with a line break")
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.fromtimestamp(time, UTC))
    message["Message-ID"] = f"<{time}.{number}.hsmvault@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    message.set_content(body)
    return message
