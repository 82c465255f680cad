"""The unmodified Node clients of keys, secrets and certificates, one after the other."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_node_clients_work_unmodified(tmp_path: Path) -> None:
    """Needs node, npm and openssl (scripts/install --all), and the network for the packages of package-lock.json."""
    place = tmp_path / "node"
    shutil.copytree(HERE, place, ignore=shutil.ignore_patterns("node_modules"))
    _run(["npm", "ci", "--no-audit", "--no-fund"], place, {})
    answer = _run(
        ["node", "--import", "./resolve.mjs", "clients.mjs"],
        place,
        {name: os.environ[name] for name in os.environ if name.startswith("AZURE_") or name == "NODE_EXTRA_CA_CERTS"},
    )
    assert answer.stdout.splitlines()[-1] == "passed"


def _run(command: list[str], place: Path, more: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")}
    done = subprocess.run(
        command, cwd=place, env={**kept, **settings, **more}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
