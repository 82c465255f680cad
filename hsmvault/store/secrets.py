"""Secrets: a name with its life, and its versions (objects.py). How rows become values stands here too."""

from typing import Final

from hsmvault.model.keys import NO_TAGS
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.store import columns
from hsmvault.store.objects import NAME_FIELDS, ObjectStore, Rows, decode_name, encode_name
from hsmvault.store.schema import secret_names, secret_versions
from hsmvault.store.statements import Row, Value


def _decode_name(row: Row) -> SecretName:
    return SecretName(**decode_name(row))


def _encode_version(version: SecretVersion) -> dict[str, Value]:
    return {
        "container_id": version.container_id,
        "folded": version.name.lower(),
        "version": version.version,
        "sequence": version.sequence,
        "created": version.created,
        "updated": version.updated,
        "enabled": version.enabled,
        "not_before": version.not_before,
        "expires": version.expires,
        "tags": columns.text_map_to_column(version.tags),
        "content_type": version.content_type,
        "managed": version.managed,
        "previous_version": version.previous_version,
        "sealed": version.sealed,
    }


def _decode_version(row: Row) -> SecretVersion:
    (
        container_id,
        name,
        version,
        sequence,
        created,
        updated,
        enabled,
        not_before,
        expires,
        tags,
        content_type,
        managed,
        previous_version,
        sealed,
    ) = row
    return SecretVersion(
        container_id=container_id,
        name=name,
        version=version,
        sequence=sequence,
        sealed=sealed or b"",
        created=created,
        updated=updated,
        enabled=bool(enabled),
        not_before=not_before,
        expires=expires,
        content_type=content_type,
        managed=bool(managed),
        previous_version=previous_version,
        tags=NO_TAGS if tags == "{}" else columns.text_map_from_column(tags),
    )


SECRETS: Final = ObjectStore(
    Rows[SecretName, SecretVersion](
        "secret",
        secret_names,
        secret_versions,
        name_fields=NAME_FIELDS,
        version_fields=(
            "container_id",
            "folded",
            "version",
            "sequence",
            "created",
            "updated",
            "enabled",
            "not_before",
            "expires",
            "tags",
            "content_type",
            "managed",
            "previous_version",
            "sealed",
        ),
        heavy=("sealed",),
        mutable=("updated", "enabled", "not_before", "expires", "tags", "content_type", "sealed"),
        encode_name=encode_name,
        decode_name=_decode_name,
        encode_version=_encode_version,
        decode_version=_decode_version,
    )
)
