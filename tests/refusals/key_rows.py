"""The 27 operations on keys. Sources: see table.py."""

from dataclasses import replace

from tests.refusals.key_bodies import (
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
)
from tests.refusals.rows import rows_of
from tests.refusals.words import Objects

_ROUTES = """
create_key                 POST   /keys/{name}/create                    2015-06-01 NONE    KeyCreate
rotate_key                 POST   /keys/{name}/rotate                    7.3        OBJECT  KeyRotate
import_key                 PUT    /keys/{name}                           2015-06-01 NONE    KeyImport
delete_key                 DELETE /keys/{name}                           2015-06-01 OBJECT  KeyDelete
update_key                 PATCH  /keys/{name}/{version}                 2015-06-01 VERSION KeyUpdate
get_key                    GET    /keys/{name}/{version}                 2015-06-01 VERSION KeyGet
get_key_versions           GET    /keys/{name}/versions                  2015-06-01 EMPTY   KeyListVersions
get_keys                   GET    /keys                                  2015-06-01 NONE    KeyList
backup_key                 POST   /keys/{name}/backup                    2015-06-01 OBJECT  KeyBackup
restore_key                POST   /keys/restore                          2015-06-01 NONE    KeyRestore
encrypt                    POST   /keys/{name}/{version}/encrypt         2015-06-01 VERSION KeyEncrypt
decrypt                    POST   /keys/{name}/{version}/decrypt         2015-06-01 VERSION KeyDecrypt
sign                       POST   /keys/{name}/{version}/sign            2015-06-01 VERSION KeySign
verify                     POST   /keys/{name}/{version}/verify          2015-06-01 VERSION KeyVerify
wrap_key                   POST   /keys/{name}/{version}/wrapkey         2015-06-01 VERSION KeyWrap
unwrap_key                 POST   /keys/{name}/{version}/unwrapkey       2015-06-01 VERSION KeyUnwrap
release                    POST   /keys/{name}/{version}/release         7.3        VERSION KeyRelease
get_deleted_keys           GET    /deletedkeys                           2016-10-01 NONE    KeyListDeleted
get_deleted_key            GET    /deletedkeys/{name}                    2016-10-01 DELETED KeyGetDeleted
purge_deleted_key          DELETE /deletedkeys/{name}                    2016-10-01 DELETED KeyPurge
recover_deleted_key        POST   /deletedkeys/{name}/recover            2016-10-01 DELETED KeyRecover
get_key_rotation_policy    GET    /keys/{name}/rotationpolicy            7.3        OBJECT  KeyRotationPolicyGet
update_key_rotation_policy PUT    /keys/{name}/rotationpolicy            7.3        OBJECT  KeyRotationPolicySet
get_random_bytes           POST   /rng                                   7.3        NONE    RandomBytesGet
get_key_attestation        GET    /keys/{name}/{version}/attestation     7.6        VERSION KeyGetAttestation
securewrapkey              POST   /keys/{name}/{version}/securewrapkey   2026-04-01 VERSION KeySecureWrap
secureunwrapkey            POST   /keys/{name}/{version}/secureunwrapkey 2026-04-01 VERSION KeySecureUnwrap
"""
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

ROWS = {
    name: replace(row, use=_USES.get(name), is_timely=name in _TIMELY, in_vaults=name not in _IN_POOLS_ALONE)
    for name, row in rows_of(Objects.KEYS, _ROUTES, _PERMISSIONS, _BODIES).items()
}
