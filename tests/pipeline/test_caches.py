"""What the pipeline keeps in memory follows the rows, and a change that comes in between is never lost."""

import asyncio
from dataclasses import dataclass, replace
from typing import cast

from hsmvault.model import builtin_roles
from hsmvault.model.containers import ContainerKind
from hsmvault.model.principals import Tenant
from hsmvault.model.roles import RoleAssignment, folded
from hsmvault.pipeline.caches import AssignmentCache, ContainerCache, DirectoryCache, Followed
from hsmvault.store import containers, directory, roles
from hsmvault.store.database import Database
from tests.store.conftest import clock, database, template, url  # noqa: F401  # fixtures
from tests.store.samples import VAULT, identity


async def test_what_is_there_and_what_is_not_is_read_once() -> None:
    read: list[str] = []

    async def load(key: str) -> str | None:
        read.append(key)
        return key.upper() if key == "a" else None

    followed: Followed[str, str | None] = Followed(load)
    assert [await followed.get(key) for key in "abab"] == ["A", None, "A", None]
    assert read == ["a", "b"]
    followed.forget("a")
    assert await followed.get("a") == "A"
    assert read == ["a", "b", "a"]


async def test_what_was_read_while_a_change_came_in_is_used_once_and_not_kept() -> None:
    value, entered, go_on = "old", asyncio.Event(), asyncio.Event()

    async def load(_: str) -> str:
        found = value
        entered.set()
        await go_on.wait()
        return found

    followed: Followed[str, str] = Followed(load)
    reading = asyncio.create_task(followed.get("a"))
    await entered.wait()
    value = "new"
    followed.forget("a")
    go_on.set()
    assert await reading == "old"
    assert await followed.get("a") == "new"


async def test_it_never_holds_more_than_its_bound() -> None:
    async def load(key: int) -> int:
        return key

    followed: Followed[int, int] = Followed(load, most=10)
    for number in range(100):
        await followed.get(number)
        assert len(followed._entries) <= 10


async def test_containers_are_found_by_kind_and_name_and_found_anew_after_a_change(database: Database) -> None:  # noqa: F811  # the fixture
    cache = ContainerCache(database)
    assert await cache.find(ContainerKind.VAULT, VAULT.name) == VAULT
    assert await cache.find(ContainerKind.POOL, VAULT.name) is None
    async with database.write() as tx:
        await containers.update(tx, replace(VAULT, access_policies=()))
    stale = await cache.find(ContainerKind.VAULT, VAULT.name)
    cache.forget_all()
    fresh = await cache.find(ContainerKind.VAULT, VAULT.name)
    assert stale is not None and fresh is not None
    assert (fresh.access_policies, fresh.revision) == ((), stale.revision + 1)


async def test_assignments_and_states_are_those_of_the_rows(database: Database) -> None:  # noqa: F811  # the fixture
    tenant = Tenant(VAULT.tenant_id, "Contoso", "contoso.example")
    machine = identity(1, tenant=tenant)
    role = builtin_roles.BY_NAME["Key Vault Reader"].id
    assignment = RoleAssignment("99999999-0000-0000-0000-000000000001", VAULT.resource_id, role, machine.object_id)
    async with database.write() as tx:
        await directory.insert_tenant(tx, tenant)
        await directory.insert_principal(tx, machine)
        await roles.insert(tx, assignment)
    assignments, states = AssignmentCache(database), DirectoryCache(database)
    at = folded(assignment.scope)
    found = await assignments.around([machine.object_id, "nobody"], (at,), "")
    assert found == [{at: (assignment,)}, {}]
    state = await states.state(tenant.id, machine.object_id)
    assert state is not None and state.enabled
    assert await states.state("other", machine.object_id) is None
    async with database.write() as tx:
        await roles.delete(tx, assignment.id)
        await directory.set_enabled(tx, tenant.id, machine.object_id, enabled=False)
    assignments.forget(machine.object_id)
    states.forget_all()
    assert await assignments.around([machine.object_id], (at,), "") == [{}]
    state = await states.state(tenant.id, machine.object_id)
    assert state is not None and not state.enabled


@dataclass
class Counted:
    """A database that counts its readings."""

    database: Database
    readings: int = 0

    def read(self) -> object:
        self.readings += 1
        return self.database.read()


async def test_names_that_are_none_cost_one_reading_for_all_and_no_memory(database: Database) -> None:  # noqa: F811  # the fixture
    counted = Counted(database)
    cache = ContainerCache(cast(Database, counted))
    found = await asyncio.gather(*(cache.find(ContainerKind.VAULT, f"x{number}") for number in range(20_000)))
    assert set(found) == {None}
    assert counted.readings == 1
    assert len(cache._found._entries) == 0
    for _ in range(3):
        assert await cache.find(ContainerKind.VAULT, VAULT.name) == VAULT
    assert counted.readings == 2


async def test_a_container_that_is_made_is_found_after_the_news_of_it(database: Database) -> None:  # noqa: F811  # the fixture
    cache = ContainerCache(database)
    assert await cache.find(ContainerKind.VAULT, "made-later") is None
    made = replace(VAULT, id="11111111-0000-0000-0000-0000000000ff", name="made-later")
    async with database.write() as tx:
        await containers.insert(tx, made)
    cache.forget("made-later")
    assert await cache.find(ContainerKind.VAULT, "made-later") == made
    assert await cache.find(ContainerKind.POOL, "made-later") is None


async def test_names_that_were_read_while_a_container_was_made_are_not_kept(database: Database) -> None:  # noqa: F811  # the fixture
    cache = ContainerCache(database)
    early = asyncio.create_task(cache.find(ContainerKind.VAULT, "made-later"))
    await asyncio.sleep(0)  # it has begun to read
    made = replace(VAULT, id="11111111-0000-0000-0000-0000000000ff", name="made-later")
    async with database.write() as tx:
        await containers.insert(tx, made)
    cache.forget("made-later")
    assert await cache.find(ContainerKind.VAULT, "made-later") == made
    await early
    assert await cache.find(ContainerKind.VAULT, "made-later") == made
