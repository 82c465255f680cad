"""The processes of a test: each does one job and ends, or is killed (child.py)."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hsmvault.hsm.ceremony import make_export_key, user_session
from hsmvault.store.migrations import migrate
from tests.faults.child import Ended, Job
from tests.faults.observing import State
from tests.faults.parts import database_url
from tests.softhsm import SoftToken, copied

ROOT = Path(__file__).parent.parent.parent
_EXPORT_KEY = bytes(range(16))


class Processes:
    """Starts a process for each job, one after the other. template: a token whose world is complete."""

    def __init__(self, template: SoftToken, empty_database: bytes) -> None:
        self._template = template
        self._empty_database = empty_database
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, job: Job) -> Ended:
        self.begin(job)
        return self.end()

    def begin(self, job: Job) -> None:
        """Returns at once."""
        assert self._starter.stdin is not None
        self._starter.stdin.write(msgspec.json.encode(job) + b"\n")
        self._starter.stdin.flush()

    def end(self) -> Ended:
        """Of the job that was begun."""
        assert self._starter.stdout is not None
        ended = msgspec.json.decode(self._starter.stdout.readline(), type=Ended)
        assert not ended.outcome.failure, ended.outcome.failure
        return ended

    def job(self, folder: Path, case: str, custody: str) -> Job:
        """What is there before the case, which prepare() does."""
        ids = self._template.ids
        assert ids.world is not None
        assert ids.system is not None
        return Job(str(folder), ids.mac, ids.world, ids.system, _EXPORT_KEY, case, custody, "before")

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self._template.tokens, folder / "tokens")
        (folder / "hsmvault.db").write_bytes(self._empty_database)

    def close(self) -> None:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.close()
        self._starter.stdout.close()
        self._starter.wait(30)


@contextmanager
def processes(template: SoftToken, folder: Path, number: int) -> Iterator[list[Processes]]:
    """So many that can be at work at once. template: a token after the ceremony. folder: for an empty database."""
    migrate(database_url(folder))
    empty = (folder / "hsmvault.db").read_bytes()
    with copied(template) as complete:
        with complete.loaded() as module, user_session(module, complete.selector, complete.user_pin) as work:
            make_export_key(work, _EXPORT_KEY)
        opened = [Processes(complete, empty) for _ in range(number)]
        try:
            yield opened
        finally:
            for one in opened:
                one.close()


def state_of(ended: Ended) -> State:
    assert ended.status == 0
    assert ended.outcome.state is not None
    return ended.outcome.state


def at(job: Job, folder: Path, **changed: object) -> Job:
    return msgspec.structs.replace(job, folder=str(folder), **changed)


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.002)
