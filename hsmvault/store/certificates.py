"""Certificates: a name with its life and policy, and its versions (objects.py). How rows become values stands here
too."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateName, CertificateVersion
from hsmvault.model.keys import NO_TAGS
from hsmvault.store import columns
from hsmvault.store.database import Transaction
from hsmvault.store.objects import NAME_FIELDS, ObjectStore, Rows, decode_name, encode_name
from hsmvault.store.schema import certificate_names, certificate_versions
from hsmvault.store.statements import Row, Statement, Value, same


def _encode_name(name: CertificateName) -> dict[str, Value]:
    return {**encode_name(name), "policy": columns.value_to_column(name.policy)}


def _decode_name(row: Row) -> CertificateName:
    policy = columns.value_from_column(row[-1], CertificatePolicy)
    assert policy is not None
    return CertificateName(**decode_name(row[:-1]), policy=policy)


def _encode_version(version: CertificateVersion) -> dict[str, Value]:
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
        "subject": version.subject,
        "thumbprint": version.thumbprint or None,
        "preserve_order": version.preserve_order,
        "certificate": version.certificate or None,
    }


def _decode_version(row: Row) -> CertificateVersion:
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
        subject,
        thumbprint,
        preserve_order,
        certificate,
    ) = row
    return CertificateVersion(
        container_id=container_id,
        name=name,
        version=version,
        sequence=sequence,
        created=created,
        updated=updated,
        enabled=bool(enabled),
        not_before=not_before,
        expires=expires,
        subject=subject,
        thumbprint=thumbprint or b"",
        preserve_order=bool(preserve_order),
        tags=NO_TAGS if tags == "{}" else columns.text_map_from_column(tags),
        certificate=certificate or b"",
    )


CERTIFICATES: Final = ObjectStore(
    Rows[CertificateName, CertificateVersion](
        "certificate",
        certificate_names,
        certificate_versions,
        name_fields=(*NAME_FIELDS, "policy"),
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
            "subject",
            "thumbprint",
            "preserve_order",
            "certificate",
        ),
        heavy=("certificate",),
        mutable=(
            "updated",
            "enabled",
            "not_before",
            "expires",
            "tags",
            "subject",
            "thumbprint",
            "preserve_order",
            "certificate",
        ),
        encode_name=_encode_name,
        decode_name=_decode_name,
        encode_version=_encode_version,
        decode_version=_decode_version,
    )
)
_SET_POLICY = CERTIFICATES.setting("policy")
_PENDING = Statement(
    sa.select(certificate_versions.c.version)
    .where(
        same(certificate_versions.c.container_id, certificate_versions.c.folded),
        certificate_versions.c.thumbprint.is_(None),
    )
    .order_by(certificate_versions.c.sequence)
)


async def set_policy(tx: Transaction, at_name: CertificateName, policy: CertificatePolicy) -> None:
    """For the next version. Raises Conflicted when the name is not active at the revision that was read."""
    await CERTIFICATES.set_columns(tx, _SET_POLICY, at_name, policy=columns.value_to_column(policy))


async def pending_versions(tx: Transaction, container_id: str, name: str) -> list[str]:
    """Of a name, deleted or not, oldest first: at most one, but for what somebody left behind."""
    rows = await tx.rows(_PENDING, container_id=container_id, folded=name.lower())
    return [version for (version,) in rows]
