"""How the cost of secrets grows with their number and with that of their versions: scripts/bench --growth.

Secrets are added through the API from one size to the next. At each size they are read in an order that nobody can
foresee, so that most of a large number are not in memory, and so are the pages of their list. One more secret gets more
and more versions.
"""

import random
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench.generator import Cell, Generator, Work
from tests.bench.instance import Container, Instance
from tests.bench.measuring import AT, cpu_us, guarded
from tests.bench.secrets import NUMBER, VALUE, full_pages, has_value, is_page

MOST = {"get-secret": 1.5, "list-secrets": 1.2, "get-secret, versions": 1.2}
"""What the largest size may cost, as a multiple of the smallest: 1.5 is what a raw read of SQLite grows by, 1.2 is
"constant" on a machine that others use."""
_SAMPLE = 20_000  # requests of a cell, and more than are sent in it


@dataclass(frozen=True, slots=True)
class GrowthOptions:
    """secrets, versions: how many there are, one after the other. seconds: of each cell.

    listed: how many secrets a list has that is measured, at least. By default more than are kept in memory as pages.
    """

    secrets: tuple[int, ...] = (10, 1_000, 10_000, 100_000)
    listed: int = 10_000
    versions: tuple[int, ...] = (1, 100, 1_000)
    rounds: int = 3
    seconds: float = 1.0
    workers: int = 2


@dataclass(slots=True)
class Growth:
    """cells: by operation and size, one a round."""

    options: GrowthOptions
    cells: dict[str, dict[int, list[Cell]]] = field(default_factory=dict)

    def factor(self, name: str) -> float:
        sizes = list(self.cells[name].values())
        return cpu_us(sizes[-1]) / cpu_us(sizes[0])

    def add(self, generator: Generator, name: str, size: int, work: Callable[[int], Work]) -> None:
        """work: of the round of this number."""
        for number in range(self.options.rounds):
            cell = generator.measure(work(number), AT, self.options.seconds)
            self.cells.setdefault(name, {}).setdefault(size, []).append(cell)


def measure_growth(options: GrowthOptions) -> Growth:
    """Raises BenchError."""
    return guarded(lambda folder: _measured(options, folder))


def _measured(options: GrowthOptions, folder: Path) -> Growth:
    growth = Growth(options)
    with ExitStack() as stack:
        instance = Instance(folder / "instance", options.workers)
        stack.callback(instance.stop)
        vault = instance.vault
        generator = stack.enter_context(Generator())
        names: list[str] = []
        for size in options.secrets:
            _say(f"{size} secrets")
            names += _added(generator, vault, f"grown-{len(names):06d}", size - len(names))
            growth.add(generator, "get-secret", size, partial(_reads, vault, names))
            if size >= options.listed:
                pages = full_pages(vault)
                growth.add(generator, "list-secrets", size, partial(_pages, vault, pages))
        has = 0
        for size in options.versions:
            _say(f"{size} versions")
            for _ in range(has, size):
                vault.call("PUT", "/secrets/one", {"value": VALUE})
            has = size
            growth.add(generator, "get-secret, versions", size, partial(_reads, vault, ["one"]))
        generator.check_samples()
    return growth


def _added(generator: Generator, vault: Container, prefix: str, count: int) -> list[str]:
    """The names of so many new secrets. A few more may have been made."""
    names = [f"{prefix}-{number:09d}" for number in range(count)]
    if count < AT:
        for name in names:
            vault.call("PUT", f"/secrets/{name}", {"value": VALUE})
    else:
        request = vault.request("PUT", f"/secrets/{prefix}-{NUMBER}", {"value": VALUE})
        generator.fill(Work("filling", vault.target, (request,), has_value, most=count))
    return names


def _reads(vault: Container, names: Sequence[str], number: int) -> Work:
    order = random.Random(number)  # noqa: S311  # an order, and no secret
    chosen = order.sample(names, min(len(names), _SAMPLE))
    requests = tuple(vault.request("GET", f"/secrets/{name}") for name in chosen)
    return Work("get-secret", vault.target, requests, has_value)


def _pages(vault: Container, pages: Sequence[str], number: int) -> Work:
    order = random.Random(number)  # noqa: S311  # an order, and no secret
    requests = tuple(vault.request("GET", page) for page in order.sample(pages, len(pages)))
    return Work("list-secrets", vault.target, requests, is_page)


def table(growth: Growth) -> str:
    options = growth.options
    lines = [
        f"{options.workers} worker(s), {options.rounds} round(s) of {options.seconds:g} s per cell, {AT} connections; "
        "CPU µs of all server processes, medians of the rounds",
        "",
    ]
    for name, sizes in growth.cells.items():
        costs = "  ".join(f"{size}: {cpu_us(cells):.0f}" for size, cells in sizes.items())
        factor = growth.factor(name)
        reached = "yes" if factor <= MOST[name] else "no"
        lines.append(f"{name:<22} {costs}   ×{factor:.2f}, target ≤{MOST[name]}: {reached}")
    return "\n".join(lines) + "\n"


def as_json(growth: Growth) -> dict[str, object]:
    return {
        name: {str(size): [cell.cpu_us for cell in cells] for size, cells in sizes.items()}
        for name, sizes in growth.cells.items()
    }


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
