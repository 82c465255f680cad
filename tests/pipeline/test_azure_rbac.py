"""Azure RBAC: inheritance along scopes and management groups, groups of people, custom roles and conditions, tenants;
and that a decision costs the same however many assignments there are."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.builtin_roles import BY_NAME
from hsmvault.model.roles import Permission, RoleAssignment, RoleDefinition, covers, folded
from hsmvault.model.subscriptions import ManagementGroup, Placement, Subscription
from hsmvault.pipeline.azure_rbac import AzureRbac, Decision
from hsmvault.pipeline.caches import AssignmentCache, RoleCache, SubscriptionCache
from hsmvault.store import management_groups, role_definitions, roles, subscriptions
from hsmvault.store.database import Database
from hsmvault.store.schema import role_definitions as definitions_table
from hsmvault.store.statements import Statement
from tests.pipeline.test_authorization import may
from tests.pipeline.world import (
    OBJECT_ID,
    OTHER_TENANT,
    TENANT,
    VAULT,
    MemoryAssignments,
    MemoryPlaces,
    MemoryRoles,
    a_caller,
    authorization_of,
)
from tests.store.conftest import clock, database, template, url  # noqa: F401  # fixtures

SUBSCRIPTION = f"/subscriptions/{VAULT.subscription_id}"
GROUP = "55555555-0000-0000-0000-000000000001"
READ = "Microsoft.KeyVault/vaults/read"
MANAGEMENT_GROUPS = "/providers/Microsoft.Management/managementGroups"
GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
CUSTOM = "bbbbbbbb-0000-0000-0000-000000000001"


def assigned(scope: str, role: str = "Reader", principal_id: str = OBJECT_ID, **more: str) -> RoleAssignment:
    known = BY_NAME.get(role)
    return RoleAssignment("a", scope, role if known is None else known.id, principal_id, **more)  # type: ignore[arg-type]  # texts


def rbac_of(
    assignments: Iterable[RoleAssignment],
    custom: Iterable[RoleDefinition] = (),
    places: MemoryPlaces | None = None,
) -> AzureRbac:
    return AzureRbac(MemoryAssignments(list(assignments)), MemoryRoles(list(custom)), places or MemoryPlaces())


def in_groups(*names: str) -> MemoryPlaces:
    """The subscription of VAULT stands below these management groups, the nearest first."""
    ids = tuple(f"{MANAGEMENT_GROUPS}/{name}" for name in names)
    subscription = Subscription(VAULT.subscription_id, TENANT, "Ours")
    above = {name: ids[at:] for at, name in enumerate(names)}
    return MemoryPlaces({VAULT.subscription_id: Placement(subscription, ids)}, above)


# scopes


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ("/", True),
        (f"{MANAGEMENT_GROUPS}/europe", True),
        (f"{MANAGEMENT_GROUPS}/WORLD", True),
        (f"{MANAGEMENT_GROUPS}/{TENANT}", True),
        (f"{MANAGEMENT_GROUPS}/asia", False),
        (f"{MANAGEMENT_GROUPS}/euro", False),
        (SUBSCRIPTION, True),
        (VAULT.resource_id, True),
        (VAULT.resource_id + "2", False),
    ],
)
async def test_roles_are_inherited_from_management_groups(scope: str, reaches: bool) -> None:
    rbac = rbac_of([assigned(scope)], places=in_groups("europe", "world", TENANT))
    assert await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id) is reaches


async def test_a_management_group_inherits_from_those_above_it_alone() -> None:
    places = in_groups("europe", "world", TENANT)
    action = "Microsoft.Management/managementGroups/read"
    rbac = rbac_of([assigned(f"{MANAGEMENT_GROUPS}/world")], places=places)
    assert await rbac.allows(a_caller(), TENANT, action, f"{MANAGEMENT_GROUPS}/europe")
    assert await rbac.allows(a_caller(), TENANT, action, f"{MANAGEMENT_GROUPS}/World")
    assert not await rbac.allows(a_caller(), TENANT, action, f"{MANAGEMENT_GROUPS}/{TENANT}")
    assert not await rbac.allows(a_caller(), TENANT, action, "/")


async def test_a_subscription_of_another_tenant_is_not_reached_from_the_root() -> None:
    theirs = Subscription(VAULT.subscription_id, OTHER_TENANT, "Theirs")
    places = MemoryPlaces({VAULT.subscription_id: Placement(theirs, ())})
    assert not await rbac_of([assigned("/", "Owner")], places=places).allows(a_caller(), TENANT, READ, SUBSCRIPTION)


async def test_assignments_count_in_their_tenant_alone() -> None:
    for scope in ("/", SUBSCRIPTION):
        rbac = rbac_of([assigned(scope, "Owner", tenant_id=OTHER_TENANT)])
        assert not await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)
        assert not await rbac.allows(a_caller(), OTHER_TENANT, READ, VAULT.resource_id)
        elsewhere = a_caller(tenant_id=OTHER_TENANT)
        assert await rbac.allows(elsewhere, OTHER_TENANT, READ, VAULT.resource_id)
        assert not await rbac.allows(elsewhere, TENANT, READ, VAULT.resource_id)


async def test_nothing_of_azure_reaches_into_the_roles_of_a_pool() -> None:
    rbac = rbac_of([assigned("/", "Owner"), assigned("/local/pool", "Owner")])
    for scope in ("/local/pool", "/local", "/LOCAL/pool/keys/k"):
        assert not await rbac.allows(a_caller(), TENANT, READ, scope)


async def test_control_actions_and_data_actions_are_never_worth_each_other() -> None:
    owner = rbac_of([assigned("/", "Owner")])
    assert await owner.allows(a_caller(), TENANT, GET, VAULT.resource_id)
    assert not await owner.allows(a_caller(), TENANT, GET, VAULT.resource_id, data=True)
    user = rbac_of([assigned("/", "Key Vault Secrets User")])
    assert await user.allows(a_caller(), TENANT, GET, VAULT.resource_id, data=True)
    assert not await user.allows(a_caller(), TENANT, GET, VAULT.resource_id)


_segment = st.sampled_from(
    ["subscriptions", VAULT.subscription_id, "resourceGroups", "g", "providers", "p", "t", "n", "k"]
)
_scope = st.one_of(
    st.lists(_segment, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    st.lists(st.sampled_from(["keys", "secrets", "a", "A", "ab"]), max_size=3).map(
        lambda parts: "/".join([VAULT.resource_id, *parts])
    ),
    st.sampled_from(["/", SUBSCRIPTION, SUBSCRIPTION.upper(), VAULT.resource_id, VAULT.resource_id + "x"]),
)


@given(scope=_scope, name=st.sampled_from(["a", "A", "ab", "keys"]))
async def test_below_a_vault_a_scope_reaches_what_it_covers(scope: str, name: str) -> None:
    resource = f"{VAULT.resource_id}/secrets/{name}"
    rbac = rbac_of([assigned(scope, "Key Vault Secrets User")])
    # Between subscription, group and resource nothing can be assigned: model/scopes.py.
    between = folded(scope).count("/") in (1, 3, 5, 6, 7)
    expected = covers(scope, resource) and not between
    assert await rbac.allows(a_caller(), TENANT, GET, resource, data=True) is expected


# roles


async def test_custom_roles_have_blocks_wildcards_and_what_they_take_away() -> None:
    role = RoleDefinition(
        CUSTOM,
        "Keepers",
        (
            Permission(("Microsoft.KeyVault/*/read",), ("Microsoft.KeyVault/vaults/secrets/*",)),
            Permission(data_actions=("Microsoft.KeyVault/vaults/secrets/*",), not_data_actions=("*/purge/action",)),
        ),
        tenant_id=TENANT,
    )
    rbac = rbac_of([assigned(SUBSCRIPTION, CUSTOM)], [role])
    for action, data, expected in (
        (READ, False, True),
        ("Microsoft.KeyVault/vaults/secrets/read", False, False),
        ("Microsoft.KeyVault/vaults/write", False, False),
        (GET, True, True),
        ("Microsoft.KeyVault/vaults/secrets/purge/action", True, False),
        (GET, False, False),
    ):
        assert await rbac.allows(a_caller(), TENANT, action, VAULT.resource_id, data=data) is expected, action
    assert not await rbac_of([assigned(SUBSCRIPTION, CUSTOM)]).allows(a_caller(), TENANT, READ, VAULT.resource_id)
    theirs = rbac_of([assigned(SUBSCRIPTION, CUSTOM)], [replace(role, tenant_id=OTHER_TENANT)])
    assert not await theirs.allows(a_caller(), TENANT, READ, VAULT.resource_id)


async def test_what_one_role_takes_away_another_gives() -> None:
    purge = "Microsoft.KeyVault/locations/deletedVaults/purge/action"
    rbac = rbac_of([assigned("/", "Key Vault Contributor"), assigned("/", "Key Vault Purge Operator", GROUP)])
    assert await rbac.allows(a_caller(groups=frozenset({GROUP})), TENANT, purge, SUBSCRIPTION)
    assert not await rbac.allows(a_caller(), TENANT, purge, SUBSCRIPTION)


# conditions

NAMED = "@Resource[Microsoft.KeyVault/vaults/secrets:name]"


def on_condition(condition: str, role: str = "Key Vault Secrets Officer") -> RoleAssignment:
    return assigned(VAULT.resource_id, role, condition=condition, condition_version="2.0")


async def test_a_condition_on_the_name_gives_some_secrets_and_no_lists() -> None:
    authorization = authorization_of(MemoryAssignments([on_condition(f"{NAMED} StringStartsWith 'app-'")]))
    for operation in ("get_secret", "set_secret", "delete_secret", "get_deleted_secret", "get_secret_versions"):
        assert await may(authorization, operation, "app-1"), operation
        assert await may(authorization, operation, "APP-1"), operation
        assert not await may(authorization, operation, "payroll"), operation
    for operation in ("get_secrets", "get_deleted_secrets", "restore_secret"):
        assert not await may(authorization, operation, ""), operation
    assert not await may(authorization, "get_key", "app-1")


async def test_what_a_condition_excepts_is_excepted_however_it_is_spelled_and_asked_for() -> None:
    for condition in (f"{NAMED} StringNotEquals 'Payroll'", f"NOT {NAMED} StringEquals 'Payroll'"):
        authorization = authorization_of(MemoryAssignments([on_condition(condition)]))
        assert await may(authorization, "get_secret", "app")
        assert not await may(authorization, "get_secret", "payroll")
        assert not await may(authorization, "get_secret", "PAYROLL")
        assert not await may(authorization, "get_secrets", "")
        assert not await may(authorization, "get_secret", "not_a_name")


async def test_a_condition_on_some_actions_leaves_the_others_free() -> None:
    condition = f"(!(ActionMatches{{'{GET}'}})) OR ({NAMED} StringEquals 'app')"
    authorization = authorization_of(MemoryAssignments([on_condition(condition)]))
    assert await may(authorization, "get_secret", "app")
    assert not await may(authorization, "get_secret", "payroll")
    assert await may(authorization, "get_secrets", "")
    assert await may(authorization, "set_secret", "payroll")


async def test_a_condition_on_the_request_holds_for_what_names_the_secret_in_its_path() -> None:
    requested = NAMED.replace("@Resource", "@Request")
    authorization = authorization_of(MemoryAssignments([on_condition(f"{requested} StringEquals 'app'")]))
    assert await may(authorization, "set_secret", "app")
    assert not await may(authorization, "set_secret", "payroll")
    assert not await may(authorization, "restore_secret", "")


async def test_a_condition_on_the_vault_is_decided_for_the_whole_vault() -> None:
    condition = "@Resource[Microsoft.KeyVault/vaults:name] StringEquals 'NORTH'"
    authorization = authorization_of(MemoryAssignments([replace(on_condition(condition), scope=SUBSCRIPTION)]))
    assert await may(authorization, "get_secrets", "")
    assert not await may(authorization, "get_secrets", "", container=replace(VAULT, id="2", name="south"))


@pytest.mark.parametrize("condition", ["nonsense", "ActionMatches{'*'} AND", "@Principal[x] StringEquals 'y'", " "])
async def test_a_condition_that_cannot_be_read_or_known_gives_nothing(condition: str) -> None:
    authorization = authorization_of(MemoryAssignments([on_condition(condition)]))
    assert not await may(authorization, "get_secret", "app")
    assert not await may(authorization, "get_secrets", "")


async def test_conditions_of_a_role_and_of_its_assignment_must_both_hold() -> None:
    role = RoleDefinition(
        CUSTOM, "K", (Permission(data_actions=("*",), condition=f"{NAMED} StringLike 'a*'"),), tenant_id=TENANT
    )
    given_ = replace(on_condition(f"{NAMED} StringLike '*b'"), role_id=CUSTOM)
    authorization = authorization_of(MemoryAssignments([given_]), MemoryRoles([role]))
    assert [name for name in ("a", "b", "ab", "axb", "ba") if await may(authorization, "get_secret", name)] == [
        "ab",
        "axb",
    ]


async def test_what_a_condition_leaves_open_is_told_apart_from_a_refusal() -> None:
    write = "Microsoft.Authorization/roleAssignments/write"
    rbac = rbac_of([assigned(SUBSCRIPTION, "Key Vault Data Access Administrator")])
    assert await rbac.decide(a_caller(), TENANT, write, VAULT.resource_id) is Decision.DEPENDS
    assert not await rbac.allows(a_caller(), TENANT, write, VAULT.resource_id)
    assert await rbac.decide(a_caller(), TENANT, "Microsoft.KeyVault/vaults/write", SUBSCRIPTION) is Decision.DENIED
    assert await rbac.decide(a_caller(), TENANT, write, "/") is Decision.DENIED
    both = rbac_of([assigned(SUBSCRIPTION, "Key Vault Data Access Administrator"), assigned("/", "Owner")])
    assert await both.decide(a_caller(), TENANT, write, VAULT.resource_id) is Decision.ALLOWED


# what is read


class Counted:
    """A database that counts its readings."""

    def __init__(self, database: Database) -> None:  # noqa: F811  # the fixture
        self._database = database
        self.readings = 0

    def read(self) -> object:
        self.readings += 1
        return self._database.read()


async def test_the_first_look_at_a_vault_reads_once_and_the_next_ones_nothing(database: Database) -> None:  # noqa: F811  # the fixture
    async with database.write() as tx:
        for number, scope in enumerate(
            ("/", SUBSCRIPTION, VAULT.resource_id, f"{VAULT.resource_id}/secrets/a", "/local/x")
        ):
            await roles.insert(tx, replace(assigned(scope), id=str(number), tenant_id=TENANT))
    counted = Counted(database)
    cache = AssignmentCache(cast(Database, counted))
    rbac = AzureRbac(cache, MemoryRoles(), MemoryPlaces())
    for _ in range(3):
        for name in ("a", "b", "c"):
            assert await rbac.allows(a_caller(), TENANT, READ, f"{VAULT.resource_id}/secrets/{name}")
    assert counted.readings == 1
    entry = cache._of[OBJECT_ID]
    assert [sorted(by_scope) for by_scope in entry.values()] == [
        ["", folded(SUBSCRIPTION), folded(VAULT.resource_id), folded(f"{VAULT.resource_id}/secrets/a")]
    ]
    cache.forget("somebody else")
    assert await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id) and counted.readings == 1
    cache.forget(OBJECT_ID)
    assert await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id) and counted.readings == 2
    assert cache._weight == 5  # the entry, and the four assignments in it


async def test_what_is_kept_is_bounded(database: Database) -> None:  # noqa: F811  # the fixture
    cache = AssignmentCache(database, most=10)
    for number in range(35):
        await cache.around([f"p{number % 3}", "q"], (f"/subscriptions/{number}",), "")
        assert cache._weight == sum(len(kept) for kept in cache._of.values()) <= 10


async def test_many_assignments_with_long_conditions_do_not_fill_the_memory(database: Database) -> None:  # noqa: F811  # the fixture
    cache = AssignmentCache(database, most=100)
    condition = f"@Resource[x] StringLike '{'a' * 5000}'"
    async with database.write() as tx:
        for number in range(4):
            role = replace(assigned(SUBSCRIPTION), id=str(number), role_id=str(number), condition=condition)
            await roles.insert(tx, role)
    scopes = (folded(SUBSCRIPTION),)
    for number in range(10):
        below = f"{scopes[0]}/{number}"
        (found,) = await cache.around([OBJECT_ID], (*scopes, below), below)
        assert len(found[scopes[0]]) == 4
        assert cache._weight == sum(cache._weights.values()) <= 100
        assert len(cache._of[OBJECT_ID]) <= 2
    await cache.around(["nobody"], (*scopes, "/" + "x" * 60_000), "")
    assert "nobody" not in cache._of


async def test_who_has_too_much_to_be_kept_is_decided_about_all_the_same(database: Database) -> None:  # noqa: F811  # the fixture
    cache = AssignmentCache(database, most=3)
    async with database.write() as tx:
        for number, scope in enumerate(("/", SUBSCRIPTION, VAULT.resource_id)):
            await roles.insert(tx, replace(assigned(scope), id=str(number), tenant_id=TENANT))
    rbac = AzureRbac(cache, MemoryRoles(), MemoryPlaces())
    assert await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)
    assert cache._of == {}


async def test_what_is_read_while_a_role_changes_is_not_kept(database: Database) -> None:  # noqa: F811  # the fixture
    cache = AssignmentCache(database)

    class Interrupted:
        def read(self) -> object:
            cache.forget(OBJECT_ID)  # the news comes when the reading has begun
            return database.read()

    cache._database = cast(Database, Interrupted())
    await cache.around([OBJECT_ID], ("",), "")
    assert cache._of == {}


async def test_places_roles_and_assignments_are_those_of_the_rows(database: Database) -> None:  # noqa: F811  # the fixture
    role = RoleDefinition(CUSTOM, "K", (Permission(("*/read",)),), "d", (SUBSCRIPTION,), TENANT)
    async with database.write() as tx:
        await management_groups.insert(tx, ManagementGroup(TENANT, "World", "World"))
        await management_groups.insert(tx, ManagementGroup(TENANT, "Europe", "Europe", parent="world"))
        await subscriptions.insert(tx, Subscription(VAULT.subscription_id, TENANT, "Ours", management_group="europe"))
        await role_definitions.insert(tx, role)
        given_ = replace(assigned(f"{MANAGEMENT_GROUPS}/WORLD", CUSTOM), tenant_id=TENANT)
        await roles.insert(tx, given_)
    assignments, definitions, places = AssignmentCache(database), RoleCache(database), SubscriptionCache(database)
    rbac = AzureRbac(assignments, definitions, places)
    assert await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)
    assert await rbac.allows(
        a_caller(), TENANT, "Microsoft.Management/managementGroups/read", f"{MANAGEMENT_GROUPS}/europe"
    )
    assert await definitions.find(OTHER_TENANT, CUSTOM) is None
    assert await definitions.find(TENANT, CUSTOM) == role
    async with database.write() as tx:  # the subscription moves away
        moved = Subscription(VAULT.subscription_id, TENANT, "Ours", management_group="")
        await subscriptions.update(tx, moved)
    places.forget_all()
    assert not await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)
    async with database.write() as tx:
        await subscriptions.update(tx, replace(moved, management_group="europe"))
        await role_definitions.update(tx, replace(role, permissions=(Permission(("*/write",)),)))
    places.forget_all()
    definitions.forget(CUSTOM)
    assert not await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)


async def test_a_role_that_cannot_be_read_gives_nothing(database: Database, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811  # the fixture
    async with database.write() as tx:
        await role_definitions.insert(tx, RoleDefinition(CUSTOM, "K", (Permission(("*",)),), tenant_id=TENANT))
        await roles.insert(tx, replace(assigned("/", CUSTOM), tenant_id=TENANT))
        await tx.run(
            Statement(
                sa.update(definitions_table).where(definitions_table.c.id == sa.bindparam("wanted")), ["permissions"]
            ),
            wanted=CUSTOM,
            permissions='[{"actions": 1}]',
        )
    rbac = AzureRbac(AssignmentCache(database), RoleCache(database), MemoryPlaces())
    assert not await rbac.allows(a_caller(), TENANT, READ, VAULT.resource_id)
    assert CUSTOM in caplog.text
