"""The 27 operations on certificates, their issuers and contacts, which vaults alone serve. Sources: see table.py."""

from tests.refusals.certificate_bodies import (
    CONTACTS,
    CREATE,
    IMPORT,
    MERGE,
    POLICY,
    RESTORE,
    SET_ISSUER,
    UPDATE,
    UPDATE_ISSUER,
    UPDATE_OPERATION,
)
from tests.refusals.rows import rows_of
from tests.refusals.words import Objects

_ROUTES = """
get_certificates             GET    /certificates                       2015-06-01 NONE     CertificateList
delete_certificate           DELETE /certificates/{name}                2015-06-01 OBJECT   CertificateDelete
set_certificate_contacts     PUT    /certificates/contacts              2015-06-01 NONE     CertificateContactsSet
get_certificate_contacts     GET    /certificates/contacts              2015-06-01 CONTACTS CertificateContactsGet
delete_certificate_contacts  DELETE /certificates/contacts              2015-06-01 CONTACTS CertificateContactsDelete
get_certificate_issuers      GET    /certificates/issuers               2015-06-01 NONE     CertificateIssuersList
set_certificate_issuer       PUT    /certificates/issuers/{name}        2015-06-01 NONE     CertificateIssuerSet
update_certificate_issuer    PATCH  /certificates/issuers/{name}        2015-06-01 ISSUER   CertificateIssuerUpdate
get_certificate_issuer       GET    /certificates/issuers/{name}        2015-06-01 ISSUER   CertificateIssuerGet
delete_certificate_issuer    DELETE /certificates/issuers/{name}        2015-06-01 ISSUER   CertificateIssuerDelete
create_certificate           POST   /certificates/{name}/create         2015-06-01 NONE     CertificateCreate
import_certificate           POST   /certificates/{name}/import         2015-06-01 NONE     CertificateImport
get_certificate_versions     GET    /certificates/{name}/versions       2015-06-01 EMPTY    CertificateListVersions
get_certificate_policy       GET    /certificates/{name}/policy         2015-06-01 OBJECT   CertificatePolicyGet
update_certificate_policy    PATCH  /certificates/{name}/policy         2015-06-01 OBJECT   CertificatePolicyUpdate
update_certificate           PATCH  /certificates/{name}/{version}      2015-06-01 VERSION  CertificateUpdate
get_certificate              GET    /certificates/{name}/{version}      2015-06-01 VERSION  CertificateGet
update_certificate_operation PATCH  /certificates/{name}/pending        2015-06-01 PENDING  CertificatePendingUpdate
get_certificate_operation    GET    /certificates/{name}/pending        2015-06-01 PENDING  CertificatePendingGet
delete_certificate_operation DELETE /certificates/{name}/pending        2015-06-01 PENDING  CertificatePendingDelete
merge_certificate            POST   /certificates/{name}/pending/merge  2015-06-01 PENDING  CertificatePendingMerge
backup_certificate           POST   /certificates/{name}/backup         7.0        OBJECT   CertificateBackup
restore_certificate          POST   /certificates/restore               7.0        NONE     CertificateRestore
get_deleted_certificates     GET    /deletedcertificates                2016-10-01 NONE     CertificateListDeleted
get_deleted_certificate      GET    /deletedcertificates/{name}         2016-10-01 DELETED  CertificateGetDeleted
purge_deleted_certificate    DELETE /deletedcertificates/{name}         2016-10-01 DELETED  CertificatePurge
recover_deleted_certificate  POST   /deletedcertificates/{name}/recover 2016-10-01 DELETED  CertificateRecover
"""
_PERMISSIONS = """
get_certificates             list                         certificates/read           -
delete_certificate           delete                       certificates/delete         -
set_certificate_contacts     managecontacts               certificatecontacts/write   -
get_certificate_contacts     managecontacts               certificatecontacts/write   -
delete_certificate_contacts  managecontacts               certificatecontacts/write   -
get_certificate_issuers      listissuers|manageissuers    certificatecas/read         -
set_certificate_issuer       setissuers|manageissuers     certificatecas/write        -
update_certificate_issuer    setissuers|manageissuers     certificatecas/write        -
get_certificate_issuer       getissuers|manageissuers     certificatecas/read         -
delete_certificate_issuer    deleteissuers|manageissuers  certificatecas/delete       -
create_certificate           create                       certificates/create/action  -
import_certificate           import                       certificates/import/action  -
get_certificate_versions     list                         certificates/read           -
get_certificate_policy       get                          certificates/read           -
update_certificate_policy    update                       certificates/update/action  -
update_certificate           update                       certificates/update/action  -
get_certificate              get                          certificates/read           -
update_certificate_operation update                       certificates/update/action  -
get_certificate_operation    get                          certificates/read           -
delete_certificate_operation update                       certificates/update/action  -
merge_certificate            create                       certificates/create/action  -
backup_certificate           backup                       certificates/backup/action  -
restore_certificate          restore                      certificates/restore/action -
get_deleted_certificates     list                         certificates/read           -
get_deleted_certificate      get                          certificates/read           -
purge_deleted_certificate    purge                        certificates/purge/action   -
recover_deleted_certificate  recover                      certificates/recover/action -
"""

_BODIES = {
    "set_certificate_contacts": CONTACTS,
    "set_certificate_issuer": SET_ISSUER,
    "update_certificate_issuer": UPDATE_ISSUER,
    "create_certificate": CREATE,
    "import_certificate": IMPORT,
    "update_certificate_policy": POLICY,
    "update_certificate": UPDATE,
    "update_certificate_operation": UPDATE_OPERATION,
    "merge_certificate": MERGE,
    "restore_certificate": RESTORE,
}

ROWS = rows_of(Objects.CERTIFICATES, _ROUTES, _PERMISSIONS, _BODIES)
