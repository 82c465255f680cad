"""What stands inside the backup of a key (custody/backup.py seals it): one name with all its versions, as MessagePack.

Format 2 knows release policies and the rotation policy; bodies of format 1, which did not, are still read. The shapes
are this file's own, so that a change of the model changes no backup.
"""

import msgspec

from hsmvault.custody.protocols import CustodyClass
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.durations import Duration
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import ActionType, LifetimeAction, RotationPolicy

FORMAT = 2
_FIRST = 1


class ReleaseBody(msgspec.Struct, frozen=True):
    data: bytes
    content_type: str
    immutable: bool


class ActionBody(msgspec.Struct, frozen=True):
    """Durations as ISO 8601 writes them."""

    type: str
    after_create: str | None
    before_expiry: str | None


class RotationBody(msgspec.Struct, frozen=True):
    actions: tuple[ActionBody, ...]
    expiry: str | None
    created: int
    updated: int


class VersionBody(msgspec.Struct, frozen=True):
    """One version. packed: as its custodian packs it (Custodian.pack); the blob is sealed as a whole."""

    version: str
    sequence: int
    family: Family
    size_bits: int
    curve: Curve | None
    public_exponent: int
    custody: CustodyClass
    public: bytes
    packed: bytes
    public_members: dict[str, bytes]
    operations: tuple[str, ...]
    created: int
    updated: int
    enabled: bool
    not_before: int | None
    expires: int | None
    exportable: bool
    tags: dict[str, str]
    release_policy: ReleaseBody | None = None

    def __repr__(self) -> str:
        return f"VersionBody({self.version})"

    @property
    def spec(self) -> KeySpec:
        return KeySpec(self.family, self.size_bits, self.curve, self.public_exponent)


class BackupBody(msgspec.Struct, frozen=True):
    """container_id: where it was made, which its material is still bound to."""

    format: int
    container_id: str
    name: str
    created: int
    versions: list[VersionBody]
    rotation: RotationBody | None = None

    @property
    def latest(self) -> VersionBody:
        return self.versions[-1]

    @property
    def rotation_policy(self) -> RotationPolicy | None:
        return None if self.rotation is None else _policy(self.rotation)


def encode(at_name: KeyName, versions: list[VersionBody]) -> bytes:
    """versions: in the order of their sequence."""
    rotation = None if at_name.rotation_policy is None else _rotation(at_name.rotation_policy)
    body = BackupBody(FORMAT, at_name.container_id, at_name.name, at_name.created, versions, rotation)
    return msgspec.msgpack.encode(body)


def decode(body: bytes) -> BackupBody:
    """body: authenticated. Raises BadRequest for one of a newer version of hsmvault."""
    try:
        backup = msgspec.msgpack.decode(body, type=BackupBody)
    except msgspec.MsgspecError as error:
        raise _refused(f"its body cannot be read ({type(error).__name__})") from error
    if backup.format not in (_FIRST, FORMAT) or not backup.versions:
        raise _refused(f"format {backup.format} of its body is not known")
    return backup


def body_of(row: KeyVersion, packed: bytes) -> VersionBody:
    policy = row.release_policy
    return VersionBody(
        version=row.version,
        sequence=row.sequence,
        family=row.spec.family,
        size_bits=row.spec.size_bits,
        curve=row.spec.curve,
        public_exponent=row.spec.public_exponent,
        custody=CustodyClass(row.custody),
        public=row.public,
        packed=packed,
        public_members=dict(row.public_members),
        operations=row.operations,
        created=row.created,
        updated=row.updated,
        enabled=row.enabled,
        not_before=row.not_before,
        expires=row.expires,
        exportable=row.exportable,
        tags=dict(row.tags),
        release_policy=None if policy is None else ReleaseBody(policy.data, policy.content_type, policy.immutable),
    )


def row_of(body: VersionBody, container_id: str, name: str, reference: bytes) -> KeyVersion:
    """The version in its new container. reference: bound to its new row."""
    policy = body.release_policy
    return KeyVersion(
        container_id=container_id,
        name=name,
        version=body.version,
        sequence=body.sequence,
        spec=body.spec,
        custody=body.custody.value,
        public=body.public,
        reference=reference,
        public_members=body.public_members,
        operations=body.operations,
        created=body.created,
        updated=body.updated,
        enabled=body.enabled,
        not_before=body.not_before,
        expires=body.expires,
        exportable=body.exportable,
        release_policy=None if policy is None else ReleasePolicy(policy.data, policy.content_type, policy.immutable),
        tags=body.tags,
    )


def _rotation(policy: RotationPolicy) -> RotationBody:
    actions = tuple(
        ActionBody(action.type.value, _text(action.after_create), _text(action.before_expiry))
        for action in policy.actions
    )
    return RotationBody(actions, _text(policy.expiry), policy.created, policy.updated)


def _policy(body: RotationBody) -> RotationPolicy:
    actions = tuple(
        LifetimeAction(ActionType(action.type), _duration(action.after_create), _duration(action.before_expiry))
        for action in body.actions
    )
    return RotationPolicy(actions, _duration(body.expiry), body.created, body.updated)


def _text(duration: Duration | None) -> str | None:
    return None if duration is None else str(duration)


def _duration(text: str | None) -> Duration | None:
    return None if text is None else Duration.parse(text)


def _refused(reason: str) -> BadRequest:
    return BadRequest("The backup blob is not valid for this vault.", detail=f"backup blob refused: {reason}")
