"""A real instance with two workers, a vault and a pool, killed under every kind of change."""

import os
import signal
from contextlib import ExitStack

import pytest

from tests.caller import eventually, owner_of
from tests.faults.crowd import Crowd, crowd
from tests.faults.lives import POOL_PLANS, VAULT_PLANS, Lives
from tests.faults.trail import audit_records, metric, workers_of
from tests.instance import DevInstance, folder_for_data, running

CLIENTS = 4
CONTAINERS = {"vault": "AZURE_KEYVAULT_URL", "pool": "AZURE_MANAGEDHSM_URL"}
PLANS = {"vault": VAULT_PLANS, "pool": POOL_PLANS}


@pytest.mark.slow
def test_keys_of_every_kind_outlive_kills_of_workers_and_of_everything() -> None:
    with folder_for_data() as folder:
        data_dir = folder / "data"
        for turn in range(3):
            lives = {kind: Lives(f"{kind}-{turn}", plans, CLIENTS) for kind, plans in PLANS.items()}
            with ExitStack() as stack:
                instance = stack.enter_context(running(data_dir, workers=2))
                crowds = [_crowd(stack, instance, CONTAINERS[kind], life) for kind, life in lives.items()]
                for clients in crowds:
                    clients.wait_for_more(30)
                os.kill(workers_of(instance)[0], signal.SIGKILL)
                for clients in crowds:
                    clients.wait_for_more(20)
                eventually(lambda: metric(instance, "hsmvault_workers_ready") == 2, 30, "a new worker")  # noqa: B023
                for clients in crowds:
                    clients.wait_for_more(10 + 7 * turn)
                instance.kill()
            with running(data_dir, workers=2) as instance:
                for kind, life in lives.items():
                    with owner_of(instance, CONTAINERS[kind]) as owner:
                        life.require_all(owner(), data_dir, has_events=kind == "vault")
                assert audit_records(data_dir)


def _crowd(stack: ExitStack, instance: DevInstance, url: str, lives: Lives) -> Crowd:
    owner = stack.enter_context(owner_of(instance, url))
    return stack.enter_context(crowd(owner, lives.works, allowed=(200, 204)))
