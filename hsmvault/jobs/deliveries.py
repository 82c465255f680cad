"""Delivers the events of the outbox to one subscription: in their order, at least once, across restarts.

A subscription's cursor (store/deliveries.py) moves when the receiver has answered 2xx to an event, or when the event is
given up; a crash in between delivers it again. An event that is not taken holds up those behind it and is tried again
after 10 seconds, 20, 40 and so on up to an hour, or as late as Retry-After says within that hour. After 24 hours it is
given up, as Event Grid does. Event Grid gives up at once what is answered with 400 or 413; here that is tried nine
times, in three quarters of an hour: the fault may be a receiver that is being repaired, but everything behind it waits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hsmvault.jobs import event_bodies
from hsmvault.jobs.event_bodies import Schema
from hsmvault.jobs.runner import Turn
from hsmvault.model.containers import Container
from hsmvault.outbound.webhooks import Answer, Webhook, retry_after_seconds
from hsmvault.store import containers, deliveries, outbox
from hsmvault.store.database import Conflicted, Database
from hsmvault.store.deliveries import Cursor
from hsmvault.store.outbox import Event

LOG = logging.getLogger("hsmvault.jobs")
LIFE_SECONDS: Final = 24 * 3600
SHORTEST_WAIT_SECONDS: Final = 10
LONGEST_WAIT_SECONDS: Final = 3600
_REFUSALS: Final = frozenset({400, 413})
_REFUSED_ATTEMPTS: Final = 8  # and one more
_PAGE: Final = 50
_SLACK_SECONDS: Final = 60  # a retry that is later than that was meant under a clock that was wrong

TAKEN, NOT_TAKEN, GIVEN_UP, DROPPED = OUTCOMES = ("delivered", "failed", "given_up", "dropped")


@dataclass(frozen=True, slots=True)
class Subscription:
    """name: of the configuration. containers: names of vaults; none: all. types: of events, without their prefix; none:
    all.
    """

    name: str
    schema: Schema = Schema.EVENT_GRID
    containers: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    def wants(self, event: Event, container: Container) -> bool:
        return (not self.types or event.type in self.types) and (
            not self.containers or container.name in self.containers
        )


class DeliverEvents:
    """The job of one subscription; it waits for others, and is to run apart (Runner).

    origin_of: `https://host:port` of a container. count: called with one of OUTCOMES for each event that is wanted, and
    for each attempt that failed.
    """

    interval_seconds = 60.0  # it is woken by events; this is for a wake that was missed

    def __init__(
        self,
        database: Database,
        subscription: Subscription,
        webhook: Webhook,
        origin_of: Callable[[Container], str],
        *,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = f"events:{subscription.name}"
        self._database = database
        self._subscription = subscription
        self._webhook = webhook
        self._origin_of = origin_of
        self._count = count

    async def run(self, turn: Turn) -> float | None:
        try:
            return await self._run(turn, await self._cursor())
        except Conflicted:  # another node delivers too, and goes on with it
            LOG.info("event subscription %s is delivered to by another node", self._subscription.name)
            return None

    async def _cursor(self) -> Cursor:
        async with self._database.read() as tx:
            cursor = await deliveries.find(tx, self._subscription.name)
        if cursor is None:
            async with self._database.write() as tx:
                cursor = await deliveries.begin(tx, self._subscription.name)
        return cursor

    async def _run(self, turn: Turn, cursor: Cursor) -> float | None:
        wait = 0 if cursor.retry_at is None else cursor.retry_at - turn.now()
        if 0 < wait <= LONGEST_WAIT_SECONDS + _SLACK_SECONDS:
            return wait
        known: dict[str, Container | None] = {}
        while True:
            async with self._database.read() as tx:
                page = await outbox.page(tx, cursor.delivered, _PAGE)
                for container_id in {event.container_id for _, event in page} - known.keys():
                    known[container_id] = await containers.by_id(tx, container_id)
            if not page:
                return None
            passed = cursor  # what is skipped is written with what follows it, or at the end of the page
            for number, event in page:
                container = known[event.container_id]
                if container is None:
                    self._count(DROPPED)
                elif self._subscription.wants(event, container):
                    if not await turn.goes_on():
                        return None
                    done = await self._deliver(event, container, passed, number, turn.now())
                    await self._save(cursor, done)
                    cursor = passed = done
                    if done.retry_at is not None:
                        return done.retry_at - turn.now()
                passed = replace(passed, delivered=number)
            if passed != cursor:
                await self._save(cursor, passed)
                cursor = passed

    async def _deliver(self, event: Event, container: Container, before: Cursor, number: int, now: int) -> Cursor:
        """The cursor behind this attempt. before: behind the event in front of this one."""
        if now - event.time > LIFE_SECONDS:
            return self._given_up(event, container, before, number)
        body, headers = event_bodies.content(
            self._subscription.schema,
            event,
            container,
            self._origin_of(container),
            self._subscription.name,
            before.attempts,
        )
        answer = await self._webhook.post(body, headers)
        if answer.is_taken:
            self._count(TAKEN)
            return Cursor(before.subscription, number)
        self._count(NOT_TAKEN)
        is_refused_again = answer.status in _REFUSALS and before.error == answer.problem
        if is_refused_again and before.attempts >= _REFUSED_ATTEMPTS:
            return replace(self._given_up(event, container, before, number), attempts=0, error="")
        wait = _wait(before.attempts, answer, now)
        LOG.warning(
            "event subscription %s did not take event %s (%s), which is tried again in %d s",
            self._subscription.name,
            event.event_id,
            answer.problem,
            wait,
        )
        return replace(before, attempts=before.attempts + 1, retry_at=now + wait, error=answer.problem)

    def _given_up(self, event: Event, container: Container, before: Cursor, number: int) -> Cursor:
        """A receiver that is away is not asked more often because its events grow old: attempts stay as they are."""
        LOG.warning(
            "event subscription %s: event %s (%s of %s in %s) is given up: %s",
            self._subscription.name,
            event.event_id,
            event.type,
            event.name,
            container.name,
            before.error or "too old",
        )
        self._count(GIVEN_UP)
        return replace(before, delivered=number, retry_at=None)

    async def _save(self, was: Cursor, now: Cursor) -> None:
        """Raises Conflicted."""
        async with self._database.write() as tx:
            await deliveries.save(tx, was, now)


def _wait(attempts: int, answer: Answer, now: int) -> int:
    """Whole seconds. attempts: before this one."""
    wait = min(LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS << min(attempts, 16))
    asked = retry_after_seconds(answer.retry_after, now)
    return wait if asked is None else max(wait, min(LONGEST_WAIT_SECONDS, int(asked)))
