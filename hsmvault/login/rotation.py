"""Rotation of the signing keys: a job that one worker of one node does at a time, under a lease.

The next key is published its lead before it signs, and the last one stays until its tokens are gone. The state is the
rows alone, so that a crash at any point leaves keys that work: a key that was made and not stored is nothing, and a key
that has no successor goes on signing however old it is.
"""

from dataclasses import dataclass

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Custodian, HeldKey
from hsmvault.custody.self_signed import self_signed
from hsmvault.errors import Unavailable
from hsmvault.login.certificates import thumbprint_sha1
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import binding_of, binding_of_row, held_of_row
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import jobs, login_keys
from hsmvault.store.database import Conflicted, Database

JOB = "login-signing-keys"
_LEASE_SECONDS = 120
_SPEC = KeySpec.rsa(2048)
_BACKDATED_SECONDS = 86_400  # not_before of a certificate, for verifiers whose clock is behind


@dataclass(frozen=True, slots=True)
class Plan:
    """next_signs_from: when the key that is to be made now begins to sign; None when none is needed. gone: rows whose
    tokens have all expired.
    """

    next_signs_from: int | None
    gone: tuple[LoginKeyRow, ...]


def plan(rows: list[LoginKeyRow], settings: LoginSettings, *, custody: str, now: int) -> Plan:
    """What is due. Pure: rows in, decision out.

    custody: the class that keys are made in now; rows of another class are published and cannot sign. Only a key that
    can sign succeeds one that can, so that the last such key is never gone. When the others last signed is not known:
    they stay at least as long as they were meant to.
    """
    ordered = sorted(rows, key=lambda row: (row.signs_from, row.id))
    able = [row for row in ordered if row.custody == custody]
    settled = [row for row in able if row.signs_from + settings.key_retention_seconds <= now]
    foreign = [row for row in ordered if row.custody != custody and row.retires_at <= now]
    gone = (*settled[:-1], *foreign) if settled else ()
    if not able:
        return Plan(now, gone)
    ends = able[-1].signs_from + settings.key_life_seconds
    due = ends - settings.key_lead_seconds <= now
    return Plan(max(ends, now + settings.key_lead_seconds) if due else None, gone)


class Rotation:
    """owner: who holds the lease; unique to the worker."""

    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        custodian: Custodian,
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
        owner: str,
    ) -> None:
        self._settings = settings
        self._database = database
        self._custodian = custodian
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents
        self._owner = owner

    async def run_once(self) -> None:
        """Do what is due, or nothing when another worker is at it. At the first start this makes the first key, which
        signs at once. Call it at start and every hour. Raises Unavailable, Throttled; the next run takes it up again.

        The first key waits for nobody: who holds the lease may be dead, and until it ends nobody would get a token. Two
        that make one at once agree by the rows.
        """
        if not await self._acquire() and await self._has_key():
            return
        try:
            await self._work()
        finally:
            async with self._database.write() as tx:
                await jobs.release(tx, JOB, self._owner)

    async def _acquire(self) -> bool:
        now = int(self._clock.now())
        try:
            async with self._database.write() as tx:
                return await jobs.acquire(tx, JOB, self._owner, now + _LEASE_SECONDS, now)
        except Conflicted:  # another node takes the first lease at this moment
            return False

    async def _has_key(self) -> bool:
        """Whether there is one that can sign, now or later."""
        async with self._database.read() as tx:
            return any(row.custody == self._custodian.custody.value for row in await login_keys.list_all(tx))

    async def _work(self) -> None:
        now = int(self._clock.now())
        custody = self._custodian.custody.value
        async with self._database.read() as tx:
            rows = await login_keys.list_all(tx)
        due = plan(rows, self._settings, custody=custody, now=now)
        if due.next_signs_from is not None:
            await self._add(due.next_signs_from, now, known=rows)
        for row in due.gone:
            async with self._database.write() as tx:
                await login_keys.delete(tx, row.id)
                await self._intents.give_up(tx, held_of_row(row))
            if row.custody == custody:
                await self._custodian.destroy(held_of_row(row), binding_of_row(row))

    async def _add(self, signs_from: int, now: int, *, known: list[LoginKeyRow]) -> None:
        settings = self._settings
        version = self._identifiers.version()
        binding = binding_of(version)
        held = await self._custodian.generate(_SPEC, binding)
        retires_at = signs_from + settings.key_life_seconds + settings.key_retention_seconds
        certificate_der = await self_signed(
            self._custodian.open(held, binding),
            held.public,
            host=settings.host,
            serial=int(version, 16),
            not_before=now - _BACKDATED_SECONDS,
            not_after=retires_at,
        )
        row = LoginKeyRow(
            id=thumbprint_sha1(certificate_der),
            certificate_der=certificate_der,
            spec=_SPEC,
            public=held.public,
            reference=held.reference,
            custody=held.custody.value,
            not_before=now,
            signs_from=signs_from,
            retires_at=retires_at,
            created=now,
        )
        try:
            inserted = await self._insert(row, held, known)
        except (Unavailable, Conflicted):  # nothing was done; any other way out leaves the key alone
            await self._custodian.destroy(held, binding)
            raise
        if not inserted:
            await self._custodian.destroy(held, binding)

    async def _insert(self, row: LoginKeyRow, held: HeldKey, known: list[LoginKeyRow]) -> bool:
        """False when the rows are not those of the plan: making the key took longer than the lease, and somebody else
        has done the work meanwhile.
        """
        async with self._database.write() as tx:
            if {other.id for other in await login_keys.list_all(tx)} != {other.id for other in known}:
                return False
            await login_keys.insert(tx, row)
            await self._intents.keep(tx, held)
        return True
