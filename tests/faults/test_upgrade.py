"""A data directory of the version before secrets and certificates: its keys go on, and the rest works beside them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import instance
from tests.caller import Answer, Caller, owner_of
from tests.faults import vault_wire, wire
from tests.instance import folder_for_data, running

BEFORE = "80acf8c"
"""The last commit with keys alone."""
VAULT, POOL = URLS = ("AZURE_KEYVAULT_URL", "AZURE_MANAGEDHSM_URL")
KINDS = {VAULT: ("EC", "EC-HSM"), POOL: ("EC-HSM", "oct-HSM")}


@pytest.fixture
def earlier() -> Iterator[Path]:
    """The program as it was."""
    archive = subprocess.run(["git", "archive", BEFORE, "hsmvault", "conf"], cwd=instance.ROOT, capture_output=True)
    if archive.returncode != 0:
        pytest.skip(f"the history of this checkout does not go back to {BEFORE}")
    with folder_for_data() as folder:
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        yield folder


@pytest.mark.slow
def test_keys_of_the_version_before_go_on_beside_secrets_and_certificates(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was killed."""
    made: dict[str, dict[str, str]] = {url: {} for url in URLS}
    with folder_for_data() as folder:
        data_dir = folder / "data"
        with monkeypatch.context() as patch:
            patch.setattr(instance, "ROOT", earlier)
            patch.setenv("PYTHONPATH", str(earlier))  # its workers do not look into the current directory
            with running(data_dir) as before:
                for url in URLS:
                    with owner_of(before, url) as owner:
                        for kind in KINDS[url]:
                            made[url][kind.lower()] = wire.version_of(wire.create(owner(), kind.lower(), kind))
                        blob = _given_up(owner(), KINDS[url][1])
                before.kill()
        for turn in (1, 2):
            with running(data_dir) as now:
                for url in URLS:
                    with owner_of(now, url) as owner:
                        for name, version in made[url].items():
                            wire.require_use(owner(), name, version)
                        if turn == 1 and url == POOL:
                            _come_back(owner(), blob)
                with owner_of(now) as owner:
                    _require_the_rest(owner(), data_dir, turn)
                assert now.failures() == []


def _given_up(caller: Caller, kind: str) -> str:
    """A key that is gone, and one that is deleted. Returns the backup of the first."""
    assert wire.create(caller, "restored", kind).status == 200
    blob = _ok(caller.call("POST", "/keys/restored/backup")).body["value"]
    for name in ("restored", "deleted"):
        assert name == "restored" or wire.create(caller, name, kind).status == 200
        assert caller.call("DELETE", f"/keys/{name}").status == 200
    assert caller.call("DELETE", "/deletedkeys/restored").status == 204
    return str(blob)


def _come_back(caller: Caller, blob: str) -> None:
    for answer, name in (
        (caller.call("POST", "/keys/restore", {"value": blob}), "restored"),
        (caller.call("POST", "/deletedkeys/deleted/recover"), "deleted"),
    ):
        wire.require_use(caller, name, wire.version_of(_ok(answer)))


def _require_the_rest(caller: Caller, data_dir: Path, turn: int) -> None:
    """What the version before did not have. The names of its keys are taken, deleted or not."""
    for kind in ("EC", "EC-HSM"):
        name = f"certificate-{kind.lower()}"
        assert vault_wire.create(kind)(caller, name).status == 202
        assert vault_wire.await_issue(caller, name).body["status"] == "completed"
        there, pending = vault_wire.rows_of(data_dir, name)
        assert (len(there), pending) == (turn, [])
        for version in there:
            vault_wire.require_use(caller, name, version)
    for name in ("ec", "deleted"):
        assert vault_wire.create()(caller, name).status == 409
    _ok(caller.call("PUT", "/secrets/a-secret", {"value": f"value {turn}"}))
    assert caller.call("GET", "/secrets/a-secret").body["value"] == f"value {turn}"


def _ok(answer: Answer) -> Answer:
    assert answer.status == 200, answer
    return answer
