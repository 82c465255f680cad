"""The built-in roles of a pool's local RBAC, with the data actions of "Managed HSM local RBAC built-in roles".

Beyond that table, from recorded definitions and the clients' own lists: securitydomain/download/read (needed to poll a
download), keys/export/action of the Crypto Officer, rng/action of the Crypto User, and deletedKeys/read/action in
place of deletedKeys/delete for the Auditor, who only reads. Ours, because nothing is published (docs/divergences.md):
settings/*, and the id and actions of the EKM Administrator.
"""

from hsmvault.model.operations import POOL_PREFIX
from hsmvault.model.roles import Permission, RoleDefinition


def _role(role_id: str, name: str, *actions: str) -> RoleDefinition:
    block = Permission(data_actions=tuple(POOL_PREFIX + one for one in actions))
    return RoleDefinition(role_id, f"Managed HSM {name}", (block,))


_ROLE_READS = ("roleDefinitions/read/action", "roleAssignments/read/action")
_ROLE_MANAGEMENT = (
    *_ROLE_READS,
    "roleDefinitions/write/action",
    "roleDefinitions/delete/action",
    "roleAssignments/write/action",
    "roleAssignments/delete/action",
)

BUILT_IN: tuple[RoleDefinition, ...] = (
    _role(
        "a290e904-7015-4bba-90c8-60543313cdb4",
        "Administrator",
        "securitydomain/download/action",
        "securitydomain/download/read",
        "securitydomain/upload/action",
        "securitydomain/upload/read",
        "securitydomain/transferkey/read",
        *_ROLE_MANAGEMENT,
        "backup/start/action",
        "backup/status/action",
        "restore/start/action",
        "restore/status/action",
        "settings/read/action",
        "settings/write/action",
    ),
    _role(
        "515eb02d-2335-4d2d-92f2-b1cbdf9c3778",
        "Crypto Officer",
        *_ROLE_MANAGEMENT,
        "keys/deletedKeys/read/action",
        "keys/deletedKeys/recover/action",
        "keys/deletedKeys/delete",
        "keys/export/action",
    ),
    _role(
        "21dbd100-6940-42c2-9190-5d6cb909625b",
        "Crypto User",
        *_ROLE_READS,
        "keys/read/action",
        "keys/write/action",
        "keys/rotate/action",
        "keys/create",
        "keys/delete",
        "keys/import/action",
        "keys/release/action",
        "keys/backup/action",
        "keys/restore/action",
        "keys/encrypt/action",
        "keys/decrypt/action",
        "keys/wrap/action",
        "keys/unwrap/action",
        "keys/sign/action",
        "keys/verify/action",
        "rng/action",
    ),
    _role("4bd23610-cdcf-4971-bdee-bdc562cc28e4", "Policy Administrator", *_ROLE_MANAGEMENT),
    _role(
        "2c18b078-7c48-4d3a-af88-5a3a1b3f82b3",
        "Crypto Auditor",
        *_ROLE_READS,
        "keys/read/action",
        "keys/deletedKeys/read/action",
    ),
    _role(
        "33413926-3206-4cdd-b39a-83574fe37a17",
        "Crypto Service Encryption User",
        "keys/read/action",
        "keys/wrap/action",
        "keys/unwrap/action",
    ),
    _role("21dbd100-6940-42c2-9190-5d6cb909625c", "Crypto Service Release User", "keys/release/action"),
    _role(
        "7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8",
        "Backup",
        "backup/start/action",
        "backup/status/action",
        "keys/backup/action",
    ),
    _role(
        "6efe6056-5259-49d2-8b3d-d3d73544b20b",
        "Restore",
        "restore/start/action",
        "restore/status/action",
        "keys/restore/action",
    ),
    _role("6a5f1c0e-93c4-4b0f-8d1a-2f0f5f8f7e10", "EKM Administrator", "ekm/read", "ekm/write", "ekm/delete"),
)

BY_ID: dict[str, RoleDefinition] = {role.id: role for role in BUILT_IN}
BY_NAME: dict[str, RoleDefinition] = {role.name: role for role in BUILT_IN}
