"""Data directories of earlier versions: what is in them goes on, and what is new works beside it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import instance
from tests.caller import Answer, Caller, owner_of
from tests.clients.principals import principal_of
from tests.faults import vault_wire, wire
from tests.faults.management_wire import Application, Site, site_of
from tests.instance import DevInstance, folder_for_data, running

BEFORE = "80acf8c"
"""The last commit with keys alone."""
WITHOUT_ARM = "35ddc12"
"""The last commit without a management plane."""
VAULT, POOL = URLS = ("AZURE_KEYVAULT_URL", "AZURE_MANAGEDHSM_URL")
KINDS = {VAULT: ("EC", "EC-HSM"), POOL: ("EC-HSM", "oct-HSM")}


@pytest.fixture
def earlier(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The program as it was at the commit that the test names."""
    commit = str(request.param)
    archive = subprocess.run(["git", "archive", commit, "hsmvault", "conf"], cwd=instance.ROOT, capture_output=True)
    if archive.returncode != 0:
        pytest.skip(f"the history of this checkout does not go back to {commit}")
    with folder_for_data() as folder:
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        yield folder


@contextmanager
def running_before(earlier: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevInstance]:
    with monkeypatch.context() as patch:
        patch.setattr(instance, "ROOT", earlier)
        patch.setenv("PYTHONPATH", str(earlier))  # its workers do not look into the current directory
        with running(data_dir) as before:
            yield before


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [BEFORE], indirect=True)
def test_keys_of_the_version_before_go_on_beside_secrets_and_certificates(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was killed."""
    made: dict[str, dict[str, str]] = {url: {} for url in URLS}
    with folder_for_data() as folder:
        data_dir = folder / "data"
        with running_before(earlier, data_dir, monkeypatch) as before:
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


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [WITHOUT_ARM], indirect=True)
def test_what_the_version_before_the_management_plane_had_goes_on_and_is_managed(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was killed. The rights of its principals are as they were."""
    keys: dict[str, dict[str, str]] = {url: {} for url in URLS}
    with folder_for_data() as folder:
        data_dir = folder / "data"
        with running_before(earlier, data_dir, monkeypatch) as before, site_of(before) as site:
            for url in URLS:
                with owner_of(before, url) as owner:
                    for kind in KINDS[url]:
                        keys[url][kind.lower()] = wire.version_of(wire.create(owner(), kind.lower(), kind))
            vault = site.vault("dev")
            _ok(vault("PUT", "/secrets/a-secret", {"value": "a value"}))
            with owner_of(before) as owner:
                assert vault_wire.create("EC-HSM")(owner(), "certificate").status == 202
                assert vault_wire.await_issue(owner(), "certificate").body["status"] == "completed"
            before.kill()
        for turn in (1, 2):
            with running(data_dir) as now, site_of(now) as site:
                for url in URLS:
                    with owner_of(now, url) as owner:
                        for name, version in keys[url].items():
                            wire.require_use(owner(), name, version)
                vault = site.vault("dev")
                assert _ok(vault("GET", "/secrets/a-secret")).body["value"] == "a value"
                for version in vault_wire.rows_of(data_dir, "certificate")[0]:
                    vault_wire.require_use(vault.caller, "certificate", version)
                _require_rights(site)
                _require_management(site, turn)
                assert now.failures() == []


def _require_rights(site: Site) -> None:
    """As the principals of the first start had them."""
    people = {name: principal_of(site.instance.environment, name) for name in ("reader", "nobody")}
    reader, nobody = (Application(one.tenant_id, "", one.client_id, one.secret) for one in people.values())
    for who, reads in ((reader, 200), (nobody, 403)):
        assert site.vault("dev", who)("GET", "/keys").status == reads
        assert site.pool("devhsm", who)("GET", "/keys").status == reads
        assert site.vault("dev", who)("GET", "/secrets/a-secret").status == 403
        assert site.arm(who)("DELETE", site.vault_id("dev")).status == 403


def _require_management(site: Site, turn: int) -> None:
    """What az asks for first, and the life of what the version before had not."""
    arm, graph = site.arm(), site.graph()
    assert [one["subscriptionId"] for one in _ok(arm("GET", "/subscriptions")).body["value"]] == [
        site.subscription.rpartition("/")[2]
    ]
    assert [one["tenantId"] for one in _ok(arm("GET", "/tenants")).body["value"]] == [site.tenant]
    assert _ok(arm("GET", site.group)).body["properties"]["provisioningState"] == "Succeeded"
    shown = _ok(arm("GET", f"{site.subscription}/resources")).body["value"]
    assert {"dev", "devhsm"} <= {one["name"] for one in shown}
    dev = _ok(arm("GET", site.vault_id("dev"))).body
    assert dev["properties"]["tenantId"] == site.tenant
    assert _ok(arm("GET", site.pool_id("devhsm"))).body["properties"]["provisioningState"] == "Succeeded"
    assert _ok(arm("PATCH", site.vault_id("dev"), {"tags": {"turn": str(turn)}})).body["tags"] == {"turn": str(turn)}
    assert {one["displayName"] for one in _ok(graph("GET", "/v1.0/users")).body["value"]} >= {"Dev User"}
    name = f"later-{turn}"
    who = site.make_application(name)
    assert _ok(arm("PUT", site.vault_id(name), site.vault_body())).status == 200
    given = site.assign(site.vault_id(name), "Key Vault Administrator", who.object_id)
    vault = site.vault(name, who)
    _ok(vault("PUT", "/secrets/one", {"value": "v"}))
    assert arm("DELETE", given).status == 200
    assert vault("GET", "/secrets/one").status == 403
    assert arm("PUT", site.pool_id(name), site.pool_body(who.object_id)).status == 202
    assert _ok(arm("DELETE", site.vault_id(name))).status == 200
    _ok(arm("PUT", site.vault_id(name), site.vault_body(createMode="recover")))
    assert _ok(site.vault(name)("GET", "/secrets/one")).body["value"] == "v"


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
