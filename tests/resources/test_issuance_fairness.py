"""A vault whose issuers take their time does not hold up another one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_creation import NewCertificate
from hsmvault.resources.certificate_issuance import _MOST_OF_ONE, Issuance
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Issuer, Outcome
from hsmvault.store import containers
from tests.resources.certificate_stage import BY_ISSUER, Stage, signed, soft_stage
from tests.resources.stage import VAULT
from tests.resources.test_issuance import Recorded

OTHER = replace(VAULT, id="11111111-0000-0000-0000-00000000000e", name="other")


class Slow:
    """Answers the one vault when it is told to, and the other at once."""

    provider = "Slow"
    enrols = True

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.full = asyncio.Event()
        self.at_work = 0

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        """Whatever it is."""

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        if enrolment.container.id == VAULT.id:
            self.at_work += 1
            if self.at_work == _MOST_OF_ONE:
                self.full.set()
            await self.goes_on.wait()
        return Issued((signed(enrolment.operation.csr),))

    async def abandon(self, enrolment: Enrolment) -> None:
        """Nothing was begun."""

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        return self, None


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        async with made.database.write() as tx:
            await containers.insert(tx, OTHER)
        yield made


async def test_one_vault_has_only_so_many_turns_and_the_others_go_on(on: Stage) -> None:
    issuer, records = Slow(), Recorded()
    issuance = Issuance(on.database, issuer, on.material, on.completion, records, on.clock)
    names = [f"cert-{number}" for number in range(_MOST_OF_ONE + 3)]
    for name in names:
        await on.create(name, BY_ISSUER)
        issuance.start(VAULT, name)
    await issuer.full.wait()
    await on.creation.create(OTHER, "other", NewCertificate(BY_ISSUER))
    issuance.start(OTHER, "other")
    await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "issuance of other"])
    assert (await on.operations.get(OTHER, "other")).status is Status.COMPLETED
    assert issuer.at_work == _MOST_OF_ONE
    issuer.goes_on.set()
    while tasks := [task for task in asyncio.all_tasks() if task.get_name().startswith("issuance of")]:
        await asyncio.wait(tasks)
    assert {(await on.operations.get(VAULT, name)).status for name in names} == {Status.COMPLETED}
    await issuance.close()
