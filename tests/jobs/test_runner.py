"""The runner: one node at a time, errors survived, stopped at once."""

import asyncio
from dataclasses import dataclass, field

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.jobs.runner import LEASE_SECONDS, OUTCOMES, TICK_SECONDS, Runner, Turn
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


# jobs that are woken, that ask for a time, and that run apart


@dataclass
class Waiting:
    """A job that waits for somebody: until `answer` is set. wish: what its runs return."""

    name: str = "waiting"
    interval_seconds: float = 600.0
    wish: float | None = None
    begun: int = 0
    ended: int = 0
    beginning: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, turn: Turn) -> float | None:
        self.begun += 1
        self.beginning.set()
        await self.answer.wait()
        self.ended += 1
        return self.wish

    async def begins(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.begun < times:
                self.beginning.clear()
                await self.beginning.wait()


async def forever(_: float) -> None:
    await asyncio.Event().wait()


async def test_a_job_that_is_woken_does_not_wait_for_its_interval_or_a_tick(node: Node) -> None:
    woken, other = Waiting(), Counting()
    woken.answer.set()
    runner = Runner(node.database, [woken, other], node.clock, "a", pause=forever)
    running = asyncio.create_task(runner.run())
    await woken.begins(1)
    runner.wake("waiting")
    await woken.begins(2)
    runner.wake("nobody")
    runner.stop()
    await running
    assert (woken.ended, other.runs) == (2, 1)


async def test_a_job_that_is_woken_while_it_runs_runs_once_more(node: Node) -> None:
    for apart in (False, True):
        job = Waiting()
        jobs = {"jobs": [], "apart": [job]} if apart else {"jobs": [job]}
        runner = Runner(node.database, clock=node.clock, owner="a", pause=forever, **jobs)
        running = asyncio.create_task(runner.run())
        await job.begins(1)
        for _ in range(5):
            runner.wake("waiting")
        job.answer.set()
        await job.begins(2)
        runner.stop()
        await running
        assert job.ended == 2


async def test_a_wake_without_the_lease_costs_nothing_and_is_remembered(open_node: Opener) -> None:
    clock = MovedClock()
    node, other = await open_node(clock), await open_node(clock)
    holder, job = runner_of(other, Counting(), owner="b"), Waiting()
    await holder.tick()
    written: list[str] = []
    pauses: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def pause(_: float) -> None:
        ended = asyncio.Event()
        pauses.put_nowait(ended)
        await ended.wait()

    job.answer.set()
    runner = Runner(node.database, [job], clock, "a", pause=pause)
    running = asyncio.create_task(runner.run())
    await pauses.get()
    node.database.fault = written.append
    runner.wake("waiting")
    last = await pauses.get()  # it has been awake, and pauses again
    assert (written, job.begun) == ([], 0)
    node.database.fault = None
    await holder._release()
    last.set()
    await job.begins(1)
    runner.stop()
    await running


async def test_a_job_that_asks_for_a_time_runs_then_and_not_at_the_next_tick(node: Node) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        node.clock.move(seconds)
        if len(pauses) == 6:
            runner.stop()

    job = Waiting(wish=10.0)
    job.answer.set()
    runner = Runner(node.database, [job], node.clock, "a", pause=pause)
    await asyncio.wait_for(runner.run(), 10)
    assert pauses == [10.0] * 6
    assert job.ended == 6
    job.wish = 0.0
    await runner_of_one(node, job).tick()
    assert job.ended == 7


def runner_of_one(node: Node, job: Waiting) -> Runner:
    return Runner(node.database, [job], node.clock, "a")


@pytest.mark.parametrize(("wish", "paused"), [(0.0, 1.0), (-5.0, 1.0), (59.0, 59.0), (600.0, 60.0), (None, 60.0)])
async def test_what_a_job_asks_for_is_neither_at_once_nor_later_than_its_interval(
    node: Node, wish: float | None, paused: float
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        runner.stop()

    job = Waiting(wish=wish)
    job.answer.set()
    runner = Runner(node.database, [job], node.clock, "a", pause=pause)
    await asyncio.wait_for(runner.run(), 10)
    assert pauses == [paused]


async def test_a_job_that_asked_and_has_lost_the_lease_does_not_run_in_circles(open_node: Opener) -> None:
    clock = MovedClock()
    node, other = await open_node(clock), await open_node(clock)
    pauses: list[float] = []
    rival = runner_of(other, Counting(), owner="b")

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            clock.move(LEASE_SECONDS)  # in which nobody heard of this node
            await rival.tick()
        else:
            clock.move(seconds)
        if len(pauses) == 4:
            runner.stop()

    job = Waiting(wish=10.0)
    job.answer.set()
    runner = Runner(node.database, [job], clock, "a", pause=pause)
    await asyncio.wait_for(runner.run(), 10)
    assert job.ended == 1
    assert pauses[0] == 10.0
    assert all(seconds > 0 for seconds in pauses[2:])


async def test_a_job_that_runs_apart_holds_up_nobody(node: Node) -> None:
    slow, quick, ordinary = Waiting("slow"), Waiting("quick"), Waiting("ordinary")
    quick.answer.set()
    ordinary.answer.set()
    counted: list[tuple[str, str]] = []
    runner = Runner(
        node.database,
        [ordinary],
        node.clock,
        "a",
        apart=[slow, quick],
        pause=forever,
        count=lambda job, outcome: counted.append((job, outcome)),
    )
    running = asyncio.create_task(runner.run())
    for times in (1, 2, 3):
        await asyncio.gather(quick.begins(times), ordinary.begins(times), slow.begins(1))
        runner.wake("quick")
        runner.wake("ordinary")
        runner.wake("slow")
    assert slow.begun == 1
    slow.answer.set()
    await slow.begins(2)
    runner.stop()
    await asyncio.wait_for(running, 10)
    assert ("slow", OUTCOMES[0]) in counted


async def test_a_job_that_fails_apart_is_tried_again_after_as_long_as_a_tick(node: Node) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 3:
            runner.stop()
        node.clock.move(seconds)

    bad = Counting("bad", error=RuntimeError("broken"))
    runner = Runner(node.database, [], node.clock, "a", apart=[bad], pause=pause)
    await asyncio.wait_for(runner.run(), 10)
    assert 2 <= bad.runs <= 4
    assert sum(pauses) >= TICK_SECONDS * (bad.runs - 1)


async def test_a_runner_that_is_cancelled_cancels_what_runs_apart_before_it_gives_the_lease_back(node: Node) -> None:
    hanging = Waiting()
    runner = Runner(node.database, [], node.clock, "a", apart=[hanging], pause=forever)
    running = asyncio.create_task(runner.run())
    await hanging.begins(1)
    runner.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not running.done()  # what is begun is finished, for as long as the caller waits
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("job ")]
    async with node.database.write() as tx:
        assert await leases.acquire(tx, "jobs", "b", 2_000_000_000, int(node.clock.now()))
