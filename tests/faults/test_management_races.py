"""Two workers and many administrators at one vault or pool: one wins, the others are told so, and nothing is lost.

What is raced for is looked at in the database afterwards, so that no answer is taken for what is there.
"""

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.caller import Answer, eventually
from tests.faults.management_wire import Application, Client, Site, at_both
from tests.faults.race_parts import CLIENTS, ROUNDS, code_of, container, gone, new, ok, other_group, owner_id, rows
from tests.faults.vault_wire import at_once, at_once_in_order
from tests.instance import ROOT


def test_of_creations_of_one_name_at_once_one_wins(site: Site, arms: tuple[Client, Client]) -> None:
    """In two resource groups. In the same one both are told yes, and there is one vault."""
    group, body = other_group(site), site.vault_body()
    for _ in range(ROUNDS):
        name = new("race")
        answers = at_once(
            [
                partial(arm, "PUT", site.vault_id(name, where), body)
                for arm, where in zip(arms, (group, ""), strict=True)
            ]
        )
        assert sorted(answer.status for answer in answers) == [200, 409]
        assert {code_of(answer) for answer in answers if answer.status == 409} == {"VaultAlreadyExists"}
        (won,) = [answer.body["id"] for answer in answers if answer.status == 200]
        assert ok(site.arm()("GET", won)).body["name"] == name
        assert [one for one in (group, site.group) if arms[0]("GET", site.vault_id(name, one)).status == 200] == [
            won.partition("/providers/")[0]
        ]
    same = new("race")
    answers = at_once([partial(arm, "PUT", site.vault_id(same), body) for arm in arms])
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body


@pytest.mark.slow
def test_of_creations_of_one_name_in_two_tenants_one_wins_and_the_other_learns_nothing(site: Site) -> None:
    """Neither whose it is, nor whether it is deleted."""
    environment = site.instance.environment
    tenant, subscription = environment["HSMVAULT_OTHER_TENANT_ID"], str(uuid.uuid4())
    (object_id,) = rows(
        site, "SELECT object_id FROM principals WHERE application_id = ?", environment["HSMVAULT_OTHER_CLIENT_ID"]
    )[0]
    at = ("--data-dir", str(site.instance.data_dir))
    for command in (
        ("subscription", "create", "Other", "--id", subscription, "--tenant", tenant),
        ("group", "create", "other", "--subscription", subscription),
        ("role", "assign", "Owner", object_id, "--scope", f"/subscriptions/{subscription}", "--tenant", tenant),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "hsmvault", *command, *at], cwd=ROOT, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
    secret = environment["HSMVAULT_OTHER_CLIENT_SECRET"]
    other = Application(tenant, object_id, environment["HSMVAULT_OTHER_CLIENT_ID"], secret)
    ours, theirs = at_both(site, site.arm), at_both(site, lambda: site.arm(other))
    group = f"/subscriptions/{subscription}/resourceGroups/other"
    body = site.vault_body()
    foreign = {**body, "properties": {**body["properties"], "tenantId": tenant}}
    eventually(lambda: theirs[0]("GET", group).status == 200, 10, "the command is obeyed")
    for number in range(ROUNDS):
        name = new("tenants")
        answers = at_once_in_order(
            partial(ours[number % 2], "PUT", site.vault_id(name), body),
            partial(theirs[1 - number % 2], "PUT", site.vault_id(name, group), foreign),
        )
        assert sorted(answer.status for answer in answers) == [200, 409], answers
        loser, place, asked = (ours[0], site.vault_id(name), body)
        if answers[0].status == 200:
            loser, place, asked = (theirs[0], site.vault_id(name, group), foreign)
            ok(ours[1]("DELETE", site.vault_id(name)))
        else:
            ok(theirs[1]("DELETE", site.vault_id(name, group)))
        refused = loser("PUT", place, asked)
        assert (refused.status, code_of(refused)) == (409, "VaultAlreadyExists")
        assert {code_of(answer) for answer in answers if answer.status == 409} == {"VaultAlreadyExists"}
        assert tenant not in str(refused.body) and site.tenant not in str(refused.body)
        assert loser("GET", place).status == 404


def test_a_vault_that_is_made_and_deleted_at_once_is_there_or_deleted(site: Site, arms: tuple[Client, Client]) -> None:
    name = new("race")
    path, body = site.vault_id(name), site.vault_body()
    for number in range(ROUNDS):
        make, delete = arms if number % 2 else arms[::-1]
        made, deleted = at_once_in_order(partial(make, "PUT", path, body), partial(delete, "DELETE", path))
        assert made.status in (200, 409), made
        assert deleted.status in (200, 204), deleted
        found = container(site, name)
        assert found is not None
        assert found[0] == (deleted.status == 200), "an acknowledged deletion is what is there"
        if found[0]:
            assert code_of(arms[0]("PUT", path, body)) == "ConflictError"
            ok(arms[1]("PUT", path, site.vault_body(createMode="recover")))
            ok(arms[0]("DELETE", path))
            ok(arms[0]("POST", f"{site.deleted_vault(name)}/purge"))
            gone(site, name)


@pytest.mark.parametrize("kind", ["vault", pytest.param("pool", marks=pytest.mark.slow)])
def test_of_a_purge_and_a_recovery_at_once_one_wins(kind: str, site: Site, arms: tuple[Client, Client]) -> None:
    name, owner = new("race"), owner_id(site)
    path, deleted = (
        (site.vault_id(name), site.deleted_vault(name))
        if kind == "vault"
        else (site.pool_id(name), site.deleted_pool(name))
    )

    def body(**more: object) -> dict[str, Any]:
        return site.vault_body(**more) if kind == "vault" else site.pool_body(owner, **more)

    for number in range(ROUNDS if kind == "vault" else 3):
        if container(site, name) is None:
            ok(arms[0]("PUT", path, body()))
        ok(arms[0]("DELETE", path))
        purge, recover = arms if number % 2 else arms[::-1]
        purged, recovered = at_once_in_order(
            partial(purge, "POST", f"{deleted}/purge"), partial(recover, "PUT", path, body(createMode="recover"))
        )
        if recovered.status < 300:
            assert purged.status in (404, 409), purged
            assert container(site, name) == (False, False, site.group.rpartition("/")[2])
            assert arms[1]("GET", path).status == 200
        else:
            assert (purged.status, recovered.status) in ((202, 404), (202, 409)), recovered
            gone(site, name)
            assert arms[1]("GET", deleted).status == 404
    if container(site, name) is not None:
        ok(arms[0]("DELETE", path))
        ok(arms[0]("POST", f"{deleted}/purge"))
        gone(site, name)


@pytest.mark.slow
def test_of_purges_at_once_there_is_one(site: Site, arms: tuple[Client, Client]) -> None:
    name = new("race")
    ok(arms[0]("PUT", site.vault_id(name), site.vault_body()))
    ok(arms[0]("DELETE", site.vault_id(name)))
    answers = at_once([partial(arm, "POST", f"{site.deleted_vault(name)}/purge") for arm in arms])
    assert {answer.status for answer in answers} <= {202, 404}, answers
    begun = [answer.headers["Location"] for answer in answers if answer.status == 202]
    assert len(set(begun)) == 1
    gone(site, name)
    assert (
        len(rows(site, "SELECT id FROM management_operations WHERE lower(target) = ?", site.vault_id(name).lower()))
        == 1
    )
    path = begun[0].partition(f":{site.instance.port}")[2].partition("?")[0]
    assert ok(arms[1]("GET", path)).body["status"] == "Succeeded"


@pytest.mark.slow
def test_access_policies_that_are_added_at_once_are_all_there(site: Site) -> None:
    name = new("race")
    path = site.vault_id(name)
    ok(site.arm()("PUT", path, site.vault_body(enableRbacAuthorization=False)))
    clients = [one for _ in range(CLIENTS // 2) for one in at_both(site, site.arm)]
    each = 4

    def work(client: Client) -> list[str]:
        added = []
        for _ in range(each):
            who = str(uuid.uuid4())
            policies = [site.policy(who, secrets=["get"])]
            answer = client("PUT", f"{path}/accessPolicies/add", {"properties": {"accessPolicies": policies}})
            assert answer.status in (200, 201), answer
            added.append(who)
        return added

    added = [who for one in at_once([partial(work, client) for client in clients]) for who in one]
    shown = ok(site.arm()("GET", path)).body["properties"]["accessPolicies"]
    assert sorted(one["objectId"] for one in shown) == sorted(added)
    assert len(added) == CLIENTS * each


@pytest.mark.slow
def test_changes_of_different_properties_at_once_do_not_undo_each_other(
    site: Site, arms: tuple[Client, Client]
) -> None:
    name = new("race")
    path, policies = site.vault_id(name), [site.policy(str(uuid.uuid4()), keys=["get"])]
    ok(arms[0]("PUT", path, site.vault_body(enableRbacAuthorization=False)))
    for number in range(ROUNDS):
        tags = {"number": str(number)}
        change = {"properties": {"accessPolicies": policies}}
        answers = at_once(
            [
                partial(arms[number % 2], "PATCH", path, {"tags": tags}),
                partial(arms[1 - number % 2], "PUT", f"{path}/accessPolicies/{('add', 'remove')[number % 2]}", change),
            ]
        )
        assert {answer.status for answer in answers} <= {200, 201}, answers
        found = ok(site.arm()("GET", path)).body
        assert found["tags"] == tags
        assert len(found["properties"]["accessPolicies"]) == (number + 1) % 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["EC", "EC-HSM", "secret", "certificate"])
def test_what_is_made_in_a_vault_that_goes_is_gone_with_it(kind: str, site: Site, arms: tuple[Client, Client]) -> None:
    """And the next vault of the name is empty."""
    name = new("race")
    path = site.vault_id(name)
    body = site.vault_body()
    body["properties"]["sku"]["name"] = "premium"
    first = ok(arms[0]("PUT", path, body)).body
    who = site.make_application(name)
    site.assign(path, "Key Vault Administrator", who.object_id)
    (row,) = rows(site, "SELECT id FROM containers WHERE name = ?", name)
    both = at_both(site, lambda: site.vault(name, who))
    assert all(client("GET", "/keys").status == 200 for client in both)
    made: list[int] = []

    def fill(client: Client) -> None:
        for _ in range(200):
            answer = make_one(client, kind)
            made.append(answer.status)
            if answer.status == 404 and code_of(answer) == "VaultNotFound":
                return
            assert answer.status in (200, 202, 404, 409), answer
        raise AssertionError("the vault did not go")

    def remove() -> None:
        eventually(lambda: made.count(200) + made.count(202) > 4, 30, "some are made")
        ok(arms[0]("DELETE", path))
        ok(arms[1]("POST", f"{site.deleted_vault(name)}/purge"))

    acts: list[Callable[[], None]] = [*[partial(fill, client) for client in both], remove]
    at_once(acts)
    gone(site, name)
    for table in ("key_names", "key_versions", "secret_names", "secret_versions", "certificate_names", "schedule"):
        assert rows(site, f"SELECT count(*) FROM {table} WHERE container_id = ?", row[0]) == [(0,)], table  # noqa: S608
    again = ok(arms[1]("PUT", path, body)).body
    assert again["properties"]["vaultUri"] == first["properties"]["vaultUri"]
    assert both[0]("GET", "/keys").status == 403, "the assignment of the first vault is gone"
    site.assign(path, "Key Vault Administrator", who.object_id)
    for client in both:
        for collection in ("keys", "secrets", "certificates", "deletedkeys"):
            assert ok(client("GET", f"/{collection}")).body["value"] == []
    assert {make_one(client, kind).status for client in both} <= {200, 202}


def make_one(client: Client, kind: str) -> Answer:
    name = uuid.uuid4().hex
    if kind == "secret":
        return client("PUT", f"/secrets/{name}", {"value": "v"})
    if kind == "certificate":
        policy = {
            "key_props": {"kty": "EC", "crv": "P-256"},
            "x509_props": {"subject": "CN=x"},
            "issuer": {"name": "Self"},
        }
        return client("POST", f"/certificates/{name}/create", {"policy": policy})
    return client("POST", f"/keys/{name}/create", {"kty": kind, "crv": "P-256"})


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_no_vault_is_made_in_a_resource_group_that_goes(first: int, site: Site, arms: tuple[Client, Client]) -> None:
    for _ in range(ROUNDS // 2):
        group, name = other_group(site), new("race")
        path = site.vault_id(name, group)
        made, deleted = at_once_in_order(
            partial(arms[first], "PUT", path, site.vault_body()), partial(arms[1 - first], "DELETE", group)
        )
        assert made.status in (200, 404), made
        assert deleted.status in (200, 202, 409), deleted
        is_there = arms[0]("GET", group).status == 200
        found = container(site, name)
        if made.status == 404:
            assert found is None and code_of(made) == "ResourceGroupNotFound"
        if found is not None:
            assert found[0] != is_there, "a group that is gone holds nothing, and one that stays has kept it"
        if deleted.status == 409:
            assert is_there and found == (False, False, group.rpartition("/")[2])
        if found is not None and found[0]:  # it is not lost: with a group of the name it comes back
            ok(arms[0]("PUT", group, {"location": site.location}))
            ok(arms[1]("PUT", path, site.vault_body(createMode="recover")))


@pytest.mark.slow
def test_two_pools_never_get_one_world_and_the_last_is_given_once(site: Site) -> None:
    """Six want the four that there are."""
    owner, names = owner_id(site), [new("race") for _ in range(CLIENTS)]
    clients = [one for _ in range(CLIENTS // 2) for one in at_both(site, site.arm)]
    spare = 4
    has_spares = lambda: rows(site, "SELECT count(*) FROM worlds WHERE state = 'spare'") == [(spare,)]  # noqa: E731
    eventually(has_spares, 30, "the worlds of other tests are made anew")
    answers = at_once(
        [
            partial(client, "PUT", site.pool_id(name), site.pool_body(owner))
            for client, name in zip(clients, names, strict=True)
        ]
    )
    assert Counter(answer.status for answer in answers) == {202: spare, 409: CLIENTS - spare}, answers
    assert {code_of(answer) for answer in answers if answer.status == 409} == {"QuotaExceeded"}
    worlds = rows(site, "SELECT world_id FROM containers WHERE kind = 'pool'")
    assert len(set(worlds)) == len(worlds) == spare + 1
    made = [name for name in names if container(site, name) is not None]
    assert len(made) == spare
    for name in made:
        ok(clients[0]("DELETE", site.pool_id(name)))
    answers = at_once([partial(clients[n], "POST", f"{site.deleted_pool(name)}/purge") for n, name in enumerate(made)])
    assert {answer.status for answer in answers} == {202}
    for name in made:
        gone(site, name)
    eventually(has_spares, 30, "the worlds are made anew")
