"""What is to happen to a key by itself: kept in step with the key, in the transaction of each change.

The rows of the schedule tell the jobs where to look; what happens is decided on the key's own rows (due_of). A row goes
when its work is done, and comes back only when its time changes: near expiry and expiry are told once for each.
Times are those of the key's latest version; older versions have had theirs.
"""

from collections.abc import Mapping

from hsmvault.clock import Identifiers
from hsmvault.model import rotation
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import outbox, schedule
from hsmvault.store.database import Transaction
from hsmvault.store.outbox import Event
from hsmvault.store.schedule import What

NEW_VERSION = "KeyNewVersionCreated"
EVENTS: Mapping[What, str] = {What.NEAR_EXPIRY: "KeyNearExpiry", What.EXPIRED: "KeyExpired"}


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

    is_new: the name was free. told_until: what was to be told up to this time has been told, or is no news. Seconds
    since 1970 UTC.
    """
    due = due_of(container, policy, latest)
    if told_until is not None:
        due = {what: time for what, time in due.items() if what is What.ROTATE or time > told_until}
    if due or not is_new:  # most keys have nothing before them
        await schedule.replace(tx, container.id, Kind.KEYS.value, latest.name.lower(), due)


async def follow(
    tx: Transaction,
    container: Container,
    before: tuple[RotationPolicy | None, KeyVersion],
    after: tuple[RotationPolicy | None, KeyVersion],
) -> None:
    """For a change of the policy or of the latest version: what keeps its time stays as it is, done or not."""
    old, new = due_of(container, *before), due_of(container, *after)
    if old == new:
        return
    name = after[1].name.lower()
    waiting = await schedule.of_object(tx, container.id, Kind.KEYS.value, name)
    due = {what: time for what, time in new.items() if what in waiting or old.get(what) != time}
    await schedule.replace(tx, container.id, Kind.KEYS.value, name, due)


async def cancel(tx: Transaction, container: Container, name: str) -> None:
    """For a key that is deleted: nothing happens to it but its purge."""
    await schedule.replace(tx, container.id, Kind.KEYS.value, name.lower(), {})


async def announce(
    tx: Transaction, container: Container, event: str, row: KeyVersion, identifiers: Identifiers, now: int
) -> None:
    """Put an event into the outbox, where the container has any. event: its type. now: seconds since 1970 UTC."""
    if not container.has_events:
        return
    await outbox.insert(
        tx,
        Event(
            event_id=identifiers.guid(),
            type=event,
            time=now,
            container_id=container.id,
            object_type="Key",
            name=row.name,
            version=row.version,
            not_before=row.not_before,
            expires=row.expires,
        ),
    )
