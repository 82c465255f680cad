"""Turns: no holder takes all of what is scarce."""

import asyncio

import pytest

from hsmvault.errors import Throttled
from hsmvault.lanes import Turns


async def holding(turns: Turns, holder: str, begun: list[str], end: asyncio.Event) -> None:
    async with turns.of(holder):
        begun.append(holder)
        await end.wait()


async def test_a_holder_has_so_many_turns_and_another_one_his_own() -> None:
    turns, begun, end = Turns(2, waiting=1), [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for holder in ("greedy", "greedy", "greedy", "modest"):
            group.create_task(holding(turns, holder, begun, end))
        while len(begun) < 3:  # noqa: ASYNC110  # the tasks have nothing else to do
            await asyncio.sleep(0)
        assert sorted(begun) == ["greedy", "greedy", "modest"]
        with pytest.raises(Throttled, match="too many requests"):
            await holding(turns, "greedy", begun, end)
        end.set()
    assert sorted(begun) == ["greedy", "greedy", "greedy", "modest"]
    assert turns._shares == {}, "nothing is kept of who is gone"


async def test_who_is_cancelled_gives_up_his_turn_or_his_place() -> None:
    turns, begun, end = Turns(1, waiting=1), [], asyncio.Event()
    first, second = (asyncio.create_task(holding(turns, "vault", begun, end)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    third = asyncio.create_task(holding(turns, "vault", begun, end))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    end.set()
    await third
    assert begun == ["vault", "vault"]
    assert turns._shares == {}
