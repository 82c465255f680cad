"""The targets that the operations are held against, and which operation of the peer stands beside which of ours."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """What an operation must reach. of_token, of_peer: operations per CPU second, as a multiple of theirs."""

    name: str
    of_token: float | None
    peer: str
    of_peer: float


GOALS = (
    Goal("sign-es256-hard", 0.22, "sign-es256", 1.3),
    Goal("sign-rs256-hard", 0.75, "sign-rs256", 1.1),
    Goal("unwrap-oaep-hard", 0.72, "decrypt-oaep", 1.1),
    Goal("decrypt-oaep-hard", 0.72, "decrypt-oaep", 1.1),
    Goal("encrypt-gcm-hard", 0.08, "encrypt-gcm", 1.25),
    Goal("sign-es256-soft", None, "sign-es256", 1.8),
    Goal("sign-rs256-soft", None, "sign-rs256", 1.7),
    Goal("list-25", None, "list-25", 1.9),
    Goal("get-secret", None, "get-kv", 2.0),
    Goal("get-secret-version", None, "get-kv", 2.0),
    Goal("set-secret", None, "set-kv", 2.5),
    Goal("set-secret-new", None, "set-kv-new", 2.5),
    Goal("list-secrets", None, "list-kv", 1.9),
)
P99 = 0.5
"""Of the peer's, at most."""


VAULTS = {"get-secret": 1.2, "sign-es256-soft": 1.2, "first decision": 1.5}
"""What 1,000 vaults with 100 role assignments each may cost, as a multiple of 10 such: 1.2 is "constant" on a machine
that others use, 1.5 is what a look into a database grows by that is a hundred times as large."""


def peers_of(names: Collection[str]) -> tuple[str, ...]:
    """What of the peer is compared with these operations."""
    return tuple(dict.fromkeys(goal.peer for goal in GOALS if goal.name in names))
