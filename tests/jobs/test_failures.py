"""Jobs that fail half-way, and two nodes at the same work: each thing happens once, or is left for later."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Throttled, Unavailable
from hsmvault.model.keys import KeyVersion
from hsmvault.store import schedule
from tests.jobs.rig import DAY, VAULT, Node, Opener


class Crash(BaseException):
    """The process dies here: nobody catches this."""


def crash_at(point: str, number: int) -> Callable[[str], None]:
    """At the commit of this number, counted from 1."""
    seen = 0

    def fault(where: str) -> None:
        nonlocal seen
        seen += where == point
        if where == point and seen == number:
            raise Crash(point)

    return fault


async def everything_due(node: Node) -> None:
    """A key to rotate, one to announce, one to purge; the clock stands where all are due."""
    await node.create("turning")
    await node.set_policy("P7D", "turning")
    await node.create("ending", expires=int(node.clock.now()) + 30 * DAY)
    await node.create("gone")
    await node.keys.delete(VAULT, "gone")
    node.clock.move(7 * DAY)


async def all_done_once(node: Node) -> None:
    assert len(await node.versions("turning")) == 2
    assert not await node.is_there("gone")
    near = [event for event in await node.events() if event.type == "KeyNearExpiry"]
    assert len(near) == 1
    new = [event.version for event in await node.events() if event.type == "KeyNewVersionCreated"]
    assert (await node.versions("turning"))[-1].version in new
    assert len(set(new)) == len(new)


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_a_crash_at_any_commit_loses_and_doubles_nothing(open_node: Opener, point: str) -> None:
    clock = MovedClock()
    for number in range(1, 12):
        node = await open_node(clock)
        for name in ("turning", "ending", "gone"):
            if await node.is_there(name):
                await node.keys.delete(VAULT, name)
                await node.keys.purge_when_due(VAULT, name, 2**40, _unrecorded)
        await node.runner.tick()
        await everything_due(node)
        async with node.database.write() as tx:
            await node.runner._trusted.tick(tx)  # the week was run through, in ticks that did not see the keys
        before = [event.event_id for event in await node.events()]
        node.database.fault = crash_at(point, number)
        with contextlib.suppress(Crash):
            await node.runner.tick()
        node.database.fault = None
        await node.runner._release()
        again = await open_node(clock)
        for _ in range(2):
            await again.runner.tick()
            clock.move(601)
        assert len(await again.versions("turning")) == 2, number
        assert not await again.is_there("gone"), number
        events = [event for event in await again.events() if event.event_id not in before]
        types = [event.type for event in events]
        assert types.count("KeyNearExpiry") == 1, number
        assert [event.version for event in events if event.type == "KeyNewVersionCreated"] == [
            (await again.versions("turning"))[-1].version
        ]
        await again.runner._release()


async def _unrecorded(_: KeyVersion) -> None:
    pass


async def test_two_nodes_at_the_same_work_do_it_once(open_node: Opener) -> None:
    clock = MovedClock()
    one, other = await open_node(clock), await open_node(clock)
    await one.runner.tick()
    await everything_due(one)
    jobs = [*one.runner._jobs, *other.runner._jobs]
    await one.runner.tick()  # has the lease; below, both believe they have it
    await all_done_once(one)
    clock.move(7 * DAY)
    await asyncio.gather(*[job.run(one.runner) for job in jobs])
    assert len(await one.versions("turning")) == 3
    recorded = [*one.recorded(), *other.recorded()]
    assert recorded.count(("KeyRotateIfDue", 200)) == 2


async def test_rotations_on_demand_and_by_the_job_at_once_leave_one_latest_and_lose_none(open_node: Opener) -> None:
    clock = MovedClock()
    one, other = await open_node(clock), await open_node(clock)
    await one.create()
    await one.set_policy("P7D")
    await one.runner.tick()
    clock.move(7 * DAY)
    made = await asyncio.gather(
        *[node.rotation.rotate(VAULT, "key") for node in (one, other) for _ in range(3)], one.runner.tick()
    )
    versions = await one.versions()
    assert {row.version for row in made if row is not None} <= {row.version for row in versions}
    assert [row.sequence for row in versions] == list(range(1, len(versions) + 1))
    assert len(versions) in (7, 8)  # the job's own, if it was first
    latest = await one.keys.get(VAULT, "key", None)
    assert latest.version == versions[-1].version


async def test_without_a_record_nothing_is_done(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.runner.tick()
    await everything_due(node)

    async def refuse(*_: object) -> None:
        raise Unavailable("The service cannot record this call and therefore does not carry it out.")

    with monkeypatch.context() as patched:
        patched.setattr(node.audit, "append", refuse)
        for _ in range(3):
            await node.runner.tick()
            node.clock.move(60)
    assert len(await node.versions("turning")) == 1
    assert await node.is_there("gone")
    assert await node.told() == []
    for _ in range(2):
        await node.runner.tick()
        node.clock.move(601)
    await all_done_once(node)


async def test_a_key_that_fails_is_tried_again_later_and_does_not_keep_the_others(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "bad", "c"):
        await node.create(name)
        await node.set_policy("P7D", name)
    await node.runner.tick()
    node.clock.move(8 * DAY)
    succeed = node.keys.succeed

    async def refuse_bad(container: object, like: KeyVersion, *rest: object) -> KeyVersion:
        if like.name == "bad":
            raise Throttled("busy")
        return await succeed(container, like, *rest)  # type: ignore[arg-type]  # passed on as it came

    with monkeypatch.context() as patched:
        patched.setattr(node.keys, "succeed", refuse_bad)
        await node.runner.tick()
    assert [len(await node.versions(name)) for name in ("a", "bad", "c")] == [2, 1, 2]
    assert ("KeyRotateIfDue", 429) in node.recorded()
    node.clock.move(300)
    await node.runner.tick()
    assert len(await node.versions("bad")) == 1
    node.clock.move(301)
    await node.runner.tick()
    assert len(await node.versions("bad")) == 2


async def test_keys_that_cannot_be_purged_do_not_keep_the_others(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"key-{number}" for number in range(60)]  # more than a page
    for name in names:
        await node.create(name)
        await node.keys.delete(VAULT, name)
    await node.runner.tick()
    node.clock.move(8 * DAY)
    purge = node.keys.purge_when_due

    async def refuse_most(container: object, name: str, *rest: object) -> bool:
        if name != names[-1]:
            raise RuntimeError("damaged")
        return await purge(container, name, *rest)  # type: ignore[arg-type]  # passed on as it came

    with monkeypatch.context() as patched:
        patched.setattr(node.keys, "purge_when_due", refuse_most)
        await node.runner.tick()
    assert [await node.is_there(name) for name in (names[0], names[-1])] == [True, False]
    node.clock.move(300)
    await node.runner.tick()
    assert not any([await node.is_there(name) for name in names])


async def test_a_hint_that_is_wrong_does_nothing_and_goes(node: Node) -> None:
    await node.create()
    await node.set_policy("P30D")
    await node.runner.tick()
    now = int(node.clock.now())
    async with node.database.write() as tx:
        everything = dict.fromkeys((schedule.What.ROTATE, schedule.What.NEAR_EXPIRY, schedule.What.EXPIRED), now)
        await schedule.replace(tx, VAULT.id, "keys", "key", everything)
        await schedule.replace(tx, VAULT.id, "keys", "no-such-key", everything)
        await schedule.replace(tx, "no-such-container", "keys", "key", everything)
    node.clock.move(300)
    await node.runner.tick()
    assert len(await node.versions()) == 1
    assert await node.told() == []
    async with node.database.read() as tx:
        assert await schedule.of_object(tx, VAULT.id, "keys", "key") == {schedule.What.ROTATE: now + 30 * DAY}
        assert await schedule.of_object(tx, VAULT.id, "keys", "no-such-key") == {}
        assert await schedule.of_object(tx, "no-such-container", "keys", "key") == {}
