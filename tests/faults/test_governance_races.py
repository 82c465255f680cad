"""Roles, management groups and the directory, changed at two workers at once: what is there fits together."""

import uuid
from functools import partial

import pytest

from tests.faults.management_wire import Client, Site, at_both
from tests.faults.race_parts import ROUNDS, code_of, new, ok, rows
from tests.faults.vault_wire import at_once, at_once_in_order


@pytest.mark.slow
def test_an_assignment_at_a_vault_that_goes_does_not_wait_for_it(site: Site, arms: tuple[Client, Client]) -> None:
    who, name = str(uuid.uuid4()), new("race")
    path = site.vault_id(name)
    ok(arms[0]("PUT", path, site.vault_body()))
    for number in range(ROUNDS):
        body = site.assignment("Key Vault Reader", who)
        body["properties"]["principalType"] = "User"
        assignment = f"{path}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        put, delete = arms if number % 2 else arms[::-1]
        given, deleted = at_once_in_order(partial(put, "PUT", assignment, body), partial(delete, "DELETE", path))
        assert given.status in (201, 404), given
        assert deleted.status == 200, deleted
        ok(arms[0]("PUT", path, site.vault_body(createMode="recover")))
        assert rows(site, "SELECT id FROM role_assignments WHERE principal_id = ?", who) == []


@pytest.mark.slow
def test_a_role_that_is_held_is_not_removed(site: Site, arms: tuple[Client, Client]) -> None:
    authorization = f"{site.subscription}/providers/Microsoft.Authorization"
    block = {"actions": ["Microsoft.KeyVault/vaults/read"]}
    for number in range(ROUNDS):
        role, name = str(uuid.uuid4()), str(uuid.uuid4())
        properties = {"roleName": role, "assignableScopes": [site.subscription], "permissions": [block]}
        ok(arms[0]("PUT", f"{authorization}/roleDefinitions/{role}", {"properties": properties}))
        body = site.assignment(role, str(uuid.uuid4()))
        body["properties"]["principalType"] = "User"
        give, remove = arms if number % 2 else arms[::-1]
        given, removed = at_once_in_order(
            partial(give, "PUT", f"{authorization}/roleAssignments/{name}", body),
            partial(remove, "DELETE", f"{authorization}/roleDefinitions/{role}"),
        )
        is_held = rows(site, "SELECT count(*) FROM role_assignments WHERE role_id = ?", role) == [(1,)]
        is_there = rows(site, "SELECT count(*) FROM role_definitions WHERE id = ?", role) == [(1,)]
        assert is_held == is_there == (given.status == 201) == (removed.status == 400), (given, removed)


@pytest.mark.slow
def test_of_the_same_grants_at_once_there_is_one(site: Site, arms: tuple[Client, Client]) -> None:
    """Under two names one is told that it exists; under one name both are told yes."""
    authorization = f"{site.subscription}/providers/Microsoft.Authorization/roleAssignments"
    for names, statuses in (
        ((str(uuid.uuid4()), str(uuid.uuid4())), [201, 409]),
        ((str(uuid.uuid4()),) * 2, [200, 201]),
    ):
        body = site.assignment("Reader", str(uuid.uuid4()))
        body["properties"]["principalType"] = "User"
        answers = at_once(
            [partial(arm, "PUT", f"{authorization}/{name}", body) for arm, name in zip(arms, names, strict=True)]
        )
        assert sorted(answer.status for answer in answers) == statuses, answers
        assert {code_of(answer) for answer in answers if answer.status == 409} <= {"RoleAssignmentExists"}


@pytest.mark.slow
def test_management_groups_that_move_at_once_make_no_circle(site: Site, arms: tuple[Client, Client]) -> None:
    groups = "/providers/Microsoft.Management/managementGroups"
    one, other = new("circle"), new("circle")
    for name in (one, other):
        ok(arms[0]("PUT", f"{groups}/{name}", {}))
    below = [{"properties": {"details": {"parent": {"id": f"{groups}/{parent}"}}}} for parent in (other, one)]
    for _ in range(ROUNDS):
        answers = at_once(
            [
                partial(arm, "PUT", f"{groups}/{name}", body)
                for arm, name, body in zip(arms, (one, other), below, strict=True)
            ]
        )
        assert sorted(answer.status // 100 for answer in answers) == [2, 4], answers
        parents = dict(rows(site, "SELECT folded_name, parent FROM management_groups"))
        assert [parents[one], parents[other]].count("") == 1
        root = {"properties": {"details": {"parent": {"id": f"{groups}/{site.tenant}"}}}}
        for name in (one, other):
            ok(arms[0]("PUT", f"{groups}/{name}", root))


@pytest.mark.slow
def test_of_the_same_objects_of_the_directory_at_once_there_is_one(site: Site) -> None:
    graphs = at_both(site, site.graph)
    for _ in range(3):
        name = new("race")
        user = {
            "displayName": name,
            "mailNickname": name,
            "userPrincipalName": f"{name}@dev.hsmvault.invalid",
            "accountEnabled": True,
            "passwordProfile": {"password": "Vor-dem-Tor-steht-7-Linden"},
        }
        answers = at_once([partial(graph, "POST", "/v1.0/users", user) for graph in graphs])
        assert sorted(answer.status for answer in answers) == [201, 400], answers
        (made,) = [answer.body["id"] for answer in answers if answer.status == 201]
        group = site.make_group(name)
        member = {"@odata.id": f"{site.url('graph')}/v1.0/directoryObjects/{made}"}
        answers = at_once([partial(graph, "POST", f"/v1.0/groups/{group}/members/$ref", member) for graph in graphs])
        assert sorted(answer.status for answer in answers) == [204, 400], answers
        application = ok(graphs[0]("POST", "/v1.0/applications", {"displayName": name})).body
        body = {"appId": application["appId"]}
        answers = at_once([partial(graph, "POST", "/v1.0/servicePrincipals", body) for graph in graphs])
        assert sorted(answer.status for answer in answers) == [201, 409], answers
        answers = at_once(
            [
                partial(graphs[0], "POST", f"/v1.0/applications/{application['id']}/addPassword", {}),
                partial(graphs[1], "DELETE", f"/v1.0/applications/{application['id']}"),
            ]
        )
        assert {answer.status for answer in answers} <= {200, 204, 404}, answers
        left = "SELECT count(*) FROM credentials WHERE application_id = ?"
        assert rows(site, left, application["appId"]) == [(0,)], "nothing proves what is gone"
        answers = at_once(
            [
                partial(graphs[0], "DELETE", f"/v1.0/users/{made}"),
                partial(graphs[1], "POST", f"/v1.0/groups/{site.make_group(name)}/members/$ref", member),
            ]
        )
        assert rows(site, "SELECT count(*) FROM memberships WHERE member_id = ?", made) == [(0,)]
