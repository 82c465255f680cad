"""Two workers and many clients at one certificate or secret: one wins, the others are told so, and nothing is lost."""

import sqlite3
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.caller import Caller, owner_of
from tests.faults.contest import contest
from tests.faults.trail import metric
from tests.faults.vault_wire import ACTS, RULES, at_once, await_issue, merge, require_use, rows_of
from tests.instance import DevInstance

CLIENTS = 8


def test_of_creations_of_one_certificate_at_once_one_is_told_yes(instance: DevInstance) -> None:
    """And so of merges: the others find it in progress, or completed."""
    with owner_of(instance) as owner:
        callers = [owner() for _ in range(CLIENTS)]
        for number in range(3):
            name = f"at-once-{number}"
            created = at_once([partial(ACTS["create for a merge"], caller, name) for caller in callers])
            assert sorted(answer.status for answer in created) == [202] + [409] * (CLIENTS - 1)
            refusals = Counter(answer.body["error"]["code"] for answer in created if answer.status == 409)
            assert refusals.keys() <= {"Forbidden", "Conflict"}
            assert [len(rows) for rows in rows_of(instance.data_dir, name)] == [0, 1]
            merged = at_once([partial(merge, caller, name) for caller in callers])
            statuses = sorted(answer.status for answer in merged)
            assert statuses[0] == 201 and set(statuses[1:]) <= {403, 409}, statuses
            (version,), () = rows_of(instance.data_dir, name)
            require_use(callers[0], name, version)


def test_a_name_becomes_a_certificate_or_a_key_or_a_secret(instance: DevInstance) -> None:
    with owner_of(instance) as owner:
        callers = {act: owner() for act in ("create for a merge", "import", "set secret", "create key")}
        for number in range(4):
            name = f"one-of-many-{number}"
            at_once([partial(ACTS[act], caller, name) for act, caller in callers.items()])
            kinds = _kinds(instance.data_dir, name)
            assert kinds in ({"key"}, {"secret"}, {"key", "secret"}, {"certificate", "key", "secret"}), kinds
            if "certificate" in kinds:
                rows_of(instance.data_dir, name)


@pytest.mark.parametrize("each", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_a_contested_certificate_is_whole_and_has_what_was_acknowledged(each: int, instance: DevInstance) -> None:
    acts = ["create", "create hard", "create for a merge", "import", "merge", "merge", "cancel", "forget", "update"]
    acts += ["delete", "recover", "recover"]
    name = f"contested-{each}"
    with owner_of(instance) as owner:
        caller = owner()
        assert ACTS["import"](caller, name).status == 200
        result = contest(owner, name, acts, clients=CLIENTS, each=each, rules=RULES)
        assert {"delete", "recover"} <= result.done.keys(), result.done
        assert any(act.startswith("create") for act in result.done), result.done
        caller.call("POST", f"/deletedcertificates/{name}/recover")
        _settle(caller, name)
        there, pending = rows_of(instance.data_dir, name)
        assert set(result.made) <= set(there)
        assert len(pending) <= 1
        assert caller.call("GET", f"/certificates/{name}").body["id"].endswith(there[-1])
        for version in there:
            require_use(caller, name, version)
    assert all(metric(instance, "hsmvault_requests_total", operation="create_certificate", worker=one) for one in "01")


@pytest.mark.slow
def test_a_certificate_that_comes_and_goes_leaves_nothing_behind(instance: DevInstance) -> None:
    acts = ["create", "create hard", "import", "merge", "forget", "delete", "delete", "purge", "purge", "recover"]
    acts += ["import", "set secret", *["delete secret", "purge secret"] * 3]
    name = "whole-or-gone"
    with owner_of(instance) as owner:
        caller = owner()
        for _ in range(3):
            assert ACTS["import"](caller, name).status == 200
            result = contest(owner, name, acts, clients=CLIENTS, each=30, rules=RULES)
            assert {"delete", "purge"} <= result.done.keys(), result.done
            assert caller.call("DELETE", f"/secrets/{name}").status in (200, 403, 404)
            caller.call("POST", f"/deletedcertificates/{name}/recover")
            if "certificate" in _kinds(instance.data_dir, name):
                _settle(caller, name)
                for version in rows_of(instance.data_dir, name)[0]:
                    require_use(caller, name, version)
                assert ACTS["delete"](caller, name).status == 200
                assert ACTS["purge"](caller, name).status == 204
            assert caller.call("DELETE", f"/deletedsecrets/{name}").status in (204, 404)
            assert not _kinds(instance.data_dir, name)
            assert not _scheduled(instance.data_dir, name)


def test_every_value_of_a_contested_secret_is_there_in_order(instance: DevInstance) -> None:
    """Each client sets its own values, one after the other."""
    name, each = "contested-secret", 12
    with owner_of(instance) as owner:
        callers = [owner() for _ in range(CLIENTS)]

        def work(caller: Caller, number: int) -> list[str]:
            made = []
            for one in range(each):
                answer = caller.call("PUT", f"/secrets/{name}", {"value": f"{number} {one}"})
                assert answer.status in (200, 409), answer
                if answer.status == 200:
                    made.append(answer.body["id"].rpartition("/")[2])
            return made

        made = at_once([partial(work, caller, number) for number, caller in enumerate(callers)])
        with closing(sqlite3.connect(instance.data_dir / "hsmvault.db")) as database:
            query = "SELECT sequence, version FROM secret_versions WHERE folded = ? ORDER BY sequence"
            rows = database.execute(query, (name,)).fetchall()
        assert [sequence for sequence, _ in rows] == list(range(1, len(rows) + 1))
        order = {version: sequence for sequence, version in rows}
        assert sorted(version for one in made for version in one) == sorted(order)
        assert all(one == sorted(one, key=order.__getitem__) for one in made)
        latest = callers[0].call("GET", f"/secrets/{name}")
        assert latest.body["id"].endswith(rows[-1][1])
        assert callers[0].call("GET", f"/secrets/{name}/{rows[-1][1]}").body["value"] == latest.body["value"]


def _settle(caller: Caller, name: str) -> None:
    pending = caller.call("GET", f"/certificates/{name}/pending")
    if pending.status == 200 and pending.body["issuer"]["name"] == "Unknown":
        if pending.body["status"] == "inProgress":
            assert merge(caller, name).status == 201
    else:
        assert await_issue(caller, name).body.get("status") != "inProgress"


def _kinds(data_dir: Path, name: str) -> set[str]:
    return {kind for kind in ("certificate", "key", "secret") if _count(data_dir, f"{kind}_names", name)}


def _scheduled(data_dir: Path, name: str) -> int:
    return _count(data_dir, "schedule", name) + _count(data_dir, "certificate_operations", name)


def _count(data_dir: Path, table: str, name: str) -> int:
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        found = database.execute(f"SELECT count(*) FROM {table} WHERE folded = ?", (name,)).fetchone()  # noqa: S608  # ours
    return int(found[0])
