"""The jobs in a real instance: one worker has them, and gives them back when it stops."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from hsmvault.app.reconciliation import jobs_owner, release_jobs
from hsmvault.clock import SystemClock
from hsmvault.jobs.runner import LEASE
from hsmvault.store import jobs as leases
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
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


async def test_what_the_dead_of_a_node_have_held_is_free_at_its_next_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hsmvault.db'}"
    migrate(url)
    database = await Database.open(url, clock=SystemClock())

    async def takes(node: str) -> bool:
        async with database.write() as tx:
            return await leases.acquire(tx, LEASE, jobs_owner(node), 280, 100)

    try:
        assert await takes("run-1")
        assert await takes("run-1"), "a worker that takes the place of another goes on with it"
        await release_jobs(database, "run-2")
        assert not await takes("run-3"), "it is another node's"
        await release_jobs(database, "run-1")
        assert await takes("run-3")
    finally:
        await database.close()
