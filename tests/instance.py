"""A real instance for tests: `hsmvault dev` as a process of its own, on free ports, with a data directory of its own.

    from tests.instance import dev_instance  # noqa: F401  # fixture

`dev_instance` is one instance for the whole run; `running()` starts another. Nothing on the machine is touched beyond
the data directory: the hosts file stays as it is, and `names_resolved()` lets the clients of the test process find
*.localhost.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parent.parent
# In memory where there is such a folder: every token object costs some 50 ms on a disk.
_FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # mkdtemp makes the name
_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_PORT_TAKEN = 5  # exit code
_TOKEN = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")


@dataclass
class DevInstance:
    """A running `hsmvault dev`. environment: dev.env; identity: dev-identity.env. log: what the processes wrote."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    port: int
    log: Path
    environment: Mapping[str, str]
    identity: Mapping[str, str]
    was_killed: bool = False

    def failures(self) -> list[str]:
        """Lines of the log that no test should leave behind: errors, and whatever is not a record of ours."""
        lines = self.log.read_text(errors="replace").splitlines()
        records = [line for line in lines if line.startswith("{")]
        wrong = [line for line in records if msgspec.json.decode(line, type=_Record).level in {"error", "critical"}]
        return wrong + [line for line in lines if "Traceback" in line and not line.startswith("{")]

    def leaks(self) -> list[str]:
        """Names of secrets, and `token`, that stand in the processes' output or in the audit log."""
        secrets = {name: value for name, value in self.environment.items() if name.endswith(("_SECRET", "_PASSWORD"))}
        secrets["IDENTITY_HEADER"] = self.identity["IDENTITY_HEADER"]
        written = [path for path in (self.data_dir / "audit").rglob("*") if path.is_file()]
        texts = [path.read_text(errors="replace") for path in (self.log, *written)]
        found = [name for name, value in secrets.items() if any(value in text for text in texts)]
        return found + ["token" for text in texts if _TOKEN.search(text)]

    def stop(self) -> int:
        """As an operator does. Returns the exit code; what does not end in time is killed and fails the test."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the instance did not stop within {_STOP_SECONDS} s")

    def kill(self) -> None:
        """Every process of it, at once."""
        self.was_killed = True
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class _Record(msgspec.Struct, frozen=True):
    level: str = ""


@contextmanager
def running(data_dir: Path, *, workers: int = 2, options: Sequence[str] = ()) -> Iterator[DevInstance]:
    """Start an instance on this data directory, wait until it is ready, and stop it at the end."""
    for _ in range(5):
        port = free_ports()
        process, log = launch(data_dir, port, workers, options)
        try:
            if not _wait_ready(process, data_dir):
                if process.returncode == _PORT_TAKEN:
                    continue  # somebody else was quicker
                pytest.fail(f"the instance ended with {process.returncode}:\n{log.read_text(errors='replace')}")
            environment = read_environment(data_dir / "dev.env")
            identity = read_environment(data_dir / "dev-identity.env")
            instance = DevInstance(process, data_dir, port, log, environment, identity)
            yield instance
            code = instance.stop()
            assert code == (-signal.SIGKILL if instance.was_killed else 0), (
                f"the instance ended with {code}:\n{log.read_text(errors='replace')}"
            )
            return
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    pytest.fail("no free ports")


@contextmanager
def folder_for_data() -> Iterator[Path]:
    """A new folder, in memory where there is one; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hsmvault-test-", dir=_FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def dev_instance() -> Iterator[DevInstance]:
    """One instance for the whole run. Tests choose their own names for what they make in it."""
    with folder_for_data() as folder, running(folder / "data") as instance:
        yield instance


def read_environment(path: Path) -> dict[str, str]:
    """The lines of an env file, as a shell reads them."""
    variables: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        variables[name] = "".join(shlex.split(value))
    return variables


def free_ports() -> int:
    """A port that is free together with the next two."""
    for _ in range(100):
        with ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            number: int = first.getsockname()[1]
            try:
                for offset in (1, 2):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number + offset))
            except (OSError, OverflowError):
                continue
            return number
    pytest.fail("no three free ports in a row")


@contextmanager
def names_resolved() -> Iterator[None]:
    """In this process *.localhost is 127.0.0.1, whatever the machine says, and nothing else resolves: a client that
    asks another host than the instance's fails instead of reaching out."""
    original = socket.getaddrinfo

    def resolve(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host or "127.0.0.1"
        if name == "localhost" or name.endswith(".localhost"):
            name = "127.0.0.1"
        try:
            is_here = ip_address(name).is_loopback
        except ValueError:
            is_here = False
        if not is_here:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is not a part of the instance under test")
        return original(name, port, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


def launch(
    data_dir: Path, port: int, workers: int, options: Sequence[str] = ()
) -> "tuple[subprocess.Popen[bytes], Path]":
    """The process, in a group of its own, and its log; nothing is waited for."""
    log = data_dir.with_name(f"{data_dir.name}.log")
    command = [sys.executable, "-m", "hsmvault", "dev", "--data-dir", str(data_dir), "--port", str(port)]
    command += ["--workers", str(workers), "--no-hosts", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HSMVAULT_", "SOFTHSM"))}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: Ctrl-C ends the tests, and the tests end the instance
        )
    return process, log


def _wait_ready(process: "subprocess.Popen[bytes]", data_dir: Path) -> bool:
    """True when dev.env of this very process is there, False when the process has ended before."""
    deadline = time.monotonic() + _START_SECONDS
    path = data_dir / "dev.env"
    while time.monotonic() < deadline:
        try:
            if read_environment(path).get("HSMVAULT_PID") == str(process.pid):
                return True
        except FileNotFoundError:
            pass
        try:
            process.wait(0.02)
            return False
        except subprocess.TimeoutExpired:
            pass
    pytest.fail(f"the instance was not ready within {_START_SECONDS} s")
