"""A first start makes two worlds and four spare ones, each on a token of its own. Killed at any instant, the next one
completes it."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.caller import owner_of
from tests.faults.wire import create, require_use, version_of
from tests.instance import folder_for_data, free_ports, launch, running

KILLS = 12
SPARE = [f"pool-{number}" for number in range(1, 5)]
_PORT_TAKEN = 5  # exit code


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_first_start_that_is_killed_is_completed_by_the_next() -> None:
    with folder_for_data() as folder:
        begun = time.monotonic()
        with running(folder / "data"):
            seconds = time.monotonic() - begun
    instants = [seconds * (0.25 + 0.75 * number / KILLS) for number in range(KILLS)]
    for first, second in zip(instants[::2], reversed(instants[1::2]), strict=True):
        with folder_for_data() as folder:
            data_dir = folder / "data"
            for instant in (first, second):
                _start_and_kill(data_dir, instant)
            with running(data_dir) as instance:
                for url, kind in (
                    ("AZURE_KEYVAULT_URL", "EC-HSM"),
                    ("AZURE_KEYVAULT_URL", "EC"),
                    ("AZURE_MANAGEDHSM_URL", "oct-HSM"),
                ):
                    with owner_of(instance, url) as owner:
                        created = create(owner(), f"first-{kind}", kind)
                        assert created.status == 200, created
                        require_use(owner(), f"first-{kind}", version_of(created))
                assert _complete_worlds(data_dir) == ["default", "devhsm", *SPARE]
                assert instance.failures() == []


def _start_and_kill(data_dir: Path, seconds: float) -> None:
    process, _ = launch(data_dir, free_ports(), 2)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, _PORT_TAKEN)


def _complete_worlds(data_dir: Path) -> list[str]:
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        query = "SELECT name, attestation_certificate, export_key_id FROM worlds ORDER BY name"
        return [name for name, certificate, export_key in database.execute(query) if certificate and export_key]
