"""How the cost of authorization grows with vaults and role assignments: scripts/bench --vaults.

Vaults are added to the database of an instance that runs, each with as many assignments of its own, one of which is
the caller's. Warm: secrets are read and digests signed in all of the vaults in turn, over the wire. Cold: the first
decision about each vault, with nothing in memory, in this process and on the same database, because over the wire it
would drown in what else is read for the first time.
"""

import asyncio
import random
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from hsmvault.clock import SystemClock
from hsmvault.model.builtin_roles import BUILT_IN, BY_NAME
from hsmvault.model.containers import Container as Row
from hsmvault.model.containers import ContainerKind
from hsmvault.model.principals import Caller
from hsmvault.model.roles import RoleAssignment
from hsmvault.pipeline.azure_rbac import AzureRbac
from hsmvault.pipeline.caches import AssignmentCache, RoleCache, SubscriptionCache
from hsmvault.store import containers, roles
from hsmvault.store.changes import TRUSTED_SECONDS
from hsmvault.store.database import Database
from tests.bench.generator import Cell, Generator, Work
from tests.bench.goals import VAULTS
from tests.bench.instance import Container, Instance
from tests.bench.measuring import AT, cpu_us, guarded
from tests.bench.secrets import VALUE, has_value

_ADMINISTRATOR = "Key Vault Administrator"
_GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
_SIGNATURE = {"alg": "ES256", "value": "A" * 43}
_TOUCHES = 3  # of every vault by every worker, about, before anything is measured
_BATCH = 50  # vaults in a transaction
_DECISIONS = 1_000  # of a cold cell: no fewer, and every vault as often as the others


@dataclass(frozen=True, slots=True)
class VaultOptions:
    """vaults: how many there are, one after the other. assignments: of each. seconds: of each cell."""

    vaults: tuple[int, ...] = (10, 1_000)
    assignments: int = 100
    rounds: int = 3
    seconds: float = 1.0
    workers: int = 2


@dataclass(slots=True)
class Vaults:
    """warm: by operation and vaults, one cell a round. cold: µs of CPU of a decision by vaults, one a round."""

    options: VaultOptions
    warm: dict[str, dict[int, list[Cell]]] = field(default_factory=dict)
    cold: dict[int, list[float]] = field(default_factory=dict)

    def costs(self) -> dict[str, dict[int, float]]:
        """µs of CPU by operation and vaults."""
        warm = {name: {size: cpu_us(cells) for size, cells in sizes.items()} for name, sizes in self.warm.items()}
        return {**warm, "first decision": {size: median(rounds) for size, rounds in self.cold.items()}}


def measure_vaults(options: VaultOptions) -> Vaults:
    """Raises BenchError."""
    return guarded(lambda folder: _measured(options, folder))


def _measured(options: VaultOptions, folder: Path) -> Vaults:
    results = Vaults(options)
    with ExitStack() as stack:
        instance = Instance(folder / "instance", options.workers)
        stack.callback(instance.stop)
        generator = stack.enter_context(Generator())
        url = f"sqlite:///{folder / 'instance' / 'hsmvault.db'}"
        names: list[str] = []
        for size in options.vaults:
            sys.stderr.write(f"bench: {size} vaults with {options.assignments} assignments\n")
            added = [f"v{number:06d}" for number in range(len(names), size)]
            asyncio.run(_add(url, added, options.assignments))
            time.sleep(2 * TRUSTED_SECONDS)  # until the workers have heard of them
            for name in added:
                vault = instance.vault.beside(name)
                vault.call("PUT", "/secrets/one", {"value": VALUE})
                vault.call("POST", "/keys/one/create", {"kty": "EC", "crv": "P-256"})
            names += added
            for operation, work in (("get-secret", _reads), ("sign-es256-soft", _signatures)):
                for number in range(_TOUCHES * options.workers):  # what a vault costs once is not what is measured
                    generator.fill(replace(work(instance.vault, names, number), most=len(names)))
                for number in range(options.rounds):
                    cell = generator.measure(work(instance.vault, names, number), AT, options.seconds)
                    results.warm.setdefault(operation, {}).setdefault(size, []).append(cell)
            results.cold[size] = [asyncio.run(_decided(url, names)) for _ in range(options.rounds)]
        generator.check_samples()
    return results


async def _add(url: str, names: list[str], assignments: int) -> None:
    """Vaults as the instance's first one. The news of all but the caller's assignments is kept back: nobody waits for
    it, and the workers would be busy with it for the first seconds."""
    database = await Database.open(url, clock=SystemClock())
    try:
        model, owner = await _first(database)
        for start in range(0, len(names), _BATCH):
            async with database.write() as tx:
                for name in names[start : start + _BATCH]:
                    vault = replace(
                        model,
                        id=_guid(f"1{name[1:]}"),
                        name=name,
                        properties=replace(model.properties, shown_name=name),
                    )
                    await containers.insert(tx, vault)
                    for number in range(assignments):
                        principal = owner if number == 0 else _guid(f"2{number}")
                        role = BY_NAME[_ADMINISTRATOR] if number == 0 else BUILT_IN[number % len(BUILT_IN)]
                        await roles.insert(
                            tx,
                            RoleAssignment(
                                _guid(f"3{name[1:]}{number:04d}"),
                                vault.resource_id,
                                role.id,
                                principal,
                                tenant_id=vault.tenant_id,
                            ),
                        )
                tx.changes[:] = [one for one in tx.changes if one.kind != "role" or one.name == owner]
    finally:
        await database.close()


async def _first(database: Database) -> tuple[Row, str]:
    """The vault of the instance, and the object id of who owns it."""
    async with database.read() as tx:
        found = await containers.find(tx, ContainerKind.VAULT, "dev")
        assert found is not None
        given = await roles.list_at(tx, found.resource_id)
    return found, next(one.principal_id for one in given if one.role_id == BY_NAME[_ADMINISTRATOR].id)


async def _decided(url: str, names: list[str]) -> float:
    """µs of CPU that the first decision about a vault takes, on average."""
    database = await Database.open(url, clock=SystemClock())
    try:
        model, owner = await _first(database)
        caller = Caller(model.tenant_id, owner, "", "")
        assignments, places = AssignmentCache(database), SubscriptionCache(database)
        rbac = AzureRbac(assignments, RoleCache(database), places)
        order = random.Random(len(names))  # noqa: S311  # an order, and no secret
        ids = [model.resource_id.rpartition("/")[0] + "/" + name for name in order.sample(names, len(names))]
        used, decisions = 0.0, 0
        while decisions < _DECISIONS:
            assignments.forget_all()
            begun = time.process_time()
            for resource_id in ids:
                assert await rbac.allows(caller, model.tenant_id, _GET, resource_id, data=True)
            used += time.process_time() - begun
            decisions += len(ids)
        return used / decisions * 1e6
    finally:
        await database.close()


def _reads(vault: Container, names: list[str], number: int) -> Work:
    requests = tuple(vault.beside(name).request("GET", "/secrets/one") for name in _shuffled(names, number))
    return Work("get-secret", vault.target, requests, has_value)


def _signatures(vault: Container, names: list[str], number: int) -> Work:
    requests = tuple(
        vault.beside(name).request("POST", "/keys/one//sign", _SIGNATURE) for name in _shuffled(names, number)
    )
    return Work("sign-es256-soft", vault.target, requests, lambda _, body: b'"value"' in body)


def _shuffled(names: list[str], number: int) -> list[str]:
    return random.Random(number).sample(names, len(names))  # noqa: S311  # an order, and no secret


def _guid(text: str) -> str:
    digits = text.rjust(32, "0")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def table(results: Vaults) -> str:
    options = results.options
    lines = [
        f"{options.workers} worker(s), {options.rounds} round(s) of {options.seconds:g} s per cell, {AT} connections, "
        f"{options.assignments} role assignments in each vault; CPU µs, medians of the rounds; a first decision is "
        "made in this process",
        "",
    ]
    for name, sizes in results.costs().items():
        costs = "  ".join(f"{size}: {cost:.0f}" for size, cost in sizes.items())
        first, *_, last = sizes.values()
        factor = last / first
        reached = "yes" if factor <= VAULTS[name] else "no"
        lines.append(f"{name:<22} {costs}   ×{factor:.2f}, target ≤{VAULTS[name]}: {reached}")
    return "\n".join(lines) + "\n"


def as_json(results: Vaults) -> dict[str, object]:
    return {name: {str(size): cost for size, cost in sizes.items()} for name, sizes in results.costs().items()}
