"""The job that goes on with operations: what waits, what failed for a moment, what a dead worker left."""

import asyncio

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.jobs import issuance
from hsmvault.jobs.issuance import AdvanceIssuance
from hsmvault.model.certificates import Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_creation import CLAIM_SECONDS
from hsmvault.resources.certificate_issuers.protocol import Enrolment, Outcome, Waiting
from tests.jobs.certificate_rig import CertificateNode, certificates_of, policy_of
from tests.jobs.rig import DAY, VAULT, Node, Opener

BY_TEST = policy_of(issuer="test")


def job_of(one: CertificateNode) -> AdvanceIssuance:
    [job] = one.runner._apart
    assert isinstance(job, AdvanceIssuance)
    return job


async def test_what_a_dead_worker_began_is_gone_on_with_when_its_claim_ends(open_node: Opener) -> None:
    clock = MovedClock()
    async with certificates_of(await open_node(clock)) as dead, certificates_of(await open_node(clock)) as one:
        await dead.begin()
        clock.move(CLAIM_SECONDS - 1)
        assert await job_of(one).run(one.runner) == 1
        assert (await one.certificates.get(VAULT, "site", None)).row.is_pending
        clock.move(1)
        assert await job_of(one).run(one.runner) is None
        assert not (await one.certificates.get(VAULT, "site", None)).row.is_pending
        assert one.recorded() == [("CertificateEnroll", 200)]


async def test_what_a_stop_breaks_off_is_gone_on_with_at_once(
    open_node: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = MovedClock()
    async with certificates_of(await open_node(clock)) as one:
        is_asked = asyncio.Event()

        async def hang(_: Enrolment) -> Outcome:
            is_asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(one.issuer, "enrol", hang)
        await one.begin(BY_TEST, "started")
        one.issuance.start(VAULT, "started")
        await is_asked.wait()
        is_asked.clear()
        await one.begin(BY_TEST, "taken-over")
        clock.move(CLAIM_SECONDS)
        running = asyncio.create_task(job_of(one).run(one.runner))
        await is_asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await one.issuance.close()
        await one.runner._release()
    async with certificates_of(await open_node(clock)) as other:
        assert await job_of(other).run(other.runner) is None
        for name in ("started", "taken-over"):
            assert not (await other.certificates.get(VAULT, name, None)).row.is_pending


async def test_it_asks_for_the_time_at_which_an_issuer_is_to_be_asked_again(node: Node) -> None:
    async with certificates_of(node) as one:
        one.issuer.outcomes = [Waiting(b"state", one.now() + 70, "asked"), Unavailable("away")]
        await one.create(BY_TEST)
        assert await job_of(one).run(one.runner) == 70
        node.clock.move(70)
        assert await job_of(one).run(one.runner) == 10
        operation = await one.operation()
        assert operation is not None
        assert (operation.status, operation.error_message) == (Status.IN_PROGRESS, "away")
        assert (operation.state, operation.attempts) == (b"state", 1)
        node.clock.move(10)
        assert await job_of(one).run(one.runner) is None
        assert not (await one.certificates.get(VAULT, "site", None)).row.is_pending
        assert len(one.issuer.asked) == 3


async def test_many_are_advanced_and_one_that_fails_keeps_nobody(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async with certificates_of(node) as one:
        monkeypatch.setattr(issuance, "_PAGE", 4)
        names = [f"site-{number}" for number in range(10)]
        for name in names:
            await one.begin(name=name)
        node.clock.move(CLAIM_SECONDS)
        advance = one.issuance.advance

        async def refuse_one(container: Container, name: str) -> Status | None:
            if name == names[0]:
                raise RuntimeError("broken")
            return await advance(container, name)

        monkeypatch.setattr(one.issuance, "advance", refuse_one)
        assert await job_of(one).run(one.runner) is None
        assert [row.name for row in await one.certificates.page(VAULT, None, 100)] == sorted(names[1:])


async def test_after_a_long_stop_it_does_not_wait_for_the_time_that_jobs_trust(open_node: Opener) -> None:
    clock = MovedClock()
    async with certificates_of(await open_node(clock)) as one:
        await one.tick()
        clock.jump(30 * DAY)  # as a new process sees it
        await one.begin()
        await one.move(CLAIM_SECONDS)
        assert one.runner.now() < one.now() - 29 * DAY
        assert not (await one.certificates.get(VAULT, "site", None)).row.is_pending


async def test_without_an_audit_log_nothing_is_published(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async with certificates_of(node) as one:
        await one.begin()
        node.clock.move(CLAIM_SECONDS)

        async def refuse(*_: object) -> None:
            raise Unavailable("The service cannot record this call and therefore does not carry it out.")

        with monkeypatch.context() as patched:
            patched.setattr(node.audit, "append", refuse)
            await job_of(one).run(one.runner)
        assert (await one.certificates.get(VAULT, "site", None)).row.is_pending
        assert await one.told() == []
        await one.move(61)
        assert not (await one.certificates.get(VAULT, "site", None)).row.is_pending


async def test_a_stop_is_obeyed(node: Node) -> None:
    async with certificates_of(node) as one:
        await one.begin()
        node.clock.move(CLAIM_SECONDS)
        one.runner.stop()
        assert await job_of(one).run(one.runner) is None
        assert (await one.certificates.get(VAULT, "site", None)).row.is_pending
