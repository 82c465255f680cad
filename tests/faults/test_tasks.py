"""Many tasks of two workers at one name, each with acts drawn from a seed: certificates, and a secret in between.

Both workers are in this process, with a database connection each. At the end the name is one thing, whole, and the
token holds what its rows have.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound
from hsmvault.lanes import Lane
from hsmvault.model.certificates import Status
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from tests.faults import vault_actions as acts
from tests.faults.actions import NAME, Setup
from tests.faults.parts import NODE, VAULT, Parts, database_url, opened
from tests.faults.processes import Processes
from tests.faults.vault_observing import find, observe_certificate, observe_secret
from tests.faults.vault_parts import vault_parts

Act = Callable[[Parts, Setup], Awaitable[object]]

ACTS: list[tuple[str, int, Act]] = [
    ("create", 3, acts.create),
    ("create for a merge", 2, acts.create_for_merge),
    ("create with the same key", 1, acts.create_with_the_same_key),
    ("import", 2, acts.admit_pem),
    ("issue", 4, acts.issue),
    ("merge", 3, acts.merge),
    ("ask to cancel", 1, acts.ask_to_cancel),
    ("forget", 1, acts.forget),
    ("disable", 1, acts.disable),
    ("update the policy", 1, acts.update_policy),
    ("delete", 1, acts.delete),
    ("recover", 3, acts.recover),
    ("purge", 1, acts.purge),
    ("set secret", 1, acts.set_secret),  # where the name is free
    ("delete secret", 2, acts.delete_secret),
    ("purge secret", 2, acts.purge_secret),
]
_REFUSALS = (BadRequest, Conflict, Forbidden, NotFound)


@asynccontextmanager
async def both(first: Processes, folder: Path, hard: str) -> AsyncIterator[list[Parts]]:
    """Two workers over one token and one database. hard: custody class of HSM-backed keys."""
    first.prepare(folder)
    async with opened(folder, first.job(folder, "create", hard).ids, hard, lambda _: None) as one:
        database, identifiers = await Database.open(database_url(folder), clock=one.clock), RandomIdentifiers()
        lane: Lane[None] = Lane("beside", None, limit=64)
        beside = vault_parts(
            database,
            ChangeFeed(database),
            VAULT,
            one.custodians,
            one.vault.sealer,
            lane,
            one.records,
            one.clock,
            identifiers,
            Intents(database, NODE, one.clock),
        )
        try:
            yield [one, replace(one, database=database, vault=beside)]
        finally:
            await lane.close()
            await database.close()


async def contest(workers: list[Parts], setup: Setup, seed: int, *, tasks: int, each: int) -> Counter[str]:
    """How often each act was done. What it was refused with is what its caller may see."""
    done: Counter[str] = Counter()
    draws = random.Random(seed)  # noqa: S311  # nothing secret

    async def run(parts: Parts, drawn: list[tuple[str, int, Act]]) -> None:
        for name, _, act in drawn:
            try:
                await act(parts, setup)
            except _REFUSALS:
                continue
            done[name] += 1

    weights = [weight for _, weight, _ in ACTS]
    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(run(workers[number % 2], draws.choices(ACTS, weights, k=each)))
    return done


async def require_whole(parts: Parts, setup: Setup) -> None:
    """And what is under way goes on."""
    found = await find(parts, setup.container)
    if found.certificate is None and found.secret is not None:
        state = await observe_secret(parts, setup.container)
    else:
        state = await observe_certificate(parts, setup.container)
        if found.operation is not None and found.operation.status is Status.IN_PROGRESS and state.life == "active":
            await (acts.merge if found.operation.policy.issuer.is_unknown else acts.issue)(parts, setup)
            state = await observe_certificate(parts, setup.container)
            assert (await parts.vault.operations.get(setup.container, NAME)).status is not Status.IN_PROGRESS
    assert (state.strays, state.intents, state.untold) == (0, 0, 0)


@pytest.mark.parametrize(
    ("custody", "seeds", "tasks", "each"),
    [
        ("soft", range(1), 16, 6),
        pytest.param("soft", range(1, 40), 16, 10, marks=pytest.mark.slow),
        pytest.param("resident", range(15), 12, 8, marks=pytest.mark.slow),
    ],
)
async def test_many_tasks_of_two_workers_at_one_name_leave_it_whole(
    custody: str,
    seeds: range,
    tasks: int,
    each: int,
    two: list[Processes],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")  # put back at the end
    setup = Setup(custody != "soft")
    async with both(two[0], folder, "resident" if setup.hardware else "wrapped") as workers:
        await acts.issued(workers[0], setup)
        done: Counter[str] = Counter()
        for seed in seeds:
            done += await contest(workers, setup, seed, tasks=tasks, each=each)
            await require_whole(workers[seed % 2], setup)
        assert len(done) > (3 if len(seeds) == 1 else 12), done
