"""Two workers and many clients at one name: one newest version, none lost, and whoever is refused is told so."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from tests.caller import Answer, Caller, from_base64url, is_signature, owner_of, to_base64url
from tests.faults.contest import ACTS, contest
from tests.faults.crowd import crowd
from tests.faults.trail import audit_records, metric
from tests.faults.wire import DIGEST, create, require_use, rows_of, told, version_of, versions
from tests.instance import DevInstance

URLS = ["AZURE_KEYVAULT_URL", "AZURE_MANAGEDHSM_URL"]


@pytest.mark.parametrize(("url", "name", "each"), [(URLS[0], "contested", 30), (URLS[1], "contested-pool", 12)])
def test_every_acknowledged_version_is_there_after_a_race_for_one_name(
    url: str, name: str, each: int, instance: DevInstance
) -> None:
    """A pool takes no more than 100 versions, and rotates what has a policy."""
    acts = ["create", "create soft", "import", "rotate", "rotate", "update", "set policy", "delete", "recover"]
    with owner_of(instance, url) as owner:
        caller = owner()
        assert create(caller, name, "EC-HSM").status == 200
        assert ACTS["set policy"](caller, name).status == 200
        first = versions(caller, name)
        result = contest(owner, name, [*acts, "recover", "recover"], clients=8, each=each)
        assert {"create", "rotate", "delete", "recover"} <= result.done.keys()
        assert caller.call("POST", f"/deletedkeys/{name}/recover").status in (200, 404)
        made = sorted([*first, *result.made])
        assert sorted(versions(caller, name)) == made
        rows = rows_of(instance.data_dir, name)
        assert sorted(version for _, version in rows) == made
        assert sorted(told(instance.data_dir, name)) == (made if url == URLS[0] else [])
        assert version_of(caller.call("GET", f"/keys/{name}")) == rows[-1][1]
        for version in made:
            require_use(caller, name, version)
    assert all(metric(instance, "hsmvault_requests_total", operation="create_key", worker=one) for one in "01")
    paths = [record["properties"]["requestUri"] for record in audit_records(instance.data_dir) if _changes(record)]
    assert len([path for path in paths if f"/keys/{name}/" in path or path.endswith(f"/keys/{name}")]) >= len(made)


def _changes(record: dict[str, object]) -> bool:
    return record["operationName"] in ("KeyCreate", "KeyImport", "KeyRotate") and record["resultType"] == "Success"


def test_a_name_that_is_purged_meanwhile_begins_anew_and_is_whole(instance: DevInstance) -> None:
    acts = ["create", "create", "create soft", "import", "rotate", "delete", "delete", "purge", "purge", "recover"]
    name = "coming-and-going"
    with owner_of(instance) as owner:
        result = contest(owner, name, acts, clients=8, each=40)
        assert {"create", "delete", "purge"} <= result.done.keys()
        caller = owner()
        rows = rows_of(instance.data_dir, name)
        there = {version for _, version in rows}
        assert there <= set(result.made)
        assert sorted(told(instance.data_dir, name)) == sorted(result.made), "an event for each version that was made"
        caller.call("POST", f"/deletedkeys/{name}/recover")
        assert set(versions(caller, name)) == there
        for version in there:
            require_use(caller, name, version)
        if not rows:
            assert caller.call("GET", f"/keys/{name}").status == 404
            assert create(caller, name, "EC-HSM").status == 200


@pytest.mark.parametrize(("url", "prefix"), [(URLS[0], "both"), (URLS[1], "both-pool")])
def test_of_purge_and_recover_at_once_one_wins(url: str, prefix: str, instance: DevInstance) -> None:
    with owner_of(instance, url) as owner:
        purging, recovering = owner(), owner()
        for number in range(10):
            name = f"{prefix}-{number}"
            assert create(purging, name, ("EC-HSM", "EC")[number % 2]).status == 200
            assert purging.call("DELETE", f"/keys/{name}").status == 200
            statuses = _at_once(
                purge=partial(ACTS["purge"], purging, name), recover=partial(ACTS["recover"], recovering, name)
            )
            is_there = purging.call("GET", f"/keys/{name}").status == 200
            assert statuses["purge"] in ((404, 409) if is_there else (204,)), statuses
            assert statuses["recover"] in ((200,) if is_there else (404, 409)), statuses
            assert purging.call("GET", f"/deletedkeys/{name}").status == 404


def _at_once(**calls: Callable[[], Answer]) -> dict[str, int]:
    """The status of each."""
    together = threading.Barrier(len(calls))
    statuses: dict[str, int] = {}

    def run(name: str) -> None:
        together.wait(30)
        statuses[name] = calls[name]().status

    threads = [threading.Thread(target=run, args=(name,)) for name in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return statuses


def test_changes_of_one_version_do_not_undo_each_other(instance: DevInstance) -> None:
    """One client changes the tags and another the expiry, each again and again."""
    last: dict[str, int] = {}
    with owner_of(instance) as owner:
        name = "shared"
        assert create(owner(), name, "EC").status == 200
        together = threading.Barrier(2)

        def change(caller: Caller, what: str) -> None:
            together.wait(30)
            for number in range(1, 100):
                body = {"tags": {"number": str(number)}} if what == "tags" else {"attributes": {"exp": 2**32 + number}}
                answer = caller.call("PATCH", f"/keys/{name}", body)
                assert answer.status in (200, 409), answer
                if answer.status == 200:
                    last[what] = number

        threads = [threading.Thread(target=change, args=(owner(), what)) for what in ("tags", "exp")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        found = owner().call("GET", f"/keys/{name}").body
        assert found["tags"] == {"number": str(last["tags"])}
        assert found["attributes"]["exp"] == 2**32 + last["exp"]


@pytest.mark.parametrize(("url", "kind"), [(URLS[0], "EC"), (URLS[0], "EC-HSM"), (URLS[1], "EC-HSM")])
def test_a_key_that_rotates_goes_on_signing(url: str, kind: str, instance: DevInstance) -> None:
    """With its newest version and with its first one."""
    name = f"turning-{kind}"
    with owner_of(instance, url) as owner:
        created = create(owner(), name, kind)
        assert created.status == 200
        policy = {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}]}
        assert owner().call("PUT", f"/keys/{name}/rotationpolicy", policy).status == 200
        first = version_of(created)

        def rotate(caller: Caller, _: int) -> Answer:
            return caller.call("POST", f"/keys/{name}/rotate")

        def sign(caller: Caller, number: int) -> Answer:
            found = caller.call("GET", f"/keys/{name}/{first}" if number % 2 else f"/keys/{name}")
            assert found.status == 200, found
            body = {"alg": "ES256", "value": to_base64url(DIGEST)}
            signed = caller.call("POST", f"/keys/{name}/{version_of(found)}/sign", body)
            if signed.status == 200:
                assert signed.body["kid"] == found.body["key"]["kid"]
                assert is_signature(found.body["key"], DIGEST, from_base64url(signed.body["value"]))
            return signed

        before = len(versions(owner(), name))
        with (
            crowd(owner, [rotate, rotate], allowed=(200, 409)) as rotators,
            crowd(owner, [sign] * 5) as signers,
        ):
            rotators.wait_for_more(8)
            signers.wait_for_more(40)
            rotators.wait_for_more(8)
        assert signers.answers.keys() == {200}
        assert len(versions(owner(), name)) == before + rotators.answers[200]
