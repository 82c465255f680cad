"""Mail through a real server, over each kind of TLS, and servers and addresses that are no good."""

import asyncio
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.outbound.smtp import Login, MailServer, NotAMail, NotSent, Security, message_of
from tests.login.world import free_socket, tls_context
from tests.outbound.receivers import Mailbox, mail_server
from tests.pipeline.world import rsa_key

SENDER, RECIPIENT = "hsmvault@keys.example", "pki@corp.example"
TIME = 1_750_000_000
LOGIN = Login("hsmvault", "open sesame")


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, and of a client that trusts its CA."""
    server, ca_file = tls_context(tmp_path, "localhost", [rsa_key(3), rsa_key(4)])
    return server, ssl.create_default_context(cafile=str(ca_file))


def server_of(mailbox: Mailbox, **more: object) -> MailServer:
    plain = MailServer(
        "127.0.0.1", mailbox.port, Security.NONE, ssl.create_default_context(), SENDER, timeout_seconds=10.0
    )
    return replace(plain, **more)  # type: ignore[arg-type]  # fields of the one class


async def send(server: MailServer, subject: str = "Renewed", body: str = "It is.\n", to: str = RECIPIENT) -> None:
    await server.send(to, subject, body, time=TIME, number=7)


async def test_mail_arrives_over_starttls_with_a_login(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with mail_server(starttls=contexts[0], login=True) as mailbox:
        over = {"host": "localhost", "security": Security.STARTTLS, "context": contexts[1]}
        await send(server_of(mailbox, **over, login=LOGIN), "Größe x", "Grüße\n.\n" + "lang " * 500 + "\n")
        assert mailbox.logins == [(b"hsmvault", b"open sesame")]
        (envelope,), (message,) = mailbox.envelopes, mailbox.messages
        assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [RECIPIENT])
        assert envelope.original_content.isascii()
        assert (message["From"], message["To"], message["Subject"]) == (SENDER, RECIPIENT, "Größe x")
        assert message["Date"] == "Sun, 15 Jun 2025 15:06:40 +0000"
        assert message["Message-ID"] == "<1750000000.7.hsmvault@keys.example>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content().replace("\r\n", "\n") == "Grüße\n.\n" + "lang " * 500 + "\n"

        wrong = server_of(mailbox, **over, login=Login("hsmvault", "guess"))
        with pytest.raises(NotSent, match=r"^SMTPAuthenticationError 535$") as refused:
            await send(wrong)
        assert refused.value.is_servers_fault
        assert len(mailbox.envelopes) == 1


async def test_mail_arrives_over_tls_from_the_first_byte(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with mail_server(tls=contexts[0]) as mailbox:
        await send(server_of(mailbox, host="localhost", security=Security.TLS, context=contexts[1]))
        assert [one["Subject"] for one in mailbox.messages] == ["Renewed"]


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_server_that_the_ca_did_not_certify_gets_nothing(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    offered = {"starttls" if security is Security.STARTTLS else "tls": contexts[0]}
    async with mail_server(**offered, login=security is Security.STARTTLS) as mailbox:
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)  # the server's: no handshake
        for more in ({"host": "127.0.0.1", "context": contexts[1]}, {"host": "localhost"}):
            with pytest.raises(NotSent, match="SSLCertVerificationError") as refused:
                await send(server_of(mailbox, security=security, login=LOGIN, **more))
            assert refused.value.is_servers_fault
        assert (mailbox.logins, mailbox.envelopes) == ([], [])


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(b"250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(NotSent, match="SMTPNotSupportedError"):
        await send(server_of(Mailbox(port=port), security=Security.STARTTLS, login=LOGIN))
    assert [line[:5] for line in heard] == [b"ehlo "]
    server.close()
    await server.wait_closed()


async def test_a_refused_recipient_or_message_is_not_the_servers_fault() -> None:
    async with mail_server() as mailbox:
        mailbox.refused = frozenset({"gone@corp.example"})
        with pytest.raises(NotSent, match="recipient is refused with 550") as refused:
            await send(server_of(mailbox), to="gone@corp.example")
        assert not refused.value.is_servers_fault
        mailbox.answer = "554 no thanks"
        with pytest.raises(NotSent, match="message is refused with 554") as refused:
            await send(server_of(mailbox))
        assert not refused.value.is_servers_fault


async def test_a_server_that_is_gone_or_hangs_is_left_in_time() -> None:
    with free_socket() as nobody:
        gone = Mailbox(port=nobody.getsockname()[1])
    with pytest.raises(NotSent, match="ConnectionRefusedError") as refused:
        await send(server_of(gone))
    assert refused.value.is_servers_fault

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        hung_up.set_result(await _.read())
        writer.close()

    hung_up: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    with pytest.raises(NotSent, match="no answer in time"):
        await send(server_of(Mailbox(port=server.sockets[0].getsockname()[1]), timeout_seconds=0.1))
    assert (await asyncio.wait_for(hung_up, 5)).startswith(b"ehlo ")
    server.close()
    await server.wait_closed()


async def test_sending_can_be_cancelled_and_leaves_no_thread() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        await reader.readline()
        connected.set()
        await reader.read()
        writer.close()

    connected = asyncio.Event()
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    before = set(threading.enumerate())
    sending = asyncio.create_task(send(server_of(Mailbox(port=server.sockets[0].getsockname()[1]))))
    await asyncio.wait_for(connected.wait(), 5)
    (thread,) = [one for one in set(threading.enumerate()) - before if one.name == "smtp"]
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [
        ("a@b.example\r\nBcc: all@corp.example", "x"),
        ("a@b.example\n", "x"),
        ("a@b.example, all@corp.example", "x"),
        ("a@b.example>,<all@corp.example", "x"),
        ("A <a@b.example>", "x"),
        ("nobody", "x"),
        ("", "x"),
        ("a@b@c.example", "x"),
        ("x" * 250 + "@b.example", "x"),
        (RECIPIENT, "x\r\nBcc: all@corp.example"),
        (RECIPIENT, "x\ny"),
        (RECIPIENT, "x\u2028y"),
        (RECIPIENT, "x\0y"),
    ],
)
async def test_no_name_or_address_adds_a_header_or_a_recipient(recipient: str, subject: str) -> None:
    async with mail_server() as mailbox:
        with pytest.raises(NotAMail):
            await send(server_of(mailbox), subject, to=recipient)
        assert mailbox.envelopes == []


def test_a_long_subject_is_folded_and_stays_one_header() -> None:
    message = message_of(SENDER, RECIPIENT, "Certificate " + "very-" * 100 + "long", "x", time=TIME, number=1)
    assert message["Subject"] == "Certificate " + "very-" * 100 + "long"
    assert max(len(line) for line in bytes(message).split(b"\r\n")) <= 998


def test_a_login_does_not_show_its_password() -> None:
    assert "sesame" not in repr(LOGIN) + repr(server_of(Mailbox(), login=LOGIN))
