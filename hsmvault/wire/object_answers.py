"""Members that the answers of keys, secrets and certificates have in common."""

from typing import Protocol

from hsmvault.model.lifecycle import Retention
from hsmvault.model.operations import Kind


class Dated(Protocol):
    """A version of a key, secret or certificate. Times: seconds since 1970 UTC."""

    @property
    def enabled(self) -> bool: ...
    @property
    def not_before(self) -> int | None: ...
    @property
    def expires(self) -> int | None: ...
    @property
    def created(self) -> int: ...
    @property
    def updated(self) -> int: ...


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Deleted(Protocol):
    """A deleted key, secret or certificate: its latest version, and when. Times: seconds since 1970 UTC."""

    @property
    def row(self) -> Named: ...
    @property
    def deleted_at(self) -> int: ...
    @property
    def purge_at(self) -> int: ...


def attributes_of(row: Dated, retention: Retention | None = None) -> dict[str, object]:
    """`attributes`, in the order of the service. retention: of the container; None where its members are left out."""
    attributes: dict[str, object] = {"enabled": row.enabled}
    if row.not_before is not None:
        attributes["nbf"] = row.not_before
    if row.expires is not None:
        attributes["exp"] = row.expires
    attributes["created"] = row.created
    attributes["updated"] = row.updated
    if retention is not None:
        attributes["recoveryLevel"] = retention.recovery_level
        attributes["recoverableDays"] = retention.days
    return attributes


def deletion(origin: str, kind: Kind, deleted: Deleted) -> dict[str, object]:
    """The members that a deleted object has beside those of a bundle or an item."""
    return {
        "recoveryId": f"{origin}/deleted{kind.value}/{deleted.row.name}",
        "deletedDate": deleted.deleted_at,
        "scheduledPurgeDate": deleted.purge_at,
    }
