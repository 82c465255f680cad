"""A clock that jumps makes nothing early: not a purge, not a rotation, not an event."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.clock import MovedClock
from hsmvault.jobs.trusted_time import STANDING_SECONDS, TrustedTime
from hsmvault.model.lifecycle import SECONDS_PER_DAY
from hsmvault.store import meta
from hsmvault.store.database import Database
from tests.jobs.rig import DAY, VAULT, Node, Opener

HOUR = 3600.0
YEARS = 10 * 365 * DAY


async def keys_with_everything_ahead(node: Node) -> None:
    """One to purge in 7 days, one to rotate in 7, one to expire in 40."""
    await node.create("gone")
    await node.keys.delete(VAULT, "gone")
    await node.create("turning")
    await node.set_policy("P7D", "turning")
    await node.create("ending", expires=int(node.clock.now()) + 40 * DAY)
    await node.runner.tick()


async def nothing_has_happened(node: Node) -> bool:
    versions = await node.versions("turning")
    return await node.is_there("gone") and len(versions) == 1 and not node.recorded() and await node.told() == []


async def hours(node: Node, number: int) -> None:
    for _ in range(number):
        node.clock.move(HOUR)
        await node.runner.tick()


async def test_a_jump_forward_does_nothing_until_it_has_stood_for_a_day(node: Node) -> None:
    await keys_with_everything_ahead(node)
    node.clock.jump(YEARS)
    await node.runner.tick()
    await hours(node, 24)
    assert await nothing_has_happened(node)
    await hours(node, 2)
    assert not await node.is_there("gone")
    assert len(await node.versions("turning")) == 2
    assert {name for name, _ in node.recorded()} == {
        "KeyPurge",
        "KeyRotateIfDue",
        "KeyNearExpiryEventGridNotification",
        "KeyExpiredEventGridNotification",
    }


async def test_a_jump_that_is_put_right_within_a_day_has_done_nothing(node: Node) -> None:
    await keys_with_everything_ahead(node)
    node.clock.jump(YEARS)
    await hours(node, 23)
    node.clock.jump(-YEARS)
    await hours(node, 48)
    assert await nothing_has_happened(node)
    await hours(node, 7 * 24)
    assert not await node.is_there("gone")  # and time goes on as if nothing had been
    assert len(await node.versions("turning")) == 2


async def test_a_jump_back_makes_nothing_early_then_or_when_it_is_put_right(node: Node) -> None:
    await keys_with_everything_ahead(node)
    await hours(node, 24)
    node.clock.jump(-YEARS)
    await hours(node, 24)
    node.clock.jump(YEARS)
    await hours(node, 4 * 24)
    assert await nothing_has_happened(node)
    await hours(node, 24 + 2)
    assert not await node.is_there("gone")


async def test_a_jump_while_nobody_runs_counts_no_more_than_one_while_somebody_does(open_node: Opener) -> None:
    clock = MovedClock()
    first = await open_node(clock)
    await keys_with_everything_ahead(first)
    clock.jump(DAY)
    await hours(first, 1)
    await first.runner._release()
    clock.jump(YEARS)
    clock.steady = 5.0  # the machine has started again
    second = await open_node(clock)
    await hours(second, 24)
    assert await nothing_has_happened(second)
    await hours(second, 2)
    assert not await second.is_there("gone")


async def test_restarts_do_not_keep_a_stop_from_being_believed(open_node: Opener) -> None:
    """A machine that is switched off every night runs 24 hours in three days."""
    clock = MovedClock()
    node = await open_node(clock)
    await keys_with_everything_ahead(node)
    for _ in range(11):
        await hours(node, 8)
        await node.runner._release()
        clock.jump(16 * HOUR)
        clock.steady = 5.0
        node = await open_node(clock)
        await node.runner.tick()
    assert not await node.is_there("gone")


@pytest.mark.parametrize("is_seen", [False, True], ids=["before a tick", "after a tick"])
async def test_what_is_deleted_while_the_clock_is_behind_is_kept_for_its_whole_retention(
    node: Node, is_seen: bool
) -> None:
    await node.create("gone")
    await hours(node, 2)
    right = int(node.clock.now())
    node.clock.jump(-YEARS)
    if is_seen:
        await node.runner.tick()
    deleted = await node.keys.delete(VAULT, "gone")
    assert deleted.deleted_at == right - YEARS
    assert deleted.purge_at == right + 7 * DAY
    node.clock.jump(YEARS)
    await hours(node, 7 * 24 - 1)
    assert await node.is_there("gone")
    await hours(node, 24 + 2)
    assert not await node.is_there("gone")


async def test_time_goes_on_while_the_clock_is_behind(node: Node) -> None:
    """For ten days, which is longer than the retention."""
    await node.create("gone")
    await node.runner.tick()
    node.clock.jump(-YEARS)
    await hours(node, 10 * 24)
    deleted = await node.keys.delete(VAULT, "gone")
    node.clock.jump(YEARS)
    assert deleted.purge_at == int(node.clock.now()) + 7 * DAY
    await hours(node, 7 * 24 - 1)
    assert await node.is_there("gone")


async def test_a_clock_that_is_behind_after_a_restart_shortens_no_retention(
    open_node: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    clock = MovedClock()
    first = await open_node(clock)
    await first.create("gone")
    await hours(first, 2)
    await first.runner._release()
    clock.wall, clock.steady = 5.0, 5.0  # 1970: the battery was empty
    node = await open_node(clock)
    await hours(node, 1)
    assert (await node.keys.delete(VAULT, "gone")).purge_at > 1_750_000_000 + 7 * DAY
    await hours(node, 1)
    assert caplog.text.count("the clock is behind a time that was trusted before") == 1


async def test_the_mark_of_an_earlier_version_is_the_time_that_it_trusted(node: Node) -> None:
    async with node.database.write() as tx:
        await meta.put(tx, "trusted-time", '{"running":3600.0,"seen":[[0,1750000000.0]]}')
    node.clock.wall = 1_000_000_000.0
    await node.create("gone")
    await node.runner.tick()
    assert (await node.keys.delete(VAULT, "gone")).purge_at == 1_750_003_600 + 7 * DAY


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"running":"x","seen":[]}', '{"running":1.0,"seen":[[1]]}'])
async def test_a_trusted_time_that_cannot_be_read_is_begun_anew_and_trusted_after_a_day(
    node: Node, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await keys_with_everything_ahead(node)
    async with node.database.write() as tx:
        await meta.put(tx, "trusted-time", damage)
    await node.create("more")
    assert (await node.keys.delete(VAULT, "more")).purge_at == int(node.clock.now()) + 7 * DAY
    node.clock.jump(YEARS)
    await hours(node, 24)
    assert await nothing_has_happened(node)
    assert ("purge", "failed") not in node.counted
    assert caplog.text.count("the time that jobs trust cannot be read") == 1
    await hours(node, 2)
    assert not await node.is_there("gone")
    assert node.runner.now() == int(node.clock.now())


async def test_a_new_database_begins_with_the_wall_clock(node: Node) -> None:
    await node.runner.tick()
    assert node.runner.now() == int(node.clock.now())


async def test_a_lease_of_a_clock_that_was_years_ahead_does_not_hold_for_years(open_node: Opener) -> None:
    wrong, right = MovedClock(wall=1_750_000_000.0 + YEARS), MovedClock()
    ahead, node = await open_node(wrong), await open_node(right)
    await ahead.runner.tick()
    assert node.counted == []
    await node.runner.tick()
    assert ("purge", "done") in node.counted


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 40 * 3600)),
        st.tuples(st.just("jump"), st.integers(-(10**9), 10**9)),
        st.tuples(st.just("restart"), st.integers(0, 10**6)),
    ),
    max_size=25,
)


async def _trusted(database: Database, clock: MovedClock, steps: list[tuple[str, int]]) -> None:
    trusted, running = TrustedTime(clock), 0.0
    seen: list[tuple[float, float]] = []  # running time, and what the wall clock was ahead of it

    async def look() -> None:
        async with database.write() as tx:
            await trusted.tick(tx)
        seen.append((running, clock.now() - running))
        now = trusted.now()
        recent = [ahead for when, ahead in seen if when > running - STANDING_SECONDS]
        older = [ahead for when, ahead in seen if when > running - STANDING_SECONDS - 3600]
        assert running + min(older) - 2 <= now <= running + min(recent) + 2

    await look()
    for step, seconds in steps:
        if step == "run":
            clock.move(seconds)
            running += seconds
        elif step == "jump":
            clock.jump(seconds)
        else:
            clock.jump(seconds)
            clock.steady = 1.0
            trusted = TrustedTime(clock)
        await look()


async def test_trusted_time_is_what_the_wall_clock_has_not_denied_for_a_day_of_running(node: Node) -> None:
    """Against a model that remembers every look."""
    examples: list[list[tuple[str, int]]] = []
    settings(max_examples=80, database=None)(given(STEPS)(lambda steps: examples.append(steps)))()
    for steps in examples:
        async with node.database.write() as tx:
            await meta.put(tx, "trusted-time", "[]" and '{"running":0.0,"seen":[]}')
        await _trusted(node.database, MovedClock(), steps)


def test_a_day_of_standing_is_a_day() -> None:
    assert STANDING_SECONDS == SECONDS_PER_DAY
