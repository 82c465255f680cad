"""A whole run: everything started, then rounds in which service, token, bare server and peer take turns."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from tests.bench.generator import Cell, Generator, Work
from tests.bench.goals import peers_of
from tests.bench.instance import Instance
from tests.bench.messages import Target
from tests.bench.openbao import LONG_LIST, OpenBao
from tests.bench.operations import Operations
from tests.bench.processes import BenchError, Child
from tests.bench.raw_token import RAW

Measured = TypeVar("Measured")

_ANSWER_SECONDS = 60.0
AT = 16
"""The connections at which everything is compared."""
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so")


@dataclass(frozen=True, slots=True)
class Options:
    """seconds: of each cell. names: of the operations. more: of those that are measured at 16 connections alone.

    listed_secrets: how many secrets there are in the list that is paged through, here and in the peer.
    """

    names: tuple[str, ...]
    more: tuple[str, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: float
    workers: int
    peer: bool
    listed_secrets: int


@dataclass(slots=True)
class Results:
    """cells, peers: by operation and connections, one cell a round. token: µs of CPU by operation, one a round."""

    options: Options
    cells: dict[tuple[str, int], list[Cell]] = field(default_factory=dict)
    peers: dict[tuple[str, int], list[Cell]] = field(default_factory=dict)
    token: dict[str, list[float]] = field(default_factory=dict)
    bare: list[Cell] = field(default_factory=list)
    samples: int = 0


def cpu_us(cells: list[Cell]) -> float:
    """The median of the rounds: one round that somebody disturbed does not count."""
    return median(cell.cpu_us for cell in cells)


def measure(options: Options) -> Results:
    """Raises BenchError on the first error."""
    return guarded(lambda folder: _measured(options, folder))


def guarded(run: Callable[[Path], Measured]) -> Measured:
    """run: with a temporary folder. Raises its BenchError with the end of the server's log."""
    with _temporary_folder() as folder:
        try:
            return run(folder)
        except BenchError as error:
            log = folder / "instance.log"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise BenchError(f"{error}\nthe end of the server's log:\n{tail}") from error


def _measured(options: Options, folder: Path) -> Results:
    results = Results(options)
    with ExitStack() as stack:
        token = _raw_token(stack, folder)
        instance = Instance(folder / "instance", options.workers)
        stack.callback(instance.stop)
        target = instance.vault.target
        generator = stack.enter_context(Generator())
        peer = None
        if options.peer:
            peer = OpenBao(folder / "openbao", target.host, instance.certificate, instance.private_key, target.ca)
            stack.callback(peer.stop)
        operations = Operations(instance, generator, options.listed_secrets)
        signatures = operations.work("sign-es256-soft")
        bare = Work("constant", _bare(stack, instance), signatures.requests, lambda _, body: len(body) > 0)
        cells = [(name, connections) for connections in options.connections for name in options.names]
        cells += [(name, AT) for name in options.more]
        peers = peers_of({name for name, _ in cells}) if options.peer else ()
        if peer is not None and LONG_LIST in peers:
            peer.fill(generator, options.listed_secrets)
        _say(f"about {_seconds(options, len(cells), len(peers)):.0f} s")
        for number in range(options.rounds):
            _say(f"round {number + 1} of {options.rounds}")
            for name in dict.fromkeys(RAW[name] for name, _ in cells if name in RAW):
                token.tell({"operation": name, "seconds": options.seconds})
                answer = token.hear(options.seconds + _ANSWER_SECONDS)
                results.token.setdefault(name, []).append(answer["cpu_seconds"] / answer["operations"] * 1e6)
            results.bare.append(generator.measure(bare, AT, options.seconds))
            for name, connections in cells:
                cell = generator.measure(operations.work(name), connections, options.seconds)
                results.cells.setdefault((name, connections), []).append(cell)
            for connections in options.connections if peer is not None else ():
                for name in peers:
                    assert peer is not None
                    cell = generator.measure(peer.work(name, number), connections, options.seconds)
                    results.peers.setdefault((name, connections), []).append(cell)
        results.samples = generator.check_samples()
    return results


def _seconds(options: Options, cells: int, peers: int) -> float:
    """What a run takes, about. A cell connects and warms up, too."""
    return options.rounds * (cells + peers * len(options.connections) + 5) * (options.seconds + 0.4)


def _raw_token(stack: ExitStack, folder: Path) -> Child:
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    module = next(str(path) for pattern in _MODULES for path in Path("/").glob(pattern.lstrip("/")))
    child = Child.module("raw_token", module, environment={**os.environ, "SOFTHSM2_CONF": str(configuration)})
    stack.callback(child.stop)
    return child


def _bare(stack: ExitStack, instance: Instance) -> Target:
    child = Child.module("bare", str(instance.certificate), str(instance.private_key))
    stack.callback(child.stop)
    port = child.hear(_ANSWER_SECONDS)["port"]
    target = instance.vault.target
    return Target("bare aiohttp", target.host, port, target.ca, (child.process.pid,))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """In memory where there is such a place: what is measured is not the disk."""
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes the name
    place = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="hsmvault-bench-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
