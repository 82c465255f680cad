"""The operation of a name, as callers see it: read, cancelled and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from hsmvault.errors import Conflict, Forbidden, NotFound, Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS
from hsmvault.model.certificates import Status
from hsmvault.store import certificate_operations
from tests.resources.certificate_stage import BY_ISSUER, Stage, signed, soft_stage
from tests.resources.stage import VAULT

UNKNOWN = "0" * 32


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


async def test_an_operation_is_found_by_its_name_and_its_own_id_alone(on: Stage) -> None:
    operation = await on.create()
    assert await on.operations.get(VAULT, "CERT") == operation
    assert await on.operations.get(VAULT, "cert", operation.request_id.upper()) == operation
    for name, request_id in (("cert", UNKNOWN), ("cert", ""), ("other", None), ("other", operation.request_id)):
        with pytest.raises(NotFound, match=f"Pending certificate not found: {name}") as refusal:
            await on.operations.get(VAULT, name, request_id)
        assert refusal.value.code == "PendingCertificateNotFound"
        with pytest.raises(NotFound):
            await on.operations.request_cancellation(VAULT, name, request_id)
        with pytest.raises(NotFound):
            await on.operations.forget(VAULT, name, request_id)
    with pytest.raises(NotFound):
        await on.operations.get(replace(VAULT, id="11111111-0000-0000-0000-000000000009"), "cert")


async def test_a_cancellation_is_a_wish_that_somebody_looks_at_now(on: Stage) -> None:
    for name, policy in (("manual", None), ("other", BY_ISSUER)):
        operation = await (on.create(name) if policy is None else on.create(name, policy))
        on.clock.move(5)
        asked = await on.operations.request_cancellation(VAULT, name, operation.request_id)
        assert (asked.status, asked.cancellation_requested) == (Status.IN_PROGRESS, True)
        assert asked.retry_at == asked.updated == int(on.clock.now())
        assert await on.operations.get(VAULT, name) == asked
        assert await on.operations.request_cancellation(VAULT, name) == asked


async def test_the_wish_can_be_taken_back(on: Stage) -> None:
    await on.create()
    await on.operations.request_cancellation(VAULT, "cert")
    back = await on.operations.request_cancellation(VAULT, "cert", requested=False)
    assert (back.cancellation_requested, back.retry_at) == (False, None)


async def test_what_is_over_is_not_cancelled(on: Stage) -> None:
    await on.made()
    with pytest.raises(Forbidden, match="not in progress: completed"):
        await on.operations.request_cancellation(VAULT, "cert")


async def test_a_forgotten_first_version_leaves_the_name_free(on: Stage) -> None:
    operation = await on.create()
    assert await on.operations.forget(VAULT, "cert") == operation
    assert await on.counts() == (0, 0, 0)
    assert await on.key_name() is None
    with pytest.raises(NotFound):
        await on.operations.get(VAULT, "cert")
    await on.create("Cert")
    assert [row.name for row in await on.keys()] == ["Cert"]


async def test_a_forgotten_later_version_leaves_those_before(on: Stage) -> None:
    first = await on.made()
    await on.create()
    await on.operations.forget(VAULT, "cert")
    assert await on.certificates() == [first.row]
    assert (
        [row.version for row in await on.keys()] == [row.version for row in await on.secrets()] == [first.row.version]
    )
    operation = await on.create()
    await on.completion.complete(VAULT, operation, [signed(operation.csr)])
    assert [row.sequence for row in await on.certificates()] == [1, 3]


async def test_a_completed_operation_is_forgotten_without_its_certificate(on: Stage) -> None:
    certificate = await on.made()
    await on.operations.forget(VAULT, "cert")
    assert await on.certificates() == [certificate.row]
    assert not on.issuers.issuer.abandoned


async def test_the_issuer_hears_of_what_is_forgotten_and_can_still_use_the_key(on: Stage) -> None:
    operation = await on.create(policy=BY_ISSUER)
    await on.operations.forget(VAULT, "cert")
    [enrolment] = on.issuers.issuer.abandoned
    assert enrolment.operation == operation
    digest = sha256(b"").digest()
    assert len(await enrolment.key.sign(SIGNATURE_ALGORITHMS["ES256"], digest)) == 64


async def test_an_issuer_that_fails_does_not_keep_an_operation_from_being_forgotten(on: Stage) -> None:
    async def fail(enrolment: object) -> None:
        raise Unavailable("gone")

    on.issuers.issuer.abandon = fail  # type: ignore[method-assign]  # a stand-in's own
    await on.create(policy=BY_ISSUER)
    await on.operations.forget(VAULT, "cert")
    assert await on.counts() == (0, 0, 0)


async def test_an_operation_is_completed_or_forgotten_and_never_half_of_both(on: Stage) -> None:
    for number in range(4):
        name = f"cert-{number}"
        operation = await on.create(name)
        both = (
            on.completion.complete(VAULT, operation, [signed(operation.csr)]),
            on.operations.forget(VAULT, name),
        )
        completed, forgotten = await asyncio.gather(*both[:: 1 if number % 2 else -1], return_exceptions=True)
        counts = await on.counts(name)
        if isinstance(completed, Conflict) or isinstance(forgotten, Conflict):
            assert counts == (0, 0, 0)
        else:
            assert counts == (1, 1, 1)
            assert not (await on.certificates(name))[0].is_pending
        with pytest.raises(NotFound):
            await on.operations.get(VAULT, name)


async def test_a_forgetting_that_breaks_off_at_its_commit_has_happened_or_not(on: Stage) -> None:
    await on.create()

    def fail(point: str) -> None:
        if point == "commit:before":
            raise Unavailable("disk full")

    on.database.fault = fail
    with pytest.raises(Unavailable):
        await on.operations.forget(VAULT, "cert")
    on.database.fault = None
    assert await on.counts() == (1, 1, 1)
    await on.operations.forget(VAULT, "cert")
    assert await on.counts() == (0, 0, 0)


async def test_a_wish_to_cancel_is_kept_when_the_engine_changes_the_operation_at_the_same_time(on: Stage) -> None:
    await on.create(policy=BY_ISSUER)

    async def work() -> None:
        async with on.database.write() as tx:
            found = await certificate_operations.find(tx, VAULT.id, "cert")
            assert found is not None
            await certificate_operations.update(tx, replace(found, attempts=found.attempts + 1))

    await asyncio.gather(work(), on.operations.request_cancellation(VAULT, "cert"), work())
    assert (await on.operations.get(VAULT, "cert")).cancellation_requested
