"""Many clients at one name, each with what it draws from a seed, and every answer kept."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.caller import Answer, Caller
from tests.faults.wire import bring, create, version_of

Act = Callable[[Caller, str], Answer]

ACTS: dict[str, Act] = {
    "create": lambda caller, name: create(caller, name, "EC-HSM"),
    "create soft": lambda caller, name: create(caller, name, "EC"),
    "import": lambda caller, name: bring(caller, name, "EC-HSM"),
    "rotate": lambda caller, name: caller.call("POST", f"/keys/{name}/rotate"),
    "update": lambda caller, name: caller.call("PATCH", f"/keys/{name}", {"tags": {"changed": "yes"}}),
    "set policy": lambda caller, name: caller.call("PUT", f"/keys/{name}/rotationpolicy", POLICY),
    "delete": lambda caller, name: caller.call("DELETE", f"/keys/{name}"),
    "recover": lambda caller, name: caller.call("POST", f"/deletedkeys/{name}/recover"),
    "purge": lambda caller, name: caller.call("DELETE", f"/deletedkeys/{name}"),
}
MAKING = {"create", "create soft", "import", "rotate"}
POLICY: Mapping[str, object] = {
    "lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}],
    "attributes": {"expiryTime": "P2Y"},
}
_ALLOWED = {
    "create": {200, 409},
    "create soft": {200, 409},
    "import": {200, 409},
    "purge": {204, 404, 409},
    **{act: {200, 404, 409} for act in ("rotate", "update", "set policy", "delete", "recover")},
}


@dataclass(frozen=True)
class Rules:
    """acts: by name. allowed: statuses of the answers that somebody may see. version: that an answer to an act has
    made, if it has made one.
    """

    acts: Mapping[str, Act]
    allowed: Mapping[str, set[int]]
    version: Callable[[str, Answer], str | None]


KEYS = Rules(ACTS, _ALLOWED, lambda act, answer: version_of(answer) if answer.status == 200 and act in MAKING else None)


@dataclass
class Contest:
    """made: versions that were acknowledged. done: acts that were, by name. wrong: answers that nobody may see."""

    made: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def contest(
    make: Callable[[], Caller], name: str, acts: Sequence[str], *, clients: int, each: int, rules: Rules = KEYS
) -> Contest:
    """acts: to draw from, some of them more than once. each: acts of a client."""
    result, together, lock = Contest(), threading.Barrier(clients), threading.Lock()

    def run(caller: Caller, drawn: Sequence[str]) -> None:
        caller.call("GET", "/keys")  # the connection is there when it begins
        together.wait(30)
        for act in drawn:
            try:
                answer = rules.acts[act](caller, name)
            except Exception as error:
                result.wrong.append(f"{act}: {error!r}")
                return
            with lock:
                if answer.status not in rules.allowed[act]:
                    result.wrong.append(f"{act}: {answer}")
                if answer.status < 300:
                    result.done[act] += 1
                if (version := rules.version(act, answer)) is not None:
                    result.made.append(version)

    draws = random.Random(7)  # noqa: S311  # nothing secret
    threads = [
        threading.Thread(target=run, args=(make(), draws.choices(acts, k=each)), daemon=True) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not any(thread.is_alive() for thread in threads)
    assert result.wrong == [], result.wrong[:5]
    return result
