"""Every operation of the data plane, one row each. Router, authorization, audit and tests are driven from this table;
an operation without a row does not exist.

Sources: the OpenAPI documents of the Azure Key Vault data plane (paths, methods, since), the Azure RBAC and Managed HSM
role documentation (actions), the access policy documentation (permissions). Audit names that no source gives are ours:
RandomBytesGet, KeyGetAttestation, KeySecureWrap, KeySecureUnwrap, KeyRelease, and those of a pool's administration but
BackupCreate, SecurityDomainBackup and SecurityDomainBackupStatusGet. So are the data actions settings/*, and those of
pre_full_backup, pre_full_restore_operation, selective_key_restore_operation and ekm are read from their descriptions.
"""

from dataclasses import dataclass
from enum import Enum

from hsmvault.model.containers import ContainerKind

VAULT_PREFIX = "Microsoft.KeyVault/vaults/"
POOL_PREFIX = "Microsoft.KeyVault/managedHsm/"


class Kind(Enum):
    """Kinds of objects; the value is the word of the access policy's permissions and of refusals."""

    KEYS = "keys"
    SECRETS = "secrets"
    CERTIFICATES = "certificates"
    ADMINISTRATION = "administration"  # of pools: roles, backups, settings, security domain, external key managers


VAULT = frozenset({ContainerKind.VAULT})
POOL = frozenset({ContainerKind.POOL})
BOTH = VAULT | POOL


@dataclass(frozen=True, slots=True)
class Operation:
    """name: of the OpenAPI operation. path: {name} and {version} stand for one segment each; the version may be empty.

    since: first api-version. policy: permission of an access policy, alternatives behind '|'; None where no policy can
    allow it. vault_action, pool_action: data actions without their prefix; None where the container has none.
    or_vault_action: in vaults also enough when the key is asymmetric (its public part can be read anyway).
    """

    name: str
    kind: Kind
    method: str
    path: str
    since: str
    served_by: frozenset[ContainerKind]
    policy: str | None
    vault_action: str | None
    pool_action: str | None
    audit_name: str
    or_vault_action: str | None = None

    @property
    def permissions(self) -> tuple[str, ...]:
        """Words of the access policy of which one is enough, in lower case and without the kind."""
        return () if self.policy is None else tuple(self.policy.partition("/")[2].lower().split("|"))


# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    # keys
    Operation("create_key", Kind.KEYS, "POST", "/keys/{name}/create", "2015-06-01", BOTH, "keys/create", "keys/create/action", "keys/create", "KeyCreate"),
    Operation("rotate_key", Kind.KEYS, "POST", "/keys/{name}/rotate", "7.3", BOTH, "keys/rotate", "keys/rotate/action", "keys/rotate/action", "KeyRotate"),
    Operation("import_key", Kind.KEYS, "PUT", "/keys/{name}", "2015-06-01", BOTH, "keys/import", "keys/import/action", "keys/import/action", "KeyImport"),
    Operation("delete_key", Kind.KEYS, "DELETE", "/keys/{name}", "2015-06-01", BOTH, "keys/delete", "keys/delete", "keys/delete", "KeyDelete"),
    Operation("update_key", Kind.KEYS, "PATCH", "/keys/{name}/{version}", "2015-06-01", BOTH, "keys/update", "keys/update/action", "keys/write/action", "KeyUpdate"),
    Operation("get_key", Kind.KEYS, "GET", "/keys/{name}/{version}", "2015-06-01", BOTH, "keys/get", "keys/read", "keys/read/action", "KeyGet"),
    Operation("get_key_versions", Kind.KEYS, "GET", "/keys/{name}/versions", "2015-06-01", BOTH, "keys/list", "keys/read", "keys/read/action", "KeyListVersions"),
    Operation("get_keys", Kind.KEYS, "GET", "/keys", "2015-06-01", BOTH, "keys/list", "keys/read", "keys/read/action", "KeyList"),
    Operation("backup_key", Kind.KEYS, "POST", "/keys/{name}/backup", "2015-06-01", BOTH, "keys/backup", "keys/backup/action", "keys/backup/action", "KeyBackup"),
    Operation("restore_key", Kind.KEYS, "POST", "/keys/restore", "2015-06-01", BOTH, "keys/restore", "keys/restore/action", "keys/restore/action", "KeyRestore"),
    Operation("encrypt", Kind.KEYS, "POST", "/keys/{name}/{version}/encrypt", "2015-06-01", BOTH, "keys/encrypt", "keys/encrypt/action", "keys/encrypt/action", "KeyEncrypt", or_vault_action="keys/read"),
    Operation("decrypt", Kind.KEYS, "POST", "/keys/{name}/{version}/decrypt", "2015-06-01", BOTH, "keys/decrypt", "keys/decrypt/action", "keys/decrypt/action", "KeyDecrypt"),
    Operation("sign", Kind.KEYS, "POST", "/keys/{name}/{version}/sign", "2015-06-01", BOTH, "keys/sign", "keys/sign/action", "keys/sign/action", "KeySign"),
    Operation("verify", Kind.KEYS, "POST", "/keys/{name}/{version}/verify", "2015-06-01", BOTH, "keys/verify", "keys/verify/action", "keys/verify/action", "KeyVerify", or_vault_action="keys/read"),
    Operation("wrap_key", Kind.KEYS, "POST", "/keys/{name}/{version}/wrapkey", "2015-06-01", BOTH, "keys/wrapKey", "keys/wrap/action", "keys/wrap/action", "KeyWrap", or_vault_action="keys/read"),
    Operation("unwrap_key", Kind.KEYS, "POST", "/keys/{name}/{version}/unwrapkey", "2015-06-01", BOTH, "keys/unwrapKey", "keys/unwrap/action", "keys/unwrap/action", "KeyUnwrap"),
    Operation("release", Kind.KEYS, "POST", "/keys/{name}/{version}/release", "7.3", BOTH, "keys/release", "keys/release/action", "keys/release/action", "KeyRelease"),
    Operation("get_deleted_keys", Kind.KEYS, "GET", "/deletedkeys", "2016-10-01", BOTH, "keys/list", "keys/read", "keys/deletedKeys/read/action", "KeyListDeleted"),
    Operation("get_deleted_key", Kind.KEYS, "GET", "/deletedkeys/{name}", "2016-10-01", BOTH, "keys/get", "keys/read", "keys/deletedKeys/read/action", "KeyGetDeleted"),
    Operation("purge_deleted_key", Kind.KEYS, "DELETE", "/deletedkeys/{name}", "2016-10-01", BOTH, "keys/purge", "keys/purge/action", "keys/deletedKeys/delete", "KeyPurge"),
    Operation("recover_deleted_key", Kind.KEYS, "POST", "/deletedkeys/{name}/recover", "2016-10-01", BOTH, "keys/recover", "keys/recover/action", "keys/deletedKeys/recover/action", "KeyRecover"),
    Operation("get_key_rotation_policy", Kind.KEYS, "GET", "/keys/{name}/rotationpolicy", "7.3", BOTH, "keys/getrotationpolicy", "keyrotationpolicies/read", "keys/read/action", "KeyRotationPolicyGet"),
    Operation("update_key_rotation_policy", Kind.KEYS, "PUT", "/keys/{name}/rotationpolicy", "7.3", BOTH, "keys/setrotationpolicy", "keyrotationpolicies/write", "keys/write/action", "KeyRotationPolicySet"),
    Operation("get_random_bytes", Kind.KEYS, "POST", "/rng", "7.3", POOL, None, None, "rng/action", "RandomBytesGet"),
    Operation("get_key_attestation", Kind.KEYS, "GET", "/keys/{name}/{version}/attestation", "7.6", POOL, "keys/get", "keys/read", "keys/read/action", "KeyGetAttestation"),
    # secrets
    Operation("set_secret", Kind.SECRETS, "PUT", "/secrets/{name}", "2015-06-01", VAULT, "secrets/set", "secrets/setSecret/action", None, "SecretSet"),
    Operation("delete_secret", Kind.SECRETS, "DELETE", "/secrets/{name}", "2015-06-01", VAULT, "secrets/delete", "secrets/delete", None, "SecretDelete"),
    Operation("update_secret", Kind.SECRETS, "PATCH", "/secrets/{name}/{version}", "2015-06-01", VAULT, "secrets/set", "secrets/update/action", None, "SecretUpdate"),
    Operation("get_secret", Kind.SECRETS, "GET", "/secrets/{name}/{version}", "2015-06-01", VAULT, "secrets/get", "secrets/getSecret/action", None, "SecretGet"),
    Operation("get_secrets", Kind.SECRETS, "GET", "/secrets", "2015-06-01", VAULT, "secrets/list", "secrets/readMetadata/action", None, "SecretList"),
    Operation("get_secret_versions", Kind.SECRETS, "GET", "/secrets/{name}/versions", "2015-06-01", VAULT, "secrets/list", "secrets/readMetadata/action", None, "SecretListVersions"),
    Operation("get_deleted_secrets", Kind.SECRETS, "GET", "/deletedsecrets", "2016-10-01", VAULT, "secrets/list", "secrets/readMetadata/action", None, "SecretListDeleted"),
    Operation("get_deleted_secret", Kind.SECRETS, "GET", "/deletedsecrets/{name}", "2016-10-01", VAULT, "secrets/get", "secrets/readMetadata/action", None, "SecretGetDeleted"),
    Operation("purge_deleted_secret", Kind.SECRETS, "DELETE", "/deletedsecrets/{name}", "2016-10-01", VAULT, "secrets/purge", "secrets/purge/action", None, "SecretPurge"),
    Operation("recover_deleted_secret", Kind.SECRETS, "POST", "/deletedsecrets/{name}/recover", "2016-10-01", VAULT, "secrets/recover", "secrets/recover/action", None, "SecretRecover"),
    Operation("backup_secret", Kind.SECRETS, "POST", "/secrets/{name}/backup", "2016-10-01", VAULT, "secrets/backup", "secrets/backup/action", None, "SecretBackup"),
    Operation("restore_secret", Kind.SECRETS, "POST", "/secrets/restore", "2016-10-01", VAULT, "secrets/restore", "secrets/restore/action", None, "SecretRestore"),
    # certificates
    Operation("get_certificates", Kind.CERTIFICATES, "GET", "/certificates", "2015-06-01", VAULT, "certificates/list", "certificates/read", None, "CertificateList"),
    Operation("delete_certificate", Kind.CERTIFICATES, "DELETE", "/certificates/{name}", "2015-06-01", VAULT, "certificates/delete", "certificates/delete", None, "CertificateDelete"),
    Operation("set_certificate_contacts", Kind.CERTIFICATES, "PUT", "/certificates/contacts", "2015-06-01", VAULT, "certificates/managecontacts", "certificatecontacts/write", None, "CertificateContactsSet"),
    Operation("get_certificate_contacts", Kind.CERTIFICATES, "GET", "/certificates/contacts", "2015-06-01", VAULT, "certificates/managecontacts", "certificatecontacts/write", None, "CertificateContactsGet"),
    Operation("delete_certificate_contacts", Kind.CERTIFICATES, "DELETE", "/certificates/contacts", "2015-06-01", VAULT, "certificates/managecontacts", "certificatecontacts/write", None, "CertificateContactsDelete"),
    Operation("get_certificate_issuers", Kind.CERTIFICATES, "GET", "/certificates/issuers", "2015-06-01", VAULT, "certificates/listissuers|manageissuers", "certificatecas/read", None, "CertificateIssuersList"),
    Operation("set_certificate_issuer", Kind.CERTIFICATES, "PUT", "/certificates/issuers/{name}", "2015-06-01", VAULT, "certificates/setissuers|manageissuers", "certificatecas/write", None, "CertificateIssuerSet"),
    Operation("update_certificate_issuer", Kind.CERTIFICATES, "PATCH", "/certificates/issuers/{name}", "2015-06-01", VAULT, "certificates/setissuers|manageissuers", "certificatecas/write", None, "CertificateIssuerUpdate"),
    Operation("get_certificate_issuer", Kind.CERTIFICATES, "GET", "/certificates/issuers/{name}", "2015-06-01", VAULT, "certificates/getissuers|manageissuers", "certificatecas/read", None, "CertificateIssuerGet"),
    Operation("delete_certificate_issuer", Kind.CERTIFICATES, "DELETE", "/certificates/issuers/{name}", "2015-06-01", VAULT, "certificates/deleteissuers|manageissuers", "certificatecas/delete", None, "CertificateIssuerDelete"),
    Operation("create_certificate", Kind.CERTIFICATES, "POST", "/certificates/{name}/create", "2015-06-01", VAULT, "certificates/create", "certificates/create/action", None, "CertificateCreate"),
    Operation("import_certificate", Kind.CERTIFICATES, "POST", "/certificates/{name}/import", "2015-06-01", VAULT, "certificates/import", "certificates/import/action", None, "CertificateImport"),
    Operation("get_certificate_versions", Kind.CERTIFICATES, "GET", "/certificates/{name}/versions", "2015-06-01", VAULT, "certificates/list", "certificates/read", None, "CertificateListVersions"),
    Operation("get_certificate_policy", Kind.CERTIFICATES, "GET", "/certificates/{name}/policy", "2015-06-01", VAULT, "certificates/get", "certificates/read", None, "CertificatePolicyGet"),
    Operation("update_certificate_policy", Kind.CERTIFICATES, "PATCH", "/certificates/{name}/policy", "2015-06-01", VAULT, "certificates/update", "certificates/update/action", None, "CertificatePolicyUpdate"),
    Operation("update_certificate", Kind.CERTIFICATES, "PATCH", "/certificates/{name}/{version}", "2015-06-01", VAULT, "certificates/update", "certificates/update/action", None, "CertificateUpdate"),
    Operation("get_certificate", Kind.CERTIFICATES, "GET", "/certificates/{name}/{version}", "2015-06-01", VAULT, "certificates/get", "certificates/read", None, "CertificateGet"),
    Operation("update_certificate_operation", Kind.CERTIFICATES, "PATCH", "/certificates/{name}/pending", "2015-06-01", VAULT, "certificates/update", "certificates/update/action", None, "CertificatePendingUpdate"),
    Operation("get_certificate_operation", Kind.CERTIFICATES, "GET", "/certificates/{name}/pending", "2015-06-01", VAULT, "certificates/get", "certificates/read", None, "CertificatePendingGet"),
    Operation("delete_certificate_operation", Kind.CERTIFICATES, "DELETE", "/certificates/{name}/pending", "2015-06-01", VAULT, "certificates/update", "certificates/update/action", None, "CertificatePendingDelete"),
    Operation("merge_certificate", Kind.CERTIFICATES, "POST", "/certificates/{name}/pending/merge", "2015-06-01", VAULT, "certificates/create", "certificates/create/action", None, "CertificatePendingMerge"),
    Operation("backup_certificate", Kind.CERTIFICATES, "POST", "/certificates/{name}/backup", "7.0", VAULT, "certificates/backup", "certificates/backup/action", None, "CertificateBackup"),
    Operation("restore_certificate", Kind.CERTIFICATES, "POST", "/certificates/restore", "7.0", VAULT, "certificates/restore", "certificates/restore/action", None, "CertificateRestore"),
    Operation("get_deleted_certificates", Kind.CERTIFICATES, "GET", "/deletedcertificates", "2016-10-01", VAULT, "certificates/list", "certificates/read", None, "CertificateListDeleted"),
    Operation("get_deleted_certificate", Kind.CERTIFICATES, "GET", "/deletedcertificates/{name}", "2016-10-01", VAULT, "certificates/get", "certificates/read", None, "CertificateGetDeleted"),
    Operation("purge_deleted_certificate", Kind.CERTIFICATES, "DELETE", "/deletedcertificates/{name}", "2016-10-01", VAULT, "certificates/purge", "certificates/purge/action", None, "CertificatePurge"),
    Operation("recover_deleted_certificate", Kind.CERTIFICATES, "POST", "/deletedcertificates/{name}/recover", "2016-10-01", VAULT, "certificates/recover", "certificates/recover/action", None, "CertificateRecover"),
    # keys
    Operation("securewrapkey", Kind.KEYS, "POST", "/keys/{name}/{version}/securewrapkey", "2026-04-01", BOTH, "keys/wrapKey", "keys/wrap/action", "keys/wrap/action", "KeySecureWrap"),
    Operation("secureunwrapkey", Kind.KEYS, "POST", "/keys/{name}/{version}/secureunwrapkey", "2026-04-01", BOTH, "keys/unwrapKey", "keys/unwrap/action", "keys/unwrap/action", "KeySecureUnwrap"),
    # administration of pools
    Operation("role_definitions_delete", Kind.ADMINISTRATION, "DELETE", "/{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}", "7.2", POOL, None, None, "roleDefinitions/delete/action", "RoleDefinitionDelete"),
    Operation("role_definitions_create_or_update", Kind.ADMINISTRATION, "PUT", "/{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}", "7.2", POOL, None, None, "roleDefinitions/write/action", "RoleDefinitionSet"),
    Operation("role_definitions_get", Kind.ADMINISTRATION, "GET", "/{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}", "7.2", POOL, None, None, "roleDefinitions/read/action", "RoleDefinitionGet"),
    Operation("role_definitions_list", Kind.ADMINISTRATION, "GET", "/{scope}/providers/Microsoft.Authorization/roleDefinitions", "7.2", POOL, None, None, "roleDefinitions/read/action", "RoleDefinitionList"),
    Operation("role_assignments_delete", Kind.ADMINISTRATION, "DELETE", "/{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", "7.2", POOL, None, None, "roleAssignments/delete/action", "RoleAssignmentDelete"),
    Operation("role_assignments_create", Kind.ADMINISTRATION, "PUT", "/{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", "7.2", POOL, None, None, "roleAssignments/write/action", "RoleAssignmentCreate"),
    Operation("role_assignments_get", Kind.ADMINISTRATION, "GET", "/{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", "7.2", POOL, None, None, "roleAssignments/read/action", "RoleAssignmentGet"),
    Operation("role_assignments_list_for_scope", Kind.ADMINISTRATION, "GET", "/{scope}/providers/Microsoft.Authorization/roleAssignments", "7.2", POOL, None, None, "roleAssignments/read/action", "RoleAssignmentList"),
    Operation("full_backup_status", Kind.ADMINISTRATION, "GET", "/backup/{name}/pending", "7.2", POOL, None, None, "backup/status/action", "BackupStatusGet"),
    Operation("full_backup", Kind.ADMINISTRATION, "POST", "/backup", "7.2", POOL, None, None, "backup/start/action", "BackupCreate"),
    Operation("pre_full_backup", Kind.ADMINISTRATION, "POST", "/prebackup", "7.6", POOL, None, None, "backup/start/action", "BackupCheck"),
    Operation("restore_status", Kind.ADMINISTRATION, "GET", "/restore/{name}/pending", "7.2", POOL, None, None, "restore/status/action", "RestoreStatusGet"),
    Operation("full_restore_operation", Kind.ADMINISTRATION, "PUT", "/restore", "7.2", POOL, None, None, "restore/start/action", "RestoreCreate"),
    Operation("pre_full_restore_operation", Kind.ADMINISTRATION, "PUT", "/prerestore", "7.6", POOL, None, None, "restore/start/action", "RestoreCheck"),
    Operation("selective_key_restore_operation", Kind.ADMINISTRATION, "PUT", "/keys/{name}/restore", "7.2", POOL, None, None, "restore/start/action", "RestoreKeyCreate"),
    Operation("update_setting", Kind.ADMINISTRATION, "PATCH", "/settings/{name}", "7.4", POOL, None, None, "settings/write/action", "SettingUpdate"),
    Operation("get_setting", Kind.ADMINISTRATION, "GET", "/settings/{name}", "7.4", POOL, None, None, "settings/read/action", "SettingGet"),
    Operation("get_settings", Kind.ADMINISTRATION, "GET", "/settings", "7.4", POOL, None, None, "settings/read/action", "SettingList"),
    Operation("security_domain_get_download_status", Kind.ADMINISTRATION, "GET", "/securitydomain/download/pending", "7.2", POOL, None, None, "securitydomain/download/read", "SecurityDomainBackupStatusGet"),
    Operation("security_domain_download", Kind.ADMINISTRATION, "POST", "/securitydomain/download", "7.2", POOL, None, None, "securitydomain/download/action", "SecurityDomainBackup"),
    Operation("security_domain_get_upload_status", Kind.ADMINISTRATION, "GET", "/securitydomain/upload/pending", "7.2", POOL, None, None, "securitydomain/upload/read", "SecurityDomainRestoreStatusGet"),
    Operation("security_domain_upload", Kind.ADMINISTRATION, "POST", "/securitydomain/upload", "7.2", POOL, None, None, "securitydomain/upload/action", "SecurityDomainRestore"),
    Operation("security_domain_get_transfer_key", Kind.ADMINISTRATION, "GET", "/securitydomain/upload", "7.2", POOL, None, None, "securitydomain/transferkey/read", "SecurityDomainTransferKeyGet"),
    Operation("get_ekm_connection", Kind.ADMINISTRATION, "GET", "/ekm", "2026-04-01", POOL, None, None, "ekm/read", "EkmConnectionGet"),
    Operation("get_ekm_certificate", Kind.ADMINISTRATION, "GET", "/ekm/certificate", "2026-04-01", POOL, None, None, "ekm/read", "EkmCertificateGet"),
    Operation("check_ekm_connection", Kind.ADMINISTRATION, "POST", "/ekm/check", "2026-04-01", POOL, None, None, "ekm/read", "EkmConnectionCheck"),
    Operation("create_ekm_connection", Kind.ADMINISTRATION, "POST", "/ekm/create", "2026-04-01", POOL, None, None, "ekm/write", "EkmConnectionCreate"),
    Operation("update_ekm_connection", Kind.ADMINISTRATION, "PATCH", "/ekm", "2026-04-01", POOL, None, None, "ekm/write", "EkmConnectionUpdate"),
    Operation("delete_ekm_connection", Kind.ADMINISTRATION, "DELETE", "/ekm", "2026-04-01", POOL, None, None, "ekm/delete", "EkmConnectionDelete"),
)
# fmt: on

BY_NAME: dict[str, Operation] = {row.name: row for row in OPERATIONS}
