"""What an authority tells relying parties: revocation lists, and answers to OCSP.

Whoever asks is a stranger, and must not be able to keep the HSM busy. A list is signed once for each of its numbers, an
answer about a certificate of ours once in a while; both are kept until they are half over or something is revoked. What
a stranger could vary without end, nonces and serial numbers that are not ours, is signed at a bounded rate: beyond it
nonces are left out, which RFC 6960 allows, and strangers' serial numbers are answered with `tryLater`.

The number of a list is the time at which it was due, or one more than the last: so every worker and node makes the
same list, and the number never goes down.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.custody.authority_certificates import BACKDATED_SECONDS
from hsmvault.custody.authority_keys import AuthorityKeys
from hsmvault.custody.authority_revocation import (
    Failure,
    Question,
    Revoked,
    read_question,
    sign_answer,
    sign_crl,
)
from hsmvault.errors import RequestError, Unavailable
from hsmvault.model.authorities import AuthorityRole, AuthorityRow, AuthorityRules, IssuedRow
from hsmvault.store import authorities as store
from hsmvault.store.database import Database

LOG = logging.getLogger("hsmvault.authorities")
_HOUR: Final = 3600
_MOST_ANSWERS: Final = 4096  # some 600 bytes each
_LONGEST_KEPT_SECONDS: Final = 3600.0  # of an answer to OCSP
_MOST_WAITING: Final = 64  # for a signature; the next one is told to come back
_BURST, _PER_SECOND = 50.0, 10.0  # signatures that strangers may cause; guessed
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _List:
    """begins, renew_at, ends: seconds since 1970 UTC."""

    content: bytes = field(repr=False)
    begins: int
    renew_at: int
    ends: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """begins: seconds since 1970 UTC. keep_until: by the monotonic clock."""

    content: bytes = field(repr=False)
    begins: int
    keep_until: float


class _Budget:
    """A bucket that fills at a steady rate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = _BURST
        self._seen = clock.monotonic()

    def take(self) -> bool:
        now = self._clock.monotonic()
        self._left = min(_BURST, self._left + (now - self._seen) * _PER_SECOND)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class AuthorityStatus:
    """Of one authority, in one worker."""

    def __init__(self, rules: AuthorityRules, keys: AuthorityKeys, database: Database, clock: Clock) -> None:
        self._rules = rules
        self._keys = keys
        self._database = database
        self._clock = clock
        self._period = rules.crl_hours * _HOUR
        self._lists: dict[AuthorityRole, _List] = {}
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()
        self._budget = _Budget(clock)
        self._listing = asyncio.Lock()
        self._signing = asyncio.Lock()
        self._waiting = 0
        self._epoch = 0

    def forget(self) -> None:
        """Something was revoked, here or elsewhere: for whoever follows the changes (kind 'authority')."""
        self._epoch += 1
        self._lists.clear()
        self._answers.clear()

    # -- revocation lists ---------------------------------------------------------------------------------------------

    async def crl(self, role: AuthorityRole) -> bytes:
        """The list of what this key has revoked, in DER. While a new one cannot be made the last one is given as long
        as it is good. Raises Unavailable, Throttled.
        """
        if (kept := self._kept_list(role)) is not None:
            return kept
        async with self._listing:
            if (kept := self._kept_list(role)) is not None:
                return kept
            before = self._lists.get(role)
            epoch = self._epoch
            try:
                return await self._make_list(role)
            except RequestError as error:
                if before is None or epoch != self._epoch or self._clock.now() >= before.ends:
                    raise
                LOG.warning("a revocation list of %s could not be made: %s", self._rules.name, error.detail or error)
                return before.content

    def _kept_list(self, role: AuthorityRole) -> bytes | None:
        """Not one from before the clock was set back: to relying parties it has not begun."""
        kept, now = self._lists.get(role), self._clock.now()
        return None if kept is None or not kept.begins <= now < kept.renew_at else kept.content

    async def _make_list(self, role: AuthorityRole) -> bytes:
        key = (await self._keys.current()).key(role)
        epoch, row, revoked = await self._due(role)
        base = min(row.crl_number, int(self._clock.now()))  # the number may be ahead of a clock that was set back
        content = await sign_crl(
            key,
            [_revoked(one) for one in revoked],
            number=row.crl_number,
            this_update=base - BACKDATED_SECONDS,
            next_update=base + self._period,
        )
        if epoch == self._epoch:
            renew_at, ends = base + self._period // 2, base + self._period
            self._lists[role] = _List(content, base - BACKDATED_SECONDS, renew_at, ends)
        return content

    async def _due(self, role: AuthorityRole) -> tuple[int, AuthorityRow, list[IssuedRow]]:
        """The epoch of the reading, the key's row with the number of the list that is due, and what is in that list."""
        for _ in range(_ATTEMPTS):
            epoch, now = self._epoch, int(self._clock.now())
            async with self._database.read() as tx:
                row = (await store.of_name(tx, self._rules.name)).get(role)
                revoked: list[IssuedRow] = []
                if role is AuthorityRole.ISSUING:  # the root revokes nothing
                    revoked = await store.revoked(tx, self._rules.name, ending_from=now - self._period)
            if row is None:
                break
            if now < row.crl_number + self._period // 2:
                return epoch, row, revoked
            async with self._database.write() as tx:
                await store.advance_crl(tx, row, max(row.crl_number + 1, now))
        raise Unavailable("The service is temporarily unavailable. Please retry the request.", detail="no list is due")

    # -- OCSP ---------------------------------------------------------------------------------------------------------

    async def answer(self, request_der: bytes) -> bytes:
        """OCSPResponse in DER. Raises nothing but for cancellation: what goes wrong is an answer, too."""
        question = read_question(request_der)
        if question is None:
            return Failure.MALFORMED_REQUEST.encode()
        try:
            return await self._answer(question)
        except RequestError as error:
            LOG.warning("OCSP of %s was not answered: %s", self._rules.name, error.detail or error)
            return Failure.TRY_LATER.encode()

    async def _answer(self, question: Question) -> bytes:
        if question.nonce and not self._budget.take():
            question = replace(question, nonce=b"")
        if not question.is_about((await self._keys.current()).issuing):
            return Failure.UNAUTHORIZED.encode()
        if (kept := self._kept_answer(question)) is not None:
            return kept
        if self._waiting >= _MOST_WAITING:
            return Failure.TRY_LATER.encode()
        self._waiting += 1
        try:
            async with self._signing:
                return self._kept_answer(question) or await self._sign(question)
        finally:
            self._waiting -= 1

    def _kept_answer(self, question: Question) -> bytes | None:
        if question.nonce:
            return None
        kept = self._answers.get(_name(question))
        if kept is None or self._clock.now() < kept.begins or self._clock.monotonic() >= kept.keep_until:
            return None
        return kept.content

    async def _sign(self, question: Question) -> bytes:
        epoch = self._epoch
        async with self._database.read() as tx:
            row = await store.find(tx, self._rules.name, f"{question.serial:032x}")
        if row is None and not question.nonce and not self._budget.take():
            return Failure.TRY_LATER.encode()
        now = int(self._clock.now())
        content = await sign_answer(
            (await self._keys.current()).issuing,
            question,
            row is not None if row is None or row.revoked_at is None else _revoked(row),
            this_update=now - BACKDATED_SECONDS,
            next_update=now + self._period,
            now=now,
        )
        if row is not None and not question.nonce and epoch == self._epoch:
            keep_until = self._clock.monotonic() + min(_LONGEST_KEPT_SECONDS, self._period / 2)
            self._answers[_name(question)] = _Answer(content, now - BACKDATED_SECONDS, keep_until)
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        return content


def _name(question: Question) -> tuple[str, int]:
    return question.hash_name, question.serial


def _revoked(row: IssuedRow) -> Revoked:
    assert row.revoked_at is not None
    return Revoked(int(row.serial, 16), row.revoked_at, row.reason or 0)
