"""The end of a vault: nothing of it is left, whoever stops in the middle; and what waits while it is deleted."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import Conflict, Unavailable
from hsmvault.jobs.container_purge import KEPT_SECONDS, PurgeContainers
from hsmvault.jobs.rotation import RotateKeys
from hsmvault.jobs.runner import Runner
from hsmvault.model.certificate_policies import Action, LifetimeAction
from hsmvault.model.containers import Container
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting
from hsmvault.model.roles import RoleAssignment
from hsmvault.resources.container_lives import delete_container
from hsmvault.resources.container_removal import ContainerRemoval, begin_purge
from hsmvault.resources.secrets import SecretSettings
from hsmvault.store import containers, diagnostic_settings, management_operations, roles, schema
from hsmvault.store.database import Database
from hsmvault.store.management_operations import LongOperation, OperationStatus
from tests.jobs.certificate_rig import CertificateNode, certificates_of, policy_of
from tests.jobs.rig import DAY, VAULT, Node

_KEPT = {"outbox", "changes", "management_operations", "authority_certificates"}
"""What has the id of a container and outlives it."""


@dataclass
class Stage:
    on: CertificateNode
    removal: ContainerRemoval
    runner: Runner
    path: Path

    @property
    def node(self) -> Node:
        return self.on.node

    @property
    def database(self) -> Database:
        return self.node.database

    async def fill(self) -> None:
        """One of everything that a vault can have, some of it deleted."""
        for number in range(30):  # more than one piece
            await self.on.secrets.set(VAULT, f"secret-{number}", "value", SecretSettings(expires=4_000_000_000))
        await self.on.secrets.delete(VAULT, "secret-1")
        await self.node.create("one", expires=4_000_000_000)
        await self.node.create("one")
        await self.node.create("two")
        await self.node.keys.delete(VAULT, "two")
        await self.on.create(policy_of(LifetimeAction(Action.EMAIL_CONTACTS, days_before_expiry=10)))
        await self.on.begin(name="pending")
        async with self.database.write() as tx:
            for number, scope in enumerate((VAULT.resource_id, f"{VAULT.resource_id}/keys/one")):
                await roles.insert(tx, RoleAssignment(f"id{number}", scope, "role", "somebody", tenant_id="t"))
            await diagnostic_settings.put(tx, DiagnosticSetting(VAULT.resource_id, "all", DiagnosticBody(), 0))

    async def delete(self) -> None:
        async with self.database.write() as tx:
            found = await containers.by_id(tx, VAULT.id)
            assert found is not None
            await delete_container(tx, found, self.on.now())

    async def delete_for(self, days: int) -> None:
        """Kept for so many days."""
        await self.delete()
        async with self.database.write() as tx:
            found = await containers.by_id(tx, VAULT.id)
            assert found is not None
            await containers.update(tx, replace(found, purge_at=self.on.now() + days * DAY))

    async def tick(self) -> None:
        """The jobs, and what they have begun in the background."""
        await self.runner.tick()
        await asyncio.gather(*self.on.issuance._running.values())

    async def recover(self) -> None:
        async with self.database.write() as tx:
            found = await containers.by_id(tx, VAULT.id)
            assert found is not None
            await containers.update(tx, replace(found, deleted_at=None, purge_at=None))

    async def begin(self) -> LongOperation:
        """As a caller does who asks for the purge."""
        async with self.database.write() as tx:
            found = await containers.by_id(tx, VAULT.id)
            assert found is not None
            return await begin_purge(tx, found, RandomIdentifiers(), self.on.now())

    async def operation(self, id: str) -> LongOperation | None:
        async with self.database.read() as tx:
            return await management_operations.find(tx, id)

    async def stored(self) -> Container | None:
        async with self.database.read() as tx:
            return await containers.by_id(tx, VAULT.id)

    def rows(self) -> dict[str, int]:
        """How many rows of the vault each table has."""
        with closing(sqlite3.connect(self.path)) as connection:
            counted: dict[str, int] = {}
            for table in schema.metadata.sorted_tables:
                if "container_id" in table.c and table.name not in _KEPT:
                    query = f"SELECT count(*) FROM {table.name} WHERE container_id = ?"  # noqa: S608  # our own names
                    counted[table.name] = connection.execute(query, (VAULT.id,)).fetchone()[0]
            return {name: number for name, number in counted.items() if number}


@pytest.fixture
async def stage(node: Node, tmp_path: Path) -> AsyncIterator[Stage]:
    async with certificates_of(node) as on:
        removal = ContainerRemoval(node.database, node.custodians, node.intents)
        job = PurgeContainers(node.database, removal, node.records, node.clock, RandomIdentifiers())
        rotation = RotateKeys(node.database, node.rotation, node.records)
        jobs, apart = [rotation, *on.runner._jobs], [*on.runner._apart, job]
        runner = Runner(node.database, jobs, node.clock, "all", apart=apart)
        yield Stage(on, removal, runner, tmp_path / "hsmvault.db")


async def test_nothing_of_a_purged_vault_is_left(stage: Stage) -> None:
    await stage.fill()
    assert {"key_versions", "secret_versions", "certificate_versions", "data_keys", "schedule"} < stage.rows().keys()
    assert {"certificate_operations", "certificate_issuers", "certificate_contacts"} < stage.rows().keys()
    await stage.delete()
    operation = await stage.begin()
    await stage.runner.tick()
    assert stage.rows() == {}
    assert await stage.stored() is None
    async with stage.database.read() as tx:
        assert await roles.list_at(tx, "/") == []
        assert await diagnostic_settings.of_resource(tx, VAULT.resource_id) == []
    done = await stage.operation(operation.id)
    assert done is not None
    assert (done.status, done.finished) == (OperationStatus.SUCCEEDED, stage.on.now())
    assert stage.on.recorded("VaultPurge") == [("VaultPurge", 200)]


async def test_a_vault_that_is_in_use_or_waits_for_its_time_is_left_alone(stage: Stage) -> None:
    await stage.fill()
    before = stage.rows()
    await stage.runner.tick()
    await stage.delete()
    await stage.runner.tick()
    assert stage.rows() == before


async def test_the_end_of_the_retention_purges_a_protected_vault_too(stage: Stage) -> None:
    assert VAULT.retention.purge_protection
    await stage.fill()
    await stage.delete()
    for _ in range(7):
        stage.node.clock.move(DAY)
        assert await stage.stored() is not None
        await stage.runner.tick()
    assert await stage.stored() is None
    assert stage.rows() == {}


async def test_a_jump_of_the_clock_ends_no_retention(stage: Stage) -> None:
    await stage.fill()
    await stage.delete()
    await stage.runner.tick()
    stage.node.clock.jump(8 * DAY)
    await stage.runner.tick()
    assert await stage.stored() is not None


async def test_a_purge_that_is_interrupted_goes_on(stage: Stage) -> None:
    """After each of its transactions, until one run comes to the end."""
    await stage.fill()
    await stage.delete()
    operation = await stage.begin()
    marked = await stage.stored()
    assert marked is not None
    turns = 0

    async def nothing() -> None:
        return None

    while await stage.stored() is not None:
        left = [turns]

        async def goes_on(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] >= 0

        await stage.removal.remove(marked, stage.on.now(), nothing, goes_on)
        turns += 1
        assert turns < 100
    assert turns > 3
    assert stage.rows() == {}
    done = await stage.operation(operation.id)
    assert done is not None
    assert done.status is OperationStatus.SUCCEEDED


async def test_without_its_record_the_last_step_is_not_taken(stage: Stage) -> None:
    await stage.delete()
    await stage.begin()

    async def refuse() -> None:
        raise Unavailable("The audit log takes no records.")

    async def goes_on() -> bool:
        return True

    marked = await stage.stored()
    assert marked is not None
    with pytest.raises(Unavailable):
        await stage.removal.remove(marked, stage.on.now(), refuse, goes_on)
    assert await stage.stored() == marked
    await stage.runner.tick()
    assert await stage.stored() is None


async def test_a_late_request_makes_nothing_in_a_purged_vault(stage: Stage) -> None:
    await stage.delete()
    await stage.begin()
    await stage.runner.tick()
    for late in (
        stage.node.create("late"),
        stage.on.secrets.set(VAULT, "late", "value", SecretSettings()),
        stage.on.begin(name="late"),
    ):
        with pytest.raises(Conflict):
            await late
    assert stage.rows().keys() <= {"data_keys"}, "which opens nothing"


async def test_operations_that_ended_are_kept_for_a_day(stage: Stage) -> None:
    await stage.delete()
    operation = await stage.begin()
    await stage.runner.tick()
    stage.node.clock.move(KEPT_SECONDS - 300)
    await stage.runner.tick()
    assert await stage.operation(operation.id) is not None
    stage.node.clock.move(600)
    await stage.runner.tick()
    assert await stage.operation(operation.id) is None


async def test_operations_go_however_many_were_begun(stage: Stage) -> None:
    first = int(stage.node.clock.now())
    async with stage.database.write() as tx:
        for number in range(120):
            done = LongOperation(
                str(number), "t", "s", "update", "", "", first, OperationStatus.SUCCEEDED, finished=first
            )
            await management_operations.insert(tx, done)
    stage.node.clock.move(KEPT_SECONDS + 600)
    await stage.runner.tick()
    async with stage.database.read() as tx:
        assert await management_operations.finished_before(tx, first + 1, 1000) == []


async def test_jobs_leave_a_deleted_vault_alone_and_go_on_when_it_is_recovered(stage: Stage) -> None:
    on, node = stage.on, stage.node
    await node.create(expires=on.now() + 3 * DAY)
    await node.set_policy("P7D")
    await node.create("gone")
    await node.keys.delete(VAULT, "gone")
    await on.create(policy_of(LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=1), months=1))
    await stage.delete_for(30)
    events, versions = await node.events(), await node.versions()
    for _ in range(8):  # a rotation, a renewal, an expiry and a purge are due
        node.clock.move(DAY)
        await stage.tick()
    assert await node.versions() == versions
    assert len(await on.versions()) == 1
    assert await node.is_there("gone")
    assert [one for one in await node.events() if one not in events] == []
    await stage.recover()
    for _ in range(3):
        node.clock.move(600)
        await stage.tick()
    assert len(await node.versions()) == 2
    assert len(await on.versions()) == 2
    assert not await node.is_there("gone")
