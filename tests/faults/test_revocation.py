"""A right that is taken away ends with the next request at every worker, whatever tokens and connections are alive.

The service promises a second for other workers; those of one node learn of each other's commits before the next request
(store/board.py), so that the first one is refused already.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.caller import Answer
from tests.faults.management_wire import Application, Client, Site, at_both
from tests.instance import ROOT

PROMISED_SECONDS = 1.0
READER, OFFICER = "Key Vault Reader", "Key Vault Secrets Officer"
CUSTOM = "00000000-1111-2222-3333-{:012d}"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Right:
    """connect: whoever has the right, over a connection of its own. use: that the right is for. take: removes it.

    refused: status of the use from then on.
    """

    connect: Callable[[], Client]
    use: Callable[[Client], Answer]
    take: Callable[[], object]
    refused: int = 403


def list_secrets(client: Client) -> Answer:
    return client("GET", "/secrets")


def ok(answer: Answer) -> Answer:
    assert answer.status < 300, answer
    return answer


def new_vault(site: Site, **properties: object) -> str:
    """Returns the name."""
    name = f"revoked-{next(_numbers)}"
    ok(site.arm()("PUT", site.vault_id(name), site.vault_body(**properties)))
    return name


def new_application(site: Site) -> Application:
    return site.make_application(f"revoked-{next(_numbers)}")


def in_vault(site: Site, vault: str, who: Application, take: Callable[[], object], refused: int = 403) -> Right:
    return Right(lambda: site.vault(vault, who), list_secrets, take, refused)


def deleting(site: Site, path: str) -> Callable[[], object]:
    return lambda: ok(site.arm()("DELETE", path))


def patching(site: Site, path: str, **properties: object) -> Callable[[], object]:
    return lambda: ok(site.arm()("PATCH", path, {"properties": properties}))


def graph_deleting(site: Site, path: str) -> Callable[[], object]:
    return lambda: ok(site.graph()("DELETE", f"/v1.0/{path}"))


def an_assignment(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    return in_vault(site, vault, who, deleting(site, site.assign(site.vault_id(vault), READER, who.object_id)))


def an_assignment_at_the_subscription(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    return in_vault(site, vault, who, deleting(site, site.assign(site.subscription, READER, who.object_id)))


def an_assignment_at_one_secret(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    site.assign(site.vault_id(vault), "Key Vault Administrator", who.object_id)
    ok(site.vault(vault, who)("PUT", "/secrets/one", {"value": "v"}))
    reader = new_application(site)
    given = site.assign(f"{site.vault_id(vault)}/secrets/one", "Key Vault Secrets User", reader.object_id)
    return Right(lambda: site.vault(vault, reader), lambda client: client("GET", "/secrets/one"), deleting(site, given))


def an_assignment_of_the_management_plane(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    given = site.assign(site.vault_id(vault), "Reader", who.object_id)
    return Right(lambda: site.arm(who), lambda client: client("GET", site.vault_id(vault)), deleting(site, given))


def an_access_policy(site: Site) -> Right:
    who = new_application(site)
    policies = [site.policy(who.object_id, secrets=["list"], keys=["get"])]
    vault = new_vault(site, enableRbacAuthorization=False, accessPolicies=policies)
    body = {"properties": {"accessPolicies": policies}}
    return in_vault(
        site, vault, who, lambda: ok(site.arm()("PUT", f"{site.vault_id(vault)}/accessPolicies/remove", body))
    )


def the_permission_model(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    site.assign(site.vault_id(vault), READER, who.object_id)
    return in_vault(site, vault, who, patching(site, site.vault_id(vault), enableRbacAuthorization=False))


def a_membership(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    group = site.make_group(f"members-{next(_numbers)}", who.object_id)
    site.assign(site.vault_id(vault), READER, group)
    return in_vault(site, vault, who, graph_deleting(site, f"groups/{group}/members/{who.object_id}/$ref"))


def a_membership_of_a_group_in_a_group(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    inner = site.make_group(f"inner-{next(_numbers)}", who.object_id)
    middle = site.make_group(f"middle-{next(_numbers)}", inner)
    outer = site.make_group(f"outer-{next(_numbers)}", middle)
    site.assign(site.vault_id(vault), READER, outer)
    return in_vault(site, vault, who, graph_deleting(site, f"groups/{outer}/members/{middle}/$ref"))


def a_group(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    group = site.make_group(f"whole-{next(_numbers)}", who.object_id)
    site.assign(site.vault_id(vault), READER, group)
    return in_vault(site, vault, who, graph_deleting(site, f"groups/{group}"))


def the_rights_of(site: Site, who: Application) -> str:
    """In a new vault."""
    vault = new_vault(site)
    site.assign(site.vault_id(vault), READER, who.object_id)
    return vault


def a_service_principal_that_is_disabled(site: Site) -> Right:
    who = new_application(site)
    path, body = f"/v1.0/servicePrincipals/{who.object_id}", {"accountEnabled": False}
    return in_vault(site, the_rights_of(site, who), who, lambda: ok(site.graph()("PATCH", path, body)), 401)


def a_service_principal(site: Site) -> Right:
    who = new_application(site)
    return in_vault(
        site, the_rights_of(site, who), who, graph_deleting(site, f"servicePrincipals/{who.object_id}"), 401
    )


def an_application(site: Site) -> Right:
    who = new_application(site)
    path = f"applications(appId='{who.client_id}')"
    return in_vault(site, the_rights_of(site, who), who, graph_deleting(site, path), 401)


def a_secret(site: Site) -> Right:
    who = new_application(site)
    path = f"/v1.0/applications(appId='{who.client_id}')"
    (credential,) = ok(site.graph()("GET", path)).body["passwordCredentials"]
    body = {"keyId": credential["keyId"]}
    return in_vault(
        site,
        the_rights_of(site, who),
        who,
        lambda: ok(site.graph()("POST", f"{path}/removePassword", body)),
        401,
    )


def the_network(site: Site) -> Right:
    who = new_application(site)
    vault = the_rights_of(site, who)
    return in_vault(site, vault, who, patching(site, site.vault_id(vault), publicNetworkAccess="Disabled"))


def an_address(site: Site) -> Right:
    who = new_application(site)
    vault = the_rights_of(site, who)
    rules = {"defaultAction": "Deny", "bypass": "None", "ipRules": [{"value": "192.0.2.0/24"}]}
    return in_vault(site, vault, who, patching(site, site.vault_id(vault), networkAcls=rules))


def what_a_role_gives(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    role = CUSTOM.format(next(_numbers))
    path = f"{site.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    read = "Microsoft.KeyVault/vaults/secrets/readMetadata/action"

    def body(*data_actions: str) -> dict[str, object]:
        block = {"actions": ["Microsoft.KeyVault/vaults/read"], "dataActions": [*data_actions]}
        return {"properties": {"roleName": role, "assignableScopes": [site.subscription], "permissions": [block]}}

    ok(site.arm()("PUT", path, body(read)))
    site.assign(site.vault_id(vault), role, who.object_id)
    return in_vault(site, vault, who, lambda: ok(site.arm()("PUT", path, body())))


def a_vault(site: Site) -> Right:
    who = new_application(site)
    vault = the_rights_of(site, who)
    return in_vault(site, vault, who, deleting(site, site.vault_id(vault)), 404)


def a_vault_that_comes_back(site: Site) -> Right:
    """Its assignments do not."""
    who = new_application(site)
    vault = the_rights_of(site, who)

    def take() -> None:
        ok(site.arm()("DELETE", site.vault_id(vault)))
        ok(site.arm()("PUT", site.vault_id(vault), site.vault_body(createMode="recover")))

    return in_vault(site, vault, who, take)


def a_pool(site: Site) -> Right:
    """With the role of its first administrator."""
    who, pool = new_application(site), f"revoked-{next(_numbers)}"
    ok(site.arm()("PUT", site.pool_id(pool), site.pool_body(who.object_id)))

    def take() -> None:
        ok(site.arm()("DELETE", site.pool_id(pool)))
        ok(site.arm()("POST", f"{site.deleted_pool(pool)}/purge"))

    return Right(lambda: site.pool(pool, who), lambda client: client("GET", "/settings"), take, 404)


def a_resource_group(site: Site) -> Right:
    who, group = new_application(site), f"{site.subscription}/resourceGroups/revoked-{next(_numbers)}"
    ok(site.arm()("PUT", group, {"location": site.location}))
    vault = f"revoked-{next(_numbers)}"
    ok(site.arm()("PUT", site.vault_id(vault, group), site.vault_body()))
    site.assign(group, READER, who.object_id)
    return in_vault(site, vault, who, deleting(site, group), 404)


def the_place_of_a_subscription(site: Site) -> Right:
    vault, who = new_vault(site), new_application(site)
    path = f"/providers/Microsoft.Management/managementGroups/revoked-{next(_numbers)}"
    ok(site.arm()("PUT", path, {"properties": {"displayName": "revoked"}}))
    place = f"{path}{site.subscription}"
    ok(site.arm()("PUT", place))
    site.assign(path, READER, who.object_id)
    return in_vault(site, vault, who, deleting(site, place))


def a_role_of_the_directory(site: Site) -> Right:
    who = new_application(site)
    role, graph = "fe930be7-5e62-47db-91af-98c3a49a38b1", site.graph()
    body = {"principalId": who.object_id, "roleDefinitionId": role, "directoryScopeId": "/"}
    ok(graph("POST", "/v1.0/roleManagement/directory/roleAssignments", body))
    (given,) = [
        one["id"]
        for one in ok(graph("GET", "/v1.0/roleManagement/directory/roleAssignments")).body["value"]
        if one["principalId"] == who.object_id
    ]

    def use(client: Client) -> Answer:
        user = f"user-{next(_numbers)}"
        profile = {"password": "Vor-dem-Tor-steht-7-Linden"}
        return client(
            "POST",
            "/v1.0/users",
            {
                "displayName": user,
                "mailNickname": user,
                "userPrincipalName": f"{user}@dev.hsmvault.invalid",
                "accountEnabled": True,
                "passwordProfile": profile,
            },
        )

    return Right(
        lambda: site.graph(who), use, graph_deleting(site, f"roleManagement/directory/roleAssignments/{given}")
    )


EVERY = (
    *(an_assignment, an_assignment_at_the_subscription, an_assignment_at_one_secret),
    *(an_assignment_of_the_management_plane, an_access_policy, the_permission_model),
    *(a_membership, a_membership_of_a_group_in_a_group, a_group),
    *(a_service_principal_that_is_disabled, a_service_principal, an_application, a_secret),
    *(the_network, an_address, what_a_role_gives, a_vault, a_vault_that_comes_back, a_pool, a_resource_group),
    *(the_place_of_a_subscription, a_role_of_the_directory),
)
FAST = {an_assignment, a_membership_of_a_group_in_a_group, a_secret}


@pytest.mark.parametrize(
    "right",
    [pytest.param(one, marks=[] if one in FAST else [pytest.mark.slow], id=one.__name__) for one in EVERY],
)
def test_what_is_taken_away_is_refused_on_the_next_request_of_every_worker(
    right: Callable[[Site], Right], site: Site
) -> None:
    one = right(site)
    both = at_both(site, one.connect)
    for client in (*both, *both):  # the second time from caches
        assert one.use(client).status in (200, 201)
    one.take()
    begun = time.monotonic()
    answers = [one.use(client) for client in both]
    needed = time.monotonic() - begun
    assert [answer.status for answer in answers] == [one.refused] * 2, answers
    assert needed < PROMISED_SECONDS
    assert all(one.use(client).status == one.refused for client in both)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["role remove", "sp disable", "app delete"])
def test_what_an_operator_takes_away_at_the_command_line_is_refused_within_a_second(command: str, site: Site) -> None:
    """By a process of its own: the workers find it in the table of changes."""
    who = new_application(site)
    vault = new_vault(site)
    given = site.assign(site.vault_id(vault), READER, who.object_id)
    both = at_both(site, lambda: site.vault(vault, who))
    assert [list_secrets(client).status for client in both] == [200, 200]
    arguments, refused = {
        "role remove": (["role", "remove", given.rpartition("/")[2]], 403),
        "sp disable": (["directory", "sp", "disable", who.client_id], 401),
        "app delete": (["directory", "app", "delete", who.client_id], 401),
    }[command]
    ended = subprocess.run(
        [sys.executable, "-m", "hsmvault", *arguments, "--data-dir", str(site.instance.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    begun = time.monotonic()
    assert ended.returncode == 0, ended.stderr
    while [list_secrets(client).status for client in both] != [refused] * 2:
        assert time.monotonic() - begun < PROMISED_SECONDS
