"""Running an instance, the part that `dev` and `serve` share."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hsmvault.cli.application import Load, load
from hsmvault.cli.directory import DataDirectory
from hsmvault.cli.hardening import set_module_environment
from hsmvault.cli.listeners import Bound
from hsmvault.cli.metrics_server import MetricsServer
from hsmvault.cli.supervisor import WORKER_COMMAND, Hooks, Plan, Supervisor
from hsmvault.config import Prepared, Settings
from hsmvault.hsm.pin import Pin

LOG = logging.getLogger("hsmvault.instance")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a test replaces: the application, and the command that starts a worker."""

    load: Load = load
    worker_command: tuple[str, ...] = WORKER_COMMAND


async def _nothing(_: object) -> None:
    return


def run_instance(
    settings: Settings,
    claimed: DataDirectory,
    bound: Bound,
    pin: Pin,
    parts: Parts,
    *,
    so_pin: Pin | None = None,
    prepared: Callable[[Prepared], Awaitable[None]] = _nothing,
    ready: Callable[[Prepared], None],
    announced: Callable[[Sequence[str]], Awaitable[None]] = _nothing,
    stopping: Callable[[], None],
) -> int:
    """Run until a signal. so_pin: of the embedded default, which prepares its own token. Raises OperatorError."""

    async def prepare() -> Prepared:
        return await parts.load().prepare(settings, pin, so_pin)

    async def run() -> int:
        plan = Plan(settings, so_pin is not None, pin, bound, claimed.descriptor, parts.worker_command)
        hooks = Hooks(prepare, prepared, now_ready, announced, now_stopping)
        supervisor = Supervisor(plan, hooks)
        metrics = MetricsServer(supervisor.collect)
        if bound.metrics is not None:
            await metrics.start(bound.metrics)
        try:
            return await supervisor.run()
        finally:
            metrics.close()

    def now_ready(result: Prepared) -> None:
        ready(result)
        notify("READY=1")

    def now_stopping() -> None:
        stopping()
        notify("STOPPING=1")

    for address in bound.missing:
        LOG.warning("this machine has no IPv6: %s is left out", address)
    set_module_environment(settings)
    return asyncio.run(run())


def notify(state: str) -> None:
    """Tell systemd (sd_notify), when it started us with Type=notify."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
