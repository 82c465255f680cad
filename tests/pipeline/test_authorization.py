"""Who may do what: scopes by segment, roles, access policies, and decisions that follow every change."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from hsmvault.errors import Forbidden
from hsmvault.model import builtin_roles
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.operations import BY_NAME, OPERATIONS, Kind, Operation
from hsmvault.model.principals import Caller
from hsmvault.model.roles import RoleAssignment
from hsmvault.pipeline.authorization import Authorization
from tests.pipeline.world import (
    APPLICATION_ID,
    OBJECT_ID,
    OTHER_TENANT,
    TENANT,
    VAULT,
    MemoryAssignments,
    a_caller,
    authorization_of,
)

GROUP = "55555555-0000-0000-0000-000000000001"
USER = "44444444-0000-0000-0000-000000000002"
ADMINISTRATOR, READER = "Key Vault Administrator", "Key Vault Reader"
FOR_VAULTS = [row for row in OPERATIONS if ContainerKind.VAULT in row.served_by]


def assigned(scope: str, role: str = ADMINISTRATOR, principal_id: str = OBJECT_ID) -> RoleAssignment:
    return RoleAssignment("a", scope, builtin_roles.BY_NAME[role].id, principal_id)


async def may(
    authorization: Authorization,
    operation: str | Operation = "get_key",
    name: str = "key",
    *,
    container: Container = VAULT,
    caller: Caller | None = None,
) -> bool:
    row = BY_NAME[operation] if isinstance(operation, str) else operation
    try:
        await authorization.permit(caller or a_caller(), container, row, name)
    except Forbidden as refusal:
        assert refusal.inner in ("ForbiddenByRbac", "ForbiddenByPolicy")
        return False
    return True


async def allowed_by(*assignments: RoleAssignment) -> set[str]:
    """The operations of a vault that a caller with these assignments may use."""
    authorization = authorization_of(MemoryAssignments(list(assignments)))
    return {row.name for row in FOR_VAULTS if await may(authorization, row, "key" if "{name}" in row.path else "")}


# Azure RBAC


async def test_nothing_is_allowed_by_default() -> None:
    assert await allowed_by() == set()


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ("/", True),
        ("/subscriptions/33333333-0000-0000-0000-000000000001", True),
        ("/SUBSCRIPTIONS/33333333-0000-0000-0000-000000000001/", True),
        ("/subscriptions/33333333-0000-0000-0000-00000000000", False),
        ("/subscriptions/33333333-0000-0000-0000-000000000002", False),
        (f"/subscriptions/{VAULT.subscription_id}/resourcegroups/group", True),
        (f"/subscriptions/{VAULT.subscription_id}/resourceGroups/Gro", False),
        (VAULT.resource_id, True),
        (VAULT.resource_id.upper(), True),
        (VAULT.resource_id[:-1], False),
        (VAULT.resource_id + "2", False),
        (VAULT.resource_id + "/keys", True),
        (VAULT.resource_id + "/keys/key", True),
        (VAULT.resource_id + "/keys/KEY", True),
        (VAULT.resource_id + "/keys/key2", False),
        (VAULT.resource_id + "/keys/ke", False),
        (VAULT.resource_id + "/keys/key/00000000000000000000000000000000", False),
        (VAULT.resource_id + "/secrets/key", False),
        (VAULT.resource_id + "/secrets", False),
        (VAULT.resource_id.replace("/vaults/", "/managedHSMs/"), False),
    ],
)
async def test_a_scope_reaches_by_whole_segments_without_regard_to_case(scope: str, reaches: bool) -> None:
    assert await may(authorization_of(MemoryAssignments([assigned(scope)])), name="key") is reaches


async def test_a_vault_does_not_inherit_from_one_whose_name_it_begins_with() -> None:
    authorization = authorization_of(MemoryAssignments([assigned(VAULT.resource_id)]))
    assert await may(authorization)
    for other in ("northern", "nort", "north-2"):
        assert not await may(authorization, container=replace(VAULT, id=other, name=other))


async def test_an_assignment_for_one_key_does_not_reach_lists_and_other_keys() -> None:
    authorization = authorization_of(MemoryAssignments([assigned(VAULT.resource_id + "/keys/foo")]))
    assert await may(authorization, "sign", "foo")
    assert await may(authorization, "sign", "FOO")
    assert not await may(authorization, "sign", "foobar")
    assert not await may(authorization, "get_keys", "")
    assert not await may(authorization, "restore_key", "")


async def test_an_administrator_may_everything_and_a_reader_reads() -> None:
    assert await allowed_by(assigned(VAULT.resource_id)) == {row.name for row in FOR_VAULTS}
    reader = await allowed_by(assigned(VAULT.resource_id, READER))
    assert {"get_key", "get_keys", "get_deleted_key", "verify", "encrypt", "wrap_key", "get_secrets"} <= reader
    assert not reader & {"sign", "decrypt", "unwrap_key", "create_key", "delete_key", "get_secret", "update_key"}


async def test_the_roles_of_keys_give_keys_only_and_each_right_apart() -> None:
    officer = await allowed_by(assigned(VAULT.resource_id, "Key Vault Crypto Officer"))
    assert officer == {row.name for row in FOR_VAULTS if row.kind is Kind.KEYS}
    user = await allowed_by(assigned(VAULT.resource_id, "Key Vault Crypto User"))
    assert user >= {"sign", "verify", "encrypt", "decrypt", "wrap_key", "unwrap_key", "get_key", "backup_key"}
    assert not user & {
        "create_key",
        "import_key",
        "delete_key",
        "purge_deleted_key",
        "recover_deleted_key",
        "rotate_key",
    }
    service = await allowed_by(assigned(VAULT.resource_id, "Key Vault Crypto Service Encryption User"))
    assert {"wrap_key", "unwrap_key", "get_key", "encrypt", "verify"} <= service
    assert not service & {"sign", "decrypt"}
    assert await allowed_by(assigned(VAULT.resource_id, "Key Vault Crypto Service Release User")) == {"release"}


@pytest.mark.parametrize(
    "role",
    ["Key Vault Contributor", "Owner", "Contributor", "Reader", "User Access Administrator", "Managed HSM contributor",
     "Key Vault Purge Operator", "Key Vault Data Access Administrator"],
)  # fmt: skip
async def test_management_roles_give_no_right_to_data(role: str) -> None:
    assert await allowed_by(assigned("/", role)) == set()


@pytest.mark.parametrize(
    "role", ["Key Vault Secrets Officer", "Key Vault Secrets User", "Key Vault Certificates Officer"]
)
async def test_roles_of_other_objects_give_no_right_to_keys(role: str) -> None:
    assert not any(BY_NAME[name].kind is Kind.KEYS for name in await allowed_by(assigned("/", role)))


async def test_roles_add_up_and_groups_count() -> None:
    caller = a_caller(groups=frozenset({GROUP}))
    assignments = MemoryAssignments([
        assigned(VAULT.resource_id, READER, GROUP),
        assigned(VAULT.resource_id + "/keys/key", "Key Vault Crypto User"),
    ])  # fmt: skip
    authorization = authorization_of(assignments)
    assert await may(authorization, "get_keys", "", caller=caller)
    assert await may(authorization, "sign", caller=caller)
    assert not await may(authorization, "sign", "other", caller=caller)
    assert not await may(authorization, "get_keys", "", caller=a_caller())


async def test_an_unknown_role_gives_nothing() -> None:
    nobody_knows = RoleAssignment("a", "/", "00000000-0000-0000-0000-000000000000", OBJECT_ID)
    assert await allowed_by(nobody_knows) == set()


async def test_the_application_id_is_never_a_principal() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/", principal_id=APPLICATION_ID)]))
    assert not await may(authorization)


async def test_nobody_of_another_tenant_may_anything_whatever_is_assigned() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/")]))
    assert await may(authorization)
    assert not await may(authorization, caller=a_caller(tenant_id=OTHER_TENANT))


async def test_operations_of_pools_are_not_allowed_in_a_vault() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/")]))
    assert not await may(authorization, "get_random_bytes", "")
    assert not await may(authorization, "get_key_attestation")


async def test_the_refusal_is_that_of_the_service() -> None:
    with pytest.raises(Forbidden) as caught:
        await authorization_of(MemoryAssignments()).permit(a_caller(), VAULT, BY_NAME["sign"], "Key")
    resource = VAULT.resource_id.lower() + "/keys/key"
    assert (caught.value.code, caught.value.inner) == ("Forbidden", "ForbiddenByRbac")
    assert caught.value.message == (
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, please observe propagation "
        "time.\r\n"
        f"Caller: appid={APPLICATION_ID};oid={OBJECT_ID};iss=https://login.localhost:8443/{TENANT}/\r\n"
        "Action: 'Microsoft.KeyVault/vaults/keys/sign/action'\r\n"
        f"Resource: '{resource}'\r\n"
        "Assignment: (not found)\r\n"
        "DenyAssignmentId: null\r\n"
        "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
        "Vault: north;location=westeurope\r\n"
    )


# access policies


def with_policies(*policies: AccessPolicy) -> Container:
    return replace(VAULT, authorization=AuthorizationModel.ACCESS_POLICIES, access_policies=policies)


def keys(*words: str, object_id: str = OBJECT_ID, application_id: str = "", tenant_id: str = TENANT) -> AccessPolicy:
    return AccessPolicy(tenant_id, object_id, application_id, keys=frozenset(words))


async def allowed_by_policy(*policies: AccessPolicy, caller: Caller | None = None) -> set[str]:
    authorization, container = authorization_of(MemoryAssignments([assigned("/")])), with_policies(*policies)
    return {row.name for row in FOR_VAULTS if await may(authorization, row, container=container, caller=caller)}


async def test_role_assignments_do_not_count_in_a_vault_with_access_policies_and_the_other_way() -> None:
    assert await allowed_by_policy() == set()
    on_rbac = replace(VAULT, access_policies=(keys("all"),))
    assert not await may(authorization_of(MemoryAssignments()), container=on_rbac)


@pytest.mark.parametrize("row", [row for row in FOR_VAULTS if row.kind is Kind.KEYS], ids=lambda row: row.name)
async def test_each_permission_gives_its_own_operations_only(row: Operation) -> None:
    (word,) = row.permissions
    same = {other.name for other in FOR_VAULTS if other.kind is Kind.KEYS and other.permissions == row.permissions}
    assert await allowed_by_policy(keys(word)) == same


async def test_all_means_everything_of_its_kind() -> None:
    for_keys = {row.name for row in FOR_VAULTS if row.kind is Kind.KEYS}
    assert await allowed_by_policy(keys("all")) == for_keys
    certificates = AccessPolicy(TENANT, OBJECT_ID, certificates=frozenset({"all"}))
    assert await allowed_by_policy(certificates) == {row.name for row in FOR_VAULTS if row.kind is Kind.CERTIFICATES}


async def test_get_is_not_list_and_encrypt_is_not_decrypt() -> None:
    assert await allowed_by_policy(keys("get")) == {"get_key", "get_deleted_key"}
    assert await allowed_by_policy(keys("list")) == {"get_keys", "get_key_versions", "get_deleted_keys"}
    assert await allowed_by_policy(keys("encrypt")) == {"encrypt"}
    assert await allowed_by_policy(keys("delete")) == {"delete_key"}


async def test_old_and_new_words_for_issuers_are_both_enough() -> None:
    for word in ("getissuers", "manageissuers"):
        policy = AccessPolicy(TENANT, OBJECT_ID, certificates=frozenset({word}))
        assert "get_certificate_issuer" in await allowed_by_policy(policy)


async def test_entries_add_up_for_the_caller_and_its_groups() -> None:
    policies = (keys("get"), keys("sign", object_id=GROUP), keys("delete", object_id=USER))
    caller = a_caller(groups=frozenset({GROUP}))
    assert await allowed_by_policy(*policies, caller=caller) == {"get_key", "get_deleted_key", "sign"}


async def test_an_entry_of_another_tenant_gives_nothing() -> None:
    assert await allowed_by_policy(keys("all", tenant_id=OTHER_TENANT)) == set()


async def test_an_application_id_does_not_stand_for_an_object_id() -> None:
    assert await allowed_by_policy(keys("all", object_id=APPLICATION_ID)) == set()


async def test_a_compound_entry_needs_the_person_and_the_application() -> None:
    compound = keys("sign", object_id=USER, application_id=APPLICATION_ID)
    person = a_caller(object_id=USER, delegated=True)
    assert await allowed_by_policy(compound, caller=person) == {"sign"}
    assert await allowed_by_policy(compound, caller=replace(person, application_id="other")) == set()
    assert await allowed_by_policy(compound, caller=replace(person, object_id=OBJECT_ID)) == set()
    assert await allowed_by_policy(compound, caller=replace(person, delegated=False)) == set()


async def test_a_person_through_any_application_has_the_rights_of_the_person_alone() -> None:
    policies = (keys("get", object_id=USER), keys("all"))
    person = a_caller(object_id=USER, delegated=True)
    assert await allowed_by_policy(*policies, caller=person) == {"get_key", "get_deleted_key"}


async def test_the_same_ids_with_and_without_a_person_are_two_decisions() -> None:
    authorization = authorization_of(MemoryAssignments())
    container = with_policies(keys("sign", object_id=USER, application_id=APPLICATION_ID))
    person = a_caller(object_id=USER, delegated=True)
    assert await may(authorization, "sign", container=container, caller=person)
    assert not await may(authorization, "sign", container=container, caller=replace(person, delegated=False))


async def test_the_refusal_by_policy_is_that_of_the_service() -> None:
    caller = a_caller(groups=frozenset({GROUP}))
    with pytest.raises(Forbidden) as caught:
        await authorization_of(MemoryAssignments()).permit(caller, with_policies(), BY_NAME["get_key"], "k")
    assert caught.value.inner == "ForbiddenByPolicy"
    assert caught.value.message == (
        f"The user, group or application 'appid={APPLICATION_ID};oid={OBJECT_ID};numgroups=1;"
        f"iss=https://login.localhost:8443/{TENANT}/' does not have keys get permission on key vault "
        "'north;location=westeurope'. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125287"
    )


@pytest.mark.parametrize("exists", [True, False])
async def test_a_refusal_does_not_depend_on_what_exists(exists: bool) -> None:
    """permit() is given a name and nothing to look it up in."""
    with pytest.raises(Forbidden) as caught:
        await authorization_of(MemoryAssignments()).permit(
            a_caller(), VAULT, BY_NAME["get_key"], "here" if exists else "gone"
        )
    assert caught.value.message.replace("here", "gone").count("gone") == 1


# decisions that are remembered


async def test_a_decision_is_made_once_and_again_after_a_change() -> None:
    assignments = MemoryAssignments([assigned("/")])
    authorization = authorization_of(assignments)
    for _ in range(3):
        assert await may(authorization, "sign")
        assert not await may(authorization, "sign", container=replace(VAULT, id="2", tenant_id=OTHER_TENANT))
    assert assignments.looks == 1
    assignments.assignments.clear()
    authorization.forget()
    assert not await may(authorization, "sign")


async def test_groups_that_were_left_do_not_count_any_more() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/", principal_id=GROUP)]))
    assert await may(authorization, caller=a_caller(groups=frozenset({GROUP})))
    assert not await may(authorization, caller=a_caller())


async def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryAssignments):
        async def around(
            self, principal_ids: Collection[str], scopes: tuple[str, ...], below: str
        ) -> list[dict[str, tuple[RoleAssignment, ...]]]:
            found = await super().around(principal_ids, scopes, below)
            entered.set()
            await go_on.wait()
            return found

    assignments = Slow([assigned("/")])
    authorization = authorization_of(assignments)
    first = asyncio.create_task(may(authorization))
    await entered.wait()
    assignments.assignments.clear()
    authorization.forget()
    go_on.set()
    assert await first  # it had begun before the change
    assert not await may(authorization)


async def test_a_container_that_was_read_before_a_change_decides_for_itself_only() -> None:
    """A call that holds the old container comes to be decided after the news of the change."""
    old = with_policies(keys("sign"))
    new = replace(old, access_policies=(), revision=old.revision + 1)
    authorization = authorization_of(MemoryAssignments())
    authorization.forget()
    assert await may(authorization, "sign", container=old)
    assert not await may(authorization, "sign", container=new)


async def test_whoever_may_in_the_whole_container_is_decided_upon_once_for_all_of_its_objects() -> None:
    operation = BY_NAME["get_key"]
    authorization = authorization_of(MemoryAssignments([assigned(VAULT.resource_id)]))
    for number in range(20):
        await authorization.permit(a_caller(), VAULT, operation, f"key-{number}")
    assert len(authorization._decisions) == 1
    only_one = authorization_of(MemoryAssignments([assigned(f"{VAULT.resource_id}/keys/key-7")]))
    await only_one.permit(a_caller(), VAULT, operation, "KEY-7")
    for name in ("key-70", ""):
        with pytest.raises(Forbidden):
            await only_one.permit(a_caller(), VAULT, operation, name)


@pytest.mark.parametrize("name", ["x" * 30_000, "a_b", "%2e%2e", "ä"])
async def test_what_cannot_be_a_name_is_decided_for_the_container_and_neither_kept_nor_repeated(name: str) -> None:
    operation = BY_NAME["get_key"]
    only_this = authorization_of(MemoryAssignments([assigned(f"{VAULT.resource_id}/keys/{name.lower()}")]))
    for number in range(100):
        with pytest.raises(Forbidden) as caught:
            await only_this.permit(a_caller(), VAULT, operation, f"{name}{number}_")
        assert name not in caught.value.message and len(caught.value.message) < 1000
    assert len(only_this._decisions) == 1
    everything = authorization_of(MemoryAssignments([assigned(VAULT.resource_id)]))
    await everything.permit(a_caller(), VAULT, operation, name)  # that it is no name is for the operation to say
