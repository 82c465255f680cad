"""The runner: one node at a time, errors survived, stopped at once."""

import asyncio
from dataclasses import dataclass, field

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.jobs.runner import LEASE_SECONDS, TICK_SECONDS, Runner, Turn
from hsmvault.store import jobs as leases
from tests.jobs.rig import Node, Opener


@dataclass
class Counting:
    """A job. error: raised by each run, once it is set."""

    name: str = "counting"
    interval_seconds: float = 600.0
    runs: int = 0
    error: Exception | None = None
    turns: list[int] = field(default_factory=list)

    async def run(self, turn: Turn) -> None:
        self.runs += 1
        self.turns.append(turn.now())
        if self.error is not None:
            raise self.error


def runner_of(node: Node, *jobs: Counting, owner: str = "a", **more: object) -> Runner:
    return Runner(node.database, jobs, node.clock, owner, **more)  # type: ignore[arg-type]  # keywords of the one call


async def test_a_job_runs_at_its_interval(node: Node) -> None:
    job = Counting()
    runner = runner_of(node, job)
    for _ in range(21):
        await runner.tick()
        node.clock.move(60)
    assert job.runs == 3
    assert job.turns[0] == 1_750_000_000


@pytest.mark.parametrize("error", [Unavailable("gone"), RuntimeError("broken")])
async def test_a_job_that_fails_is_tried_again_at_the_next_tick_and_the_others_run(
    node: Node, error: Exception
) -> None:
    bad, good, counted = Counting("bad", error=error), Counting("good"), list[tuple[str, str]]()
    runner = runner_of(node, bad, good, count=lambda job, outcome: counted.append((job, outcome)))
    for _ in range(3):
        await runner.tick()
        node.clock.move(TICK_SECONDS)
    assert (bad.runs, good.runs) == (3, 1)
    assert counted[:2] == [("bad", "failed"), ("good", "done")]
    bad.error = None
    await runner.tick()
    await runner.tick()
    assert bad.runs == 4


async def test_one_node_has_the_jobs_and_another_takes_over_when_it_is_gone(open_node: Opener) -> None:
    clock = MovedClock()
    one, other = await open_node(clock), await open_node(clock)
    first, second = Counting(), Counting()
    a, b = runner_of(one, first, owner="a"), runner_of(other, second, owner="b")
    for _ in range(30):
        await asyncio.gather(a.tick(), b.tick())
        clock.move(TICK_SECONDS)
    assert sorted([first.runs, second.runs]) == [0, 3]
    alive, job = (b, second) if first.runs else (a, first)
    await alive.tick()
    assert job.runs == 0
    clock.move(LEASE_SECONDS)
    await alive.tick()
    assert job.runs == 1


async def test_a_node_that_stops_hands_over_at_once(open_node: Opener) -> None:
    clock = MovedClock()
    one, other = await open_node(clock), await open_node(clock)
    job = Counting()
    pausing = asyncio.Event()

    async def pause(_: float) -> None:
        pausing.set()
        await asyncio.Event().wait()

    stopped, taking = runner_of(one, Counting(), owner="a", pause=pause), runner_of(other, job, owner="b")
    running = asyncio.create_task(stopped.run())
    await pausing.wait()
    await taking.tick()
    assert job.runs == 0
    stopped.stop()
    await asyncio.wait_for(running, 10)
    await taking.tick()
    assert job.runs == 1


async def test_a_stop_is_obeyed_between_two_items(node: Node) -> None:
    done: list[int] = []

    class Long:
        name, interval_seconds = "long", 1.0

        async def run(self, turn: Turn) -> None:
            while await turn.goes_on():
                done.append(1)
                if len(done) == 3:
                    runner.stop()

    after = Counting()
    runner = Runner(node.database, [Long(), after], node.clock, "a")
    await asyncio.wait_for(runner.run(), 10)
    assert (len(done), after.runs) == (3, 0)


async def test_a_runner_that_is_cancelled_gives_the_lease_back(node: Node) -> None:
    class Hanging:
        name, interval_seconds = "hanging", 1.0

        async def run(self, turn: Turn) -> None:
            hanging.set()
            await asyncio.Event().wait()

    hanging = asyncio.Event()
    running = asyncio.create_task(Runner(node.database, [Hanging()], node.clock, "a").run())
    await hanging.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with node.database.write() as tx:
        assert await leases.acquire(tx, "jobs", "b", 2_000_000_000, int(node.clock.now()))


async def test_a_long_job_prolongs_its_lease_and_ends_when_it_is_lost(open_node: Opener) -> None:
    clock = MovedClock()
    one, other = await open_node(clock), await open_node(clock)
    seen: list[bool] = []

    class Long:
        name, interval_seconds = "long", 1.0

        async def run(self, turn: Turn) -> None:
            for seconds in (LEASE_SECONDS - 1,) * 3:
                clock.move(seconds)
                seen.append(await turn.goes_on())
            clock.move(LEASE_SECONDS)
            await rival.tick()
            seen.append(await turn.goes_on())

    job = Counting()
    rival = runner_of(other, job, owner="b")
    await Runner(one.database, [Long()], clock, "a").tick()
    assert seen == [True, True, True, False]
    assert job.runs == 1


async def test_the_pause_goes_by_what_it_was_given(node: Node) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            runner.stop()

    job = Counting(interval_seconds=0.0)
    runner = runner_of(node, job, pause=pause)
    await asyncio.wait_for(runner.run(), 10)
    assert pauses == [TICK_SECONDS] * 3
    assert job.runs == 3


async def test_without_a_database_nothing_runs_and_nothing_breaks(node: Node) -> None:
    job = Counting()
    runner = runner_of(node, job)

    def refuse(_: str) -> None:
        raise Unavailable("The database is busy.")

    node.database.fault = refuse
    await runner.tick()
    assert job.runs == 0
    node.database.fault = None
    await runner.tick()
    assert job.runs == 1
