"""A process is held at a step of its act, and another one does something to the same name meanwhile. Whatever the step:
who is refused is told so, what was acknowledged is there, one version is the newest, and nothing is left in the token.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.actions import HARD, RESIDENT, SOFT, WRAPPED
from tests.faults.processes import Processes, at, copy, state_of, wait_for


@dataclass(frozen=True)
class Pair:
    """held, meanwhile: names of cases; what is there before is the held one's. refusal: of the held one, or empty when
    it is done. versions: that are there in the end, new and old.
    """

    held: str
    meanwhile: str
    refusal: str
    life: str
    versions: int
    custody: tuple[str, ...] = (SOFT, *HARD)

    def __str__(self) -> str:
        return f"{self.held} - {self.meanwhile}"


PAIRS = [
    Pair("create", "create", "", "active", 2),
    Pair("import", "create", "", "active", 2),
    Pair("import wrapped", "create", "", "active", 2, HARD),
    Pair("create a version", "delete", "Conflict", "deleted", 2),
    Pair("create a version", "set the rotation policy", "", "active", 3),
    Pair("rotate", "rotate", "", "active", 4),
    Pair("rotate", "create", "", "active", 4),
    Pair("rotate", "create RSA", "Conflict", "active", 3),  # the material that was made does not do any more
    Pair("rotate", "update", "", "active", 3),
    Pair("rotate", "delete", "Conflict", "deleted", 2),
    Pair("rotate by the job", "rotate by the job", "", "active", 3),  # once: who comes second finds it done
    Pair("rotate by the job", "rotate", "", "active", 3),
    Pair("rotate by the job", "delete", "", "deleted", 2),
    Pair("rotate by the job", "set the rotation policy", "", "active", 2),  # it is not due any more
    Pair("restore", "create", "Conflict", "active", 1, (SOFT,)),
    Pair("purge", "create", "", "active", 1, (RESIDENT,)),
    Pair("make a statement key", "make a statement key", "", "absent", 0, HARD),
]
FAST = {
    ("create", "create", WRAPPED),
    ("create a version", "delete", RESIDENT),
    ("rotate by the job", "rotate by the job", RESIDENT),
    ("rotate", "rotate", SOFT),
}
MATRIX = [(pair, custody) for pair in PAIRS for custody in pair.custody]


@pytest.mark.parametrize(
    ("pair", "custody"), [one for one in MATRIX if (one[0].held, one[0].meanwhile, one[1]) in FAST], ids=str
)
def test_two_at_one_name_at_the_last_moment_lose_nothing(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    _require_pair(pair, custody, two, folder, last_alone=True)


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "custody"), MATRIX, ids=str)
def test_two_at_one_name_lose_nothing_and_leave_one_newest_version(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    _require_pair(pair, custody, two, folder, last_alone=False)


def _require_pair(pair: Pair, custody: str, two: list[Processes], folder: Path, *, last_alone: bool) -> None:
    first, second = two
    start = folder / "start"
    start.mkdir()
    first.prepare(start)
    job = first.job(start, pair.held, custody)
    begun = first.run(job)
    job = at(job, start, part="act", blob=begun.outcome.blob)
    whole = first.run(at(job, copy(start, folder / "whole")))
    points = _between(pair.held, custody, whole.outcome.points)
    assert points
    for point in points[-1:] if last_alone else points:
        where = copy(start, folder / point)
        first.begin(at(job, where, hold_at=point))
        wait_for(where / "held")
        other = second.run(at(job, where, case=pair.meanwhile, beside=pair.held))
        assert (other.status, other.outcome.acknowledged) == (0, True), point
        (where / "go").touch()
        held = first.end()
        assert held.status == 0
        assert (held.outcome.acknowledged, held.outcome.refusal) == (not pair.refusal, pair.refusal), point
        found = state_of(first.run(at(job, where, part="look")))
        assert (found.life, len(found.versions)) == (pair.life, pair.versions), point
        assert (found.strays, found.intents) == (0, 0), point


def _between(held: str, custody: str, points: tuple[str, ...]) -> list[str]:
    """Where others can write: not inside of a transaction, nor where a resident key is written to the token; before the
    last transaction, which decides. A purge is decided by its first one, and is held before it destroys.
    """
    commits = [number for number, point in enumerate(points) if point.startswith("commit:before")]
    chosen = points[commits[0] + 1 :] if held == "purge" else points[: commits[-1]]
    alone = [f"{when} {step}" for when in ("before", "after") for step in ("move", "admit", "destroy")]
    closed = ("commit:before", *(alone if custody == RESIDENT else ()))
    return [point for point in chosen if not point.startswith(closed)]
