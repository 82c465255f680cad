"""What is to happen to an object by itself: its rows in the schedule kept in step with it, in the transaction of each
change, and events put into the outbox. The same for keys, secrets and certificates; what is due is each kind's own.

The rows of the schedule tell the jobs where to look; what happens is decided on the object's own rows. A row goes when
its work is done, and comes back only when its time changes: near expiry and expiry are told once for each. Times are
those of the object's latest version; older versions have had theirs.
"""

from collections.abc import Mapping
from typing import Protocol

from hsmvault.clock import Identifiers
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.store import outbox, schedule
from hsmvault.store.database import Transaction
from hsmvault.store.outbox import Event
from hsmvault.store.schedule import What

Due = Mapping[What, int]
"""Everything that is to happen to an object, and when: seconds since 1970 UTC."""
WORDS: Mapping[Kind, str] = {Kind.KEYS: "Key", Kind.SECRETS: "Secret", Kind.CERTIFICATES: "Certificate"}
"""What an event calls an object, and begins its own type with."""
_ENDINGS: Mapping[What, str] = {What.NEAR_EXPIRY: "NearExpiry", What.EXPIRED: "Expired"}
TOLD: tuple[What, ...] = tuple(_ENDINGS)
"""What an event tells of when its time has come."""


class Dated(Protocol):
    """A version of a key, secret or certificate."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def not_before(self) -> int | None: ...
    @property
    def expires(self) -> int | None: ...


def new_version(kind: Kind) -> str:
    """Type of the event."""
    return f"{WORDS[kind]}NewVersionCreated"


def event_of(kind: Kind, what: What) -> str:
    """Type of the event. what: one of TOLD."""
    return WORDS[kind] + _ENDINGS[what]


async def begin(
    tx: Transaction,
    container: Container,
    kind: Kind,
    name: str,
    due: Due,
    *,
    is_new: bool = False,
    told_until: int | None = None,
) -> None:
    """For a new latest version, and for an object that is there again after it was deleted or restored.

    is_new: nothing is scheduled for this name. told_until: what was to be told up to this time has been told, or is no
    news. Seconds since 1970 UTC.
    """
    if told_until is not None:
        due = {what: time for what, time in due.items() if what not in TOLD or time > told_until}
    if due or not is_new:  # most objects have nothing before them
        await schedule.replace(tx, container.id, kind.value, name.lower(), due)


async def follow(tx: Transaction, container: Container, kind: Kind, name: str, old: Due, new: Due) -> None:
    """For a change of what is due of the latest version: what keeps its time stays as it is, done or not."""
    if old == new:
        return
    waiting = await schedule.of_object(tx, container.id, kind.value, name.lower())
    due = {what: time for what, time in new.items() if what in waiting or old.get(what) != time}
    await schedule.replace(tx, container.id, kind.value, name.lower(), due)


async def cancel(tx: Transaction, container: Container, kind: Kind, name: str) -> None:
    """For an object that is deleted: nothing happens to it but its purge."""
    await schedule.replace(tx, container.id, kind.value, name.lower(), {})


async def announce(
    tx: Transaction, container: Container, kind: Kind, event: str, row: Dated, identifiers: Identifiers, now: int
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
            object_type=WORDS[kind],
            name=row.name,
            version=row.version,
            not_before=row.not_before,
            expires=row.expires,
        ),
    )
