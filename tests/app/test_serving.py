"""The end of a worker: every part gets its turn, whatever the others do, and before the supervisor loses patience."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hsmvault.app import serving
from hsmvault.app.composition import Worker
from hsmvault.wire.server import Listener

Step = Callable[[], Awaitable[None]]


class Parts:
    """Parts that write down that they were ended. faults: what happens instead, by name."""

    def __init__(self, **faults: Step) -> None:
        self.ended: list[str] = []
        self._faults = faults
        self._stopping = asyncio.Event()

    def part(self, name: str) -> Any:
        async def end(*_: object) -> None:
            self.ended.append(name)
            if name in self._faults:
                await self._faults[name]()

        return SimpleNamespace(close=end, stop=end)

    def worker(self) -> Worker:
        parts = SimpleNamespace(
            feed=self.part("feed"),
            reload=self.part("reload"),
            audit=self.part("audit"),
            database=self.part("database"),
            lanes=(self.part("lane"),),
            worlds=SimpleNamespace(reload=self.part("worlds"), tokens=(self.part("token"),)),
            jobs=SimpleNamespace(stop=self._stopping.set),
            issuance=self.part("issuance"),
        )
        return cast(Worker, parts)

    async def jobs(self) -> None:
        await self._stopping.wait()
        await self.part("jobs").close()

    async def stop(self, background: "asyncio.Task[None] | None" = None) -> None:
        running = [cast(Listener, self.part(name)) for name in ("main", "identity")]
        background, jobs = background or asyncio.create_task(_for_ever()), asyncio.create_task(self.jobs())
        await serving._stop(self.worker(), running, background, jobs, 0.0)


ORDER = ["jobs", "main", "identity", "issuance", "audit", "feed", "reload", "worlds", "database", "lane", "token"]


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _fail() -> None:
    raise RuntimeError("broken")


async def test_audit_and_database_are_closed_before_what_may_hang_in_the_module() -> None:
    parts = Parts()
    await parts.stop()
    assert parts.ended == ORDER


@pytest.mark.parametrize("name", ORDER)
async def test_a_part_that_fails_does_not_keep_the_others_open(name: str, caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts(**{name: _fail})
    await parts.stop()
    assert parts.ended == ORDER
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("name", ORDER)
async def test_a_part_that_hangs_is_given_up_in_time(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "_CLOSING_SECONDS", 0.05)
    parts = Parts(**{name: _for_ever})
    async with asyncio.timeout(30):
        await parts.stop()
    assert parts.ended == ORDER
    assert "did not end in time" in caplog.text


async def test_background_work_that_died_does_not_stop_the_end(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    background = asyncio.create_task(_fail())
    await asyncio.wait([background])
    await parts.stop(background)
    assert parts.ended == ORDER
    assert "background work" in caplog.text


async def test_the_end_fits_into_the_time_that_the_supervisor_gives() -> None:
    from hsmvault.cli.supervisor import _LAST_SECONDS

    assert 2 * serving._JOBS_SECONDS < serving._CLOSING_SECONDS < _LAST_SECONDS
