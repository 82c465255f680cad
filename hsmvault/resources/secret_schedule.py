"""What is to happen to a secret by itself: the events 30 days before its end and at it (object_schedule.py)."""

from hsmvault.clock import Identifiers
from hsmvault.model import rotation
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources import object_schedule
from hsmvault.store.database import Transaction
from hsmvault.store.schedule import What

NEW_VERSION = object_schedule.new_version(Kind.SECRETS)


def due_of(container: Container, latest: SecretVersion) -> dict[What, int]:
    """Everything that is to happen to a secret whose latest version this is, and when."""
    near = rotation.near_expiry(None, latest.expires)
    if not container.has_events or near is None or latest.expires is None:
        return {}
    return {What.NEAR_EXPIRY: near, What.EXPIRED: latest.expires}


async def begin(
    tx: Transaction,
    container: Container,
    latest: SecretVersion,
    *,
    before: SecretVersion | None = None,
    is_new: bool = False,
    told_until: int | None = None,
) -> None:
    """For a new latest version, and for a secret that is there again after it was deleted or restored.

    before: the version that was the latest. is_new: the name was free. told_until: see object_schedule.begin.
    """
    is_new = is_new or (before is not None and not due_of(container, before))
    due = due_of(container, latest)
    await object_schedule.begin(tx, container, Kind.SECRETS, latest.name, due, is_new=is_new, told_until=told_until)


async def follow(tx: Transaction, container: Container, before: SecretVersion, after: SecretVersion) -> None:
    """For a change of the latest version."""
    old, new = due_of(container, before), due_of(container, after)
    await object_schedule.follow(tx, container, Kind.SECRETS, after.name, old, new)


async def cancel(tx: Transaction, container: Container, name: str) -> None:
    """For a secret that is deleted."""
    await object_schedule.cancel(tx, container, Kind.SECRETS, name)


async def announce(
    tx: Transaction, container: Container, row: SecretVersion, identifiers: Identifiers, now: int
) -> None:
    """That this version is new. now: seconds since 1970 UTC."""
    await object_schedule.announce(tx, container, Kind.SECRETS, NEW_VERSION, row, identifiers, now)
