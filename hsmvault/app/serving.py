"""A worker's life: put together, made ready, serving, stopped in order."""

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence

from aiohttp.web import BaseRequest, StreamResponse

from hsmvault.app.announcing import Announcements
from hsmvault.app.composition import Worker, compose
from hsmvault.app.exporting import run_exports
from hsmvault.app.networks import entrance_of
from hsmvault.config import Control, Listeners, WorkerSettings
from hsmvault.config.tls import listener_context
from hsmvault.errors import RequestError
from hsmvault.hsm.pin import Pin
from hsmvault.login.managed_identities import IdentityEndpoints
from hsmvault.wire.pki import PkiEndpoints
from hsmvault.wire.server import Limits, Listener

LOG = logging.getLogger("hsmvault.worker")
_ROTATION_SECONDS = 3600.0
_SWEEP_SECONDS = 60.0
_JOBS_SECONDS = 0.2  # to finish a key and give the lease back, and as long again once they are cancelled
_CLOSING_SECONDS = 0.7  # behind the listeners; the supervisor kills what is there a second after stop_seconds


async def run_worker(worker: WorkerSettings, pin: Pin, listeners: Listeners, control: Control) -> int:
    """Serve until control says stop. Raises OperatorError."""
    settings = worker.settings
    parts = await compose(worker, pin, control.metrics, _leave)
    await parts.feed.start()
    parts.worlds.reload.ask()  # what was rotated between the first reading and the feed's was told to nobody
    rotated = worker.index != 0 or await _rotate(parts)
    if worker.index == 0:
        await _make_authorities(parts)
    background = asyncio.create_task(_look_after(parts, rotated=rotated), name="background")
    jobs = asyncio.create_task(_jobs(parts, worker.index), name="jobs")
    exports = asyncio.create_task(run_exports(parts.exports), name="audit-exports")
    limits = Limits(
        header_bytes=settings.limits.header_bytes,
        connections=settings.limits.connections,
        header_seconds=settings.limits.header_seconds,
        idle_seconds=settings.limits.idle_seconds,
        handshake_seconds=settings.limits.handshake_seconds,
    )
    running = [await Listener.start(parts.door.handle, list(listeners.main), listener_context(settings), limits)]
    for one, listening in zip(settings.server.listeners, listeners.further, strict=True):
        context, entrance = listener_context(settings, one), entrance_of(settings, one)
        running.append(await Listener.start_further(parts.door.handle, listening, context, limits, entrance))
    if parts.identity is not None and listeners.identity:
        shared = parts.pki if settings.shares_pki else None
        plain = functools.partial(_plain, parts.identity, shared)
        running.append(await Listener.start(plain, list(listeners.identity), None, limits))
    if parts.pki is not None and listeners.pki:
        running.append(await Listener.start(parts.pki.handle, list(listeners.pki), None, limits))
    control.metrics.connections.child().read = lambda: float(sum(one.connections() for one in running))
    announcements = Announcements(parts.database, parts.feed, settings.names, control.announce) if worker.dev else None
    control.ready()
    await control.stop_requested()
    if announcements is not None:
        await announcements.close()
    await _stop(parts, running, background, jobs, settings.server.stop_seconds, exports)
    return 0


async def _plain(identity: IdentityEndpoints, pki: PkiEndpoints | None, request: BaseRequest) -> StreamResponse:
    """One listener for managed identities and, where it is shared, for relying parties: by the path."""
    if pki is not None and not identity.serves(request.raw_path):
        return await pki.handle(request)
    return await identity.handle(request, request.remote or "")


async def _look_after(parts: Worker, *, rotated: bool) -> None:
    """Rotate the issuer's keys when it is time, and drop unwrapped keys when theirs is over. rotated: just now."""
    loop = asyncio.get_running_loop()
    rotate_at = loop.time() + (_ROTATION_SECONDS if rotated else 0.0)
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        for world in parts.worlds.all:
            world.sealer.sweep()
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


async def _make_authorities(parts: Worker) -> None:
    """The first start makes their keys. While the token is out of reach the first use of one does."""
    for name, authority in () if parts.authorities is None else parts.authorities.by_name.items():
        try:
            await authority.prepare()
        except RequestError as error:
            LOG.warning("the authority %s is not ready, its first use tries again: %s", name, error.detail or error)
        except Exception:
            LOG.exception("the authority %s is not ready, its first use tries again", name)


async def _jobs(parts: Worker, index: int) -> None:
    """One worker of each node asks for the jobs' lease."""
    if index == 0:
        await parts.jobs.run()


async def _stop(
    parts: Worker,
    running: Sequence[Listener],
    background: "asyncio.Task[None]",
    jobs: "asyncio.Task[None]",
    seconds: float,
    exports: "asyncio.Task[None] | None" = None,
) -> None:
    """End every part in its order, whatever fails on the way, before the supervisor kills this process.

    The jobs begin nothing more from now on, and are over before the audit log, which has their records too. The records
    of what was done come right behind; what may hang in the PKCS#11 module comes last. seconds: for the listeners.
    """
    parts.jobs.stop()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds + _CLOSING_SECONDS
    await asyncio.gather(*(_end("listener", functools.partial(one.stop, seconds), deadline) for one in running))
    soon = min(deadline, loop.time() + 2 * _JOBS_SECONDS)
    await asyncio.gather(_end("jobs", lambda: _finished(jobs), soon), _end("issuance", parts.issuance.close, soon))
    steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("audit log", parts.audit.close),
        *([] if exports is None else [("audit exports", functools.partial(_cancelled, exports))]),
        ("background work", lambda: _cancelled(background)),
        ("changes", parts.feed.close),
        ("issuers", parts.reload.close),
        ("security worlds", parts.worlds.reload.close),
        ("database", parts.database.close),
        *(("lane", lane.close) for lane in parts.lanes),
        *(("token", token.close) for token in parts.worlds.tokens),
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


async def _finished(task: "asyncio.Task[None]") -> None:
    """Let it come to its end, but not for long."""
    try:
        await asyncio.wait({task}, timeout=_JOBS_SECONDS)
    except asyncio.CancelledError:
        task.cancel()
        raise
    await _cancelled(task)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Raises what the task died of, if it did."""
    task.cancel()
    await asyncio.wait({task})  # not `await task`: our own cancellation must not look like the task's
    if not task.cancelled():
        task.result()


def _leave(reason: str) -> None:
    """A thread hangs in the PKCS#11 module: nothing in this process can be trusted to end it. The supervisor starts
    another worker."""
    LOG.critical("leaving: %s", reason)
    logging.shutdown()
    os._exit(1)
