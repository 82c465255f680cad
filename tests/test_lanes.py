"""A lane hands results over in order, in batches, and loses none."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from hsmvault.errors import Throttled, Unavailable
from hsmvault.lanes import Lane


@pytest.fixture(params=[False, True], ids=["at once", "gathers"])
async def lane(request: pytest.FixtureRequest) -> AsyncIterator[Lane[str]]:
    made = Lane("test", "the resource", limit=1000, gathers=request.param)
    yield made
    await made.close()


class Gate:
    """A job that stays in the lane's thread until it is let go."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def __call__(self, _: str) -> str:
        self.entered.set()
        assert self.leave.wait(10)
        return "the slow one"


async def test_a_result_does_not_wait_for_a_slow_job_behind_it(lane: Lane[str]) -> None:
    first, second = Gate(), Gate()
    held = lane.submit(first)
    quick = [lane.submit(lambda resource, number=number: (resource, number)) for number in range(3)]
    slow = lane.submit(second)
    first.leave.set()
    async with asyncio.timeout(5):
        assert await held == "the slow one"
        assert await asyncio.gather(*quick) == [("the resource", number) for number in range(3)]
    assert not slow.done()
    second.leave.set()
    assert await slow == "the slow one"


async def test_results_of_quick_jobs_come_in_batches(lane: Lane[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wakes: list[object] = []
    call = lane._call

    def counted(function: Callable[[], object]) -> None:
        wakes.append(function)
        call(function)

    monkeypatch.setattr(lane, "_call", counted)
    gate = Gate()
    jobs = [lane.submit(gate), *(lane.submit(lambda _: None) for _ in range(200))]
    await asyncio.to_thread(gate.entered.wait, 10)
    gate.leave.set()
    await asyncio.gather(*jobs)
    assert len(wakes) < 100


@pytest.mark.parametrize(
    "raised", [StopIteration("value"), KeyError("x"), KeyboardInterrupt(), asyncio.CancelledError()]
)
async def test_what_one_job_raises_loses_no_other(lane: Lane[str], raised: BaseException) -> None:
    gate = Gate()

    def fail(_: str) -> None:
        raise raised

    held, bad, good = lane.submit(gate), lane.submit(fail), lane.submit(lambda resource: resource)
    gate.leave.set()
    async with asyncio.timeout(5):
        await held
        assert await good == "the resource"
    with pytest.raises(RuntimeError if isinstance(raised, StopIteration) else type(raised)):
        raise bad.exception() or AssertionError  # not awaited: asyncio itself reacts to some of these


async def test_a_job_whose_waiter_has_gone_is_not_done(lane: Lane[str]) -> None:
    gate = Gate()
    done: list[str] = []
    held, gone = lane.submit(gate), lane.submit(done.append)
    gone.cancel()
    gate.leave.set()
    await held
    await lane.close()
    assert not done


async def test_a_full_lane_and_a_closed_one_refuse(lane: Lane[str]) -> None:
    small = Lane("small", None, limit=1)
    gate = Gate()
    held = small.submit(gate)  # type: ignore[arg-type]  # it takes anything
    await asyncio.to_thread(gate.entered.wait, 10)
    queued = small.submit(lambda _: 1)
    with pytest.raises(Throttled):
        small.submit(lambda _: 2)
    gate.leave.set()
    assert (await held, await queued) == ("the slow one", 1)
    await small.close()
    with pytest.raises(Unavailable):
        small.submit(lambda _: 3)


async def test_a_lane_that_gathers_begins_when_the_loop_has_had_its_turn() -> None:
    lane = Lane("gathering", "the resource", limit=3, gathers=True)
    jobs = [lane.submit(lambda resource, number=number: (resource, number)) for number in range(3)]
    assert lane.waiting() == 3
    with pytest.raises(Throttled):
        lane.submit(lambda _: None)
    assert await asyncio.gather(*jobs) == [("the resource", number) for number in range(3)]
    assert lane.waiting() == 0
    last = lane.submit(lambda _: "the last one")
    await lane.close()
    assert last.result() == "the last one"
