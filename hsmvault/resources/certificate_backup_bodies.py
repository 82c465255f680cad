"""What stands inside the backup of a certificate (custody/backup.py seals it): one name with all its versions, each
with its key and its secret, as MessagePack.

Keys have the shape that they have in their own backups (key_backup_bodies.py). The policy is JSON as the database keeps
it, which every version of hsmvault reads; the other shapes are this file's own, so that a change of the model changes
no backup.
"""

from dataclasses import replace

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateName, CertificateVersion
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources import key_backup_bodies
from hsmvault.resources.certificate_rows import Rows
from hsmvault.resources.key_backup_bodies import VersionBody as KeyBody

FORMAT = 1


class CertificateVersionBody(msgspec.Struct, frozen=True):
    """One version. certificate: DER. updated, tags: of the certificate. key: with what the three have in common. value:
    of the secret, in UTF-8, in the clear: the body is sealed as a whole.
    """

    certificate: bytes
    thumbprint: bytes
    subject: str
    preserve_order: bool
    updated: int
    tags: dict[str, str]
    key: KeyBody
    content_type: str | None
    previous_version: str | None
    value: bytes

    def __repr__(self) -> str:
        return f"CertificateVersionBody({self.key.version})"


class CertificateBackupBody(msgspec.Struct, frozen=True):
    """container_id: where it was made, which its material is still bound to."""

    format: int
    container_id: str
    name: str
    created: int
    policy: bytes
    versions: list[CertificateVersionBody]

    @property
    def latest(self) -> CertificateVersionBody:
        return self.versions[-1]


def encode(at_name: CertificateName, versions: list[CertificateVersionBody]) -> bytes:
    """versions: in the order of their sequence."""
    policy = msgspec.json.encode(at_name.policy)
    body = CertificateBackupBody(FORMAT, at_name.container_id, at_name.name, at_name.created, policy, versions)
    return msgspec.msgpack.encode(body)


def decode(body: bytes) -> tuple[CertificateBackupBody, CertificatePolicy]:
    """body: authenticated. Raises BadRequest for one of a newer version of hsmvault."""
    try:
        backup = msgspec.msgpack.decode(body, type=CertificateBackupBody)
        policy = msgspec.json.decode(backup.policy, type=CertificatePolicy)
    except msgspec.MsgspecError as error:
        raise _refused(f"its body cannot be read ({type(error).__name__})") from error
    if backup.format != FORMAT or not backup.versions:
        raise _refused(f"format {backup.format} of its body is not known")
    return backup, policy


def body_of(rows: Rows, packed: bytes, value: bytes) -> CertificateVersionBody:
    """packed: the key, as its custodian packs it. value: of the secret, opened."""
    row = rows.certificate
    return CertificateVersionBody(
        certificate=row.certificate,
        thumbprint=row.thumbprint,
        subject=row.subject,
        preserve_order=row.preserve_order,
        updated=row.updated,
        tags=dict(row.tags),
        key=key_backup_bodies.body_of(rows.key, packed),
        content_type=rows.secret.content_type,
        previous_version=rows.secret.previous_version,
        value=value,
    )


def rows_of(body: CertificateVersionBody, container_id: str, name: str, reference: bytes, sealed: bytes) -> Rows:
    """The version in its new container. reference, sealed: key and secret, bound to their new rows."""
    key = replace(key_backup_bodies.row_of(body.key, container_id, name, reference), managed=True)
    certificate = CertificateVersion(
        container_id=container_id,
        name=name,
        version=key.version,
        sequence=key.sequence,
        created=key.created,
        updated=body.updated,
        enabled=key.enabled,
        not_before=key.not_before,
        expires=key.expires,
        subject=body.subject,
        thumbprint=body.thumbprint,
        preserve_order=body.preserve_order,
        tags=body.tags,
        certificate=body.certificate,
    )
    secret = SecretVersion(
        container_id=container_id,
        name=name,
        version=key.version,
        sequence=key.sequence,
        sealed=sealed,
        created=key.created,
        updated=key.updated,
        enabled=key.enabled,
        not_before=key.not_before,
        expires=key.expires,
        content_type=body.content_type,
        managed=True,
        previous_version=body.previous_version,
    )
    return Rows(certificate, key, secret)


def _refused(reason: str) -> BadRequest:
    return BadRequest("The backup blob is not valid for this vault.", detail=f"backup blob refused: {reason}")
