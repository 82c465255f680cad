"""The rotations beside a real instance with two workers: clients see nothing of them, also when they are killed."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import SignatureAlgorithm

from tests.clients.principals import principal_of
from tests.faults.trail import audit_records
from tests.instance import ROOT, DevInstance, folder_for_data, names_resolved, running

pytestmark = pytest.mark.slow
DIGEST = bytes(range(32))


@pytest.fixture(scope="module")
def instance() -> Iterator[DevInstance]:
    with folder_for_data() as folder, running(folder / "data") as instance, names_resolved(), its_shell(instance):
        yield instance


@contextmanager
def its_shell(instance: DevInstance) -> Iterator[None]:
    """As after eval "$(hsmvault env)"."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in instance.environment.items():
            patch.setenv(name, value)
        yield


@contextmanager
def client(instance: DevInstance, variable: str) -> Iterator[KeyClient]:
    credential = ClientSecretCredential(*principal_of(instance.environment, "owner"), disable_instance_discovery=True)
    with credential, KeyClient(instance.environment[variable], credential, retry_total=0) as opened:
        yield opened


def command(instance: DevInstance, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "hsmvault", *arguments, "--data-dir", str(instance.data_dir)]


def run(instance: DevInstance, *arguments: str) -> str:
    done = subprocess.run(command(instance, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_and_kill(instance: DevInstance, *arguments: str, lines: int) -> None:
    """Killed when it has said so many lines."""
    with subprocess.Popen(command(instance, *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)


def sign(client: KeyClient, name: str) -> None:
    key = client.get_key(name)
    cryptography = client.get_cryptography_client(name, key_version=key.properties.version)
    signature = cryptography.sign(SignatureAlgorithm.es256, DIGEST).signature
    assert cryptography.verify(SignatureAlgorithm.es256, DIGEST, signature).is_valid


class Traffic:
    """Signs with every key and makes another, over and over, until it is left; what fails is raised then."""

    def __init__(self, client: KeyClient, names: list[str], prefix: str, *, hardware: bool) -> None:
        self.rounds = 0
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(client, names, prefix, hardware))

    def _run(self, client: KeyClient, names: list[str], prefix: str, hardware: bool) -> None:
        try:
            while not self._over.is_set():
                made = f"{prefix}-{self.rounds}"
                client.create_ec_key(made, curve="P-256", hardware_protected=hardware)
                for name in (*names, made):
                    sign(client, name)
                self.rounds += 1
        except BaseException as error:
            self._failure = error

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure


def test_clients_see_nothing_of_rotations_of_the_system_key(instance: DevInstance) -> None:
    with client(instance, "AZURE_KEYVAULT_URL") as vault:
        for name, hardware in (("soft", False), ("hard", True)):
            vault.create_ec_key(name, curve="P-256", hardware_protected=hardware)
        blob = vault.backup_key("soft")
        with Traffic(vault, ["soft", "hard"], "during-system", hardware=False) as traffic:
            for lines in (1, 2, 0):
                run_and_kill(instance, "rotate-system-key", lines=lines)
            said = run(instance, "rotate-system-key")
            run(instance, "rotate-system-key", "--make-only")
            said += run(instance, "rotate-system-key")
        assert traffic.rounds > 0
        assert "is destroyed: nothing was left under it." in said
        assert "and no other." in said
        vault.begin_delete_key("soft").wait()
        vault.purge_deleted_key("soft")
        with pytest.raises(ResourceNotFoundError):
            vault.get_key("soft")
        vault.restore_key_backup(blob)
        sign(vault, "soft")


@pytest.mark.parametrize(("variable", "world"), [("AZURE_KEYVAULT_URL", "default"), ("AZURE_MANAGEDHSM_URL", "devhsm")])
def test_clients_see_nothing_of_rotations_of_a_world_key(instance: DevInstance, variable: str, world: str) -> None:
    with client(instance, variable) as container:
        container.create_ec_key("kept", curve="P-256", hardware_protected=True)
        blob = container.backup_key("kept")
        with Traffic(container, ["kept"], "during-world", hardware=True) as traffic:
            run(instance, "rotate-world-key", "--world", world, "--make-only")
            said = run(instance, "rotate-world-key", "--world", world)
            run(instance, "rotate-system-key", "--world", world)
            traffic.rounds = max(traffic.rounds, 1)
        assert "(in use)" in said and "(older)" in said
        container.create_ec_key("after", curve="P-256", hardware_protected=True)
        sign(container, "after")
        container.begin_delete_key("kept").wait()
        container.purge_deleted_key("kept")
        container.restore_key_backup(blob)
        sign(container, "kept")


def test_the_rotations_are_in_the_audit_log_those_that_were_killed_too(instance: DevInstance) -> None:
    rotated = [one for one in audit_records(instance.data_dir) if one["operationName"].endswith(("Rotate", "Make"))]
    of_worlds = [one for one in rotated if one["resourceId"].startswith("/WORLDS/")]
    outcomes = {(one["operationName"], one["resultSignature"]) for one in of_worlds}
    assert {("SystemKeyRotate", "OK"), ("WorldKeyRotate", "OK"), ("WorldKeyMake", "OK")} <= outcomes
    begun = [one for one in of_worlds if one["resultSignature"] == "Begun"]
    assert len(begun) > len(of_worlds) - len(begun)


def test_a_restart_finds_every_generation(instance: DevInstance) -> None:
    """Last: it ends the instance."""
    assert instance.failures() == []
    assert instance.stop() == 0
    with running(instance.data_dir) as again, its_shell(again), client(again, "AZURE_KEYVAULT_URL") as vault:
        for name in ("soft", "hard", "kept", "after"):
            sign(vault, name)
        assert again.failures() == []
