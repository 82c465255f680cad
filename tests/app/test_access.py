"""The pipeline with its caches and the feed of changes: what is taken away is refused on the next request."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.app.access import Access, make_pipeline
from hsmvault.app.base import Base
from hsmvault.app.trust import EmbeddedKeys
from hsmvault.audit.log import AuditLog
from hsmvault.cli.dev import DevOptions, dev_settings
from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.errors import Forbidden, RequestError, Unauthorized
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model.builtin_roles import BY_NAME
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.principals import Caller, Credential, CredentialKind, Principal, PrincipalKind, Tenant
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition
from hsmvault.model.subscriptions import ManagementGroup, Subscription
from hsmvault.model.worlds import WorldRow
from hsmvault.pipeline.caches import ContainerCache
from hsmvault.store import containers, directory, management_groups, role_definitions, roles, subscriptions, worlds
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database, Transaction
from hsmvault.telemetry.metrics import Metrics
from tests.pipeline.world import APPLICATION_ID, CREDENTIAL_ID, OBJECT_ID, TENANT, VAULT, World, a_call, rsa_key
from tests.wire.conftest import empty_database

__all__ = ["empty_database"]

GROUP, OUTER = "55555555-0000-0000-0000-000000000001", "55555555-0000-0000-0000-000000000002"
CUSTOM = "bbbbbbbb-0000-0000-0000-000000000001"
ONE = "aaaaaaaa-0000-0000-0000-000000000001"
SUBSCRIPTION = f"/subscriptions/{VAULT.subscription_id}"


@dataclass
class Answer:
    status: int = 200


@dataclass
class Stage:
    world: World
    database: Database
    access: Access
    found: ContainerCache

    async def may(self, operation: str = "get_key") -> bool:
        """Whether the machine's next request is let through; its token is always the same."""
        vault = await self.found.find(ContainerKind.VAULT, VAULT.name)
        assert vault is not None
        call = a_call(f"Bearer {self.world.token()}", container=vault, operation=operation)

        async def work(_: Caller) -> Answer:
            return Answer()

        try:
            await self.access.pipeline.run(call, work)
        except (Forbidden, Unauthorized):
            return False
        return True

    async def change(self, work: Callable[[Transaction], Awaitable[object]]) -> None:
        async with self.database.write() as tx:
            await work(tx)


@pytest_asyncio.fixture
async def stage(empty_database: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    world = World()
    shutil.copy(empty_database, tmp_path / "hsmvault.db")
    database = await Database.open(f"sqlite:///{tmp_path / 'hsmvault.db'}", clock=world.clock)
    public = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def published() -> list[object]:
        return [SimpleNamespace(id="k1", public=public)]

    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow(VAULT.world_id, "default", "local", "token", b"", b"m", "wrapped", 0))
        await directory.insert_tenant(tx, Tenant(TENANT, "Ours", "ours.example"))
        machine = Principal(OBJECT_ID, TENANT, PrincipalKind.APPLICATION, "M", application_id=APPLICATION_ID)
        await directory.insert_principal(tx, machine)
        await directory.insert_credential(
            tx, Credential(CREDENTIAL_ID, APPLICATION_ID, CredentialKind.SECRET, verifier="x")
        )
        for group in (GROUP, OUTER):
            await directory.insert_principal(tx, Principal(group, TENANT, PrincipalKind.GROUP, "G"))
        await management_groups.insert(tx, ManagementGroup(TENANT, "Europe", "Europe"))
        await subscriptions.insert(tx, Subscription(VAULT.subscription_id, TENANT, "Ours"))
        await role_definitions.insert(
            tx, RoleDefinition(CUSTOM, "K", (Permission(data_actions=("*",)),), tenant_id=TENANT)
        )
        await containers.insert(tx, VAULT)
    audit = AuditLog(tmp_path / "audit", "0", world.clock)
    feed = ChangeFeed(database)
    base = Base(
        dev_settings(DevOptions(tmp_path)),
        world.clock,
        RandomIdentifiers(),
        Metrics(),
        database,
        feed,
        audit,
        Intents(database, world.clock, RandomIdentifiers()),
    )
    found = ContainerCache(database)
    keys = cast(SigningKeys, SimpleNamespace(published=published))
    yield Stage(world, database, await make_pipeline(base, EmbeddedKeys(keys), found), found)
    await feed.close()
    await audit.close()
    await database.close()


def given(
    scope: str = VAULT.resource_id, role: str = "Key Vault Crypto User", principal_id: str = OBJECT_ID, **more: str
) -> RoleAssignment:
    id = BY_NAME[role].id if role in BY_NAME else role
    return RoleAssignment(ONE, scope, id, principal_id, tenant_id=TENANT, **more)  # type: ignore[arg-type]  # texts


async def test_an_assignment_counts_from_the_next_request_and_ends_with_it(stage: Stage) -> None:
    assert not await stage.may()
    await stage.change(lambda tx: roles.insert(tx, given()))
    assert await stage.may()
    await stage.change(lambda tx: roles.delete(tx, ONE))
    assert not await stage.may()


async def test_so_do_memberships_through_nested_groups(stage: Stage) -> None:
    await stage.change(lambda tx: roles.insert(tx, given(principal_id=OUTER)))
    await stage.change(lambda tx: directory.add_member(tx, OUTER, GROUP))
    assert not await stage.may()
    await stage.change(lambda tx: directory.add_member(tx, GROUP, OBJECT_ID))
    assert await stage.may()
    await stage.change(lambda tx: directory.remove_member(tx, OUTER, GROUP))
    assert not await stage.may()


async def test_a_principal_that_is_disabled_or_loses_its_credential_is_not_let_in(stage: Stage) -> None:
    await stage.change(lambda tx: roles.insert(tx, given()))
    assert await stage.may()
    for enabled in (False, True):
        await stage.change(lambda tx, enabled=enabled: directory.set_enabled(tx, TENANT, OBJECT_ID, enabled))  # type: ignore[misc]  # bound early
        assert await stage.may() is enabled
    await stage.change(lambda tx: directory.delete_credential(tx, APPLICATION_ID, CREDENTIAL_ID))
    assert not await stage.may()


async def test_a_definition_that_changes_changes_what_it_gives(stage: Stage) -> None:
    await stage.change(lambda tx: roles.insert(tx, given(role=CUSTOM)))
    assert await stage.may()
    role = RoleDefinition(
        CUSTOM, "K", (Permission(data_actions=("*",), not_data_actions=("*/read",)),), tenant_id=TENANT
    )
    await stage.change(lambda tx: role_definitions.update(tx, role))
    assert not await stage.may() and await stage.may("sign")
    await stage.change(lambda tx: role_definitions.delete(tx, CUSTOM))
    assert not await stage.may("sign")


async def test_a_condition_that_is_added_limits_at_once(stage: Stage) -> None:
    await stage.change(lambda tx: roles.insert(tx, given()))
    assert await stage.may()
    limited = given(condition="!(ActionMatches{'*/keys/read'})", condition_version="2.0")
    await stage.change(lambda tx: roles.update(tx, limited))
    assert not await stage.may() and await stage.may("sign")


async def test_a_subscription_that_moves_inherits_from_where_it_stands(stage: Stage) -> None:
    europe = "/providers/Microsoft.Management/managementGroups/Europe"
    await stage.change(lambda tx: roles.insert(tx, given(europe)))
    assert not await stage.may()
    subscription = Subscription(VAULT.subscription_id, TENANT, "Ours", management_group="europe")
    await stage.change(lambda tx: subscriptions.update(tx, subscription))
    assert await stage.may()
    await stage.change(lambda tx: subscriptions.update(tx, replace(subscription, management_group="")))
    assert not await stage.may()


async def test_a_vault_that_changes_its_model_forgets_what_the_other_gave(stage: Stage) -> None:
    await stage.change(lambda tx: roles.insert(tx, given()))
    assert await stage.may()
    policy = AccessPolicy(TENANT, OBJECT_ID, keys=frozenset({"get"}))

    async def switch(tx: Transaction, **changes: object) -> None:
        vault = await containers.find(tx, ContainerKind.VAULT, VAULT.name)
        assert isinstance(vault, Container)
        await containers.update(tx, replace(vault, **changes))  # type: ignore[arg-type]  # of a Container

    await stage.change(lambda tx: switch(tx, authorization=AuthorizationModel.ACCESS_POLICIES))
    assert not await stage.may()
    await stage.change(lambda tx: switch(tx, access_policies=(policy,)))
    assert await stage.may() and not await stage.may("sign")
    await stage.change(lambda tx: switch(tx, access_policies=()))
    assert not await stage.may()


async def test_nobody_is_refused_for_what_could_not_be_asked(stage: Stage) -> None:
    """A database that is away is no refusal of a permission."""
    await stage.database.close()
    with pytest.raises(RequestError) as caught:
        call = a_call(f"Bearer {stage.world.token()}")
        await stage.access.pipeline.run(call, None)  # type: ignore[arg-type]  # it is never called
    assert not isinstance(caught.value, Forbidden | Unauthorized)
