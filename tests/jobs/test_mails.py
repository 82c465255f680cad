"""Mail on its way to a real server: once when nothing goes wrong, later when it does, and dropped after three days."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.jobs.mails import SendMails
from hsmvault.jobs.runner import Runner
from hsmvault.outbound.smtp import MailServer, Security
from hsmvault.store import mails
from hsmvault.store.mails import Mail, WaitingMail
from tests.jobs.rig import DAY, VAULT, Node, Opener
from tests.login.world import free_socket
from tests.outbound.receivers import Mailbox, mail_server

HOUR = 3600


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as mailbox:
        yield mailbox


@dataclass
class Sending:
    node: Node
    job: SendMails
    runner: Runner
    counted: list[str] = field(default_factory=list)

    async def after(self, seconds: float) -> None:
        self.node.clock.move(seconds)
        self.runner.wake("mails")
        await self.runner.tick()

    async def waiting(self) -> list[WaitingMail]:
        async with self.node.database.read() as tx:
            return await mails.due(tx, 2**62, 0, 100)


def sending(node: Node, mailbox: Mailbox, owner: str = "a") -> Sending:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server = MailServer("127.0.0.1", mailbox.port, Security.NONE, context, "vault@keys.example", timeout_seconds=10.0)
    counted: list[str] = []
    job = SendMails(node.database, server, count=counted.append)
    return Sending(node, job, Runner(node.database, [], node.clock, owner, apart=[job]), counted)


async def write(node: Node, *recipients: str, subject: str = "Near expiry") -> None:
    for recipient in recipients:
        async with node.database.write() as tx:
            await mails.insert(tx, Mail(VAULT.id, recipient, subject, "Soon.\n", int(node.clock.now())))


def recipients(mailbox: Mailbox) -> list[str]:
    return [recipient for envelope in mailbox.envelopes for recipient in envelope.rcpt_tos]


async def test_each_recipient_gets_one_mail(node: Node, mailbox: Mailbox) -> None:
    one = sending(node, mailbox)
    await write(node, *[f"contact-{number}@corp.example" for number in range(25)])  # more than a page
    await one.after(1)
    await one.after(60)
    assert recipients(mailbox) == [f"contact-{number}@corp.example" for number in range(25)]
    assert mailbox.messages[0]["Subject"] == "Near expiry"
    assert mailbox.messages[0].get_content() == "Soon.\r\n"
    assert await one.waiting() == []
    assert one.counted == ["sent"] * 25


async def test_a_mail_that_is_refused_is_tried_again_later_and_later_and_holds_up_no_other(
    node: Node, mailbox: Mailbox
) -> None:
    one = sending(node, mailbox)
    mailbox.refused = frozenset({"ill@corp.example"})
    await write(node, "ill@corp.example", "well@corp.example")
    node.clock.move(1)
    for attempts, wait in enumerate([60, 120, 240, 480, 960, 1920, 3840, 7680, 14400, 14400], 1):
        assert await one.job.run(one.runner) == wait
        (left,) = await one.waiting()
        assert (left.attempts, left.error) == (attempts, "the recipient is refused with 550")
        await one.after(wait - 1)
        assert len(one.counted) == attempts + 1
        node.clock.move(1)
    assert recipients(mailbox) == ["well@corp.example"]
    mailbox.refused = frozenset()
    await one.after(1)
    assert recipients(mailbox) == ["well@corp.example", "ill@corp.example"]


async def test_when_the_server_is_away_all_mail_waits_for_it(node: Node, mailbox: Mailbox) -> None:
    with free_socket() as nobody:
        away = sending(node, Mailbox(port=nobody.getsockname()[1]))
    await write(node, "a@corp.example", "b@corp.example", "c@corp.example")
    node.clock.move(1)
    assert await away.job.run(away.runner) == 60
    assert away.counted == ["failed"]
    node.clock.move(60)
    back = sending(node, mailbox)
    assert await back.job.run(back.runner) is None
    assert sorted(recipients(mailbox)) == ["a@corp.example", "b@corp.example", "c@corp.example"]


async def test_a_mail_is_given_up_after_three_days(
    node: Node, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    one = sending(node, mailbox)
    mailbox.answer = "451 later"
    await write(node, "a@corp.example")
    for _ in range(3 * 24):
        await one.after(HOUR)
    assert len(await one.waiting()) == 1
    for _ in range(5):
        await one.after(HOUR)
    assert await one.waiting() == []
    assert (
        f"mail 1 of container {VAULT.id} to a@corp.example is given up: the message is refused with 451" in caplog.text
    )
    assert one.counted[-1] == "given_up"


@pytest.mark.parametrize(
    ("recipient", "subject"),
    [("a@b.example\r\nBcc: all@corp.example", "x"), ("a@b.example", "x\r\nBcc: all@c.example")],
)
async def test_what_is_no_mail_is_given_up_at_once_and_holds_up_no_other(
    node: Node, mailbox: Mailbox, recipient: str, subject: str
) -> None:
    one = sending(node, mailbox)
    await write(node, recipient, subject=subject)
    await write(node, "well@corp.example")
    await one.after(1)
    assert recipients(mailbox) == ["well@corp.example"]
    assert await one.waiting() == []
    assert one.counted == ["given_up", "sent"]


async def test_a_crash_between_the_servers_answer_and_the_commit_sends_the_same_mail_again(
    open_node: Opener, mailbox: Mailbox
) -> None:
    clock = MovedClock()
    node = await open_node(clock)
    one = sending(node, mailbox)
    await write(node, "a@corp.example")

    def crash(_: str) -> None:
        if mailbox.envelopes:
            raise Unavailable("killed")

    node.database.fault = crash
    await one.after(1)
    node.database.fault = None
    clock.move(180)  # the lease is over
    await sending(await open_node(clock), mailbox, owner="b").runner.tick()
    first, second = mailbox.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert await one.waiting() == []


async def test_a_clock_that_goes_back_does_not_hold_up_a_retry(node: Node, mailbox: Mailbox) -> None:
    one = sending(node, mailbox)
    await write(node, "a@corp.example")
    (waiting,) = await one.waiting()
    async with node.database.write() as tx:
        assert await mails.postpone(tx, waiting, int(node.clock.now()) + 10 * DAY, "x")
        assert not await mails.postpone(tx, waiting, 0, "by another node that was slower")
    await one.after(1)
    assert recipients(mailbox) == ["a@corp.example"]
    async with node.database.write() as tx:
        assert not await mails.done(tx, waiting)
        assert await mails.next_due(tx) is None
