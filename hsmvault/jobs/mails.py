"""Sends the mail that waits (store/mails.py): each at least once, until a server has taken it or three days are over.

A mail that is not taken is tried again after a minute, two, four and so on up to four hours. When it is the server that
fails, and not this mail, the others wait for the next run.
"""

import logging
from collections.abc import Callable
from typing import Final

from hsmvault.jobs.runner import Turn
from hsmvault.outbound.smtp import MailServer, NotAMail, NotSent
from hsmvault.store import mails
from hsmvault.store.database import Database
from hsmvault.store.mails import WaitingMail

LOG = logging.getLogger("hsmvault.jobs")
LIFE_SECONDS: Final = 3 * 86_400
SHORTEST_WAIT_SECONDS: Final = 60
LONGEST_WAIT_SECONDS: Final = 4 * 3600
_PAGE: Final = 20
_SLACK_SECONDS: Final = 60  # a retry that is later than that was meant under a clock that was wrong

SENT, NOT_SENT, GIVEN_UP = OUTCOMES = ("sent", "failed", "given_up")


class SendMails:
    """It waits for others, and is to run apart (Runner). count: called with one of OUTCOMES."""

    name = "mails"
    interval_seconds = 60.0  # it is woken by mails; this is for a wake that was missed

    def __init__(
        self, database: Database, server: MailServer, *, count: Callable[[str], None] = lambda _: None
    ) -> None:
        self._database = database
        self._server = server
        self._count = count

    async def run(self, turn: Turn) -> float | None:
        while True:
            async with self._database.read() as tx:
                page = await mails.due(tx, turn.now(), LONGEST_WAIT_SECONDS + _SLACK_SECONDS, _PAGE)
                next_due = await mails.next_due(tx)
            if not page:
                return None if next_due is None else next_due - turn.now()
            for one in page:
                if not await turn.goes_on():
                    return None
                if not await self._send(one, turn.now()):
                    return SHORTEST_WAIT_SECONDS

    async def _send(self, one: WaitingMail, now: int) -> bool:
        """False: the server takes nothing at the moment."""
        mail, problem, goes_on = one.mail, "", True
        try:
            await self._server.send(mail.recipient, mail.subject, mail.body, time=mail.time, number=one.id)
        except NotAMail as error:
            return await self._give_up(one, str(error))
        except NotSent as error:
            problem, goes_on = str(error), not error.is_servers_fault
        except Exception as error:  # one mail must not keep every other one waiting
            LOG.exception("mail %d was not sent", one.id)
            problem = type(error).__name__
        if not problem:
            async with self._database.write() as tx:
                await mails.done(tx, one)
            self._count(SENT)
            return True
        self._count(NOT_SENT)
        if now - mail.time > LIFE_SECONDS:
            return await self._give_up(one, problem) and goes_on
        wait = min(LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS << min(one.attempts, 16))
        LOG.warning("mail %d was not sent (%s), which is tried again in %d s", one.id, problem, wait)
        async with self._database.write() as tx:
            await mails.postpone(tx, one, now + wait, problem)
        return goes_on

    async def _give_up(self, one: WaitingMail, problem: str) -> bool:
        LOG.warning(
            "mail %d of container %s to %s is given up: %s", one.id, one.mail.container_id, one.mail.recipient, problem
        )
        async with self._database.write() as tx:
            await mails.done(tx, one)
        self._count(GIVEN_UP)
        return True
