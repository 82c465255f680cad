"""The benchmark itself: it runs without an error and says something sane. Numbers are nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.operations import MORE, NAMES
from tests.bench.processes import ROOT
from tests.bench.report import percentile


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_run_measures_every_operation_without_an_error(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--smoke", "--all", "--workers", "1", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    numbers = json.loads(file.read_text())
    ours = [cell for cell in numbers["cells"] if cell["target"] == "hsmvault"]
    expected = {(name, count) for name in NAMES for count in (1, 16, 64)} | {(name, 16) for name in MORE}
    assert {(cell["operation"], cell["connections"]) for cell in ours} == expected
    for cell in numbers["cells"]:
        assert min(cell["answers"]) >= 1
        assert 10 < min(cell["cpu_us"]) <= max(cell["cpu_us"]) < 1_000_000
        assert 0 < cell["p50_us"] <= cell["p95_us"] <= cell["p99_us"]
    assert all(0 < ratio["measured"] < 10 for ratio in numbers["ratios"])
    assert numbers["samples_checked"] >= len(expected)
    assert "not measured (--peer)" in run.stdout


@pytest.mark.slow
def test_a_short_run_tells_how_cost_grows(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--growth", "--smoke", "--workers", "1", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    numbers = json.loads(file.read_text())
    assert numbers.keys() == {"get-secret", "list-secrets", "get-secret, versions"}
    assert numbers["get-secret"].keys() == {"10", "100"}


@pytest.mark.slow
def test_a_short_run_tells_how_cost_grows_with_vaults(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--vaults", "--smoke", "--workers", "1", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    numbers = json.loads(file.read_text())
    assert numbers.keys() == {"get-secret", "sign-es256-soft", "first decision"}
    assert all(sizes.keys() == {"2", "20"} for sizes in numbers.values())


@pytest.mark.slow
def test_an_unknown_operation_is_refused_by_its_name() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--only", "brew-coffee"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode != 0
    assert "brew-coffee" in run.stderr


def test_a_percentile_is_the_nearest_rank() -> None:
    assert [percentile([4, 1, 3, 2], percent) for percent in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]
