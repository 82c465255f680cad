"""scripts/bench: options, and the exit code: 0, or 1 on any error."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from tests.bench import growth, report, vaults
from tests.bench.measuring import Options, measure
from tests.bench.operations import MORE, NAMES
from tests.bench.processes import BenchError

_SMOKE_SECONDS = 0.2
_LISTED, _SMOKE_LISTED = 10_000, 250  # secrets


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        run = _grown if given.growth else _with_vaults if given.vaults else _compared
        text, numbers = run(given)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    sys.stdout.write(text)
    if given.json is not None:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n")
    return 0


def _compared(given: argparse.Namespace) -> tuple[str, dict[str, object]]:
    names, more = _names(given.only, everything=given.all)
    options = Options(
        names=names,
        more=more,
        connections=tuple(given.connections),
        rounds=1 if given.smoke else given.rounds,
        seconds=_SMOKE_SECONDS if given.smoke else given.seconds,
        workers=given.workers,
        peer=given.peer,
        listed_secrets=_SMOKE_LISTED if given.smoke else _LISTED,
    )
    results = measure(options)
    return report.tables(results), report.as_json(results)


def _grown(given: argparse.Namespace) -> tuple[str, dict[str, object]]:
    options = growth.GrowthOptions(rounds=given.rounds, seconds=given.seconds, workers=given.workers)
    if given.smoke:
        options = growth.GrowthOptions((10, 100), 100, (1, 10), 1, _SMOKE_SECONDS, given.workers)
    results = growth.measure_growth(options)
    return growth.table(results), growth.as_json(results)


def _with_vaults(given: argparse.Namespace) -> tuple[str, dict[str, object]]:
    options = vaults.VaultOptions(rounds=given.rounds, seconds=given.seconds, workers=given.workers)
    if given.smoke:
        options = vaults.VaultOptions((2, 20), 10, 1, _SMOKE_SECONDS, given.workers)
    results = vaults.measure_vaults(options)
    return vaults.table(results), vaults.as_json(results)


def _names(only: list[str] | None, *, everything: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of NAMES, and those of MORE, that begin with one of the given."""
    if not only:
        return NAMES, MORE if everything else ()
    for one in only:
        if not any(name.startswith(one) for name in NAMES + MORE):
            raise SystemExit(f"bench: no operation is named {one}…; there are: {', '.join(NAMES + MORE)}")
    wanted = tuple(only)
    return tuple(filter(lambda name: name.startswith(wanted), NAMES)), tuple(
        filter(lambda name: name.startswith(wanted), MORE)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure an instance of its own beside the raw token and a bare server."
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of each cell in each round (1)")
    parser.add_argument("--connections", type=_counts, default=(1, 16, 64), metavar="N,N", help="(1,16,64)")
    parser.add_argument("--rounds", type=int, default=3, help="in which all take turns (3)")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="of the instance")
    parser.add_argument("--only", action="append", metavar="NAME", help="operations that begin so; may be repeated")
    parser.add_argument("--all", action="store_true", help="more operations, at 16 connections")
    parser.add_argument("--peer", action="store_true", help="install OpenBao for the user and measure it as well")
    parser.add_argument("--growth", action="store_true", help="only how cost grows with secrets and their versions")
    parser.add_argument("--vaults", action="store_true", help="only how cost grows with vaults and role assignments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file, too")
    parser.add_argument("--smoke", action="store_true", help="one short round: does everything work?")
    return parser


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not counts or not all(1 <= count <= 1000 for count in counts):
        raise argparse.ArgumentTypeError("1 to 1000 connections")
    return counts


if __name__ == "__main__":
    sys.exit(main())
