"""What keys, secrets and certificates have in common: a name with its life in one container."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectName:
    """A name in one container, with its life.

    folded: the name in lower case; names compare so. revision: goes up with every change; writes compare and swap it.
    created, deleted_at, purge_at: seconds since 1970 UTC; the last two while it is deleted, else None.
    """

    container_id: str
    name: str
    latest_version: str
    next_sequence: int
    created: int
    revision: int
    deleted_at: int | None = None
    purge_at: int | None = None

    @property
    def folded(self) -> str:
        return self.name.lower()

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None
