"""The shell files: short, correct, and without any address to fetch from."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "scripts" / name for name in ("install", "run", "test", "check")] + [ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_executable_bash_that_stops_at_the_first_failure(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(script, os.X_OK)
    assert not re.search(r"https?://|index-url", text)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_lock_names_no_registry() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if not line.startswith("#") and re.search(r"://|^--?(i|extra|find)", line)]


def test_run_becomes_the_server() -> None:
    assert (ROOT / "scripts" / "run").read_text().rstrip().splitlines()[-1].startswith("exec ")
