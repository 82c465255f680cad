"""A supervised instance of the stand-in application, and free ports."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.instance import free_ports

_SCRIPT = Path(__file__).with_name("stand_in.py")


@dataclass
class Instance:
    process: "subprocess.Popen[str]"
    data_dir: Path
    port: int
    conversations: "list[Conversation]" = field(default_factory=list)

    def wait_ready(self) -> None:
        """Read what it says until it says that it is ready; fail with its log when it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("hsmvault is ready"):
                return
        assert self.process.stderr is not None
        pytest.fail(self.process.stderr.read())

    def connect(self, port: int | None = None) -> "Conversation":
        conversation = Conversation(socket.create_connection(("127.0.0.1", port or self.port), timeout=30))
        self.conversations.append(conversation)
        return conversation

    def ask(self, line: str) -> str:
        return self.connect().ask(line)

    def end(self) -> tuple[int, str]:
        """Exit code and standard error, once it has ended by itself."""
        _, error = self.process.communicate(timeout=60)
        return self.process.returncode, error


class Conversation:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file = connected.makefile("rwb", buffering=0)

    def ask(self, line: str) -> str:
        self._file.write(f"{line}\n".encode())
        return self.read()

    def read(self) -> str:
        return (self._file.readline() or b"").decode().strip()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def port() -> int:
    return free_ports()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def start(data_dir: Path, port: int) -> Iterator[Callable[..., Instance]]:
    instances: list[Instance] = []

    def start(*, workers: int = 1, mode: str = "", directory: Path = data_dir, at: int = port) -> Instance:
        if mode:
            (directory / "mode").write_text(mode)
        command = [sys.executable, str(_SCRIPT), "dev", str(directory), str(at), str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        instances.append(Instance(process, directory, at))
        return instances[-1]

    yield start
    for instance in instances:
        instance.process.kill()
        instance.process.communicate()
        for conversation in instance.conversations:
            conversation.close()
