"""The rotation policy of a key: when a new version is due, and when somebody is told.

Source: KeyRotationPolicy of the Azure Key Vault REST documentation; durations are ISO 8601 with whole years, months
and days (`P18M`, `P2Y`, `P90D`).
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Duration:
    """All three are 0 or more, and one of them is more than 0."""

    years: int = 0
    months: int = 0
    days: int = 0


class ActionType(Enum):
    ROTATE = "Rotate"
    NOTIFY = "Notify"


@dataclass(frozen=True, slots=True)
class LifetimeAction:
    """Exactly one of the two triggers is there."""

    type: ActionType
    after_create: Duration | None = None
    before_expiry: Duration | None = None


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """expiry: what new versions made by a rotation live. created, updated: seconds since 1970 UTC."""

    actions: tuple[LifetimeAction, ...]
    expiry: Duration | None
    created: int
    updated: int
