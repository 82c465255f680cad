"""What the reference says about each key operation: one row each, written out here a second time.

Nothing of it is read from the product's own table, so that a wrong row there fails. An operation without a row here
fails as well (test_completeness). Sources: "Azure Key Vault REST API reference" (paths, bodies, since), the Azure RBAC,
access policy and Managed HSM role documentation (permissions), "Key Vault logging" (audit names).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.refusals.bodies import (
    CREATE,
    IMPORT,
    RANDOM_BYTES,
    RELEASE,
    RESTORE,
    ROTATION_POLICY,
    SECURE_UNWRAP,
    SECURE_WRAP,
    SIGN,
    UPDATE,
    USE,
    VERIFY,
    Body,
)

STABLE = ("2015-06-01", "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
NEWEST = STABLE[-1]
NO_VERSION = "0" * 32


class Absent(Enum):
    """What an operation answers about a key that is not there."""

    KEY = "a key of this name was not found"
    VERSION = "a key of this name, and of this version when one is asked for, was not found"
    DELETED = "no deleted key of this name"
    EMPTY = "an empty list"
    NO_KEY = "it names no key that has to be there"


@dataclass(frozen=True, kw_only=True)
class Row:
    """permission: word of an access policy. vault_action, pool_action: without their prefixes; None where there is
    none. use: the word in key_ops that it needs. is_timely: nbf and exp count.
    """

    method: str
    path: str
    since: str
    permission: str | None
    vault_action: str | None
    pool_action: str
    audit: str
    absent: Absent
    body: Body | None = None
    use: str | None = None
    is_timely: bool = False
    in_vaults: bool = True

    @property
    def has_name(self) -> bool:
        return "{name}" in self.path

    @property
    def has_version(self) -> bool:
        return "{version}" in self.path

    def target(self, name: str, version: str = "") -> str:
        """version: empty for the latest."""
        return self.path.replace("{name}", name).replace("{version}", version)

    def answers(self, method: str, target: str) -> bool:
        """Whether a request is one of this operation; an empty version may be left away with its slash."""
        pattern = re.escape(self.path).replace(r"\{name\}", "[^/]+").replace(r"\{version\}", "[^/]*")
        if pattern.endswith("/[^/]*"):
            pattern = pattern.removesuffix("/[^/]*") + "(/[^/]*)?"
        return method == self.method and re.fullmatch(pattern, target) is not None


_ROUTES = """
create_key                 POST   /keys/{name}/create                    2015-06-01 NO_KEY  KeyCreate
rotate_key                 POST   /keys/{name}/rotate                    7.3        KEY     KeyRotate
import_key                 PUT    /keys/{name}                           2015-06-01 NO_KEY  KeyImport
delete_key                 DELETE /keys/{name}                           2015-06-01 KEY     KeyDelete
update_key                 PATCH  /keys/{name}/{version}                 2015-06-01 VERSION KeyUpdate
get_key                    GET    /keys/{name}/{version}                 2015-06-01 VERSION KeyGet
get_key_versions           GET    /keys/{name}/versions                  2015-06-01 EMPTY   KeyListVersions
get_keys                   GET    /keys                                  2015-06-01 NO_KEY  KeyList
backup_key                 POST   /keys/{name}/backup                    2015-06-01 KEY     KeyBackup
restore_key                POST   /keys/restore                          2015-06-01 NO_KEY  KeyRestore
encrypt                    POST   /keys/{name}/{version}/encrypt         2015-06-01 VERSION KeyEncrypt
decrypt                    POST   /keys/{name}/{version}/decrypt         2015-06-01 VERSION KeyDecrypt
sign                       POST   /keys/{name}/{version}/sign            2015-06-01 VERSION KeySign
verify                     POST   /keys/{name}/{version}/verify          2015-06-01 VERSION KeyVerify
wrap_key                   POST   /keys/{name}/{version}/wrapkey         2015-06-01 VERSION KeyWrap
unwrap_key                 POST   /keys/{name}/{version}/unwrapkey       2015-06-01 VERSION KeyUnwrap
release                    POST   /keys/{name}/{version}/release         7.3        VERSION KeyRelease
get_deleted_keys           GET    /deletedkeys                           2016-10-01 NO_KEY  KeyListDeleted
get_deleted_key            GET    /deletedkeys/{name}                    2016-10-01 DELETED KeyGetDeleted
purge_deleted_key          DELETE /deletedkeys/{name}                    2016-10-01 DELETED KeyPurge
recover_deleted_key        POST   /deletedkeys/{name}/recover            2016-10-01 DELETED KeyRecover
get_key_rotation_policy    GET    /keys/{name}/rotationpolicy            7.3        KEY     KeyRotationPolicyGet
update_key_rotation_policy PUT    /keys/{name}/rotationpolicy            7.3        KEY     KeyRotationPolicySet
get_random_bytes           POST   /rng                                   7.3        NO_KEY  RandomBytesGet
get_key_attestation        GET    /keys/{name}/{version}/attestation     7.6        VERSION KeyGetAttestation
securewrapkey              POST   /keys/{name}/{version}/securewrapkey   2026-04-01 VERSION KeySecureWrap
secureunwrapkey            POST   /keys/{name}/{version}/secureunwrapkey 2026-04-01 VERSION KeySecureUnwrap
"""
"""Operation, method, path, api-version it came with, what it says of a key that is not there, audit name."""

_PERMISSIONS = """
create_key                 create            keys/create/action        keys/create
rotate_key                 rotate            keys/rotate/action        keys/rotate/action
import_key                 import            keys/import/action        keys/import/action
delete_key                 delete            keys/delete               keys/delete
update_key                 update            keys/update/action        keys/write/action
get_key                    get               keys/read                 keys/read/action
get_key_versions           list              keys/read                 keys/read/action
get_keys                   list              keys/read                 keys/read/action
backup_key                 backup            keys/backup/action        keys/backup/action
restore_key                restore           keys/restore/action       keys/restore/action
encrypt                    encrypt           keys/encrypt/action       keys/encrypt/action
decrypt                    decrypt           keys/decrypt/action       keys/decrypt/action
sign                       sign              keys/sign/action          keys/sign/action
verify                     verify            keys/verify/action        keys/verify/action
wrap_key                   wrapkey           keys/wrap/action          keys/wrap/action
unwrap_key                 unwrapkey         keys/unwrap/action        keys/unwrap/action
release                    release           keys/release/action       keys/release/action
get_deleted_keys           list              keys/read                 keys/deletedKeys/read/action
get_deleted_key            get               keys/read                 keys/deletedKeys/read/action
purge_deleted_key          purge             keys/purge/action         keys/deletedKeys/delete
recover_deleted_key        recover           keys/recover/action       keys/deletedKeys/recover/action
get_key_rotation_policy    getrotationpolicy keyrotationpolicies/read  keys/read/action
update_key_rotation_policy setrotationpolicy keyrotationpolicies/write keys/write/action
get_random_bytes           -                 -                         rng/action
get_key_attestation        get               keys/read                 keys/read/action
securewrapkey              wrapkey           keys/wrap/action          keys/wrap/action
secureunwrapkey            unwrapkey         keys/unwrap/action        keys/unwrap/action
"""
"""Operation, access policy, data action of vaults, data action of pools."""

_BODIES = {
    "create_key": CREATE,
    "import_key": IMPORT,
    "update_key": UPDATE,
    "restore_key": RESTORE,
    "encrypt": USE,
    "decrypt": USE,
    "sign": SIGN,
    "verify": VERIFY,
    "wrap_key": USE,
    "unwrap_key": USE,
    "release": RELEASE,
    "update_key_rotation_policy": ROTATION_POLICY,
    "get_random_bytes": RANDOM_BYTES,
    "securewrapkey": SECURE_WRAP,
    "secureunwrapkey": SECURE_UNWRAP,
}

_USES = {
    "encrypt": "encrypt",
    "decrypt": "decrypt",
    "sign": "sign",
    "verify": "verify",
    "wrap_key": "wrapKey",
    "unwrap_key": "unwrapKey",
    "release": "release",
    "securewrapkey": "secureWrapKey",
    "secureunwrapkey": "secureUnwrapKey",
}
_TIMELY = {"encrypt", "sign", "wrap_key", "securewrapkey"}
_IN_POOLS_ALONE = {"get_random_bytes", "get_key_attestation"}


def _rows() -> Mapping[str, Row]:
    permissions = {line.split()[0]: line.split()[1:] for line in _PERMISSIONS.strip().splitlines()}
    rows = {}
    for name, method, path, since, absent, audit in (line.split() for line in _ROUTES.strip().splitlines()):
        permission, vault_action, pool_action = permissions.pop(name)
        rows[name] = Row(
            method=method,
            path=path,
            since=since,
            permission=None if permission == "-" else permission,
            vault_action=None if vault_action == "-" else vault_action,
            pool_action=pool_action,
            audit=audit,
            absent=Absent[absent],
            body=_BODIES.get(name),
            use=_USES.get(name),
            is_timely=name in _TIMELY,
            in_vaults=name not in _IN_POOLS_ALONE,
        )
    assert not permissions, permissions
    return rows


ROWS = _rows()
PERMISSIONS = frozenset(row.permission for row in ROWS.values() if row.permission is not None)
