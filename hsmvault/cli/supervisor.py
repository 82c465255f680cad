"""The supervisor: prepares once, keeps N workers alive, passes on a stop, and answers for the exit code.

    spawn workers (they import) ─ prepare ─ send settings and PIN ─ all ready ─ on_ready ─┬─ signal ─ stop ─ exit 0
                                                            ▲                             │
                                                            └── a worker dies: replace ◀──┘

It serves nothing itself but metrics, loads no PKCS#11 module after prepare, and so has little to die of. Workers are
new processes, never forks: a module does not survive fork. Before all were ready, a worker that is refused by its
configuration (2), the HSM (3) or the database (4) ends the instance. Once the instance has served, what refuses a
replacement may pass (a locked database, a token that is away): another one is tried after a pause. A refused PIN ends
the instance at any time: it is not tried again.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from hsmvault.cli import channel
from hsmvault.cli.listeners import Bound
from hsmvault.config import Prepared, Settings, WorkerSettings
from hsmvault.errors import ConfigurationError, DatabaseRefusal, HsmRefusal, OperatorError
from hsmvault.hsm.pin import Pin
from hsmvault.telemetry import Family, Metrics
from hsmvault.telemetry.metrics import Level

LOG = logging.getLogger("hsmvault.supervisor")

WORKER_COMMAND = (sys.executable, "-P", "-m", "hsmvault", "worker")  # -P: not what lies in the current directory
_FINAL = {kind.exit_code: kind for kind in (ConfigurationError, HsmRefusal, DatabaseRefusal)}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0  # seconds before a worker that died young is replaced; guessed
_GROWN_UP = 20.0  # seconds after which a death is no longer counted as dying young; guessed
_CHILDHOOD_DEATHS = 3  # before any worker was ever ready: then something is wrong that a restart does not heal
_LAST_SECONDS = 1.0  # over the time that workers have to stop
_COLLECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. lock: the locked data directory's descriptor, which workers inherit. command: for a worker."""

    settings: Settings
    dev: bool
    pin: Pin
    bound: Bound
    lock: int
    command: tuple[str, ...] = WORKER_COMMAND


@dataclass(frozen=True, slots=True)
class Hooks:
    """What to do on the way. prepare: once, before workers start. prepared: while they start. ready: when all accept.
    announced: hosts that a worker serves from now on. stopping: once, when the end begins.
    """

    prepare: Callable[[], Awaitable[Prepared]]
    prepared: Callable[[Prepared], Awaitable[None]]
    ready: Callable[[Prepared], None]
    announced: Callable[[Sequence[str]], Awaitable[None]]
    stopping: Callable[[], None]


@dataclass(eq=False, slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    born: float
    is_told: bool = False  # has its settings and works
    is_ready: bool = False
    failed: channel.Failed | None = None
    collecting: list["asyncio.Future[list[Family]]"] = field(default_factory=list)


class Supervisor:
    def __init__(self, plan: Plan, hooks: Hooks) -> None:
        self._plan = plan
        self._hooks = hooks
        self._count = plan.settings.workers
        self._workers: dict[int, _Worker] = {}
        self._starts = [0] * self._count
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._preparing = False
        self._refusal: OperatorError | None = None
        self._metrics = Metrics()
        self._started = self._metrics.counter("hsmvault_worker_starts", "Times that a worker was started", "worker")
        self._metrics.gauge("hsmvault_workers_ready", "Workers that accept").adopt(Level(self._ready_workers))
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Until a signal; returns 0. Raises OperatorError when the instance cannot start or go on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        keepers: list[asyncio.Task[None]] = []
        try:
            for index in range(self._count):
                self._workers[index] = await self._spawn(index)
            prepared = await self._prepare()
            if not self._stopping.is_set():
                keepers = [asyncio.create_task(self._look_after(index)) for index in range(self._count)]
                await self._hooks.prepared(prepared)
                await self._either(self._ready, self._stopping)
            if not self._stopping.is_set():
                self._hooks.ready(prepared)
                LOG.info("ready", extra={"workers": self._count})
                await self._stopping.wait()
        finally:
            self._stopping.set()
            try:
                self._hooks.stopping()
            finally:
                await self._end_workers()
                await asyncio.gather(*keepers)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        if self._refusal is not None:
            raise self._refusal
        LOG.info("stopped")
        return 0

    async def collect(self) -> list[tuple[dict[str, str], list[Family]]]:
        """The metrics of every worker that answers in time, and our own."""
        parts: list[tuple[dict[str, str], list[Family]]] = [({}, self._metrics.collect())]
        asked: dict[int, asyncio.Future[list[Family]]] = {}
        for index, worker in self._workers.items():
            if worker.is_ready:
                asked[index] = asyncio.get_running_loop().create_future()
                worker.collecting.append(asked[index])
                worker.writer.write(channel.frame(channel.Collect()))
        if asked:
            await asyncio.wait(asked.values(), timeout=_COLLECT_SECONDS)
        for index, answer in asked.items():
            if answer.done() and not answer.cancelled():
                parts.append(({"worker": str(index)}, answer.result()))
            else:
                answer.cancel()
        return parts

    def _ready_workers(self) -> int:
        return sum(worker.is_ready for worker in self._workers.values())

    # Starting, watching, replacing

    async def _prepare(self) -> Prepared:
        """Preparation is not ours to interrupt, but one that hangs in a module does not hold up a stop."""
        self._preparing = True
        preparing = asyncio.ensure_future(self._hooks.prepare())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not preparing.done():
            await asyncio.wait((preparing,), timeout=self._plan.settings.server.stop_seconds)
        if not preparing.done():
            LOG.error("preparation does not come to its end: leaving without it")
            self._leave()
        stopping.cancel()
        self._preparing = False
        return preparing.result()

    async def _spawn(self, index: int) -> _Worker:
        """A new process that imports and then waits for its settings."""
        bound = self._plan.bound
        inherited = [one.fileno() for one in bound.of_worker(index)]
        ours, theirs = channel.pair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._plan.command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._plan.lock, *inherited),
            )
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()  # a process that was started all the same sees the end of its line, and leaves
            raise
        finally:
            theirs.close()
        self._started.child(str(index)).value += 1
        self._starts[index] += 1
        return _Worker(process, reader, writer, time.monotonic())

    def _send_settings(self, index: int, worker: _Worker) -> None:
        bound = self._plan.bound
        settings = WorkerSettings(
            index=index,
            count=self._count,
            start=self._starts[index] - 1,
            dev=self._plan.dev,
            settings=self._plan.settings,
            main=tuple(one.fileno() for one in bound.main[index]),
            identity=tuple(one.fileno() for one in bound.identity[index]),
            pki=tuple(one.fileno() for one in bound.pki[index]),
            further=tuple(one.fileno() for one in bound.further[index]),
        )
        worker.is_told = True
        worker.writer.write(channel.frame(channel.Start(settings, self._plan.pin.reveal(), os.getpid())))

    async def _look_after(self, index: int) -> None:
        """Raises nothing: an instance with a worker that nobody keeps alive would look well and not be it."""
        try:
            await self._keep(index)
        except Exception:
            LOG.exception("nobody looks after a worker any more: the instance ends", extra={"worker": index})
            self._refusal = self._refusal or OperatorError("The supervisor failed; the log above says why.")
            self._stopping.set()

    async def _keep(self, index: int) -> None:
        """Keep the worker of this index alive until we stop."""
        pause = 0.0
        young_deaths = 0
        while True:
            worker = self._workers[index]
            if self._stopping.is_set():  # while it was spawned
                await self._discard(worker)
                return
            self._send_settings(index, worker)
            await self._listen(worker)
            code = await worker.process.wait()
            worker.writer.close()
            if self._stopping.is_set():
                return
            if self._refuse(worker, code, young_deaths):
                return
            died_young = time.monotonic() - worker.born < _GROWN_UP
            young_deaths = young_deaths + 1 if died_young else 1
            pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE) if died_young and young_deaths > 1 else 0.0
            LOG.error("a worker died and is replaced", extra={"worker": index, "exit_code": code, "pause": pause})
            await self._replace(index, pause)

    async def _replace(self, index: int, pause: float) -> None:
        """Start another worker of this index, as soon as the machine allows it; returns when we stop, too."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause or 0.001)
            if self._stopping.is_set():
                return
            try:
                self._workers[index] = await self._spawn(index)
            except (OSError, RuntimeError) as error:  # no process, descriptor, memory or (RuntimeError) thread left
                pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
                LOG.error("a worker cannot be started: %s", error, extra={"worker": index, "pause": pause})
            else:
                return

    def _refuse(self, worker: _Worker, code: int, young_deaths: int) -> bool:
        """Whether this death ends the instance, and with what."""
        sentence = worker.failed.sentence if worker.failed else f"A worker ended with exit code {code}."
        if worker.failed and worker.failed.pin_refused:
            self._refusal = self._refusal or HsmRefusal(sentence)
        elif self._ready.is_set():
            return False
        elif code in _FINAL:
            self._refusal = self._refusal or _FINAL[code](sentence)
        elif worker.failed or young_deaths + 1 >= _CHILDHOOD_DEATHS:
            self._refusal = self._refusal or OperatorError(
                sentence if worker.failed else f"Workers do not start: {_death(code)}; the log above says why."
            )
        else:
            return False
        self._stopping.set()
        return True

    async def _listen(self, worker: _Worker) -> None:
        """Take what a worker says until it is gone."""
        while (message := await channel.receive(worker.reader, channel.to_supervisor)) is not None:
            match message:
                case channel.Ready():
                    worker.is_ready = True
                    if self._ready_workers() == self._count:
                        self._ready.set()
                case channel.Announce(hosts):
                    self._in_background(self._hooks.announced(hosts))
                case channel.Collected(families):
                    if worker.collecting and not (answer := worker.collecting.pop(0)).done():
                        answer.set_result(families)
                case channel.Failed():
                    worker.failed = message
        worker.is_ready = False
        for answer in worker.collecting:
            answer.cancel()

    def _in_background(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:
                LOG.exception("hosts that were announced could not be made known")

        task = asyncio.create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _either(self, *events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # Stopping

    def _signalled(self) -> None:
        if self._stopping.is_set():
            LOG.warning("second signal: ending at once")
            self._kill()
            if self._preparing:
                self._leave()
        self._stopping.set()

    def _leave(self) -> NoReturn:
        """In the middle of preparation, which leaves nothing that the next start cannot take up."""
        self._kill()
        self._hooks.stopping()
        logging.shutdown()
        os._exit(0)

    def _kill(self) -> None:
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.kill()

    async def _discard(self, worker: _Worker) -> None:
        """End a worker that has not got its settings: it has nothing to finish."""
        with suppress(ProcessLookupError):
            worker.process.kill()
        await worker.process.wait()
        worker.writer.close()

    async def _end_workers(self) -> None:
        self._plan.bound.close_intake()
        for worker in self._workers.values():
            if not worker.is_told:
                await self._discard(worker)
            elif worker.failed is None and not worker.writer.is_closing():
                worker.writer.write(channel.frame(channel.Stop()))
        waits = [asyncio.create_task(worker.process.wait()) for worker in self._workers.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=self._plan.settings.server.stop_seconds + _LAST_SECONDS)
            if late:
                LOG.error("workers did not stop in time and are killed", extra={"count": len(late)})
                self._kill()
                await asyncio.wait(late)
        for worker in self._workers.values():
            worker.writer.close()


def _death(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"exit code {code}"
