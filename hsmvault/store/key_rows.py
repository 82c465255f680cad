"""Rows of key_names and key_versions, both ways, in one place."""

from typing import Final

from hsmvault.model.keys import NO_TAGS, KeyName, KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import columns
from hsmvault.store.schema import key_names, key_versions
from hsmvault.store.statements import Row, Value

NAME_FIELDS: Final = (
    "container_id",
    "folded",
    "name",
    "latest_version",
    "next_sequence",
    "created",
    "revision",
    "deleted_at",
    "purge_at",
    "rotation_policy",
)
VERSION_FIELDS: Final = (
    "container_id",
    "folded",
    "version",
    "sequence",
    *columns.SPEC_COLUMNS,
    "custody",
    "public",
    "reference",
    "public_members",
    "operations",
    "created",
    "updated",
    "enabled",
    "not_before",
    "expires",
    "exportable",
    "managed",
    "tags",
    "release_policy",
)
NAME_COLUMNS: Final = [key_names.c[name] for name in NAME_FIELDS if name != "folded"]
# The spelling of the name is the name's own: these columns are selected from the join of both tables.
VERSION_COLUMNS: Final = [
    key_names.c.name.label("spelling") if name == "folded" else key_versions.c[name] for name in VERSION_FIELDS
]


def encode_name(name: KeyName) -> dict[str, Value]:
    return {
        "container_id": name.container_id,
        "folded": name.folded,
        "name": name.name,
        "latest_version": name.latest_version,
        "next_sequence": name.next_sequence,
        "created": name.created,
        "revision": name.revision,
        "deleted_at": name.deleted_at,
        "purge_at": name.purge_at,
        "rotation_policy": columns.value_to_column(name.rotation_policy),
    }


def decode_name(row: Row) -> KeyName:
    """row: of NAME_COLUMNS."""
    container_id, name, latest_version, next_sequence, created, revision, deleted_at, purge_at, policy = row
    return KeyName(
        container_id=container_id,
        name=name,
        latest_version=latest_version,
        next_sequence=next_sequence,
        created=created,
        revision=revision,
        deleted_at=deleted_at,
        purge_at=purge_at,
        rotation_policy=columns.value_from_column(policy, RotationPolicy),
    )


def encode_version(version: KeyVersion) -> dict[str, Value]:
    return {
        "container_id": version.container_id,
        "folded": version.name.lower(),
        "version": version.version,
        "sequence": version.sequence,
        **columns.spec_to_columns(version.spec),
        "custody": version.custody,
        "public": version.public,
        "reference": version.reference,
        "public_members": columns.bytes_map_to_column(version.public_members),
        "operations": columns.texts_to_column(version.operations),
        "created": version.created,
        "updated": version.updated,
        "enabled": version.enabled,
        "not_before": version.not_before,
        "expires": version.expires,
        "exportable": version.exportable,
        "managed": version.managed,
        "tags": columns.text_map_to_column(version.tags),
        "release_policy": columns.value_to_column(version.release_policy),
    }


def decode_version(row: Row) -> KeyVersion:
    """row: of VERSION_COLUMNS."""
    (
        container_id,
        name,
        version,
        sequence,
        family,
        size_bits,
        curve,
        public_exponent,
        custody,
        public,
        reference,
        public_members,
        operations,
        created,
        updated,
        enabled,
        not_before,
        expires,
        exportable,
        managed,
        tags,
        release_policy,
    ) = row
    return KeyVersion(
        container_id=container_id,
        name=name,
        version=version,
        sequence=sequence,
        spec=columns.spec_from_columns(family, size_bits, curve, public_exponent),
        custody=custody,
        public=public,
        reference=reference,
        public_members=columns.bytes_map_from_column(public_members),
        operations=columns.texts_from_column(operations),
        created=created,
        updated=updated,
        enabled=bool(enabled),
        not_before=not_before,
        expires=expires,
        exportable=bool(exportable),
        managed=bool(managed),
        tags=NO_TAGS if tags == "{}" else columns.text_map_from_column(tags),
        release_policy=columns.value_from_column(release_policy, ReleasePolicy),
    )
