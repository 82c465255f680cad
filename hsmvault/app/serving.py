"""A worker's life: put together, made ready, serving, stopped in order."""

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence

from hsmvault.app.composition import Worker, compose
from hsmvault.config import Control, Listeners, WorkerSettings
from hsmvault.config.tls import server_context
from hsmvault.errors import ConfigurationError, RequestError
from hsmvault.hsm.pin import Pin
from hsmvault.wire.server import Limits, Listener

LOG = logging.getLogger("hsmvault.worker")
_ROTATION_SECONDS = 3600.0
_SWEEP_SECONDS = 60.0
_CLOSING_SECONDS = 0.7  # behind the listeners; the supervisor kills what is there a second after stop_seconds


async def run_worker(worker: WorkerSettings, pin: Pin, listeners: Listeners, control: Control) -> int:
    """Serve until control says stop. Raises OperatorError."""
    settings = worker.settings
    parts = await compose(worker, pin, control.metrics, _leave)
    await parts.feed.start()
    rotated = worker.index != 0 or await _rotate(parts)
    background = asyncio.create_task(_look_after(parts, rotated=rotated), name="background")
    limits = Limits(
        header_bytes=settings.limits.header_bytes,
        connections=settings.limits.connections,
        header_seconds=settings.limits.header_seconds,
        idle_seconds=settings.limits.idle_seconds,
        handshake_seconds=settings.limits.handshake_seconds,
    )
    if settings.server.certificate_file is None or settings.server.key_file is None:
        raise ConfigurationError("server.certificate_file and server.key_file are needed: the API is served over TLS.")
    context = server_context(settings.server.certificate_file, settings.server.key_file)
    running = [await Listener.start(parts.door.handle, list(listeners.main), context, limits)]
    if parts.identity is not None and listeners.identity:
        identity = parts.identity
        running.append(
            await Listener.start(
                lambda request: identity.handle(request, request.remote or ""), list(listeners.identity), None, limits
            )
        )
    control.metrics.connections.child().read = lambda: float(sum(one.connections() for one in running))
    control.ready()
    await control.stop_requested()
    await _stop(parts, running, background, settings.server.stop_seconds)
    return 0


async def _look_after(parts: Worker, *, rotated: bool) -> None:
    """Rotate the issuer's keys when it is time, and drop unwrapped keys when theirs is over. rotated: just now."""
    loop = asyncio.get_running_loop()
    rotate_at = loop.time() + (_ROTATION_SECONDS if rotated else 0.0)
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        parts.sealer.sweep()
        parts.soft.sweep()
        if loop.time() >= rotate_at and await _rotate(parts):
            rotate_at = loop.time() + _ROTATION_SECONDS


async def _rotate(parts: Worker) -> bool:
    """False when it has to be tried again soon: the token or the database is out of reach. The first run makes the
    first key; a worker that is replaced while the token is away must start without it."""
    if parts.rotation is None:
        return True
    try:
        await parts.rotation.run_once()
    except RequestError as error:
        LOG.warning("signing keys were not rotated, the next run takes it up: %s", error.detail or error)
        return False
    except Exception:
        LOG.exception("signing keys were not rotated, the next run takes it up")
        return False
    return True


async def _stop(parts: Worker, running: Sequence[Listener], background: "asyncio.Task[None]", seconds: float) -> None:
    """End every part in its order, whatever fails on the way, before the supervisor kills this process.

    The records of what was answered come right behind the listeners; what may hang in the PKCS#11 module comes last.
    seconds: for the listeners.
    """
    deadline = asyncio.get_running_loop().time() + seconds + _CLOSING_SECONDS
    await asyncio.gather(*(_end("listener", functools.partial(one.stop, seconds), deadline) for one in running))
    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("audit log", parts.audit.close),
        ("background work", lambda: _cancelled(background)),
        ("changes", parts.feed.close),
        ("issuers", parts.reload.close),
        ("database", parts.database.close),
        *(("lane", lane.close) for lane in parts.lanes),
        *(("token", token.close) for token in parts.tokens),
    ]
    for name, step in steps:
        await _end(name, step, deadline)


async def _end(name: str, step: Callable[[], Awaitable[object]], deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await step()
    except TimeoutError:
        LOG.error("a part did not end in time: %s", name)
    except Exception:
        LOG.exception("a part did not end as it should: %s", name)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Raises what the task died of, if it did."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _leave(reason: str) -> None:
    """A thread hangs in the PKCS#11 module: nothing in this process can be trusted to end it. The supervisor starts
    another worker."""
    LOG.critical("leaving: %s", reason)
    logging.shutdown()
    os._exit(1)
