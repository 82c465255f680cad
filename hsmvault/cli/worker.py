"""A worker process: `python -m hsmvault worker FD`, started by the supervisor and by nobody else."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvloop

from hsmvault.cli import channel
from hsmvault.cli.application import Application, Load
from hsmvault.cli.hardening import die_with, harden, set_module_environment
from hsmvault.config import Listeners, WorkerSettings
from hsmvault.errors import ConfigurationError, OperatorError
from hsmvault.hsm.module import PinRefused
from hsmvault.hsm.pin import Pin
from hsmvault.telemetry import Metrics, configure_logs

LOG = logging.getLogger("hsmvault.worker")
_SUPERVISOR_GONE = 1
_COLLECTED_AFTER = (10_000, 10, 10)  # new objects, and collections of the younger generation


def main(descriptor: int, load: Load) -> int:
    """Take the settings from the socket that was inherited under this number, and serve. Returns the exit code."""
    harden()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the supervisor decides
    try:
        line = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigurationError("A worker is started by the supervisor, not by hand.") from error
    application = load()  # the slow imports run while the supervisor still prepares
    start = channel.receive_start(line)
    if start is None:
        return _SUPERVISOR_GONE
    die_with(start.supervisor)
    settings = start.settings
    configure_logs(settings.settings.log.level)
    set_module_environment(settings.settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(application, settings, Pin(start.pin), line))


async def _work(application: Application, settings: WorkerSettings, pin: Pin, line: socket.socket) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=line)
    control = WorkerControl(writer)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, control.stop)
    listening = asyncio.create_task(control.listen(reader), name="control")
    listeners = Listeners(
        _sockets(settings.main), _sockets(settings.identity), _sockets(settings.pki), _sockets(settings.further)
    )
    working = asyncio.ensure_future(application.run_worker(settings, pin, listeners, control))
    control.starting = working
    try:
        return await working
    except asyncio.CancelledError:
        return 0  # told to stop before it was ready
    except OperatorError as error:
        LOG.error("%s", error, exc_info=error)
        control.send(channel.Failed(error.exit_code, str(error), isinstance(error, PinRefused)))
        return error.exit_code
    except Exception:
        LOG.exception("the worker failed")
        return 1
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()


def _spare_the_collector() -> None:
    """What start-up made stays, and is not looked through again. What comes is mostly freed by its references, or stays
    in the caches: looking for cycles among it every 700 objects, as Python does by default, took a tenth of a read.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def _sockets(descriptors: Sequence[int]) -> tuple[socket.socket, ...]:
    sockets = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)
    for one in sockets:
        one.setblocking(False)
    return sockets


class WorkerControl:
    """The worker's side of the line: config.Control."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.metrics = Metrics()
        self.starting: asyncio.Future[int] | None = None  # until ready; may be cancelled, since nothing runs yet
        self._writer = writer
        self._stop = asyncio.Event()

    def ready(self) -> None:
        self.starting = None
        _spare_the_collector()
        self.send(channel.Ready())

    def announce(self, hosts: Sequence[str]) -> None:
        self.send(channel.Announce(tuple(hosts)))

    async def stop_requested(self) -> None:
        await self._stop.wait()

    def stop(self) -> None:
        self._stop.set()
        if self.starting is not None:
            self.starting.cancel()

    def send(self, message: channel.ToSupervisor) -> None:
        self._writer.write(channel.frame(message))

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Obey the supervisor until it stops us or is gone; then leave at once."""
        while (message := await channel.receive(reader, channel.to_worker)) is not None:
            match message:
                case channel.Stop():
                    self.stop()
                case channel.Collect():
                    self.send(channel.Collected(self.metrics.collect()))
                case _:
                    pass
        LOG.error("the supervisor is gone")
        sys.stderr.flush()
        os._exit(_SUPERVISOR_GONE)
