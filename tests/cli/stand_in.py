"""An application that does nothing but obey a test, under the real supervisor and worker.

    python stand_in.py dev DATA_DIR PORT WORKERS     run_dev with this application
    python stand_in.py worker FD                     what that supervisor starts

It speaks lines on plain TCP: `pid`, `die`, `refuse`, `announce HOST`, `hold` (answers `held`, then `stopping` when the
worker is told to stop, and `done` after one more line). A file `mode` in the data directory changes the start.
"""

import asyncio
import ctypes
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hsmvault.cli import worker
from hsmvault.cli.dev import DevOptions, run_dev
from hsmvault.cli.instance import Parts
from hsmvault.config import Checked, Control, Listeners, Prepared, Settings, WorkerSettings
from hsmvault.errors import DatabaseRefusal, HsmRefusal, OperatorError
from hsmvault.hsm.module import PinRefused
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread


class StandIn:
    async def prepare(self, settings: Settings, pin: Pin, so_pin: Pin | None = None) -> Prepared:
        _assert_hardened()
        assert so_pin is not None
        assert pin.reveal() != so_pin.reveal()
        if _mode(settings) == "prepare refuses":
            _attempt(settings)
            raise HsmRefusal("The PIN of the token's user is wrong.")
        if _mode(settings) == "prepare hangs":
            msgspec.structs.force_setattr(settings.server, "stop_seconds", 0.2)  # the test waits for it
            await in_thread("hangs", lambda: _hang(settings))
        if _mode(settings) == "prepare is gated":
            await _pass_gate(settings)
        return Prepared(environment={"AZURE_CLIENT_SECRET": "a b"}, hosts=(settings.names.vault_host("dev"),))

    async def run_worker(self, settings: WorkerSettings, pin: Pin, listeners: Listeners, control: Control) -> int:
        _assert_hardened()
        mode = _mode(settings.settings)
        if mode == "worker refuses":
            _attempt(settings.settings)
            raise HsmRefusal("The token is not the one that the database knows.")
        if mode == "pin is refused":
            _attempt(settings.settings)
            raise PinRefused("The token refuses the user PIN.")
        if mode == "database is locked":
            _attempt(settings.settings)
            raise DatabaseRefusal("The database is locked by another program.")
        if mode == "worker crashes":
            _attempt(settings.settings)
            os._exit(9)
        if mode == "gated":
            await _pass_gate(settings.settings)
        conversations: set[asyncio.Task[None]] = set()
        stopping = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            conversations.add(task)
            control.metrics.answered("StandIn", 200, 0.001)
            await _converse(reader, writer, stopping, control)
            writer.close()
            conversations.discard(task)

        servers = [await asyncio.start_server(serve, sock=one) for one in (*listeners.main, *listeners.identity)]
        control.ready()
        await control.stop_requested()
        for server in servers:
            server.close()
        stopping.set()
        await asyncio.gather(*conversations)
        return 0

    async def initialize(self, settings: Settings, pin: Pin, so_pin: Pin, world: str) -> Sequence[str]:
        return [f"initialized {settings.hsm.token_label}"]

    async def migrate(self, settings: Settings) -> Sequence[str]:
        return ["migrated"]

    async def check(self, settings: Settings, pin: Pin | None) -> Checked:
        return Checked(notes=("passed  a test",)) if pin else Checked((HsmRefusal("The token was not looked at."),))


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stopping: asyncio.Event, control: Control
) -> None:
    while line := (await reader.readline()).strip():
        match line:
            case b"pid":
                writer.write(f"{os.getpid()}\n".encode())
            case b"die":
                os._exit(9)
            case _ if line.startswith(b"announce "):
                control.announce((line.split()[1].decode(),))
                writer.write(b"announced\n")
            case b"hold":
                writer.write(b"held\n")
                await stopping.wait()
                writer.write(b"stopping\n")
                await reader.readline()
                writer.write(b"done\n")
                return


async def _pass_gate(settings: Settings) -> None:
    """Knock at the test's socket and wait until it says something."""
    gate, knock = await asyncio.open_unix_connection(settings.layout.data_dir / "gate")
    await gate.read(1)
    knock.close()


def _hang(settings: Settings) -> None:
    """As a module that does not return: knock, and never come back."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.connect(str(settings.layout.data_dir / "gate"))
        threading.Event().wait()


def _assert_hardened() -> None:
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE


def _mode(settings: Settings) -> str:
    file = settings.layout.data_dir / "mode"
    return file.read_text() if file.exists() else ""


def _attempt(settings: Settings) -> None:
    with (settings.layout.data_dir / "attempts").open("a") as file:
        file.write("one\n")


def main() -> int:
    if sys.argv[1] == "worker":
        return worker.main(int(sys.argv[2]), StandIn)
    data_dir, port, workers = sys.argv[2:]
    options = DevOptions(Path(data_dir), int(port), int(workers), hosts=Path(data_dir).parent / "hosts")
    return run_dev(options, Parts(StandIn, (sys.executable, __file__, "worker")))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OperatorError as error:
        sys.stderr.write(f"hsmvault: {error}\n")
        sys.exit(error.exit_code)
