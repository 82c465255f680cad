"""What the supervisor, a worker and the composition (app.py) hand to each other.

The supervisor binds the sockets and keeps them; a worker gets its own, so that what waits in the queue of a dead
worker's socket is served by the next one.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from hsmvault.config.settings import Settings
from hsmvault.errors import OperatorError
from hsmvault.telemetry import Metrics


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told at start, through its control socket.

    index: 0 to count - 1; the replacement of a dead worker has its index. dev: started by `hsmvault dev`.
    start: how many workers had this index before, since the supervisor's start.
    main, identity, pki: file descriptors of listening sockets, the worker's own. further: likewise, one for each of
    settings.server.listeners.
    """

    index: int
    count: int
    start: int
    dev: bool
    settings: Settings
    main: tuple[int, ...]
    identity: tuple[int, ...] = ()
    pki: tuple[int, ...] = ()
    further: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening, non-blocking sockets. identity, pki: plain HTTP for managed identities and for relying parties of our
    authorities; empty when they are off. further: one for each of settings.server.listeners.
    """

    main: tuple[socket.socket, ...]
    identity: tuple[socket.socket, ...] = ()
    pki: tuple[socket.socket, ...] = ()
    further: tuple[socket.socket, ...] = ()


class Control(Protocol):
    """A worker's line to its supervisor. metrics: what the worker counts; the supervisor asks for it by itself."""

    metrics: Metrics

    def ready(self) -> None:
        """Tell that every listener of this worker accepts. Call it once. A stop before this cancels run_worker."""
        ...

    def announce(self, hosts: Sequence[str]) -> None:
        """Tell that these hosts are served from now on; `hsmvault dev` makes them resolve."""
        ...

    async def stop_requested(self) -> None:
        """Return when the worker shall stop: end intake, finish what runs, flush, return from run_worker."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """What app.prepare found or made.

    environment, identity_environment: further lines of dev.env and dev-identity.env; they win over the supervisor's
    own. hosts: hosts of containers, without a port. notes: sentences for the terminal.
    """

    environment: dict[str, str] = field(default_factory=dict, repr=False)
    identity_environment: dict[str, str] = field(default_factory=dict, repr=False)
    hosts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What app.check found. refusals: what a start would be refused for. notes: lines for the terminal."""

    refusals: tuple[OperatorError, ...] = ()
    notes: tuple[str, ...] = ()
