"""The schedule, the outbox, and a lease that a wrong clock took."""

from dataclasses import replace

from hsmvault.store import jobs, keys, outbox, schedule
from hsmvault.store.database import Database
from hsmvault.store.outbox import Event
from hsmvault.store.schedule import Due, What

from .samples import OTHER_VAULT, VAULT, key_version

EVENT = Event("id", "KeyNearExpiry", 100, VAULT.id, "Key", "Signing-Key", "v", None, 4_000_000_000)


async def test_the_longest_due_comes_first_and_only_what_is_due(database: Database) -> None:
    async with database.write() as tx:
        await schedule.replace(tx, VAULT.id, "keys", "b", {What.ROTATE: 30, What.EXPIRED: 10})
        await schedule.replace(tx, OTHER_VAULT.id, "keys", "a", {What.ROTATE: 20})
        await schedule.replace(tx, VAULT.id, "keys", "c", {What.ROTATE: 31})
        await schedule.replace(tx, VAULT.id, "certificates", "a", {What.ROTATE: 1})
    first = Due(OTHER_VAULT.id, "keys", "a", What.ROTATE, 20)
    second = Due(VAULT.id, "keys", "b", What.ROTATE, 30)
    async with database.read() as tx:
        assert await schedule.due(tx, "keys", What.ROTATE, 30, 10) == [first, second]
        assert await schedule.due(tx, "keys", What.ROTATE, 30, 1) == [first]
        assert await schedule.due(tx, "keys", What.ROTATE, 19, 10) == []


async def test_a_row_that_was_replaced_meanwhile_is_neither_taken_nor_moved(database: Database) -> None:
    stale = Due(VAULT.id, "keys", "a", What.ROTATE, 10)
    async with database.write() as tx:
        await schedule.replace(tx, VAULT.id, "keys", "a", {What.ROTATE: 10})
        await schedule.replace(tx, VAULT.id, "keys", "a", {What.ROTATE: 50, What.EXPIRED: 60})
        assert not await schedule.done(tx, stale)
        assert not await schedule.postpone(tx, stale, 99)
        assert await schedule.postpone(tx, replace(stale, due_at=50), 99)
        assert await schedule.of_object(tx, VAULT.id, "keys", "a") == {What.ROTATE: 99, What.EXPIRED: 60}
        assert await schedule.done(tx, replace(stale, due_at=99))
        assert await schedule.of_object(tx, VAULT.id, "keys", "a") == {What.EXPIRED: 60}
        await schedule.replace(tx, VAULT.id, "keys", "a", {})
        assert await schedule.of_object(tx, VAULT.id, "keys", "a") == {}


async def test_keys_that_expire_are_found_page_by_page(database: Database) -> None:
    rows = [
        replace(key_version(name, container=container), expires=expires)
        for name, container, expires in (
            ("A", OTHER_VAULT, 100),
            ("b", VAULT, 100),
            ("C", VAULT, 100),
            ("past", VAULT, 50),
            ("never", VAULT, None),
        )
    ]
    async with database.write() as tx:
        for row in rows:
            await keys.insert_version(tx, row, at_name=None)
    found, after = list[tuple[str, str]](), ("", "")
    async with database.read() as tx:
        while page := await schedule.expiring_keys(tx, 50, after, 1):
            found, after = found + page, page[-1]
    assert found == [(VAULT.id, "b"), (VAULT.id, "c"), (OTHER_VAULT.id, "a")]


async def test_events_leave_in_the_order_in_which_they_came_and_by_their_age(database: Database) -> None:
    events = [replace(EVENT, event_id=str(number), time=time) for number, time in enumerate((100, 90, 110))]
    async with database.write() as tx:
        for event in events:
            await outbox.insert(tx, event)
    async with database.write() as tx:
        numbered = await outbox.page(tx, 0, 10)
        assert [event for _, event in numbered] == events
        assert await outbox.page(tx, numbered[0][0], 1) == [numbered[1]]
        assert await outbox.delete_older(tx, 100) == 1
        assert [event.event_id for _, event in await outbox.page(tx, 0, 10)] == ["0", "2"]


async def test_a_lease_that_nobody_would_ask_for_is_free(database: Database) -> None:
    """Taken by a node whose clock was ahead by more than an hour."""
    async with database.write() as tx:
        assert await jobs.acquire(tx, "jobs", "ahead", 1_000_000, 999_000)
        assert not await jobs.acquire(tx, "jobs", "b", 1_000_000 - 3_600, 900_000)
        assert await jobs.acquire(tx, "jobs", "b", 1_000_000 - 3_601, 900_000)
