"""A real instance with two workers, killed under a stream of certificates and secrets."""

import os
import signal
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.caller import eventually, owner_of
from tests.faults.crowd import crowd
from tests.faults.trail import audit_records, metric, workers_of
from tests.faults.vault_lives import VaultLives
from tests.instance import folder_for_data, running

CLIENTS = 6


@pytest.mark.slow
def test_certificates_and_secrets_outlive_kills_of_workers_and_of_everything() -> None:
    with folder_for_data() as folder:
        data_dir = folder / "data"
        for turn in range(3):
            lives = VaultLives(f"life-{turn}", CLIENTS)
            with ExitStack() as stack:
                instance = stack.enter_context(running(data_dir, workers=2))
                owner = stack.enter_context(owner_of(instance))
                clients = stack.enter_context(crowd(owner, lives.works, allowed=(200, 201, 202, 204)))
                clients.wait_for_more(25)
                os.kill(workers_of(instance)[turn % 2], signal.SIGKILL)
                clients.wait_for_more(15)
                eventually(lambda: metric(instance, "hsmvault_workers_ready") == 2, 30, "a new worker")  # noqa: B023
                clients.wait_for_more(10 + 7 * turn)
                instance.kill()
            _let_time_pass(data_dir)
            with running(data_dir, workers=2) as instance, owner_of(instance) as owner:
                lives.require_all(owner(), data_dir)
                assert all("a worker died and is replaced" in line for line in instance.failures())
        _require_records(data_dir)


def _let_time_pass(data_dir: Path) -> None:
    """So long that what the dead had taken for themselves is free: claims on operations, and the jobs' lease."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        database.execute("UPDATE certificate_operations SET retry_at = retry_at - 600 WHERE retry_at IS NOT NULL")
        database.execute("UPDATE leases SET until = until - 600")
        database.commit()


def _require_records(data_dir: Path) -> None:
    """What an issuer made was recorded before."""
    enrolled = [one for one in audit_records(data_dir) if one["operationName"] == "CertificateEnroll"]
    recorded = {"/".join(one["properties"]["id"].split("/")[-2:]) for one in enrolled}
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        query = "SELECT folded, version FROM certificate_operations WHERE status = 'completed' AND policy LIKE ?"
        issued = {f"{name}/{version}" for name, version in database.execute(query, ('%"Self"%',))}
    assert issued
    assert issued <= recorded
