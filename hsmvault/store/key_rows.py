"""Rows of key_names and key_versions, both ways, in one place."""

from typing import Final

from hsmvault.model.keys import NO_TAGS, KeyName, KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import columns
from hsmvault.store.objects import NAME_FIELDS, Rows, decode_name, encode_name
from hsmvault.store.schema import key_names, key_versions
from hsmvault.store.statements import Row, Value

_VERSION_FIELDS: Final = (
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


def _encode_name(name: KeyName) -> dict[str, Value]:
    return {**encode_name(name), "rotation_policy": columns.value_to_column(name.rotation_policy)}


def _decode_name(row: Row) -> KeyName:
    """row: of Rows.name_columns."""
    return KeyName(**decode_name(row[:-1]), rotation_policy=columns.value_from_column(row[-1], RotationPolicy))


def _encode_version(version: KeyVersion) -> dict[str, Value]:
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


def _decode_version(row: Row) -> KeyVersion:
    """row: of Rows.version_columns."""
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


ROWS: Final = Rows[KeyName, KeyVersion](
    "key",
    key_names,
    key_versions,
    name_fields=(*NAME_FIELDS, "rotation_policy"),
    version_fields=_VERSION_FIELDS,
    mutable=("operations", "updated", "enabled", "not_before", "expires", "exportable", "tags", "release_policy"),
    encode_name=_encode_name,
    decode_name=_decode_name,
    encode_version=_encode_version,
    decode_version=_decode_version,
)
