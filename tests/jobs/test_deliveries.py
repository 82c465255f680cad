"""Events on their way to real receivers: order, repetition, restarts, and receivers that do not take them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.jobs.deliveries import DeliverEvents, Subscription
from hsmvault.jobs.event_bodies import Schema
from hsmvault.jobs.events import DropEvents
from hsmvault.jobs.runner import Runner
from hsmvault.model.containers import Container
from hsmvault.outbound.webhooks import Webhook
from hsmvault.store import containers, deliveries, outbox
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.deliveries import Cursor
from hsmvault.store.outbox import Event
from tests.jobs.rig import DAY, VAULT, Node, Opener
from tests.outbound.receivers import Receiver, receiving

HOUR = 3600
NAME = "inventory"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def event(number: int, node: Node, **more: Any) -> Event:
    good = Event(
        event_id=f"00000000-0000-0000-0000-{number:012d}",
        type="SecretNewVersionCreated",
        time=int(node.clock.now()),
        container_id=VAULT.id,
        object_type="Secret",
        name="Password",
        version=f"{number:032x}",
        not_before=None,
        expires=None,
    )
    return replace(good, **more)


async def tell(node: Node, *numbers: int, **more: Any) -> None:
    for number in numbers:
        async with node.database.write() as tx:
            await outbox.insert(tx, event(number, node, **more))


@dataclass
class Delivering:
    """One subscription of a node. counted: outcomes."""

    node: Node
    job: DeliverEvents
    runner: Runner
    counted: list[str] = field(default_factory=list)

    async def after(self, seconds: float) -> None:
        self.node.clock.move(seconds)
        self.runner.wake(self.job.name)  # which hastens no retry
        await self.runner.tick()

    async def cursor(self) -> Cursor:
        async with self.node.database.read() as tx:
            cursor = await deliveries.find(tx, NAME)
        assert cursor is not None
        return cursor


def origin_of(container: Container) -> str:
    return f"https://{container.name}.vault.example:8443"


def job_of(node: Node, receiver: Receiver, count: Callable[[str], None] = lambda _: None, **more: Any) -> DeliverEvents:
    subscription = Subscription(**({"name": NAME} | more))
    return DeliverEvents(node.database, subscription, hook(receiver), origin_of, count=count)


def hook(receiver: Receiver) -> Webhook:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return Webhook(receiver.url, context=context, headers={"Authorization": "x"}, timeout_seconds=10.0)


async def delivering(node: Node, receiver: Receiver, owner: str = "a", **more: Any) -> Delivering:
    """It has begun: what comes from now on is delivered."""
    counted: list[str] = []
    job = job_of(node, receiver, counted.append, **more)
    runner = Runner(node.database, [], node.clock, owner, apart=[job])
    await runner.tick()
    return Delivering(node, job, runner, counted)


def numbers(receiver: Receiver) -> list[int]:
    """Of the events that arrived, in the order in which they did."""
    return [int(received.json[0]["id"][-12:]) for received in receiver.received]


# what is posted


async def test_an_event_is_posted_in_event_grids_schema(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    await tell(node, 1, not_before=5, type="SecretNearExpiry")
    await one.after(60)
    (received,) = receiver.received
    assert received.json == [
        {
            "id": "00000000-0000-0000-0000-000000000001",
            "topic": "/subscriptions/33333333-0000-0000-0000-000000000001/resourceGroups/group"
            "/providers/Microsoft.KeyVault/vaults/dev",
            "subject": "Password",
            "eventType": "Microsoft.KeyVault.SecretNearExpiry",
            "eventTime": "2025-06-15T15:06:40.0000000Z",
            "data": {
                "Id": f"https://dev.vault.example:8443/secrets/Password/{1:032x}",
                "VaultName": "dev",
                "ObjectType": "Secret",
                "ObjectName": "Password",
                "Version": f"{1:032x}",
                "NBF": 5,
                "EXP": None,
            },
            "dataVersion": "1",
            "metadataVersion": "1",
        }
    ]
    headers = {name: value for name, value in received.headers.items() if name.startswith(("aeg", "content-t", "auth"))}
    assert headers == {
        "content-type": "application/json; charset=utf-8",
        "authorization": "x",
        "aeg-event-type": "Notification",
        "aeg-subscription-name": "INVENTORY",
        "aeg-delivery-count": "0",
        "aeg-data-version": "1",
        "aeg-metadata-version": "1",
    }
    assert one.counted == ["delivered"]


async def test_an_event_is_posted_as_a_cloud_event(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver, schema=Schema.CLOUD_EVENTS)
    await tell(node, 1, object_type="Certificate", type="CertificateExpired", expires=7)
    await one.after(60)
    (received,) = receiver.received
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert not [name for name in received.headers if name.startswith("aeg")]
    assert received.json == {
        "specversion": "1.0",
        "id": "00000000-0000-0000-0000-000000000001",
        "source": VAULT.resource_id,
        "subject": "Password",
        "type": "Microsoft.KeyVault.CertificateExpired",
        "time": "2025-06-15T15:06:40.0000000Z",
        "datacontenttype": "application/json",
        "data": {
            "Id": f"https://dev.vault.example:8443/certificates/Password/{1:032x}",
            "VaultName": "dev",
            "ObjectType": "Certificate",
            "ObjectName": "Password",
            "Version": f"{1:032x}",
            "NBF": None,
            "EXP": 7,
        },
    }


async def test_a_key_that_is_made_is_told_of(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    row = await node.create("Signing")
    await one.after(60)
    (received,) = receiver.received
    assert received.json[0]["eventType"] == "Microsoft.KeyVault.KeyNewVersionCreated"
    assert received.json[0]["data"]["Id"] == f"https://dev.vault.example:8443/keys/Signing/{row.version}"


async def test_a_subscription_gets_what_it_asks_for(node: Node, receiver: Receiver) -> None:
    other = replace(VAULT, id="11111111-0000-0000-0000-000000000002", name="other")
    async with node.database.write() as tx:
        await containers.insert(tx, other)
    one = await delivering(
        node, receiver, types=frozenset({"SecretExpired", "KeyExpired"}), containers=frozenset({"other"})
    )
    await tell(node, 1, 2, type="SecretExpired")
    await tell(node, 3, container_id=other.id)
    await tell(node, 4, container_id=other.id, type="SecretExpired")
    await tell(node, 5, container_id=other.id)
    await one.after(60)
    assert numbers(receiver) == [4]
    assert (await one.cursor()).delivered == 5


async def test_an_event_of_a_container_that_is_gone_is_dropped(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    await tell(node, 1, container_id="gone")
    await tell(node, 2)
    await one.after(60)
    assert numbers(receiver) == [2]
    assert one.counted == ["dropped", "delivered"]


# order, repetition, restarts


async def test_events_arrive_in_their_order_and_once_when_nothing_goes_wrong(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    await tell(node, *range(1, 61))  # more than a page
    await one.after(60)
    await one.after(60)
    assert numbers(receiver) == list(range(1, 61))


async def test_a_new_subscription_begins_with_what_comes_behind_it(node: Node, receiver: Receiver) -> None:
    await tell(node, 1, 2)
    one = await delivering(node, receiver)
    assert numbers(receiver) == []
    await tell(node, 3)
    await one.after(60)
    assert numbers(receiver) == [3]


async def test_a_restart_goes_on_where_the_last_run_was(open_node: Opener, receiver: Receiver) -> None:
    clock = MovedClock()
    node = await open_node(clock)
    one = await delivering(node, receiver)
    await tell(node, 1)
    await one.after(60)
    await one.runner._release()
    await tell(node, 2)
    await delivering(await open_node(clock), receiver, owner="b")
    assert numbers(receiver) == [1, 2]


async def test_a_crash_between_the_receivers_answer_and_the_commit_delivers_again(
    open_node: Opener, receiver: Receiver
) -> None:
    clock = MovedClock()
    node = await open_node(clock)
    one = await delivering(node, receiver)
    await tell(node, 1, 2)

    def crash(_: str) -> None:
        if receiver.received:
            raise Unavailable("killed")

    node.database.fault = crash
    await one.after(60)
    assert numbers(receiver) == [1]
    node.database.fault = None
    clock.move(180)  # the lease is over
    await delivering(await open_node(clock), receiver, owner="b")
    assert numbers(receiver) == [1, 1, 2]
    assert receiver.received[0].body == receiver.received[1].body


async def test_two_nodes_that_both_believe_in_the_lease_do_not_move_the_cursor_back(
    open_node: Opener, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    clock = MovedClock()
    node, other = await open_node(clock), await open_node(clock)
    one = await delivering(node, receiver)
    await tell(node, 1, 2)
    receiver.holding = asyncio.Event()
    running = asyncio.create_task(one.after(60))
    await receiver.gets(1)
    async with other.database.write() as tx:
        was = await deliveries.begin(tx, NAME)
        await deliveries.save(tx, was, Cursor(NAME, 2))
    receiver.holding.set()
    await running
    assert (await one.cursor()) == Cursor(NAME, 2)
    assert numbers(receiver) == [1]
    assert "Traceback" not in caplog.text


async def test_a_stop_leaves_what_is_not_delivered_to_the_next_run(open_node: Opener, receiver: Receiver) -> None:
    clock = MovedClock()
    node = await open_node(clock)
    one = await delivering(node, receiver)
    await tell(node, 1, 2, 3)
    receiver.holding = asyncio.Event()
    running = asyncio.create_task(one.after(60))
    await receiver.gets(1)
    one.runner.stop()
    receiver.holding.set()
    await running
    assert numbers(receiver) == [1]
    await one.runner._release()
    await delivering(await open_node(clock), receiver, owner="b")
    assert numbers(receiver) == [1, 2, 3]


# receivers that do not take them


async def test_an_event_that_is_not_taken_is_tried_again_later_and_later(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    receiver.statuses = [503] * 12
    await tell(node, 1, 2)
    await one.after(1)
    for number, wait in enumerate([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600], 1):
        assert len(receiver.received) == number
        assert await one.job.run(one.runner) == wait
        await one.after(wait - 1)
        assert len(receiver.received) == number
        await one.after(1)
    assert numbers(receiver) == [1] * 12
    assert [received.headers["aeg-delivery-count"] for received in receiver.received] == [str(n) for n in range(12)]
    cursor = await one.cursor()
    assert (cursor.delivered, cursor.attempts, cursor.error) == (0, 12, "HTTP 503")
    await one.after(3600)
    assert numbers(receiver)[12:] == [1, 2]
    assert await one.cursor() == Cursor(NAME, 2)
    assert one.counted == ["failed"] * 12 + ["delivered"] * 2


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("5", 10), ("300", 300), ("999999", 3600), ("Sun, 15 Jun 2025 15:10:01 GMT", 200), ("soon", 10)],
)
async def test_retry_after_is_obeyed_within_bounds(node: Node, receiver: Receiver, asked: str, waited: int) -> None:
    one = await delivering(node, receiver)
    receiver.statuses, receiver.headers = [429], {"Retry-After": asked}
    await tell(node, 1)
    node.clock.move(1)
    assert await one.job.run(one.runner) == waited


async def test_an_event_is_given_up_after_a_day_and_those_behind_it_have_their_own(
    node: Node, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    one = await delivering(node, receiver)
    receiver.statuses = [500] * 1000
    await tell(node, 1)
    for hour in range(24):
        if hour == 12:
            await tell(node, 2, name="Later")
        await one.after(HOUR)
    assert set(numbers(receiver)) == {1}
    await one.after(HOUR)
    assert numbers(receiver)[-1] == 2
    assert "event 00000000-0000-0000-0000-000000000001 (SecretNewVersionCreated of Password in dev) is given up" in (
        caplog.text
    )
    assert one.counted.count("given_up") == 1
    receiver.statuses = []
    await one.after(HOUR)  # asked no more often than before: the receiver is as ill as it was
    assert await one.cursor() == Cursor(NAME, 2)


async def test_an_event_that_the_receiver_calls_bad_is_given_up_sooner(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    receiver.statuses = [400] * 9
    await tell(node, 1, 2)
    for _ in range(2550 // 10):
        await one.after(10)
    assert numbers(receiver) == [1] * 8
    await one.after(10)
    assert numbers(receiver) == [1] * 9 + [2]
    assert one.counted == ["failed"] * 9 + ["given_up", "delivered"]


async def test_a_receiver_that_was_away_may_call_an_event_bad_once(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    receiver.statuses = [503] * 12 + [400]
    await tell(node, 1)
    for _ in range(14):
        await one.after(HOUR)
    assert numbers(receiver) == [1] * 14
    assert one.counted == ["failed"] * 13 + ["delivered"]


async def test_a_clock_that_goes_back_does_not_hold_up_a_retry(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    await tell(node, 1)
    async with node.database.write() as tx:
        was = await deliveries.begin(tx, NAME)
        await deliveries.save(tx, was, replace(was, attempts=1, retry_at=int(node.clock.now()) + 10 * DAY))
    await one.after(60)
    assert numbers(receiver) == [1]


async def test_a_receiver_that_hangs_holds_up_nobody_else(node: Node, receiver: Receiver) -> None:
    async with receiving() as other:
        receiver.holding = asyncio.Event()
        jobs = [job_of(node, receiver, name="slow"), job_of(node, other, name="quick")]
        with_both = Runner(node.database, [], node.clock, "a", apart=jobs)
        await with_both.tick()
        async with following(node.database, with_both, jobs):
            await tell(node, 1)
            await receiver.gets(1)
            await other.gets(1)
            await tell(node, 2, 3)
            await other.gets(3)
            assert numbers(receiver) == [1]
            receiver.holding.set()
            await receiver.gets(3)
    assert numbers(receiver) == numbers(other) == [1, 2, 3]


async def test_an_event_is_posted_as_soon_as_it_is_committed(open_node: Opener, receiver: Receiver) -> None:
    """By whatever process: the job waits for no tick, and the retry neither."""
    clock = MovedClock()
    node, other = await open_node(clock), await open_node(clock)
    one = await delivering(node, receiver)
    async with following(node.database, one.runner, [one.job]):
        await tell(node, 1)
        await receiver.gets(1)
        await tell(other, 2)
        await receiver.gets(2)


@asynccontextmanager
async def following(database: Database, runner: Runner, jobs: list[DeliverEvents]) -> AsyncIterator[None]:
    """The runner runs and nothing but wakes moves it: a pause never ends."""

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    runner._pause = forever
    feed = ChangeFeed(database, interval_seconds=0.01)

    def waking(name: str) -> Callable[[str, str], None]:
        return lambda _, __: runner.wake(name)

    for job in jobs:
        feed.subscribe("outbox", waking(job.name))
    await feed.start()
    running = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        runner.stop()
        await running
        await feed.close()


# what is kept


async def test_an_event_stays_until_every_subscription_is_done_with_it(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    dropping = Runner(node.database, [DropEvents(node.database, [NAME, "unseen"])], node.clock, "a")
    receiver.statuses = [500] * 3
    await tell(node, 1)
    await one.after(1)
    node.clock.move(DAY + HOUR)
    await dropping.tick()
    assert len(await node.events()) == 1  # neither has got or given it up
    await one.after(HOUR)
    assert (await one.cursor()).delivered == 1
    node.clock.move(HOUR)
    await dropping.tick()
    assert len(await node.events()) == 1  # one has not begun
    async with node.database.write() as tx:
        await deliveries.begin(tx, "unseen")
    node.clock.move(HOUR)
    await dropping.tick()
    assert await node.events() == []


async def test_a_young_event_stays_although_everybody_has_it(node: Node, receiver: Receiver) -> None:
    one = await delivering(node, receiver)
    await tell(node, 1)
    await one.after(60)
    await Runner(node.database, [DropEvents(node.database, [NAME])], node.clock, "a").tick()
    assert len(await node.events()) == 1


async def test_a_subscription_begins_behind_events_that_are_no_longer_kept(node: Node, receiver: Receiver) -> None:
    """Numbers are not used again: an empty outbox is not one that begins anew."""
    await tell(node, 1, 2)
    async with node.database.write() as tx:
        await outbox.delete_older(tx, 2_000_000_000)
    one = await delivering(node, receiver)
    await tell(node, 3)
    await one.after(60)
    assert numbers(receiver) == [3]
