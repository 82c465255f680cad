"""What is read anew after every change: one reading at a time, none missed, and a failure is tried again."""

import asyncio

import pytest

from hsmvault.app.reloading import Reload
from hsmvault.errors import Unavailable


class Source:
    """Something to read. gate: a reading waits for it. broken: readings fail. pauses: how often it was waited."""

    def __init__(self) -> None:
        self.begun = self.ended = self.at_once = self.most_at_once = self.pauses = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = 0
        self.reload = Reload("tenants", self.load, pause=self.pause)

    async def load(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if self.broken:
                self.broken -= 1
                raise Unavailable("out of reach")
        finally:
            self.at_once -= 1
        self.ended += 1

    async def pause(self, _: float) -> None:
        self.pauses += 1


async def test_what_is_asked_for_many_times_is_read_once_and_one_at_a_time() -> None:
    source = Source()
    for _ in range(100):
        source.reload.ask()
    await source.reload.settled()
    assert (source.begun, source.ended) == (1, 1)


async def test_what_is_asked_for_while_a_reading_runs_is_read_after_it() -> None:
    source = Source()
    source.gate.clear()
    source.reload.ask()
    await asyncio.sleep(0)
    assert source.begun == 1
    for _ in range(100):
        source.reload.ask()
    source.gate.set()
    await source.reload.settled()
    assert (source.begun, source.ended, source.most_at_once) == (2, 2, 1)


async def test_a_failure_is_logged_once_and_tried_again_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.broken = 5
    source.reload.ask()
    await source.reload.settled()
    assert (source.begun, source.ended, source.pauses) == (6, 1, 5)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_closing_ends_a_reading_that_hangs() -> None:
    source = Source()
    source.gate.clear()
    source.reload.ask()
    await asyncio.sleep(0)
    await source.reload.close()
    assert source.ended == 0
    await source.reload.close()
