"""A process is killed before and after each step of everything that changes a key; the next one finds it whole.

Whole: as before the action, or as after it; after it for certain when the action was acknowledged. Every version that
is there signs, verifies and decrypts; a name that is free can be taken; the token holds no object that no row has.
"""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hsmvault.store.migrations import migrate
from tests.faults.actions import CASES, State
from tests.faults.child import Ended, Job
from tests.faults.parts import database_url
from tests.softhsm import SoftToken, folder_for_tokens, softhsm_template  # noqa: F401  # fixture

WORLD_KEYS = 3
KILLED = -9
ROOT = Path(__file__).parent.parent.parent


class Processes:
    """Starts a process for each job, through child.py."""

    def __init__(self, template: SoftToken) -> None:
        self._template = template
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, job: Job) -> Ended:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(msgspec.json.encode(job) + b"\n")
        self._starter.stdin.flush()
        ended = msgspec.json.decode(self._starter.stdout.readline(), type=Ended)
        assert not ended.outcome.failure, ended.outcome.failure
        return ended

    def job(self, folder: Path, case: str, custody: str) -> Job:
        ids = self._template.ids
        assert ids.world is not None
        assert ids.system is not None
        return Job(str(folder), ids.mac, ids.world, ids.system, case, custody, "before")

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self._template.tokens, folder / "tokens")
        migrate(database_url(folder))

    def close(self) -> None:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.close()
        self._starter.stdout.close()
        self._starter.wait(30)


@pytest.fixture(scope="module")
def processes(softhsm_template: SoftToken) -> Iterator[Processes]:  # noqa: F811  # the fixture
    opened = Processes(softhsm_template)
    yield opened
    opened.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_tokens() as made:
        yield made


REFUSED = {("restore", "resident")}  # a resident key never leaves its token
LONG = {"create RSA", "import RSA", "import a version", "create a version"}  # the same steps as shorter ones
MATRIX = [
    pytest.param(case, custody, marks=[pytest.mark.slow] if case in LONG else [])
    for custody in ("soft", "wrapped", "resident")
    for case in CASES
    if (case, custody) not in REFUSED
]


@pytest.mark.parametrize(("case", "custody"), MATRIX)
def test_a_kill_at_any_step_leaves_the_key_whole_or_untouched(
    case: str, custody: str, processes: Processes, folder: Path
) -> None:
    start = folder / "start"
    start.mkdir()
    processes.prepare(start)
    job = processes.job(start, case, custody)
    begun = processes.run(job)
    before = _state(begun)
    job = _with_blob(job, begun)
    whole = processes.run(_at(job, _copy(start, folder / "whole"), part="act"))
    after = _state(whole)
    assert before != after
    points = whole.outcome.points
    assert {"commit:before", "commit:after"} <= set(points)
    for number, point in enumerate((*points, "acknowledged")):
        where = _copy(start, folder / str(number))
        killed = processes.run(_at(job, where, part="act", crash_at=point))
        assert killed.status == KILLED, point
        assert killed.outcome.acknowledged == (point == "acknowledged")
        found = _state(processes.run(_at(job, where, part="look")))
        allowed = [after] if killed.outcome.acknowledged else [before, after]
        assert found in allowed, f"killed at '{point}'"
        assert _is_whole(where), point
        shutil.rmtree(where)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["create", "import", "purge"])
def test_a_kill_at_any_instant_leaves_a_resident_key_whole_or_untouched(
    case: str, processes: Processes, folder: Path
) -> None:
    """Also in the middle of a call into the module."""
    start = folder / "start"
    start.mkdir()
    processes.prepare(start)
    job = processes.job(start, case, "resident")
    before = _state(processes.run(job))
    after = _state(processes.run(_at(job, _copy(start, folder / "whole"), part="act")))
    for number in range(150):
        where = _copy(start, folder / str(number))
        killed = processes.run(msgspec.structs.replace(_at(job, where, part="act"), crash_after=0.0002 * (number + 1)))
        found = _state(processes.run(_at(job, where, part="look")))
        allowed = [after] if killed.outcome.acknowledged else [before, after]
        assert found in allowed, f"killed after {(number + 1) / 5} ms"
        assert _is_whole(where)
        shutil.rmtree(where)


def _state(ended: Ended) -> State:
    assert ended.status == 0
    assert ended.outcome.state is not None
    return ended.outcome.state


def _with_blob(job: Job, ended: Ended) -> Job:
    return msgspec.structs.replace(job, blob=ended.outcome.blob)


def _at(job: Job, folder: Path, **changed: str) -> Job:
    return msgspec.structs.replace(job, folder=str(folder), **changed)


def _copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def _is_whole(folder: Path) -> bool:
    """The database by its own checks, and no version without its name."""
    connection = sqlite3.connect(folder / "hsmvault.db")
    try:
        sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        return sound and not orphans
    finally:
        connection.close()
