"""A real instance with two workers, killed under a stream of administrators: nothing half done, nothing lost, no name
that is held for ever, and every world of a pool is used again.
"""

import os
import signal
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.caller import eventually
from tests.faults.crowd import crowd
from tests.faults.management_lives import Hands, ManagementLives
from tests.faults.management_wire import site_of
from tests.faults.trail import audit_records, metric, workers_of
from tests.instance import folder_for_data, running


@pytest.mark.slow
def test_what_is_managed_outlives_kills_of_workers_and_of_everything() -> None:
    with folder_for_data() as folder:
        data_dir = folder / "data"
        for turn in range(2):
            lives = ManagementLives(f"life-{turn}")
            with ExitStack() as stack:
                instance = stack.enter_context(running(data_dir, workers=2))
                site = stack.enter_context(site_of(instance))
                clients = stack.enter_context(crowd(lambda: Hands(site), lives.works, (200, 201, 202, 204, 409)))  # noqa: B023
                clients.wait_for_more(30)
                os.kill(workers_of(instance)[turn % 2], signal.SIGKILL)
                clients.wait_for_more(15)
                eventually(lambda: metric(instance, "hsmvault_workers_ready") == 2, 30, "a new worker")  # noqa: B023
                clients.wait_for_more(10 + 15 * turn)
                instance.kill()
            _let_time_pass(data_dir)
            with running(data_dir, workers=2) as instance, site_of(instance) as site:
                lives.require_all(Hands(site))
                assert all("a worker died and is replaced" in line for line in instance.failures())
            _require_worlds(data_dir)
        _require_records(data_dir)


def _let_time_pass(data_dir: Path) -> None:
    """So long that what the dead had taken for themselves is free."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        database.execute("UPDATE leases SET until = until - 600")
        database.commit()


def _require_worlds(data_dir: Path) -> None:
    """Each is spare, or is one pool's."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        states = Counter(dict(database.execute("SELECT id, state FROM worlds")).values())
        used = [world for (world,) in database.execute("SELECT world_id FROM containers WHERE kind = 'pool'")]
        waiting = database.execute("SELECT count(*) FROM management_operations WHERE finished IS NULL").fetchone()
    assert states.keys() <= {"serving", "spare", "wiped"}, states
    assert len(used) == len(set(used)) == 1
    assert waiting == (0,)


def _require_records(data_dir: Path) -> None:
    """What is gone for good was recorded before."""
    purged = {one["resourceId"] for one in audit_records(data_dir) if one["operationName"] == "VaultPurge"}
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        query = "SELECT target FROM management_operations WHERE kind = 'purge' AND lower(target) LIKE '%/vaults/%'"
        ended = {target.upper() for (target,) in database.execute(query)}
    assert ended
    assert ended <= purged
