"""A process is killed before and after each step of everything that changes an object; the next one finds it whole.

Whole: as before the action, or as after it; after it for certain when the action was acknowledged. Every version that
is there does what it is for, one is the newest, and the schedule is the key's own; a version has its event, and an
event its version; a name that is free can be taken; the token holds no object that no row has, and no intent is left.
A certificate, its key and its secret are of the same versions; one that was under way goes on by itself. What the jobs
did has its record.
"""

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults.cases import CASES
from tests.faults.observing import State
from tests.faults.processes import Processes, at, copy, state_of

KILLED = -9
FAST = {
    ("create", "soft"),
    ("secret: set", "soft"),
    ("certificate: issue", "resident"),
    ("rotate by the job", "soft"),
    ("restore exportable", "wrapped"),
    ("update the release policy", "wrapped"),
    ("create", "resident"),
    ("set the rotation policy", "resident"),
}
MATRIX = [
    pytest.param(name, custody, marks=[] if (name, custody) in FAST else [pytest.mark.slow])
    for name, case in CASES.items()
    for custody in case.custody
]


@pytest.mark.parametrize(("case", "custody"), MATRIX)
def test_a_kill_at_any_step_leaves_the_object_whole_or_untouched(
    case: str, custody: str, two: list[Processes], folder: Path
) -> None:
    killed, start = two[0], folder / "start"
    start.mkdir()
    killed.prepare(start)
    job = killed.job(start, case, custody)
    begun = killed.run(job)
    before = state_of(begun)
    whole = killed.run(at(job, copy(start, folder / "whole"), part="act", blob=begun.outcome.blob))
    after = state_of(whole)
    assert before != after
    _require_clean(after)
    points = whole.outcome.points
    assert {"commit:before", "commit:after"} <= set(points)
    for number, point in enumerate((*points, "acknowledged")):
        where = copy(start, folder / str(number))
        ended = killed.run(at(job, where, part="act", crash_at=point, blob=begun.outcome.blob))
        assert ended.status == KILLED, point
        assert ended.outcome.acknowledged == (point == "acknowledged")
        found = state_of(killed.run(at(job, where, part="look")))
        allowed = [after] if ended.outcome.acknowledged else [before, after]
        assert found in allowed, f"killed at '{point}'"
        _require_clean(found)
        assert is_whole(where), point
        if found == after and CASES[case].recorded:
            assert CASES[case].recorded in "".join(path.read_text() for path in (where / "audit").iterdir()), point
        shutil.rmtree(where)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "create",
        "import",
        "purge",
        "import wrapped",
        "rotate by the job",
        "make a statement key",
        "certificate: create",
        "certificate: import",
    ],
)
def test_a_kill_at_any_instant_leaves_a_resident_key_whole_or_untouched(
    case: str, two: list[Processes], folder: Path
) -> None:
    """Also in the middle of a call into the module."""
    killed, start = two[0], folder / "start"
    start.mkdir()
    killed.prepare(start)
    job = killed.job(start, case, "resident")
    before = state_of(killed.run(job))
    after = state_of(killed.run(at(job, copy(start, folder / "whole"), part="act")))
    for number in range(100):
        where = copy(start, folder / str(number))
        ended = killed.run(at(job, where, part="act", crash_after=0.0003 * (number + 1)))
        found = state_of(killed.run(at(job, where, part="look")))
        allowed = [after] if ended.outcome.acknowledged else [before, after]
        assert found in allowed, f"killed after {0.3 * (number + 1)} ms"
        _require_clean(found)
        assert is_whole(where)
        shutil.rmtree(where)


def _require_clean(state: State) -> None:
    assert state.strays == 0
    assert state.intents == 0


def is_whole(folder: Path) -> bool:
    """The database by its own checks, and no version without its name."""
    connection = sqlite3.connect(folder / "hsmvault.db")
    try:
        sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        return sound and not orphans
    finally:
        connection.close()
