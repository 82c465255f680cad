"""The twelve operations on secrets, which vaults alone serve. Sources: see table.py."""

from tests.refusals.bodies import Body, Kind
from tests.refusals.rows import rows_of
from tests.refusals.words import Objects

_ROUTES = """
set_secret             PUT    /secrets/{name}                2015-06-01 NONE    SecretSet
delete_secret          DELETE /secrets/{name}                2015-06-01 OBJECT  SecretDelete
update_secret          PATCH  /secrets/{name}/{version}      2015-06-01 VERSION SecretUpdate
get_secret             GET    /secrets/{name}/{version}      2015-06-01 VERSION SecretGet
get_secrets            GET    /secrets                       2015-06-01 NONE    SecretList
get_secret_versions    GET    /secrets/{name}/versions       2015-06-01 EMPTY   SecretListVersions
get_deleted_secrets    GET    /deletedsecrets                2016-10-01 NONE    SecretListDeleted
get_deleted_secret     GET    /deletedsecrets/{name}         2016-10-01 DELETED SecretGetDeleted
purge_deleted_secret   DELETE /deletedsecrets/{name}         2016-10-01 DELETED SecretPurge
recover_deleted_secret POST   /deletedsecrets/{name}/recover 2016-10-01 DELETED SecretRecover
backup_secret          POST   /secrets/{name}/backup         2016-10-01 OBJECT  SecretBackup
restore_secret         POST   /secrets/restore               2016-10-01 NONE    SecretRestore
"""
_PERMISSIONS = """
set_secret             set     secrets/setSecret/action    -
delete_secret          delete  secrets/delete              -
update_secret          set     secrets/update/action       -
get_secret             get     secrets/getSecret/action    -
get_secrets            list    secrets/readMetadata/action -
get_secret_versions    list    secrets/readMetadata/action -
get_deleted_secrets    list    secrets/readMetadata/action -
get_deleted_secret     get     secrets/readMetadata/action -
purge_deleted_secret   purge   secrets/purge/action        -
recover_deleted_secret recover secrets/recover/action      -
backup_secret          backup  secrets/backup/action       -
restore_secret         restore secrets/restore/action      -
"""

_SETTINGS = {
    "contentType": Kind.TEXT,
    "attributes": Kind.OBJECT,
    "attributes.enabled": Kind.BOOL,
    "attributes.nbf": Kind.NUMBER,
    "attributes.exp": Kind.NUMBER,
    "tags": Kind.TEXTS_BY_NAME,
}
_BODIES = {
    "set_secret": Body(
        good={"value": "text"}, members={"value": Kind.TEXT, **_SETTINGS}, required=("value",), nul=True
    ),
    "update_secret": Body(good={}, members=_SETTINGS),
    "restore_secret": Body(
        good={"value": "AAAA"}, members={"value": Kind.TEXT}, required=("value",), encoded=("value",)
    ),
}

ROWS = rows_of(Objects.SECRETS, _ROUTES, _PERMISSIONS, _BODIES)
