"""Who may do what in a pool: each built-in role with each operation, scopes, and nothing from outside."""

from dataclasses import replace

import pytest

from hsmvault.errors import Forbidden
from hsmvault.model import builtin_roles, local_roles, pool_roles
from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import BY_NAME, OPERATIONS, Kind
from hsmvault.model.principals import Caller
from hsmvault.model.roles import RoleAssignment
from tests.pipeline.world import OBJECT_ID, OTHER_TENANT, VAULT, MemoryAssignments, a_caller, authorization_of

POOL = replace(VAULT, id="11111111-0000-0000-0000-00000000000a", kind=ContainerKind.POOL, name="pool")
GROUP = "55555555-0000-0000-0000-000000000001"
FOR_POOLS = [row for row in OPERATIONS if ContainerKind.POOL in row.served_by]
READS = {"get_key", "get_keys", "get_key_versions", "get_key_rotation_policy", "get_key_attestation"}
DELETED_READS = {"get_deleted_keys", "get_deleted_key"}
ROLE_READS = {
    "role_definitions_get",
    "role_definitions_list",
    "role_assignments_get",
    "role_assignments_list_for_scope",
}
ROLES = ROLE_READS | {
    "role_definitions_delete", "role_definitions_create_or_update", "role_assignments_delete",
    "role_assignments_create",
}  # fmt: skip
WRAPS = {"wrap_key", "unwrap_key", "securewrapkey", "secureunwrapkey"}
BACKUPS = {"full_backup", "full_backup_status", "pre_full_backup"}
RESTORES = {
    "full_restore_operation", "restore_status", "pre_full_restore_operation", "selective_key_restore_operation",
}  # fmt: skip
# Written out from "Managed HSM local RBAC built-in roles": the product's own table of roles is not asked.
EXPECTED = {
    "Administrator": ROLES
    | BACKUPS
    | RESTORES
    | {
        "security_domain_download", "security_domain_get_download_status", "security_domain_upload",
        "security_domain_get_upload_status", "security_domain_get_transfer_key", "get_setting", "get_settings",
        "update_setting",
    },
    "Crypto Officer": ROLES | DELETED_READS | {"recover_deleted_key", "purge_deleted_key"},
    "Crypto User": ROLE_READS
    | READS
    | WRAPS
    | {
        "create_key", "rotate_key", "import_key", "delete_key", "update_key", "update_key_rotation_policy",
        "backup_key", "restore_key", "encrypt", "decrypt", "sign", "verify", "release", "get_random_bytes",
    },
    "Policy Administrator": ROLES,
    "Crypto Auditor": ROLE_READS | READS | DELETED_READS,
    "Crypto Service Encryption User": READS | WRAPS,
    "Crypto Service Release User": {"release"},
    "Backup": BACKUPS | {"backup_key"},
    "Restore": RESTORES | {"restore_key"},
    "EKM Administrator": {row.name for row in OPERATIONS if row.path.startswith("/ekm")},
}  # fmt: skip


def assigned(scope: str, role: str, principal_id: str = OBJECT_ID, container_id: str = POOL.id) -> RoleAssignment:
    """scope: of the wire."""
    stored = local_roles.stored_scope(container_id, scope)
    return RoleAssignment("a", stored, pool_roles.BY_NAME[f"Managed HSM {role}"].id, principal_id)


async def allowed_by(
    *assignments: RoleAssignment, name: str = "key", caller: Caller | None = None, container: object = POOL
) -> set[str]:
    """The operations of a pool that a caller with these assignments may use, on a key where they are about one."""
    authorization = authorization_of(MemoryAssignments(list(assignments)))
    allowed = set()
    for row in FOR_POOLS:
        about_key = "/{name}" in row.path and (row.kind is Kind.KEYS or row.path.startswith("/keys/"))
        try:
            await authorization.permit(caller or a_caller(), container, row, name if about_key else "")  # type: ignore[arg-type]  # a Container always
        except Forbidden as refusal:
            assert (refusal.code, refusal.inner) == ("AccessDenied", None)
        else:
            allowed.add(row.name)
    return allowed


def test_every_role_is_judged() -> None:
    assert {f"Managed HSM {name}" for name in EXPECTED} == set(pool_roles.BY_NAME)


@pytest.mark.parametrize("role", EXPECTED)
@pytest.mark.parametrize("scope", ["/", "/keys"])
async def test_a_role_for_the_whole_pool_gives_what_the_documentation_says(role: str, scope: str) -> None:
    assert await allowed_by(assigned(scope, role)) == EXPECTED[role]


@pytest.mark.parametrize("role", EXPECTED)
async def test_a_role_for_one_key_gives_the_same_for_this_key_alone(role: str) -> None:
    assignment = assigned("/keys/Key", role)
    about_keys = {
        row.name
        for row in FOR_POOLS
        if "/{name}" in row.path and (row.kind is Kind.KEYS or row.path.startswith("/keys/"))
    }
    assert await allowed_by(assignment, name="key") == EXPECTED[role] & about_keys
    assert await allowed_by(assignment, name="KEY") == EXPECTED[role] & about_keys
    for other in ("key2", "ke", "keys"):
        assert await allowed_by(assignment, name=other) == set()


async def test_nothing_is_allowed_by_default_nor_through_another_pool() -> None:
    assert await allowed_by() == set()
    assert await allowed_by(assigned("/", "Crypto User", container_id="another")) == set()
    foreign = replace(assigned("/", "Crypto User"), scope="/local")
    assert await allowed_by(foreign) == set()


@pytest.mark.parametrize("role", builtin_roles.BY_NAME)
async def test_nothing_of_azure_rbac_is_inherited(role: str) -> None:
    role_id = builtin_roles.BY_NAME[role].id
    for scope in ("/", f"/subscriptions/{POOL.subscription_id}", POOL.resource_id, POOL.resource_id + "/keys/key"):
        assert await allowed_by(RoleAssignment("a", scope, role_id, OBJECT_ID)) == set()
        for local in pool_roles.BY_ID:
            assert await allowed_by(RoleAssignment("a", scope, local, OBJECT_ID)) == set()
    stored = local_roles.stored_scope(POOL.id, "/")
    assert await allowed_by(RoleAssignment("a", stored, role_id, OBJECT_ID)) == set()


async def test_a_local_role_gives_nothing_in_a_vault() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/", "Crypto User", container_id=VAULT.id)]))
    for row in OPERATIONS:
        with pytest.raises(Forbidden):
            await authorization.permit(a_caller(), VAULT, row, "")


async def test_reading_is_not_enough_for_what_the_public_part_can_do() -> None:
    auditor = await allowed_by(assigned("/", "Crypto Auditor"))
    assert not auditor & {"encrypt", "verify", "wrap_key"}


async def test_groups_count_roles_add_up_and_tenants_do_not_mix() -> None:
    caller = a_caller(groups=frozenset({GROUP}))
    both = [assigned("/", "Backup", GROUP), assigned("/keys/key", "Crypto Service Release User")]
    assert await allowed_by(*both, caller=caller) == EXPECTED["Backup"] | {"release"}
    assert await allowed_by(*both) == {"release"}
    assert await allowed_by(assigned("/", "Crypto User"), caller=a_caller(tenant_id=OTHER_TENANT)) == set()


async def test_operations_of_vaults_alone_are_not_allowed_in_a_pool() -> None:
    authorization = authorization_of(MemoryAssignments([assigned("/", role) for role in EXPECTED]))
    for row in OPERATIONS:
        if ContainerKind.POOL not in row.served_by:
            with pytest.raises(Forbidden):
                await authorization.permit(a_caller(), POOL, row, "")


@pytest.mark.parametrize(
    ("operation", "name", "text"),
    [
        ("get_key", "Name", "keys/read/action on /keys/Name"),
        ("purge_deleted_key", "n", "keys/deletedKeys/delete on /keys/n"),
        ("get_keys", "", "keys/read/action on /keys"),
        ("get_deleted_keys", "", "keys/deletedKeys/read/action on /keys"),
        ("restore_key", "", "keys/restore/action on /keys"),
        ("get_key", "not_a_name", "keys/read/action on /keys"),
        ("get_random_bytes", "", "rng/action on /"),
        ("role_assignments_list_for_scope", "", "roleAssignments/read/action on /"),
        ("role_assignments_create", "n", "roleAssignments/write/action on /keys/n"),
        ("full_backup", "", "backup/start/action on /"),
    ],
)
async def test_the_refusal_is_that_of_the_service(operation: str, name: str, text: str) -> None:
    with pytest.raises(Forbidden) as caught:
        await authorization_of(MemoryAssignments()).permit(a_caller(), POOL, BY_NAME[operation], name)
    assert (caught.value.code, caught.value.inner) == ("AccessDenied", None)
    assert caught.value.message == f"Not authorized to access Microsoft.KeyVault/managedHsm/{text}"
