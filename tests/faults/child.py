"""Processes that die on command: `python -m tests.faults.child` reads jobs, and runs each in a process of its own.

It has imported everything, and neither loaded the PKCS#11 module nor started a thread, so that a child is a fork of
it and costs milliseconds. A job is a line of JSON, and so is what became of it.
"""

import asyncio
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from hsmvault.errors import RequestError
from hsmvault.hsm.world_keys import WorldIds
from tests.faults import certificate_samples, samples
from tests.faults.actions import Setup
from tests.faults.cases import HELD, observer_of
from tests.faults.observing import State
from tests.faults.parts import opened

_LATER_SECONDS = 600  # no claim on an operation lasts so long


class Job(msgspec.Struct, frozen=True):
    """folder: with token and database. part: what to do of the case. crash_at: the point where the process ends.

    crash_after: seconds until the process ends, wherever it is then, also inside the module. hold_at: the point where
    it writes the file `held` and waits for the file `go`. beside: the case whose setup it is, where that is another
    one; another process of the same run is at work then.
    Points are counted: 'commit:before' is the first, 'commit:before 2' the second.
    """

    folder: str
    mac: bytes
    world: bytes
    system: bytes
    export: bytes
    case: str
    custody: str
    part: Literal["before", "act", "look"]
    crash_at: str = ""
    crash_after: float = 0
    hold_at: str = ""
    beside: str = ""
    blob: bytes = b""

    @property
    def ids(self) -> WorldIds:
        return WorldIds(self.mac, self.world, self.system, self.export)


class Outcome(msgspec.Struct, frozen=True):
    """acknowledged: the action returned. refusal: what it raised instead, for its caller. state: as the process found
    it at its end. points: that it passed.
    """

    acknowledged: bool = False
    refusal: str = ""
    points: tuple[str, ...] = ()
    state: State | None = None
    blob: bytes = b""
    failure: str = ""


class Ended(msgspec.Struct, frozen=True):
    """status: as of waitpid, decoded: negative for a signal."""

    status: int
    outcome: Outcome


def main() -> None:
    samples.warm()
    certificate_samples.warm()
    for line in sys.stdin.buffer:
        job = msgspec.json.decode(line, type=Job)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _run(job, lambda outcome, to=write: os.write(to, msgspec.json.encode(outcome) + b"\n"))  # type: ignore[misc]
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            said = stream.read().splitlines()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcome = msgspec.json.decode(said[-1], type=Outcome) if said else Outcome()
        sys.stdout.buffer.write(msgspec.json.encode(Ended(status, outcome)) + b"\n")
        sys.stdout.buffer.flush()


def _run(job: Job, say: Callable[[Outcome], object]) -> None:
    """Never returns."""
    try:
        asyncio.run(_work(job, say))
    except BaseException:
        say(Outcome(failure=traceback.format_exc()))
        os._exit(1)
    os._exit(0)


async def _work(job: Job, say: Callable[[Outcome], object]) -> None:
    points: list[str] = []
    seen: Counter[str] = Counter()
    is_armed = False

    def fault(point: str) -> None:
        if not is_armed:
            return
        seen[point] += 1
        points.append(point if seen[point] == 1 else f"{point} {seen[point]}")
        if points[-1] == job.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if points[-1] == job.hold_at:
            _hold(Path(job.folder))

    case = HELD[job.case]
    setup = Setup(job.custody != "soft", HELD[job.beside or job.case].container, job.blob)
    hard = "wrapped" if job.custody == "soft" else job.custody
    observer = observer_of(job.beside or job.case)
    earlier = {"before": samples.AGE_SECONDS, "act": 0, "look": -_LATER_SECONDS}[job.part]
    async with opened(Path(job.folder), job.ids, hard, fault, joins=bool(job.beside), earlier=earlier) as parts:
        if job.part == "before":
            blob = await case.before(parts, setup)
            say(Outcome(state=await observer.observe(parts, setup.container), blob=blob or b""))
        elif job.part == "act":
            is_armed = True
            if job.crash_after:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process there and then
                signal.setitimer(signal.ITIMER_REAL, job.crash_after)
            try:
                await case.action(parts, setup)
            except RequestError as error:
                say(Outcome(refusal=type(error).__name__))
                return
            say(Outcome(acknowledged=True, points=tuple(points)))
            fault("acknowledged")
            is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if job.hold_at or job.beside:  # somebody else changes it too
                return
            say(Outcome(acknowledged=True, points=tuple(points), state=await observer.observe(parts, setup.container)))
        else:
            state = await observer.observe(parts, setup.container)
            await observer.require_usable(parts, setup, state)
            say(Outcome(state=state))


def _hold(folder: Path) -> None:
    (folder / "held").touch()
    deadline = time.monotonic() + 30
    while not (folder / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)


if __name__ == "__main__":
    main()
