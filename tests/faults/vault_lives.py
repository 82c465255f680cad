"""Certificates and secrets that live their lives while everything is killed (lives.py): what each may be afterwards.

What a certificate's creator was told goes on by itself, so that it is looked at when that has come to its end.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.caller import Answer, Caller
from tests.faults.contest import Act
from tests.faults.lives import Life, Step
from tests.faults.vault_wire import ACTS, await_issue, create, merge, of, require_use, rows_of

_SET = of("secrets", "PUT", "", {"value": "a value", "content_type": "text/plain"})
_UPDATE = of("secrets", "PATCH", "", {"tags": {"changed": "yes"}})
_MOMENT_SECONDS = 2.0
_SELF, _HARD = create(), create("EC-HSM")


def awaited(caller: Caller, name: str) -> Answer:
    """The operation, when it is over; or if it takes long, since nobody is at work on it for now."""
    return await_issue(caller, name, _MOMENT_SECONDS)


@dataclass(frozen=True)
class Plan:
    """kind: certificates or secrets."""

    kind: str
    steps: Sequence[Step]


def _of(kind: str, *steps: tuple[Act, int] | tuple[Act, int, str]) -> Plan:
    return Plan(kind, [Step(*step) for step in steps])


PLANS: Sequence[Plan] = (
    _of("certificates", (_SELF, 1), (awaited, 1), (_HARD, 2), (awaited, 2)),
    _of("secrets", (_SET, 1), (_SET, 2), (_UPDATE, 2), (ACTS["delete secret"], 2, "deleted")),
    _of(
        "certificates",
        (ACTS["import"], 1),
        (_SELF, 2),
        (awaited, 2),
        (ACTS["delete"], 2, "deleted"),
        (ACTS["recover"], 2),
        (ACTS["update"], 2),
    ),
    _of("secrets", (_SET, 1), (ACTS["delete secret"], 1, "deleted"), (ACTS["purge secret"], 0, "absent")),
    _of("certificates", (create("EC-HSM", "Unknown"), 0), (merge, 1), (ACTS["import"], 2)),
    _of("certificates", (_HARD, 1), (awaited, 1), (ACTS["delete"], 1, "deleted"), (ACTS["purge"], 0, "absent")),
    _of("certificates", (create("EC-HSM", "Unknown"), 0), (ACTS["forget"], 0, "absent")),
)
_DONE = (200, 201, 202, 204)


class VaultLives:
    """prefix: of the names. clients: how many have part; each has one life at a time."""

    def __init__(self, prefix: str, clients: int) -> None:
        self._prefix, self._clients = prefix, clients
        self._current: dict[int, Life] = {}
        self.all: list[tuple[str, Life]] = []

    @property
    def works(self) -> list[Callable[[Caller, int], Answer]]:
        """For crowd()."""
        return [self._next] * self._clients

    def _next(self, caller: Caller, number: int) -> Answer:
        slot = number % self._clients
        life = self._current.get(slot)
        if life is None or life.is_over:
            plan = PLANS[len(self.all) % len(PLANS)]
            life = Life(f"{self._prefix}-{number}", plan.steps)
            self._current[slot] = life
            self.all.append((plan.kind, life))
        life.is_open = True
        answer = life.plan[life.done].act(caller, life.name)
        is_left = life.plan[life.done].act is awaited and answer.body["status"] == "inProgress"
        if answer.status in _DONE and not is_left:  # who was at work on it was killed
            life.done += 1
            life.is_open = False
        return answer

    def require_all(self, caller: Caller, data_dir: Path) -> None:
        """Each is what it may be, works, and goes on."""
        assert any(life.done > 1 for _, life in self.all)
        for kind, life in self.all:
            (_require_certificate if kind == "certificates" else _require_secret)(life, caller, data_dir)


def _require_certificate(life: Life, caller: Caller, data_dir: Path) -> None:
    name, state = life.name, _state(life.name, "certificates", caller)
    if state == "active":
        pending = caller.call("GET", f"/certificates/{name}/pending")
        if pending.status == 200 and pending.body["issuer"]["name"] == "Self":
            assert await_issue(caller, name).body["status"] == "completed", life
    there, pending_versions = rows_of(data_dir, name)
    assert (state, len(there)) in [(step.life, step.versions) for step in life.allowed()], (life, state, there)
    if state == "deleted":
        assert ACTS["recover"](caller, name).status == 200
    if state == "absent":
        assert not there and not pending_versions
        assert ACTS["import"](caller, name).status == 200
        there, _ = rows_of(data_dir, name)
    elif pending_versions:
        assert merge(caller, name).status == 201, life
        there, _ = rows_of(data_dir, name)
    for version in there:
        require_use(caller, name, version)


def _require_secret(life: Life, caller: Caller, data_dir: Path) -> None:
    name, state = life.name, _state(life.name, "secrets", caller)
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        query = "SELECT sequence, version FROM secret_versions WHERE folded = ? ORDER BY sequence"
        rows = database.execute(query, (name,)).fetchall()
        told = database.execute("SELECT version FROM outbox WHERE object_type = 'Secret' AND name = ?", (name,))
        events = sorted(version for (version,) in told)
    assert [sequence for sequence, _ in rows] == list(range(1, len(rows) + 1))
    assert (state, len(rows)) in [(step.life, step.versions) for step in life.allowed()], (life, state, rows)
    if state != "absent":
        assert events == sorted(version for _, version in rows)
    if state == "deleted":
        assert caller.call("POST", f"/deletedsecrets/{name}/recover").status == 200
    if state == "absent":
        assert _SET(caller, name).status == 200
    for _, version in rows:
        assert caller.call("GET", f"/secrets/{name}/{version}").body["value"] == "a value"


def _state(name: str, kind: str, caller: Caller) -> str:
    if caller.call("GET", f"/{kind}/{name}").status == 200:
        return "active"
    return "deleted" if caller.call("GET", f"/deleted{kind}/{name}").status == 200 else "absent"
