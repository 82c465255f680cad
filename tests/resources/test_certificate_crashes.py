"""Making certificates breaks off before and after each step; the next start finds each whole or not at all.

The key is resident in the token, where more can be left behind than anywhere else. Breaking off is an exception that
nothing undoes; what a new process would do first is done then (app/reconciliation.py).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hsmvault.app.reconciliation import claimed_objects, reconcile
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.steps import Steps
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS
from hsmvault.model.certificate_policy_parts import KeyParts, PolicyParts
from hsmvault.model.certificates import Status
from hsmvault.resources.certificate_imports import ImportedCertificate
from hsmvault.resources.key_cache import held_by
from hsmvault.resources.secret_cache import binding_of
from hsmvault.store import certificate_operations
from tests.resources.certificate_stage import BY_ISSUER, MANUAL, P256, Stage, hard_stage, intermediate, root, signed
from tests.resources.stage import VAULT
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

ES256 = SIGNATURE_ALGORITHMS["ES256"]
HARD = replace(P256, hardware=True, exportable=False)
BY_MERGE, BY_OTHERS = replace(MANUAL, key=HARD), replace(BY_ISSUER, key=HARD)
Act = Callable[[Stage, str], Awaitable[object]]


class Killed(BaseException):
    """Like a process that dies: nothing is undone."""


@dataclass
class Breaker:
    """Counts the steps of the database and of custody, and breaks off at one of them."""

    on: Stage
    resident: ResidentCustodian
    seen: int = 0
    at: int | None = None

    def step(self, _: str) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise Killed

    async def run(self, act: Act, name: str, at: int | None) -> int:
        """How many steps there were. at: None for not breaking off."""
        self.seen, self.at = 0, at
        self.on.database.fault = self.step
        try:
            await act(self.on, name)
        except Killed:
            assert at is not None
        finally:
            self.on.database.fault, self.at = None, None
        return self.seen


@pytest.fixture
async def breaker(softhsm: SoftToken, tmp_path: Path) -> AsyncIterator[Breaker]:  # noqa: F811  # a fixture
    async with hard_stage(softhsm, tmp_path, CustodyClass.RESIDENT) as on:
        resident = on.custodians.for_new(VAULT, hardware=True)
        assert isinstance(resident, ResidentCustodian)
        made = Breaker(on, resident)
        resident._step = Steps(made.step)
        yield made


async def nothing(on: Stage, name: str) -> None:
    """There is no such name yet."""


async def begun(on: Stage, name: str) -> None:
    await on.create(name, BY_OTHERS)


async def awaiting_merge(on: Stage, name: str) -> None:
    await on.create(name, BY_MERGE)


async def failed(on: Stage, name: str) -> None:
    operation = await on.create(name, BY_OTHERS)
    async with on.database.write() as tx:
        await certificate_operations.update(tx, replace(operation, status=Status.FAILED, retry_at=None))


async def renewal_begun(on: Stage, name: str) -> None:
    await on.made(name, BY_OTHERS)
    await on.create(name, None, is_renewal=True)


async def complete(on: Stage, name: str) -> None:
    operation = await on.operations.get(VAULT, name)
    await on.completion.complete(VAULT, operation, [signed(operation.csr)])


async def merge(on: Stage, name: str) -> None:
    operation = await on.operations.get(VAULT, name)
    await on.completion.merge(VAULT, name, [signed(operation.csr)], None, None)


async def forget(on: Stage, name: str) -> None:
    await on.operations.forget(VAULT, name)


async def import_one(on: Stage, name: str) -> None:
    content = (intermediate().pem_key + intermediate().pem + root().pem).decode()
    policy = PolicyParts(key=KeyParts(hardware=True))
    await on.imports.admit(VAULT, name, ImportedCertificate(content, policy=policy))


@pytest.mark.parametrize(
    ("before", "act"),
    [
        (nothing, begun),
        pytest.param(failed, begun, marks=pytest.mark.slow),
        (begun, complete),
        (renewal_begun, complete),
        pytest.param(awaiting_merge, merge, marks=pytest.mark.slow),
        (nothing, import_one),
        pytest.param(failed, import_one, marks=pytest.mark.slow),
        pytest.param(begun, forget, marks=pytest.mark.slow),
        pytest.param(renewal_begun, forget, marks=pytest.mark.slow),
    ],
)
async def test_what_breaks_off_at_any_step_is_whole_or_has_not_begun(
    breaker: Breaker, before: Callable[[Stage, str], Awaitable[None]], act: Act
) -> None:
    on = breaker.on
    await before(on, "whole")
    was = await state_of(on, "whole")
    steps = await breaker.run(act, "whole", None)
    done = await state_of(on, "whole")
    assert was != done
    assert steps >= 2  # a commit
    for number in range(1, steps + 1):
        name = f"broken-{number}"
        await before(on, name)
        await breaker.run(act, name, number)
        await reconcile(on.database, [breaker.resident], on.intents)
        assert await state_of(on, name) in (was, done), number
        assert await on.planned() == 0
        assert set(await breaker.resident.objects()) == await claimed_objects(on.database)


async def state_of(on: Stage, name: str) -> object:
    """What can be seen of a name, without what differs from one to the next."""
    certificates, keys, secrets = await on.certificates(name), await on.keys(name), await on.secrets(name)
    assert [row.version for row in certificates] == [row.version for row in keys] == [row.version for row in secrets]
    async with on.database.read() as tx:
        operation = await certificate_operations.find_any(tx, VAULT.id, name)
    published = {row.version for row in certificates if not row.is_pending}
    assert published == {row.version for row in keys if row.enabled} == {row.version for row in secrets if row.enabled}
    told = [event for event, version in await on.events() if version in {row.version for row in certificates}]
    assert len(told) == 3 * len(published)
    for row in secrets:
        value = await on.sealer.open(row.sealed, binding_of(VAULT.id, row.name, row.version))
        assert bool(value) is row.enabled
    if operation is not None and operation.status is Status.IN_PROGRESS:
        assert operation.version == certificates[-1].version
        pending = keys[-1]
        signer = on.material.signer(VAULT, pending.name, pending.version, held_by(pending))
        assert len(await signer.handle.sign(ES256, bytes(32))) == 64
    return [row.is_pending for row in certificates], None if operation is None else operation.status
