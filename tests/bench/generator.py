"""One cell: an operation, a target and a number of connections, for a short time."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.messages import Target
from tests.bench.processes import BenchError, Child, cpu_seconds

_START_SECONDS = 90.0
_FILLING_CONNECTIONS = 16
_FILLING_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Work:
    """What to send, and where. requests: taken in turn; @@@@@@@@@ in one becomes a number. status: of every answer.

    check: (which request, body) of a sample of answers; raises or returns False when the answer is wrong.
    most: requests in one cell.
    follow: what is asked, with the same number, as long as the last answer has unfinished in it; one answer together.
    """

    name: str
    target: Target
    requests: tuple[bytes, ...]
    check: Callable[[int, bytes], bool] = field(repr=False)
    status: int = 200
    most: int = 1_000_000
    follow: bytes = b""
    unfinished: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What was measured. seconds: wall clock. cpu_seconds: of all server processes. own: of the load generator."""

    answers: int
    seconds: float
    cpu_seconds: float
    own_cpu_seconds: float
    latencies_us: list[int] = field(repr=False)

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.answers * 1e6


class Generator:
    def __init__(self) -> None:
        self._child = Child.module("load")
        self._samples: list[tuple[Work, list[tuple[int, str]]]] = []

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def measure(self, work: Work, connections: int, seconds: float) -> Cell:
        """Raises BenchError on the first answer that is not as expected."""
        target = work.target
        where = f"{target.name}, {work.name}, {connections} connections"
        try:
            self._child.tell(
                {
                    "host": target.host,
                    "port": target.port,
                    "ca": str(target.ca),
                    "requests": [base64.b64encode(request).decode() for request in work.requests],
                    "status": work.status,
                    "connections": connections,
                    "seconds": seconds,
                    "warm_up_seconds": min(seconds, 0.2),
                    "most": work.most,
                    "follow": base64.b64encode(work.follow).decode(),
                    "unfinished": work.unfinished,
                }
            )
            self._child.hear(_START_SECONDS)
            before = cpu_seconds(target.pids)
            self._child.tell({"go": True})
            result = self._child.hear(seconds + _START_SECONDS)
            used = cpu_seconds(target.pids) - before
        except BenchError as error:
            raise BenchError(f"{where}: {error}") from error
        latencies: list[int] = result["latencies_us"]
        self._samples.append((work, result["samples"]))
        return Cell(len(latencies), result["seconds"], used, result["own_cpu_seconds"], latencies)

    def fill(self, work: Work) -> None:
        """Send work.most requests and some for warming up, however long it takes. Raises BenchError."""
        self.measure(work, _FILLING_CONNECTIONS, _FILLING_SECONDS)

    def check_samples(self) -> int:
        """Whether what was answered is right, by another implementation. Returns how many; raises BenchError."""
        count = 0
        for work, samples in self._samples:
            for which, body in samples:
                try:
                    good = work.check(which, base64.b64decode(body))
                except Exception as error:  # whatever it is, the answer is not what it should be
                    raise BenchError(f"{work.target.name}, {work.name}: a wrong answer: {error!r}") from error
                if not good:
                    raise BenchError(f"{work.target.name}, {work.name}: a wrong answer")
                count += 1
        return count
