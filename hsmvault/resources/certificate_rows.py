"""The three rows of a version of a certificate: its own, its key's and its secret's. Inserted, published and removed
together, in the transaction of the caller.

While a version is being made its rows are *pending*: there, not enabled, and the version before stays the latest. Those
of a version that is not to be are left until the next creation or import of the name, or until somebody forgets the
operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hsmvault.custody.protocols import HeldKey
from hsmvault.custody.public import jwk_members
from hsmvault.errors import Conflict, Damaged
from hsmvault.model.algorithms import KeySpec, default_key_operations
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateName, CertificateVersion, Status
from hsmvault.model.containers import Container
from hsmvault.model.keys import NO_TAGS, KeyName, KeyVersion
from hsmvault.model.objects import ObjectName
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.resources import refusals
from hsmvault.store import certificate_operations as operations
from hsmvault.store.certificates import CERTIFICATES, pending_versions, set_policy
from hsmvault.store.database import Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.objects import first_name
from hsmvault.store.secrets import SECRETS

N = TypeVar("N", bound=ObjectName)


@dataclass(frozen=True, slots=True)
class Names:
    """The three names of one certificate, at the revisions that they were read at or changed to in this transaction."""

    certificate: CertificateName
    key: KeyName
    secret: SecretName


@dataclass(frozen=True, slots=True)
class Rows:
    """The three rows of one version."""

    certificate: CertificateVersion
    key: KeyVersion
    secret: SecretVersion


@dataclass(frozen=True, slots=True)
class NewRows:
    """What a new version begins with. sealed: something in place of the secret's value, for its row. now: seconds since
    1970 UTC."""

    version: str
    held: HeldKey
    sealed: bytes = field(repr=False)
    policy: CertificatePolicy
    now: int
    tags: Mapping[str, str] | None = None
    preserve_order: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """What a version is published with. sealed: the secret's value. not_before, expires: of the certificate, seconds
    since 1970 UTC."""

    certificate: bytes = field(repr=False)
    thumbprint: bytes
    subject: str
    not_before: int
    expires: int
    sealed: bytes = field(repr=False)
    enabled: bool = True
    tags: Mapping[str, str] | None = None


async def names_of(tx: Transaction, container_id: str, name: str) -> Names | None:
    """Of a certificate, deleted or not; None when there is none. Raises Damaged."""
    certificate = await CERTIFICATES.name(tx, container_id, name)
    if certificate is None:
        return None
    key, secret = await KEYS.name(tx, container_id, name), await SECRETS.name(tx, container_id, name)
    if key is None or secret is None:
        raise _damaged(certificate)
    return Names(certificate, key, secret)


async def names_for_new(tx: Transaction, container: Container, name: str) -> Names | None:
    """None: the name is free. Raises Conflict when it takes no new version: it is that of a key or a secret, is
    deleted, or a version is being made."""
    names = await names_of(tx, container.id, name)
    if names is None:
        for kind, other in (
            (Kind.KEYS, await KEYS.name(tx, container.id, name)),
            (Kind.SECRETS, await SECRETS.name(tx, container.id, name)),
        ):
            if other is not None:
                raise _taken(kind, other)
        return None
    if names.certificate.is_deleted:
        raise refusals.name_is_deleted(Kind.CERTIFICATES, names.certificate.name)
    operation = await operations.find(tx, container.id, name)
    if operation is not None and operation.status is Status.IN_PROGRESS:
        raise refusals.operation_in_progress()
    return names


async def find(tx: Transaction, container_id: str, name: str, version: str) -> Rows | None:
    """The rows of a version of an active name, pending or not."""
    certificate = await CERTIFICATES.version(tx, container_id, name, version)
    if certificate is None:
        return None
    key = await KEYS.version(tx, container_id, name, version)
    secret = await SECRETS.version(tx, container_id, name, version)
    if key is None or secret is None:
        raise _damaged(certificate)
    return Rows(certificate, key, secret)


async def is_pending(tx: Transaction, names: Names) -> bool:
    """Whether nothing but a pending version is there."""
    name = names.certificate
    return name.latest_version in await pending_versions(tx, name.container_id, name.folded)


async def add(
    tx: Transaction, container: Container, name: str, names: Names | None, new: NewRows
) -> tuple[Names, Rows]:
    """A pending version; names: None for the first one of a name that is free. Its policy is that of the name from now
    on. Raises Conflicted."""
    policy = replace(
        new.policy, created=new.now if names is None else names.certificate.policy.created, updated=new.now
    )
    rows = _pending(container, name, names, new)
    if names is None:
        names = Names(
            CertificateName(**first_name(rows.certificate), policy=policy),
            KeyName(**first_name(rows.key)),
            SecretName(**first_name(rows.secret)),
        )
        await CERTIFICATES.insert_name(tx, names.certificate, rows.certificate)
        await KEYS.insert_name(tx, names.key, rows.key)
        await SECRETS.insert_name(tx, names.secret, rows.secret)
        return names, rows
    await set_policy(tx, names.certificate, policy)
    certificate = _changed(names.certificate)
    await CERTIFICATES.add_version(tx, rows.certificate, certificate, pending=True)
    await KEYS.add_version(tx, rows.key, names.key, pending=True)
    await SECRETS.add_version(tx, rows.secret, names.secret, pending=True)
    return Names(replace(_grown(certificate), policy=policy), _grown(names.key), _grown(names.secret)), rows


async def publish(tx: Transaction, names: Names, pending: Rows, issued: Issued, now: int) -> Rows:
    """The pending version becomes the latest, with what it is from now on. Raises Conflicted."""
    enabled, begins, ends = issued.enabled, issued.not_before, issued.expires
    rows = Rows(
        replace(
            pending.certificate,
            updated=now,
            enabled=enabled,
            not_before=begins,
            expires=ends,
            tags=pending.certificate.tags if issued.tags is None else issued.tags,
            subject=issued.subject,
            thumbprint=issued.thumbprint,
            certificate=issued.certificate,
        ),
        replace(pending.key, updated=now, enabled=enabled, not_before=begins, expires=ends),
        replace(pending.secret, updated=now, enabled=enabled, not_before=begins, expires=ends, sealed=issued.sealed),
    )
    await CERTIFICATES.publish(tx, rows.certificate, names.certificate)
    await KEYS.publish(tx, rows.key, names.key)
    await SECRETS.publish(tx, rows.secret, names.secret)
    return rows


async def remove_pending(tx: Transaction, names: Names) -> tuple[Names | None, list[KeyVersion]]:
    """What is pending of an active name goes, and with the only version the name, with its operation. Returns the names
    as they are then, and the keys that went, whose material is to be given up. Raises Conflicted."""
    container_id, folded = names.certificate.container_id, names.certificate.folded
    versions = await pending_versions(tx, container_id, folded)
    gone: list[KeyVersion] = []
    for version in versions:
        key = await KEYS.version(tx, container_id, folded, version)
        if key is not None:
            gone.append(key)
    if names.certificate.latest_version in versions:
        await operations.remove(tx, container_id, folded)
        await CERTIFICATES.remove(tx, names.certificate)
        await KEYS.remove(tx, names.key)
        await SECRETS.remove(tx, names.secret)
        return None, gone
    for version in versions:
        await CERTIFICATES.remove_version(tx, names.certificate, version)
        await KEYS.remove_version(tx, names.key, version)
        await SECRETS.remove_version(tx, names.secret, version)
        names = Names(_changed(names.certificate), _changed(names.key), _changed(names.secret))
    return names, gone


def _pending(container: Container, name: str, names: Names | None, new: NewRows) -> Rows:
    def sequence(at_name: ObjectName | None) -> int:
        return 1 if at_name is None else at_name.next_sequence

    spelling = name if names is None else names.certificate.name
    certificate = CertificateVersion(
        container_id=container.id,
        name=spelling,
        version=new.version,
        sequence=sequence(None if names is None else names.certificate),
        created=new.now,
        updated=new.now,
        enabled=False,
        preserve_order=new.preserve_order,
        tags=new.tags or NO_TAGS,
    )
    key = KeyVersion(
        container_id=container.id,
        name=spelling,
        version=new.version,
        sequence=sequence(None if names is None else names.key),
        spec=new.held.spec,
        custody=new.held.custody.value,
        public=new.held.public,
        reference=new.held.reference,
        public_members=jwk_members(new.held.public),
        operations=_key_operations(new.policy, new.held.spec),
        created=new.now,
        updated=new.now,
        enabled=False,
        managed=True,
    )
    secret = SecretVersion(
        container_id=container.id,
        name=spelling,
        version=new.version,
        sequence=sequence(None if names is None else names.secret),
        sealed=new.sealed,
        created=new.now,
        updated=new.now,
        enabled=False,
        content_type=new.policy.content_type,
        managed=True,
        previous_version=None if names is None else names.secret.latest_version,
    )
    return Rows(certificate, key, secret)


def _key_operations(policy: CertificatePolicy, spec: KeySpec) -> tuple[str, ...]:
    """A certificate without key usage restricts nothing (RFC 5280, 4.2.1.3)."""
    return policy.key_operations if policy.x509.key_usage else default_key_operations(spec)


def _changed(at_name: N) -> N:
    """As the name is behind one more change of it or its versions."""
    return replace(at_name, revision=at_name.revision + 1)


def _grown(at_name: N) -> N:
    """As the name is behind one more pending version."""
    return replace(at_name, revision=at_name.revision + 1, next_sequence=at_name.next_sequence + 1)


def _taken(kind: Kind, other: ObjectName) -> Conflict:
    return refusals.name_is_deleted(kind, other.name) if other.is_deleted else refusals.name_is_taken(kind, other.name)


def _damaged(row: CertificateName | CertificateVersion) -> Damaged:
    return Damaged(
        "The object is not available.",
        detail=f"certificate {row.name} in container {row.container_id} has no key or no secret",
    )
