"""Deleted, recoverable, purged: what a container's settings mean for its objects.

    active ── delete ──▶ deleted ── recover ──▶ active
                            └── purge, or the end of retention ──▶ gone (never under purge protection before its time)

Source: "Azure Key Vault recovery management with soft delete", DeletionRecoveryLevel of the OpenAPI documents.
"""

from dataclasses import dataclass

SECONDS_PER_DAY = 86_400
LONGEST_RETENTION_DAYS = 90
SHORTEST_RETENTION_DAYS = 7


@dataclass(frozen=True, slots=True)
class Retention:
    """days: 7 to 90. purge_protection: nobody purges before the time is over."""

    days: int = LONGEST_RETENTION_DAYS
    purge_protection: bool = False

    @property
    def recovery_level(self) -> str:
        level = "Recoverable" if self.days == LONGEST_RETENTION_DAYS else "CustomizedRecoverable"
        return level if self.purge_protection else level + "+Purgeable"

    def purge_date(self, deleted_at: int) -> int:
        """Both in seconds since 1970 UTC."""
        return deleted_at + self.days * SECONDS_PER_DAY
