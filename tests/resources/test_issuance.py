"""The engine that goes on with operations: what comes of an issuer's answers, of its failures, and of callers who
change their minds meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hsmvault.errors import BadRequest, RequestError, Throttled, Unavailable
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_issuance import CLAIM_SECONDS, ISSUER_ERROR, Issuance
from hsmvault.resources.certificate_issuers.protocol import (
    Account,
    Enrolment,
    Issued,
    Issuer,
    Outcome,
    Refused,
    Waiting,
)
from hsmvault.store import certificate_operations as operations
from tests.resources.certificate_stage import BY_ISSUER, Stage, signed, soft_stage
from tests.resources.stage import VAULT

DAY = 86_400
Answer = Outcome | BaseException | Callable[[Enrolment], Awaitable[Outcome]]


class Death(BaseException):
    """Of the process: nobody catches this."""


@dataclass
class Scripted:
    """An issuer that answers what it was told to, in this order, and issues when there is nothing left to say."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[Enrolment] = field(default_factory=list)
    abandoned: list[Enrolment] = field(default_factory=list)
    provider = "Scripted"
    enrols = True

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        """Whatever it is."""

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        self.asked.append(enrolment)
        answer = self.answers.pop(0) if self.answers else issue(enrolment)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Issued | Waiting | Refused) else await answer(enrolment)

    async def abandon(self, enrolment: Enrolment) -> None:
        self.abandoned.append(enrolment)

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        return self, None


@dataclass
class Recorded:
    """An audit log. failure: what it says instead of taking a record."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    failure: RequestError | None = None

    async def done(self, container: Container, operation_name: str, path: str) -> None:
        await self._take(operation_name, path, "")

    async def failed(self, container: Container, operation_name: str, path: str, error: RequestError) -> None:
        await self._take(operation_name, path, error.message)

    async def _take(self, *line: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.lines.append(line)  # type: ignore[arg-type]  # three of them


@dataclass
class Engine:
    on: Stage
    issuer: Scripted
    records: Recorded
    issuance: Issuance

    def another(self) -> Issuance:
        """Of another worker."""
        return Issuance(
            self.on.database, self.issuer, self.on.material, self.on.completion, self.records, self.on.clock
        )

    def answers(self, *answers: Answer) -> None:
        self.issuer.answers.extend(answers)

    async def create(self, **said: Any) -> CertificateOperation:
        return await self.on.create("cert", BY_ISSUER, **said)

    async def advance(self) -> Status | None:
        return await self.issuance.advance(VAULT, "cert")

    async def operation(self) -> CertificateOperation:
        return await self.on.operations.get(VAULT, "cert")

    async def due(self) -> list[str]:
        """What the job would take now."""
        async with self.on.database.read() as tx:
            return [one.name for one in await operations.due(tx, int(self.on.clock.now()), 10)]

    async def settled(self) -> CertificateOperation:
        """When nothing runs in the background any more."""
        while tasks := [task for task in asyncio.all_tasks() if task.get_name().startswith("issuance of")]:
            await asyncio.wait(tasks)
        return await self.operation()


def issue(enrolment: Enrolment) -> Issued:
    return Issued((signed(enrolment.operation.csr),))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with soft_stage(tmp_path) as on:
        issuer, records = Scripted(), Recorded()
        issuance = Issuance(on.database, issuer, on.material, on.completion, records, on.clock)
        yield Engine(on, issuer, records, issuance)
        await issuance.close()


async def test_what_is_issued_is_published_and_recorded(engine: Engine) -> None:
    begun = await engine.create()
    assert await engine.advance() is Status.COMPLETED
    [row] = await engine.on.certificates()
    assert (row.version, row.is_pending, row.enabled) == (begun.version, False, True)
    done = await engine.operation()
    assert (done.status, done.retry_at, done.error_code) == (Status.COMPLETED, None, None)
    assert engine.records.lines == [("CertificateEnroll", f"/certificates/cert/{begun.version}", "")]
    assert await engine.advance() is Status.COMPLETED
    assert len(engine.issuer.asked) == 1


async def test_a_renewal_is_recorded_as_one(engine: Engine) -> None:
    await engine.create(is_renewal=True)
    assert await engine.advance() is Status.COMPLETED
    assert [line[0] for line in engine.records.lines] == ["CertificateRenew"]


async def test_the_issuer_gets_the_request_the_key_and_what_it_wanted_to_remember(engine: Engine) -> None:
    begun = await engine.create()
    now = int(engine.on.clock.now())
    engine.answers(Waiting(b"order 1", now + 30, "The order is placed."))
    assert await engine.advance() is Status.IN_PROGRESS
    waiting = await engine.operation()
    assert (waiting.state, waiting.retry_at, waiting.details) == (b"order 1", now + 30, "The order is placed.")
    assert await engine.due() == []
    engine.on.clock.move(30)
    assert await engine.due() == ["cert"]
    assert await engine.another().advance(VAULT, "cert") is Status.COMPLETED
    first, second = engine.issuer.asked
    [key] = await engine.on.keys()
    assert (first.operation.csr, first.public, first.spec) == (begun.csr, key.public, key.spec)
    assert (first.operation.state, second.operation.state) == (b"", b"order 1")


async def test_nobody_but_a_caller_goes_on_where_the_issuer_waits_without_a_time(engine: Engine) -> None:
    begun = await engine.create()
    engine.answers(Waiting(b"", None))
    assert await engine.advance() is Status.IN_PROGRESS
    waiting = await engine.operation()
    assert (waiting.retry_at, waiting.details) == (None, begun.details)
    engine.on.clock.move(30 * DAY)
    assert await engine.due() == []


async def test_what_fails_for_a_moment_is_tried_again_later_each_time(engine: Engine) -> None:
    await engine.create()
    waits = []
    for _ in range(12):
        engine.answers(Unavailable("The authority is away."))
        assert await engine.advance() is Status.IN_PROGRESS
        operation = await engine.operation()
        assert operation.retry_at is not None
        waits.append(operation.retry_at - int(engine.on.clock.now()))
        assert await engine.due() == []
        engine.on.clock.move(waits[-1])
        assert await engine.due() == ["cert"]
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    failing = await engine.operation()
    assert (failing.status, failing.attempts) == (Status.IN_PROGRESS, 12)
    assert (failing.error_code, failing.error_message) == ("ServiceUnavailable", "The authority is away.")
    engine.answers(Waiting(b"", int(engine.on.clock.now()) + 1))
    await engine.advance()
    well = await engine.operation()
    assert (well.attempts, well.error_code, well.error_message) == (0, None, None)


async def test_an_issuer_says_itself_how_long_to_leave_it_alone(engine: Engine) -> None:
    await engine.create()
    for asked, waited in ((300, 300), (90_000, 3600)):
        engine.answers(Throttled("Too many orders.", retry_after_seconds=asked))
        await engine.advance()
        assert (await engine.operation()).retry_at == int(engine.on.clock.now()) + waited


async def test_a_fault_is_told_to_nobody_and_tried_again(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    await engine.create()
    engine.answers(KeyError("secret detail"))
    assert await engine.advance() is Status.IN_PROGRESS
    failing = await engine.operation()
    assert failing.error_message == "An error has occurred."
    assert "secret detail" in caplog.text
    assert await engine.advance() is Status.COMPLETED


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Refused("Request rejected", "The name is not allowed."), "Request rejected", "The name is not allowed."),
        (BadRequest("The account is not known."), ISSUER_ERROR, "The account is not known."),
    ],
)
async def test_a_refusal_is_final(engine: Engine, answer: Answer, code: str, message: str) -> None:
    begun = await engine.create()
    engine.answers(answer)
    assert await engine.advance() is Status.FAILED
    failed = await engine.operation()
    assert (failed.status, failed.error_code, failed.error_message) == (Status.FAILED, code, message)
    assert (failed.retry_at, failed.state) == (None, b"")
    assert engine.records.lines == [("CertificateEnroll", f"/certificates/cert/{begun.version}", message)]
    assert await engine.advance() is Status.FAILED
    assert len(engine.issuer.asked) == 1
    assert (await engine.create()).status is Status.IN_PROGRESS


async def test_a_certificate_for_another_key_is_not_published(engine: Engine) -> None:
    await engine.on.create("other", BY_ISSUER)
    other = await engine.on.operations.get(VAULT, "other")
    await engine.create()
    engine.answers(Issued((signed(other.csr),)))
    assert await engine.advance() is Status.FAILED
    [row] = await engine.on.certificates()
    assert row.is_pending
    failed = await engine.operation()
    assert failed.error_code == ISSUER_ERROR
    assert "does not match" in (failed.error_message or "")


@pytest.mark.parametrize("answer", [Unavailable("The authority is away."), Waiting(b"order", 2_000_000_000)])
async def test_after_a_week_it_is_given_up(engine: Engine, answer: Answer) -> None:
    await engine.create()
    engine.on.clock.move(7 * DAY - 1)
    engine.answers(answer, answer)
    assert await engine.advance() is Status.IN_PROGRESS
    engine.on.clock.move(1)
    assert await engine.advance() is Status.FAILED
    assert (await engine.operation()).error_code == ISSUER_ERROR
    assert len(engine.issuer.abandoned) == 1


async def test_a_cancelled_operation_asks_the_issuer_for_nothing_but_to_forget_it(engine: Engine) -> None:
    await engine.create()
    engine.answers(Waiting(b"order 1", 2_000_000_000))
    await engine.advance()
    await engine.on.operations.request_cancellation(VAULT, "cert")
    assert await engine.due() == ["cert"]
    assert await engine.advance() is Status.CANCELLED
    assert [one.operation.state for one in engine.issuer.abandoned] == [b"order 1"]
    assert len(engine.issuer.asked) == 1
    cancelled = await engine.operation()
    assert (cancelled.status, cancelled.retry_at, cancelled.state) == (Status.CANCELLED, None, b"")
    assert (await engine.create()).status is Status.IN_PROGRESS


@pytest.mark.parametrize("late", [issue, lambda _: Waiting(b"", 2_000_000_000), lambda _: Refused("a", "b")])
async def test_who_cancels_while_the_issuer_works_is_heard(
    engine: Engine, late: Callable[[Enrolment], Outcome]
) -> None:
    await engine.create()

    async def slowly(enrolment: Enrolment) -> Outcome:
        await engine.on.operations.request_cancellation(VAULT, "cert")
        return late(enrolment)

    engine.answers(slowly)
    assert await engine.advance() is Status.CANCELLED
    [row] = await engine.on.certificates()
    assert row.is_pending


async def test_who_forgets_while_the_issuer_works_leaves_nothing(engine: Engine) -> None:
    await engine.create()

    async def slowly(enrolment: Enrolment) -> Outcome:
        await engine.on.operations.forget(VAULT, "cert")
        return issue(enrolment)

    engine.answers(slowly)
    assert await engine.advance() is None
    assert await engine.on.counts() == (0, 0, 0)
    assert await engine.issuance.advance(VAULT, "nobody") is None


async def test_an_operation_that_somebody_else_works_on_is_not_due(engine: Engine) -> None:
    await engine.create()
    seen: list[list[str]] = []

    async def looking(enrolment: Enrolment) -> Outcome:
        engine.on.clock.move(CLAIM_SECONDS - 1)
        seen.append(await engine.due())
        return issue(enrolment)

    engine.on.clock.move(DAY)
    assert await engine.due() == ["cert"]
    engine.answers(looking)
    assert await engine.advance() is Status.COMPLETED
    assert seen == [[]]


async def test_what_a_worker_that_died_has_begun_is_finished_by_another(engine: Engine) -> None:
    await engine.create()
    engine.answers(Death())
    with pytest.raises(Death):
        await engine.advance()
    assert await engine.due() == []
    engine.on.clock.move(CLAIM_SECONDS)
    assert await engine.due() == ["cert"]
    assert await engine.another().advance(VAULT, "cert") is Status.COMPLETED


async def test_two_workers_publish_one_version(engine: Engine) -> None:
    await engine.create()
    both = [engine.issuance.advance(VAULT, "cert"), engine.another().advance(VAULT, "cert")]
    assert Status.COMPLETED in await asyncio.gather(*both)
    assert (await engine.operation()).status is Status.COMPLETED
    assert await engine.on.counts() == (1, 1, 1)
    assert len(engine.records.lines) == 1


async def test_without_a_record_nothing_is_published(engine: Engine) -> None:
    await engine.create()
    engine.records.failure = Unavailable("The audit log is not available.")
    assert await engine.advance() is Status.IN_PROGRESS
    [row] = await engine.on.certificates()
    assert row.is_pending
    engine.records.failure = None
    assert await engine.advance() is Status.COMPLETED


@pytest.mark.parametrize("moment", ["commit:before", "commit:after"])
async def test_a_fault_at_any_commit_leaves_an_operation_that_ends_well(engine: Engine, moment: str) -> None:
    for number in range(3):
        await engine.on.create(f"cert-{number}", BY_ISSUER)
        left = number

        def fault(at: str) -> None:
            nonlocal left
            left -= at == moment
            if at == moment and left < 0:
                engine.on.database.fault = None
                raise OSError("the power is gone")

        engine.on.database.fault = fault
        with contextlib.suppress(OSError):
            await engine.issuance.advance(VAULT, f"cert-{number}")
        engine.on.database.fault = None
        assert await engine.issuance.advance(VAULT, f"cert-{number}") is Status.COMPLETED
        assert await engine.on.counts(f"cert-{number}") == (1, 1, 1)


async def test_work_in_the_background_is_done_once_for_each_name(engine: Engine) -> None:
    begun = await engine.create()
    for _ in range(5):
        engine.issuance.start(VAULT, begun.name)
    assert (await engine.settled()).status is Status.COMPLETED
    assert len(engine.issuer.asked) == 1


async def test_what_is_asked_while_it_works_is_looked_at_behind_it(engine: Engine) -> None:
    await engine.create()

    async def slowly(_: Enrolment) -> Outcome:
        engine.issuance.start(VAULT, "cert")
        return Waiting(b"", 2_000_000_000)

    engine.answers(slowly)
    engine.issuance.start(VAULT, "cert")
    assert (await engine.settled()).status is Status.COMPLETED
    assert len(engine.issuer.asked) == 2


async def test_who_stops_waits_a_moment_for_what_runs_and_leaves_the_rest_to_others(engine: Engine) -> None:
    await engine.create()
    working = asyncio.Event()

    async def for_ever(_: Enrolment) -> Outcome:
        working.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never

    engine.answers(for_ever)
    engine.issuance.start(VAULT, "cert")
    await working.wait()
    await engine.issuance.close()
    engine.issuance.start(VAULT, "cert")
    left = await engine.settled()
    assert (left.status, left.retry_at) == (Status.IN_PROGRESS, int(engine.on.clock.now()))
