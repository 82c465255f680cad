"""The jobs in a real instance: one worker has them, and gives them back when it stops."""

import sqlite3
import time
from contextlib import closing

from tests.faults.trail import metric
from tests.instance import folder_for_data, running


def test_an_instance_runs_its_jobs_and_gives_the_lease_back_when_it_stops() -> None:
    with folder_for_data() as folder:
        database = folder / "data" / "hsmvault.db"
        with running(folder / "data") as instance:
            deadline = time.monotonic() + 30
            while metric(instance, "hsmvault_jobs_total", outcome="done") < 4:
                assert time.monotonic() < deadline
            assert metric(instance, "hsmvault_jobs_total", outcome="done", worker="1") == 0
            assert metric(instance, "hsmvault_jobs_total", outcome="failed") == 0
            with closing(sqlite3.connect(database)) as opened:
                assert opened.execute("SELECT count(*) FROM leases WHERE job = 'jobs'").fetchone() == (1,)
        with closing(sqlite3.connect(database)) as opened:
            assert opened.execute("SELECT count(*) FROM leases WHERE job = 'jobs'").fetchone() == (0,)
            assert opened.execute("SELECT count(*) FROM meta WHERE name = 'trusted-time'").fetchone() == (1,)
