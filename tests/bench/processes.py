"""Child processes of the benchmark: started here, ended here, and their CPU time."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 20.0


class BenchError(Exception):
    """What ends the benchmark with exit code 1; the text says why."""


class Child:
    """One process that we started. Its standard error goes to `log`, or to ours."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self.log = log
        stream = None if log is None else log.open("ab")
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=stream or subprocess.PIPE,
                stderr=stream,
                env=None if environment is None else dict(environment),
                cwd=ROOT,
            )
        finally:
            if stream is not None:
                stream.close()

    @staticmethod
    def module(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> "Child":
        """python -m tests.bench.NAME"""
        return Child([sys.executable, "-m", f"tests.bench.{name}", *arguments], environment=environment)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask, wait, and only then kill."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.is_alive():
            self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def tell(self, message: Mapping[str, object]) -> None:
        """One line of JSON to its standard input."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise BenchError(f"{self.process.args!r} has ended") from error

    def hear(self, seconds: float) -> dict[str, Any]:
        """One line of JSON from its standard output. Raises BenchError: too late, ended, or it says {"error": …}."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise BenchError(f"no answer within {seconds:.0f} s, or an early end: {self.process.args!r}")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise BenchError(str(message["error"]))
        return message


def tree(pid: int) -> list[int]:
    """A process and its descendants, as they are now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes with all their threads, ended ones included. Raises BenchError.

    The same sum as utime + stime of /proc/PID/stat, but in nanoseconds instead of ticks of 10 ms, which is too coarse
    for a cell of a second: the id of a process's CPU clock is made of its pid (clock_getcpuclockid(3)).
    """
    try:
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)
    except OSError as error:
        raise BenchError("a server process has ended during the measurement") from error
