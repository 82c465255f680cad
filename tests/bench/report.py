"""The tables, and the ratios beside their targets (goals.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.generator import Cell
from tests.bench.goals import GOALS, P99
from tests.bench.measuring import AT, Results, cpu_us
from tests.bench.raw_token import RAW


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ratio beside its target. at_most: the ratio must not be greater, instead of not smaller."""

    name: str
    what: str
    ratio: float
    target: float
    at_most: bool = False

    @property
    def is_reached(self) -> bool:
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


def verdicts(results: Results) -> list[Verdict]:
    """The ratios that can be told from what was measured. Each is the median of the rounds' own ratios."""
    found: list[Verdict] = []
    for goal in GOALS:
        cells = results.cells.get((goal.name, AT))
        if cells is None:
            continue
        used = [cell.cpu_us for cell in cells]
        if goal.of_token is not None:
            raw = results.token[RAW[goal.name]]
            found.append(Verdict(goal.name, "of the raw token", _ratio(raw, used), goal.of_token))
        peers = results.peers.get((goal.peer, AT))
        if peers is not None:
            ratio = _ratio([cell.cpu_us for cell in peers], used)
            found.append(Verdict(goal.name, "× OpenBao", ratio, goal.of_peer))
            slow = median(percentile(one.latencies_us, 99) for one in cells)
            theirs = median(percentile(one.latencies_us, 99) for one in peers)
            found.append(Verdict(goal.name, "p99, × OpenBao's", slow / theirs, P99, at_most=True))
    return found


def _ratio(others: Sequence[float], ours: Sequence[float]) -> float:
    return median(other / our for other, our in zip(others, ours, strict=True))


def percentile(values: Sequence[int], percent: int) -> int:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def tables(results: Results) -> str:
    options = results.options
    lines = [
        f"{options.workers} worker(s), {options.rounds} round(s) of {options.seconds:g} s per cell, "
        "medians of the rounds; CPU of all server processes",
        "",
        _row("operation", "conn", "req/s", "p50 ms", "p95 ms", "p99 ms", "CPU µs", "±", "op/CPU s", "of token"),
    ]
    lines += _by_name(results.cells, results.token)
    lines += ["", "bare aiohttp web.Server (uvloop, TLS, constant answer, one process)", _cells("", AT, results.bare)]
    if results.peers:
        lines += ["", "OpenBao (transit with keys in software; kv for secrets)"]
        lines += _by_name(results.peers, {})
    lines += ["", "the raw token (python-pkcs11, session objects, one thread)"]
    for name, used in results.token.items():
        lines.append(_row(name, "", "", "", "", "", f"{median(used):.0f}", _spread(used), f"{1e6 / median(used):.0f}"))
    lines += ["", *_goals(results), "", f"no errors; {results.samples} answers checked with another implementation"]
    return "\n".join(lines) + "\n"


def _goals(results: Results) -> list[str]:
    found = verdicts(results)
    lines = [f"{'ratio at 16 connections':<22} {'':<18} {'measured':>9} {'target':>9}  reached"]
    for one in found:
        sign = "≤" if one.at_most else "≥"
        reached = "yes" if one.is_reached else "no"
        lines.append(
            f"{one.name:<22} {one.what:<18} {one.ratio:>9.2f} {sign + format(one.target, '.2f'):>9}  {reached}"
        )
    if not found:
        lines = ["no ratios: none of the operations with a target was measured at 16 connections"]
    if not results.options.peer:
        lines.append("× OpenBao: not measured (--peer)")
    return lines


def _by_name(cells: Mapping[tuple[str, int], list[Cell]], token: Mapping[str, list[float]]) -> list[str]:
    """All connection counts of an operation together, those to be compared with the share of what the token can do."""
    lines: list[str] = []
    for name in dict.fromkeys(name for name, _ in cells):
        raw = token.get(RAW.get(name, ""))
        for other, at in cells:
            if other == name:
                found = cells[name, at]
                share = [f"{_ratio(raw, [cell.cpu_us for cell in found]):.2f}"] if raw and at == AT else []
                lines.append(_cells(name, at, found, *share))
    return lines


def _cells(name: str, connections: int, cells: list[Cell], *more: str) -> str:
    latencies = [latency for cell in cells for latency in cell.latencies_us]
    used = cpu_us(cells)
    return _row(
        name,
        str(connections),
        f"{median(cell.answers / cell.seconds for cell in cells):.0f}",
        *(f"{percentile(latencies, percent) / 1000:.2f}" for percent in (50, 95, 99)),
        f"{used:.0f}",
        _spread([cell.cpu_us for cell in cells]),
        f"{1e6 / used:.0f}",
        *more,
    )


def _spread(values: Sequence[float]) -> str:
    """Half of the distance between the lowest and the highest round, in percent of the median."""
    return f"{(max(values) - min(values)) / 2 / median(values) * 100:.0f}%"


def _row(name: str, *columns: str) -> str:
    return f"{name:<22}" + "".join(f" {column:>8}" for column in columns)


def as_json(results: Results) -> dict[str, object]:
    """Everything that the tables are made from, without the single latencies."""
    options = results.options
    return {
        "options": {
            "connections": options.connections,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "workers": options.workers,
        },
        "cells": [_cell_json("hsmvault", *key, cells) for key, cells in results.cells.items()]
        + [_cell_json("openbao", *key, cells) for key, cells in results.peers.items()]
        + [_cell_json("bare", "constant", AT, results.bare)],
        "token_cpu_us": results.token,
        "ratios": [
            {
                "operation": one.name,
                "what": one.what,
                "measured": one.ratio,
                "target": one.target,
                "reached": one.is_reached,
            }
            for one in verdicts(results)
        ],
        "samples_checked": results.samples,
    }


def _cell_json(target: str, name: str, connections: int, cells: list[Cell]) -> dict[str, object]:
    latencies = [latency for cell in cells for latency in cell.latencies_us]
    return {
        "target": target,
        "operation": name,
        "connections": connections,
        "answers": [cell.answers for cell in cells],
        "seconds": [cell.seconds for cell in cells],
        "cpu_us": [cell.cpu_us for cell in cells],
        "generator_cpu_us": [cell.own_cpu_seconds / cell.answers * 1e6 for cell in cells],
        **{f"p{percent}_us": percentile(latencies, percent) for percent in (50, 95, 99)},
    }
