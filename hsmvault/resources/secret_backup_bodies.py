"""What stands inside the backup of a secret (custody/backup.py seals it): one name with all its versions, in
MessagePack.

The shapes are this file's own, so that a change of the model changes no backup. Values are sealed once more, each for
its place in a backup, so that the body holds none in the clear.
"""

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.data_keys import DataKeyRow
from hsmvault.model.secrets import SecretName, SecretVersion

FORMAT = 1


class VersionBody(msgspec.Struct, frozen=True):
    """One version. sealed: its value."""

    version: str
    sequence: int
    sealed: bytes
    created: int
    updated: int
    enabled: bool
    not_before: int | None
    expires: int | None
    content_type: str | None
    tags: dict[str, str]

    def __repr__(self) -> str:
        return f"VersionBody({self.version})"


class BackupBody(msgspec.Struct, frozen=True):
    """versions: by their sequence. data_keys: the rows of those that sealed the values, which a database may lack that
    the backup is restored to."""

    format: int
    name: str
    created: int
    versions: list[VersionBody]
    data_keys: list[DataKeyRow]

    @property
    def latest(self) -> VersionBody:
        return self.versions[-1]


def encode(at_name: SecretName, versions: list[VersionBody], data_keys: list[DataKeyRow]) -> bytes:
    """versions: in the order of their sequence."""
    return msgspec.msgpack.encode(BackupBody(FORMAT, at_name.name, at_name.created, versions, data_keys))


def decode(body: bytes) -> BackupBody:
    """body: authenticated. Raises BadRequest for one of a newer version of hsmvault."""
    try:
        backup = msgspec.msgpack.decode(body, type=BackupBody)
    except msgspec.MsgspecError as error:
        raise _refused(f"its body cannot be read ({type(error).__name__})") from error
    if backup.format != FORMAT or not backup.versions:
        raise _refused(f"format {backup.format} of its body is not known")
    return backup


def body_of(row: SecretVersion, sealed: bytes) -> VersionBody:
    return VersionBody(
        version=row.version,
        sequence=row.sequence,
        sealed=sealed,
        created=row.created,
        updated=row.updated,
        enabled=row.enabled,
        not_before=row.not_before,
        expires=row.expires,
        content_type=row.content_type,
        tags=dict(row.tags),
    )


def row_of(body: VersionBody, container_id: str, name: str, sealed: bytes) -> SecretVersion:
    """The version in its new container. sealed: the value for its new row."""
    return SecretVersion(
        container_id=container_id,
        name=name,
        version=body.version,
        sequence=body.sequence,
        sealed=sealed,
        created=body.created,
        updated=body.updated,
        enabled=body.enabled,
        not_before=body.not_before,
        expires=body.expires,
        content_type=body.content_type,
        tags=body.tags,
    )


def _refused(reason: str) -> BadRequest:
    return BadRequest("The backup blob is not valid for this vault.", detail=f"backup blob refused: {reason}")
