"""What is to happen to a key by itself: rotation, and the events before and at its end (object_schedule.py)."""

from hsmvault.clock import Identifiers
from hsmvault.model import rotation
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.rotation import RotationPolicy
from hsmvault.resources import object_schedule
from hsmvault.store.database import Transaction
from hsmvault.store.schedule import What

NEW_VERSION = object_schedule.new_version(Kind.KEYS)


def due_of(container: Container, policy: RotationPolicy | None, latest: KeyVersion) -> dict[What, int]:
    """Everything that is to happen to a key whose latest version this is, and when."""
    due = {What.ROTATE: rotation.rotation_due(policy, latest.created, latest.expires)}
    if container.has_events:
        due[What.NEAR_EXPIRY] = rotation.near_expiry(policy, latest.expires)
        due[What.EXPIRED] = latest.expires
    return {what: time for what, time in due.items() if time is not None}


async def begin(
    tx: Transaction,
    container: Container,
    policy: RotationPolicy | None,
    latest: KeyVersion,
    *,
    is_new: bool = False,
    told_until: int | None = None,
) -> None:
    """For a new latest version, and for a key that is there again after it was deleted or restored.

    is_new: the name was free. told_until: see object_schedule.begin.
    """
    due = due_of(container, policy, latest)
    await object_schedule.begin(tx, container, Kind.KEYS, latest.name, due, is_new=is_new, told_until=told_until)


async def follow(
    tx: Transaction,
    container: Container,
    before: tuple[RotationPolicy | None, KeyVersion],
    after: tuple[RotationPolicy | None, KeyVersion],
) -> None:
    """For a change of the policy or of the latest version."""
    old, new = due_of(container, *before), due_of(container, *after)
    await object_schedule.follow(tx, container, Kind.KEYS, after[1].name, old, new)


async def cancel(tx: Transaction, container: Container, name: str) -> None:
    """For a key that is deleted."""
    await object_schedule.cancel(tx, container, Kind.KEYS, name)


async def announce(
    tx: Transaction, container: Container, event: str, row: KeyVersion, identifiers: Identifiers, now: int
) -> None:
    """event: its type. now: seconds since 1970 UTC."""
    await object_schedule.announce(tx, container, Kind.KEYS, event, row, identifiers, now)
