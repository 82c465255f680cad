"""A process is held at a step of its act, and another one does something to the same name meanwhile."""

from dataclasses import dataclass
from pathlib import Path

from tests.faults.actions import HARD, RESIDENT, SOFT
from tests.faults.processes import Processes, at, copy, state_of, wait_for


@dataclass(frozen=True)
class Pair:
    """held, meanwhile: names of cases; what is there before is the held one's. refusal: of the held one, or empty when
    it is done. versions: that are there in the end, new and old; where it depends on the step, all that may be.
    operation: what is said of the making of a version, if it matters. seen_as: name of a case, if it is another one's
    object that is there in the end.
    """

    held: str
    meanwhile: str
    refusal: str
    life: str
    versions: int | tuple[int, ...]
    custody: tuple[str, ...] = (SOFT, *HARD)
    operation: str = ""
    seen_as: str = ""

    def __str__(self) -> str:
        return f"{self.held} - {self.meanwhile}"


def require_pair(pair: Pair, custody: str, two: list[Processes], folder: Path, *, last_alone: bool) -> None:
    """last_alone: at the last of the steps, and not at each."""
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
    versions = pair.versions if isinstance(pair.versions, tuple) else (pair.versions,)
    for point in points[-1:] if last_alone else points:
        where = copy(start, folder / point)
        first.begin(at(job, where, hold_at=point))
        try:
            wait_for(where / "held")
            other = second.run(at(job, where, case=pair.meanwhile, beside=pair.held))
        finally:
            (where / "go").touch()
            held = first.end()
        assert (other.status, other.outcome.acknowledged) == (0, True), (point, other.outcome.refusal)
        assert held.status == 0
        assert (held.outcome.acknowledged, held.outcome.refusal) == (not pair.refusal, pair.refusal), point
        found = state_of(first.run(at(job, where, part="look", case=pair.seen_as or pair.held)))
        assert found.life == pair.life, point
        assert len(found.versions) in versions, point
        assert pair.operation in found.operation, point
        assert (found.strays, found.intents) == (0, 0), point


def _between(held: str, custody: str, points: tuple[str, ...]) -> list[str]:
    """Where others can write: not inside of a transaction, nor where a resident key is written to the token; before the
    last transaction, which decides, but for that behind the destruction of what it has replaced. What destroys alone is
    decided by its first one, and is held before it does so.
    """
    commits = [number for number, point in enumerate(points) if point.startswith("commit:before")]
    destroys = held.rpartition(" ")[2] in ("purge", "forget")
    if custody == RESIDENT and not destroys and "before destroy" in points:
        commits = [number for number in commits if number < points.index("before destroy")]
    chosen = points[commits[0] + 1 :] if destroys else points[: commits[-1]]
    alone = [f"{when} {step}" for when in ("before", "after") for step in ("move", "admit", "destroy")]
    closed = ("commit:before", *(alone if custody == RESIDENT else ()))
    return [point for point in chosen if not point.startswith(closed)]
