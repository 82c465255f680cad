"""Keys of every kind that live their lives while everything is killed: what each may be found to be afterwards.

Each name is one client's, so that what was acknowledged last is what is there; only the act that had no answer may have
been done or not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.caller import Answer, Caller, to_base64url
from tests.faults.contest import ACTS, Act
from tests.faults.wire import bring, create, require_use, rows_of, told, versions

_RELEASE = (
    b'{"version":"1.0.0","anyOf":[{"authority":"https://attest.localhost","allOf":[{"claim":"a","equals":"1"}]}]}'
)


@dataclass(frozen=True)
class Step:
    """versions: that are there afterwards, if the key is."""

    act: Act
    versions: int
    life: str = "active"


def _create(kind: str, **more: object) -> Act:
    return lambda caller, name: create(caller, name, kind, **more)


_EXPORTABLE = _create(
    "EC-HSM",
    attributes={"exportable": True},
    release_policy={"data": to_base64url(_RELEASE)},
    key_ops=["sign", "export"],
)
VAULT_PLANS: Sequence[Sequence[Step]] = (
    (Step(ACTS["create"], 1), Step(ACTS["rotate"], 2), Step(ACTS["rotate"], 3)),
    (
        Step(ACTS["create soft"], 1),
        Step(ACTS["set policy"], 1),
        Step(ACTS["rotate"], 2),
        Step(ACTS["delete"], 2, "deleted"),
        Step(ACTS["recover"], 2),
    ),
    (Step(ACTS["import"], 1), Step(ACTS["delete"], 1, "deleted"), Step(ACTS["purge"], 0, "absent")),
    (Step(_EXPORTABLE, 1), Step(ACTS["rotate"], 2), Step(ACTS["update"], 2)),
)
POOL_PLANS: Sequence[Sequence[Step]] = (
    (Step(_create("oct-HSM"), 1), Step(ACTS["delete"], 1, "deleted"), Step(ACTS["purge"], 0, "absent")),
    (Step(_create("oct-HSM"), 1), Step(ACTS["set policy"], 1), Step(ACTS["rotate"], 2)),
    (Step(lambda caller, name: bring(caller, name, "oct-HSM"), 1), Step(_create("oct-HSM"), 2)),
    (Step(ACTS["create"], 1), Step(ACTS["delete"], 1, "deleted"), Step(ACTS["recover"], 1)),
)
_NOTHING = Step(ACTS["create"], 0, "absent")


@dataclass
class Life:
    """done: steps that were acknowledged. is_open: one more was begun, and had no answer."""

    name: str
    plan: Sequence[Step]
    done: int = 0
    is_open: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_open or self.done == len(self.plan)

    def next(self, caller: Caller) -> Answer:
        self.is_open = True
        answer = self.plan[self.done].act(caller, self.name)
        if answer.status in (200, 204):
            self.done += 1
            self.is_open = False
        return answer

    def allowed(self) -> list[Step]:
        before = _NOTHING if self.done == 0 else self.plan[self.done - 1]
        return [before, self.plan[self.done]] if self.is_open else [before]


class Lives:
    """prefix: of the names. clients: how many have part; each has one life at a time."""

    def __init__(self, prefix: str, plans: Sequence[Sequence[Step]], clients: int) -> None:
        self._prefix, self._plans, self._clients = prefix, plans, clients
        self._current: dict[int, Life] = {}
        self.all: list[Life] = []

    @property
    def works(self) -> list[Callable[[Caller, int], Answer]]:
        """For crowd()."""
        return [self._next] * self._clients

    def _next(self, caller: Caller, number: int) -> Answer:
        slot = number % self._clients
        life = self._current.get(slot)
        if life is None or life.is_over:
            life = Life(f"{self._prefix}-{number}", self._plans[len(self.all) % len(self._plans)])
            self._current[slot] = life
            self.all.append(life)
        return life.next(caller)

    def require_all(self, caller: Caller, data_dir: Path, *, has_events: bool) -> None:
        """Each is what it may be, works, and goes on."""
        assert any(life.done for life in self.all)
        for life in self.all:
            self._require(life, caller, data_dir, has_events=has_events)

    def _require(self, life: Life, caller: Caller, data_dir: Path, *, has_events: bool) -> None:
        name = life.name
        state = "active" if caller.call("GET", f"/keys/{name}").status == 200 else "deleted"
        if state == "deleted" and caller.call("GET", f"/deletedkeys/{name}").status == 404:
            state = "absent"
        rows = rows_of(data_dir, name)
        assert (state, len(rows)) in [(step.life, step.versions) for step in life.allowed()], life
        there = [version for _, version in rows]
        if state != "absent":
            assert sorted(told(data_dir, name)) == (sorted(there) if has_events else [])
        if state == "deleted":
            assert caller.call("POST", f"/deletedkeys/{name}/recover").status == 200
        if state == "absent":
            assert ACTS["create"](caller, name).status == 200
            there = versions(caller, name)
        assert versions(caller, name) == there
        for version in there:
            require_use(caller, name, version)
