"""Renewals that do not go by themselves: refused, delayed, disabled, missed, broken off, begun twice."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.model.certificate_policies import Action, CertificatePolicy, LifetimeAction
from hsmvault.model.certificates import CertificateVersion, Status
from hsmvault.resources.certificate_issuers.protocol import Refused, Waiting
from hsmvault.resources.certificates import CertificateChanges
from hsmvault.store import certificate_issuers, schedule
from hsmvault.store.schedule import What
from tests.jobs.certificate_rig import RENEW, CertificateNode, certificates_of, policy_of, told_to_all
from tests.jobs.rig import DAY, VAULT, Node, Opener

FAILED = told_to_all("Certificate site in vault dev could not be renewed")
RENEWED = told_to_all("Certificate site in vault dev was renewed")
ENDED = told_to_all("Certificate site in vault dev has expired and was not renewed")


class Crash(BaseException):
    """The process dies here: nobody catches this."""


def due_of(row: CertificateVersion) -> int:
    assert row.not_before is not None
    assert row.expires is not None
    return row.not_before + (row.expires - row.not_before) * 8 // 10


async def until_due(one: CertificateNode, policy: CertificatePolicy | None = None) -> CertificateVersion:
    """A certificate that is due for renewal in a moment."""
    await one.tick()
    row = (await one.create(policy or policy_of(RENEW, issuer="test"))).row
    await one.move_to(due_of(row) - 10)
    assert len(await one.versions()) == 1
    return row


async def test_a_renewal_that_is_refused_is_told_and_begins_again_a_day_later(node: Node) -> None:
    async with certificates_of(node) as one:
        row = await until_due(one)
        one.issuer.outcomes = [Refused("Request rejected", "not\nthis one")] * 2
        await one.move(310)
        operation = await one.operation()
        assert operation is not None
        assert (operation.status, operation.error_code) == (Status.FAILED, "Request rejected")
        assert await one.mails() == []
        await one.move(600)
        mails = await one.mails()
        assert [(mail.recipient, mail.subject) for mail in mails] == FAILED
        assert "Reason:      Request rejected: not this one\n" in mails[0].body
        for _ in range(22):
            await one.move(3600)
        assert len(one.issuer.asked) == 2  # with that of the first version
        assert await one.mails() == []
        await one.move(2 * 3600)
        assert len(one.issuer.asked) == 3
        await one.move(600)
        assert await one.subjects() == FAILED
        await one.move(DAY)
        await one.move(600)
        assert await one.subjects() == RENEWED
        assert [version.is_pending for version in await one.versions()] == [False, False]
        assert (await one.certificates.get(VAULT, "site", None)).row.version != row.version
        assert one.recorded("CertificateRenew")[-1] == ("CertificateRenew", 200)
        assert len(one.recorded("CertificateRenew")) == 3


async def test_an_issuer_that_is_away_is_asked_again_and_its_absence_told_once_a_day(node: Node) -> None:
    async with certificates_of(node) as one:
        await until_due(one)
        one.issuer.outcomes = [Unavailable("The issuer is away.")] * 1000
        await one.move(310)
        operation = await one.operation()
        assert operation is not None
        assert (operation.status, operation.error_message) == (Status.IN_PROGRESS, "The issuer is away.")
        told = []
        for _ in range(60):
            await one.move(3600)
            told += await one.subjects()
        assert told == FAILED * 2  # at the end of the first day, and of the second
        one.issuer.outcomes = []
        await one.move(3601)
        await one.move(600)
        assert await one.subjects() == RENEWED
        assert len(await one.versions()) == 2
        operation = await one.operation()
        assert operation is not None
        assert (operation.status, operation.error_code) == (Status.COMPLETED, None)


async def test_what_can_never_be_begun_is_tried_once_a_day_until_the_certificate_ends(node: Node) -> None:
    async with certificates_of(node) as one:
        row = await until_due(one, policy_of(RENEW, issuer="test", months=1))
        async with node.database.write() as tx:
            issuer = await certificate_issuers.find(tx, VAULT.id, "test")
            assert issuer is not None
            await certificate_issuers.delete(tx, issuer)
        told, days = [], 0
        while one.now() < (row.expires or 0):
            await one.move(DAY)
            days += 1
            told += await one.subjects()
        assert told[-2:] == ENDED
        assert told[:-2] == FAILED * (len(told) // 2 - 1)
        assert days - 1 <= len(told) // 2 - 1 <= days
        assert set(one.recorded("CertificateRenew")) == {("CertificateRenew", 400)}
        assert await one.scheduled() == {}
        assert await one.counts() == (1, 1, 1)
        for _ in range(3):
            await one.move(DAY)
        assert await one.mails() == []


async def test_a_renewal_that_was_missed_is_begun_when_the_node_runs_again(node: Node) -> None:
    async with certificates_of(node) as one:
        row = await until_due(one)
        assert row.expires is not None
        await one.move_to(row.expires + 30 * DAY)
        await one.move(600)
        assert len(await one.versions()) == 2
        assert await one.subjects() == RENEWED


async def test_while_a_caller_makes_a_version_nothing_is_renewed_and_nobody_told(node: Node) -> None:
    async with certificates_of(node) as one:
        await until_due(one)
        one.issuer.outcomes = [Waiting(b"", one.now() + 3600, "asked")]
        operation = await one.begin(policy_of(RENEW, issuer="test"))
        await one.issuance.advance(VAULT, "site")
        await one.move(1800)
        await one.move(1700)
        assert len(await one.versions()) == 2
        current = await one.operation()
        assert current is not None
        assert current.request_id == operation.request_id
        await one.move(310)
        await one.move(600)
        assert [version.is_pending for version in await one.versions()] == [False, False]
        assert await one.mails() == []  # a caller has made it, and knows
        assert (await one.scheduled())[What.RENEW] > one.now()


async def test_a_disabled_certificate_rests_until_it_is_enabled(node: Node) -> None:
    async with certificates_of(node) as one:
        row = await until_due(one)
        await one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=False))
        await one.move(DAY)
        assert len(await one.versions()) == 1
        await one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=True))
        await one.move(310)
        assert len(await one.versions()) == 2
        assert (await one.certificates.get(VAULT, "site", row.version)).row.enabled


async def test_a_disabled_policy_does_nothing(node: Node) -> None:
    async with certificates_of(node) as one:
        await until_due(one, policy_of(RENEW, enabled=False))
        await one.move(DAY)
        assert len(await one.versions()) == 1


async def test_a_renewal_of_a_certificate_that_is_deleted_ends(node: Node) -> None:
    async with certificates_of(node) as one:
        await until_due(one)
        one.issuer.outcomes = [Unavailable("The issuer is away.")]
        await one.move(310)
        assert await one.counts() == (2, 2, 2)
        await one.certificates.delete(VAULT, "site")
        await one.move(DAY)
        operation = await one.operation()
        assert operation is not None
        assert operation.status is Status.CANCELLED
        await one.certificates.recover(VAULT, "site")
        await one.move(310)  # the renewal is still due
        await one.move(2 * DAY)
        await one.move(600)
        assert [version.is_pending for version in await one.versions()] == [False, False]


async def test_without_a_mail_server_nothing_is_written(node: Node) -> None:
    async with certificates_of(node, mail=False) as one:
        await until_due(one)
        await one.move(310)
        await one.move(600)
        assert len(await one.versions()) == 2
        assert await one.mails() == []
        assert set(await one.scheduled()) == {What.RENEW, What.NEAR_EXPIRY, What.EXPIRED}


async def test_a_hint_that_is_wrong_does_nothing_and_goes(node: Node) -> None:
    async with certificates_of(node) as one:
        await one.tick()
        row = (await one.create(policy_of(LifetimeAction(Action.EMAIL_CONTACTS, days_before_expiry=20)))).row
        assert row.expires is not None
        due = row.expires - 20 * DAY
        async with node.database.write() as tx:
            for name in ("site", "no-such-certificate"):
                hints = dict.fromkeys((What.RENEW, What.EMAIL), one.now())
                await schedule.replace(tx, VAULT.id, "certificates", name, hints)
        await one.move(310)
        assert await one.scheduled() == {What.EMAIL: due}
        assert await one.scheduled(name="no-such-certificate") == {}
        assert await one.mails() == []
        assert len(await one.versions()) == 1


def crash_at(point: str, number: int) -> Callable[[str], None]:
    """At the commit of this number, counted from 1."""
    seen = 0

    def fault(where: str) -> None:
        nonlocal seen
        seen += where == point
        if where == point and seen == number:
            raise Crash(point)

    return fault


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_a_crash_at_any_commit_of_a_renewal_loses_and_doubles_nothing(open_node: Opener, point: str) -> None:
    clock = MovedClock()
    crashes = 0
    for number in range(1, 8):
        name = f"site-{number}"
        async with certificates_of(await open_node(clock)) as one:
            await one.tick()
            row = (await one.create(policy_of(RENEW), name)).row
            await one.move_to(due_of(row) - 10)
            await one.mails()
            one.node.clock.move(310)
            one.node.database.fault = crash_at(point, number)
            try:
                await one.tick()
            except Crash:
                crashes += 1
            one.node.database.fault = None
            with contextlib.suppress(Crash):
                await one.issuance.close()
            await one.runner._release()
        async with certificates_of(await open_node(clock)) as again:
            for _ in range(3):
                await again.move(610)
            assert [one.is_pending for one in await again.versions(name)] == [False, False], number
            assert await again.counts(name) == (2, 2, 2), number
            told = [subject for subject in await again.subjects() if name in subject[1]]
            assert told == told_to_all(f"Certificate {name} in vault dev was renewed"), number
            latest = (await again.certificates.get(VAULT, name, None)).row
            events = [event.type for event in await again.node.events() if event.version == latest.version]
            assert events == [f"{kind}NewVersionCreated" for kind in ("Certificate", "Key", "Secret")], number
            await again.certificates.update(VAULT, name, None, CertificateChanges(enabled=False))
            await again.runner._release()
    assert crashes >= 5


async def test_two_nodes_at_the_same_renewal_make_one_version(open_node: Opener) -> None:
    clock = MovedClock()
    node, other_node = await open_node(clock), await open_node(clock)
    async with certificates_of(node) as one, certificates_of(other_node) as other:
        await until_due(one)
        clock.move(310)
        jobs = [job for each in (one, other) for job in (*each.runner._jobs, *each.runner._apart)]
        await asyncio.gather(*[job.run(one.runner) for job in jobs])
        for _ in range(3):
            await one.move(610)
        assert [version.is_pending for version in await one.versions()] == [False, False]
        assert await one.subjects() == RENEWED
        assert one.recorded("CertificateRenew") + other.recorded("CertificateRenew") == [("CertificateRenew", 200)]


async def test_a_creation_that_fails_leaves_its_policy_and_the_schedule_in_step(node: Node) -> None:
    async with certificates_of(node) as one:
        await one.tick()
        row = (await one.create(policy_of())).row
        one.issuer.outcomes = [Refused("Request rejected", "no")]
        await one.begin(policy_of(RENEW, issuer="test"))
        await one.issuance.advance(VAULT, "site")
        assert (await one.scheduled())[What.RENEW] == due_of(row)
        await one.move_to(due_of(row) + 310)
        assert [version.is_pending for version in await one.versions()] == [False, False]


async def test_a_policy_that_changes_while_a_renewal_begins_is_not_lost(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with certificates_of(node) as one:
        await until_due(one)
        changed = policy_of(RENEW, issuer="test", months=6)
        check = one.issuer.check

        async def slow(*arguments: object) -> None:
            monkeypatch.setattr(one.issuer, "check", check)
            await one.certificates.update_policy(VAULT, "site", lambda _: changed)

        monkeypatch.setattr(one.issuer, "check", slow)
        await one.move(310)
        assert len(await one.versions()) == 1
        await one.move(610)
        await one.move(610)
        latest = await one.certificates.get(VAULT, "site", None)
        assert len(await one.versions()) == 2
        assert latest.policy.x509.validity_months == 6
        assert one.recorded("CertificateRenew") == [("CertificateRenew", 200)]
