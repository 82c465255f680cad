"""The sockets of an instance: bound by the supervisor, kept by it, used by its workers.

Every worker has a listening socket of its own for the same address (SO_REUSEPORT): the kernel spreads connections.
The supervisor keeps each one open, so that connections that wait in a dead worker's queue are served by the next.

SO_REUSEPORT alone would let a second instance of the same user share the port unnoticed; so a plain bind comes first,
and instances of a machine do this one after the other.
"""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError, PortTaken

_BACKLOG = 2048
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_LOOPBACK = "127.0.0.1"


@dataclass(slots=True)
class Bound:
    """main, identity, pki, further: one tuple of listening sockets for each worker. metrics: the supervisor's own.

    missing: addresses that were left out because the machine has no IPv6.
    """

    main: list[tuple[socket.socket, ...]] = field(default_factory=list)
    identity: list[tuple[socket.socket, ...]] = field(default_factory=list)
    pki: list[tuple[socket.socket, ...]] = field(default_factory=list)
    further: list[tuple[socket.socket, ...]] = field(default_factory=list)
    metrics: socket.socket | None = None
    missing: list[str] = field(default_factory=list)

    def of_worker(self, index: int) -> tuple[socket.socket, ...]:
        return (*self.main[index], *self.identity[index], *self.pki[index], *self.further[index])

    def close_intake(self) -> None:
        """Close what workers accept from; what they accepted goes on."""
        for group in (*self.main, *self.identity, *self.pki, *self.further):
            for one in group:
                one.close()

    def close(self) -> None:
        self.close_intake()
        if self.metrics is not None:
            self.metrics.close()

    def __enter__(self) -> "Bound":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bind(settings: Settings) -> Bound:
    """Bind and listen on every port of an instance. Raises PortTaken, ConfigurationError; then nothing stays open."""
    bound = Bound()
    try:
        with _one_after_the_other():
            _bind_all(settings, bound)
    except BaseException:
        bound.close()
        raise
    return bound


def _bind_all(settings: Settings, bound: Bound) -> None:
    main, addresses = settings.server.port, list(settings.server.addresses)
    for address in settings.server.addresses:
        if not _probe(address, main, "server.port"):
            addresses.remove(address)
            bound.missing.append(address)
    if not addresses:
        raise ConfigurationError("server.addresses: this machine has none of these addresses.")
    if settings.login.managed_identities:
        _probe(_LOOPBACK, settings.identity_port, "login.identity_port")
    serves_pki = settings.serves_pki and not settings.shares_pki
    if serves_pki and not _probe(settings.pki.address, settings.pki_port, "pki.port"):
        raise ConfigurationError(f"pki.address: {settings.pki.address} is not an address of this machine.")
    further = [(str(one.address), one.port or main) for one in settings.server.listeners]
    for place, port in further:
        if not _probe(place, port, "server.listeners"):
            raise ConfigurationError(f"server.listeners: {place} is not an address of this machine.")
    for _ in range(settings.workers):
        bound.main.append(tuple(_listen(address, main, shared=True) for address in addresses))
        if settings.login.managed_identities:
            bound.identity.append((_listen(_LOOPBACK, settings.identity_port, shared=True),))
        else:
            bound.identity.append(())
        bound.pki.append((_listen(settings.pki.address, settings.pki_port, shared=True),) if serves_pki else ())
        bound.further.append(tuple(_listen(place, port, shared=True) for place, port in further))
    if settings.metrics.enabled:
        _probe(settings.metrics.address, settings.metrics_port, "metrics.port")
        bound.metrics = _listen(settings.metrics.address, settings.metrics_port, shared=False)


def _probe(address: str, port: int, key: str) -> bool:
    """Whether the address can be used; False when it is an IPv6 one and the machine has none."""
    try:
        _listen(address, port, shared=False).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Another process listens on port {port} of {address}; stop it, or choose another port with --port "
                f"or {key}."
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"{key}: port {port} is reserved; a port above 1023, or the capability CAP_NET_BIND_SERVICE, is needed."
            ) from error
        if error.errno in _NO_IPV6 and address in ("::1", "::"):
            return False
        raise ConfigurationError(f"{key}: {address} port {port} cannot be bound ({error.strerror}).") from error
    return True


def _listen(address: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of a predecessor may still be in TIME_WAIT; a listener is a conflict all the same.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(_BACKLOG)
        one.setblocking(False)
    except BaseException:
        one.close()
        raise
    return one


@contextmanager
def _one_after_the_other() -> Iterator[None]:
    """Hold a name that only one process of this network namespace can have, for as long as binding takes."""
    with ExitStack() as stack:
        turn = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        for _ in range(200):
            try:
                turn.bind("\0hsmvault-binds-ports")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    break  # no abstract sockets here: go on without
            time.sleep(0.01)  # about what another instance needs
        yield
