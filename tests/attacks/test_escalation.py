"""Somebody with few rights on the management plane tries to get more, and somebody of another tenant to get any.

Every attempt is refused, in any way that says no, and changes nothing.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hsmvault.model.builtin_roles import BY_NAME
from hsmvault.model.principals import PrincipalState
from hsmvault.model.roles import RoleAssignment
from hsmvault.store import roles
from hsmvault.store.migrations import migrate
from tests.pipeline.world import CREDENTIAL_ID, LOGIN, OTHER_TENANT, TENANT, VAULT
from tests.refusals_management.grounds import (
    ASSIGNMENT,
    AT,
    FREE_ROLE,
    ROLE,
    THEIR_ASSIGNMENT,
    THEIR_ROLE,
    USER,
    prepare,
)
from tests.refusals_management.rig import Rig, running
from tests.wire.management.stage import SUBSCRIPTION, THEIRS

pytestmark = pytest.mark.asyncio(loop_scope="module")

MALLORY = "44444444-0000-0000-0000-0000000000e1"
NEW = "aaaaaaaa-0000-0000-0000-0000000000e1"
SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUPS = "/providers/Microsoft.Management/managementGroups"
PROVIDER = "/providers/Microsoft.Authorization"
DELETED = f"{SUB}/providers/Microsoft.KeyVault/locations/local/deletedVaults"
SECRET = "the value of a secret 8f1c"  # of the test's own

Attempt = tuple[str, str, object]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("escalation")
    database = folder / "hsmvault.db"
    migrate(f"sqlite:///{database}")
    async with running(folder, database) as rig:
        await prepare(rig)
        rig.service.directory.put(MALLORY)
        yield rig


async def as_mallory(rig: Rig, role: str, scope: str, **more: str) -> str:
    """A token of Mallory, who has this role and no other."""
    async with rig.service.database.write() as tx:
        await roles.delete_of(tx, MALLORY)
        id = rig.service.parts.identifiers.guid()
        await roles.insert(tx, RoleAssignment(id, scope, BY_NAME[role].id, MALLORY, 1, TENANT, **more))
    return rig.token(MALLORY)


def role_path(name: str) -> str:
    return f"{SUB}{PROVIDER}/roleDefinitions/{BY_NAME[name].id}"


def grant(role: str, principal: str = MALLORY, **more: object) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": role, "principalId": principal, "principalType": "User", **more}}


def definition(*scopes: str, **block: object) -> dict[str, Any]:
    properties = {"roleName": "Mine", "type": "CustomRole", "permissions": [block or {"actions": ["*"]}]}
    return {"properties": {**properties, "assignableScopes": list(scopes)}}


def takes_roles() -> Iterator[Attempt]:
    """Everything that would end in a role for Mallory, or in a mightier one."""
    for scope in (
        "",
        f"{GROUPS}/good",
        f"{GROUPS}/{TENANT}",
        SUB,
        f"{SUB}/resourceGroups/rg",
        AT["good"],
        AT["goodhsm"],
    ):
        for role in ("Owner", "Key Vault Administrator", "User Access Administrator"):
            yield "PUT", f"{scope}{PROVIDER}/roleAssignments/{NEW}", grant(role_path(role))
    for place in (AT["good"] + "/secrets/good", f"/local/{VAULT.id}", f"{AT['goodhsm']}/local/{VAULT.id}"):
        yield "PUT", f"{place}{PROVIDER}/roleAssignments/{NEW}", grant(role_path("Key Vault Secrets User"))
    yield "PUT", f"{AT['good']}{PROVIDER}/roleAssignments/{ASSIGNMENT}", grant(ROLE, USER, description="mine")
    yield "DELETE", f"{AT['good']}{PROVIDER}/roleAssignments/{ASSIGNMENT}", None
    for id in (ROLE, FREE_ROLE, NEW, BY_NAME["Reader"].id):
        yield "PUT", f"{SUB}{PROVIDER}/roleDefinitions/{id}", definition(SUB)
    yield "DELETE", f"{SUB}{PROVIDER}/roleDefinitions/{FREE_ROLE}", None
    yield "POST", f"{PROVIDER}/elevateAccess", None


def switches_models() -> Iterator[Attempt]:
    """A vault on Azure RBAC whose data Mallory would get by an access policy, if the vault went by those."""
    everything = {"keys": ["all"], "secrets": ["all"], "certificates": ["all"]}
    policy = {"tenantId": TENANT, "objectId": MALLORY, "permissions": everything}
    switch = {"enableRbacAuthorization": False, "accessPolicies": [policy]}
    yield "PATCH", AT["good"], {"properties": switch}
    whole = {"tenantId": TENANT, "sku": {"family": "A", "name": "premium"}, **switch}
    for version in ("2015-06-01", "2019-09-01", "2026-02-01"):
        yield "PUT", f"{AT['good']}?api-version={version}", {"location": "local", "properties": whole}
    yield "PATCH", AT["policies"], {"properties": {"enableRbacAuthorization": True}}
    yield "PATCH", AT["protected"], {"properties": {"enablePurgeProtection": False}}
    yield "PATCH", AT["protected"], {"properties": {"softDeleteRetentionInDays": 90}}
    yield "PATCH", AT["good"], {"properties": {"enableSoftDelete": False}}


def reaches_elsewhere() -> Iterator[Attempt]:
    """Of other groups, subscriptions and tenants, for who has something in the group rg alone."""
    for other in ("goodness", "elsewhere", "gone-elsewhere", "theirs", "theirs-gone"):
        yield "GET", AT[other], None
        yield "PATCH", AT[other], {"tags": {"a": "b"}}
        yield "DELETE", AT[other], None
        yield "GET", f"{AT[other]}/secrets", None
        yield "PUT", f"{AT[other]}/secrets/x", {"properties": {"value": "x"}}
        yield "PUT", f"{AT[other]}/accessPolicies/add", {"properties": {"accessPolicies": []}}
    recovered = {"location": "local", "properties": {"createMode": "recover"}}
    yield "PUT", AT["gone-elsewhere"], recovered
    yield "PUT", AT["gone-elsewhere"].replace("/rg2/", "/rg/"), recovered
    yield "PUT", AT["theirs-gone"].replace(THEIRS, SUBSCRIPTION), recovered
    for name in ("gone", "gone-elsewhere", "theirs-gone"):
        yield "GET", f"{DELETED}/{name}", None
        yield "POST", f"{DELETED}/{name}/purge", None
    yield "GET", f"{DELETED.rpartition('/locations')[0]}/deletedVaults", None
    for method, target in (
        ("PUT", f"{GROUPS}/mine"),
        ("PUT", f"{GROUPS}/good/subscriptions/{SUBSCRIPTION}"),
        ("PUT", f"{GROUPS}/good"),
        ("DELETE", f"{GROUPS}/inner"),
        ("GET", f"{GROUPS}/good/subscriptions/{SUBSCRIPTION}"),
        ("PUT", f"{SUB}/resourceGroups/mine"),
        ("DELETE", f"{SUB}/resourceGroups/rg2"),
    ):
        yield method, target, {"location": "local", "properties": {}}


async def all_refused(rig: Rig, token: str, attempts: Iterator[Attempt], *statuses: int) -> None:
    with rig.unchanged():
        for method, target, body in attempts:
            answer = await rig.ask(method, target, body, token=token)
            is_empty = answer.status == 204 and method == "DELETE"
            assert answer.status in statuses or is_empty, (method, target, answer.status, answer.body)
            assert b"innererror" not in answer.body


@pytest.mark.parametrize("role", ["Contributor", "Key Vault Contributor", "Reader", "Key Vault Administrator"])
async def test_who_may_not_give_roles_gets_none(rig: Rig, role: str) -> None:
    for scope in ("/", SUB):
        await all_refused(rig, await as_mallory(rig, role, scope), takes_roles(), 403, 404)


async def test_a_contributor_does_not_change_the_permission_model_nor_what_stays_for_ever(rig: Rig) -> None:
    for role in ("Contributor", "Key Vault Contributor"):
        await all_refused(rig, await as_mallory(rig, role, SUB), switches_models(), 400)


async def test_the_owner_of_one_group_or_vault_is_nobody_beside_it(rig: Rig) -> None:
    token = await as_mallory(rig, "Owner", f"{SUB}/resourceGroups/rg")
    await all_refused(rig, token, reaches_elsewhere(), 401, 403, 404, 409)
    token = await as_mallory(rig, "Owner", AT["good"])
    await all_refused(rig, token, reaches_elsewhere(), 401, 403, 404, 409)
    beside = ((method, target.replace(AT["good"], AT["plain"]), body) for method, target, body in takes_roles())
    await all_refused(rig, token, beside, 403, 404)


async def test_a_group_that_is_not_there_looks_like_one_that_is_to_who_may_read_neither(rig: Rig) -> None:
    token = await as_mallory(rig, "Owner", AT["good"])
    for path in ("resources", "providers/Microsoft.KeyVault/vaults", "providers/Microsoft.KeyVault/managedHSMs"):
        there, missing = [
            await rig.ask("GET", f"{SUB}/resourceGroups/{group}/{path}", token=token) for group in ("rg2", "nowhere")
        ]
        assert (there.status, there.json) == (missing.status, missing.json) == (200, {"value": []})
        known = await rig.ask("GET", f"{SUB}/resourceGroups/nowhere/{path}")
        assert (known.status, known.code) == (404, "ResourceGroupNotFound")
    for path in ("", "/providers/Microsoft.KeyVault/vaults/x"):
        there, missing = [
            await rig.ask("GET", f"{SUB}/resourceGroups/{group}{path}", token=token) for group in ("rg2", "nowhere")
        ]
        assert (there.status, missing.status) == (403, 403)
        assert there.message.replace("rg2", "nowhere") == missing.message


async def test_who_gives_some_roles_gives_no_others_and_changes_none(rig: Rig) -> None:
    """The condition of Key Vault Data Access Administrator, and an Owner who may give one role alone."""
    one = BY_NAME["Key Vault Reader"].id
    condition = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
        f"(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{one}}})) "
        "AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
        f"(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{one}}}))"
    )
    limited = await as_mallory(rig, "Owner", SUB, condition=condition, condition_version="2.0")
    own = f"{PROVIDER}/roleDefinitions/{FREE_ROLE}"  # an Owner may remove what nobody holds, whoever may be given it
    attempts = [one for one in takes_roles() if one[:2] != ("DELETE", SUB + own)]
    await all_refused(rig, limited, iter(attempts), 403, 404)
    await all_refused(rig, limited, iter([next(switches_models())]), 400)
    some = await as_mallory(rig, "Key Vault Data Access Administrator", SUB)
    gives = (BY_NAME["Key Vault Administrator"].id, BY_NAME["Key Vault Secrets User"].id)
    others = [one for one in attempts if not any(id in json.dumps(one) for id in gives)]
    await all_refused(rig, some, iter(others), 403, 404)
    assert (await rig.ask("PATCH", AT["good"], {"tags": {}}, token=some)).status == 403


async def test_an_owner_of_another_tenant_touches_nothing_of_ours(rig: Rig) -> None:
    async with rig.service.database.write() as tx:
        await roles.delete_of(tx, MALLORY)
        for scope in ("/", f"{GROUPS}/{TENANT}", f"{GROUPS}/good", SUB, f"/subscriptions/{THEIRS}"):
            id = rig.service.parts.identifiers.guid()
            await roles.insert(tx, RoleAssignment(id, scope, BY_NAME["Owner"].id, MALLORY, 1, OTHER_TENANT))
    held = frozenset({CREDENTIAL_ID})
    rig.service.directory.states[(OTHER_TENANT, MALLORY)] = PrincipalState(OTHER_TENANT, True, frozenset(), held)
    token = rig.token(MALLORY, iss=f"{LOGIN}/{OTHER_TENANT}/", tid=OTHER_TENANT)
    in_ours = [
        one
        for attempts in (takes_roles(), switches_models(), reaches_elsewhere())
        for one in attempts
        if one[1].startswith(SUB)
    ]
    await all_refused(rig, token, iter(in_ours), 401)
    at = f"/subscriptions/{THEIRS}"
    ours_by_id: list[Attempt] = [
        ("PUT", f"{AT['theirs']}{PROVIDER}/roleAssignments/{ASSIGNMENT}", grant(role_path("Reader"))),
        ("PUT", f"{at}{PROVIDER}/roleAssignments/{NEW}", grant(ROLE)),
        ("GET", f"{at}{PROVIDER}/roleDefinitions/{ROLE}", None),
        ("PUT", f"{at}{PROVIDER}/roleDefinitions/{ROLE}", definition(at)),
        ("PUT", f"{at}{PROVIDER}/roleDefinitions/{NEW}", definition(SUB)),
        ("GET", f"{AT['theirs']}{PROVIDER}/roleAssignments/{ASSIGNMENT}", None),
        ("GET", f"{GROUPS}/good", None),
        ("PUT", f"{GROUPS}/{OTHER_TENANT}/subscriptions/{SUBSCRIPTION}", None),
        (
            "PUT",
            AT["good"].replace(SUBSCRIPTION, THEIRS),
            {"location": "local", "properties": {"createMode": "recover"}},
        ),
        ("POST", f"{DELETED}/gone/purge".replace(SUBSCRIPTION, THEIRS), None),
    ]
    await all_refused(rig, token, iter(ours_by_id), 400, 404, 409)
    mine = await rig.ask("GET", f"{AT['theirs']}{PROVIDER}/roleAssignments/{THEIR_ASSIGNMENT}", token=token)
    assert (mine.status, THEIR_ROLE in mine.json["properties"]["roleDefinitionId"]) == (200, True)


async def test_the_value_of_a_secret_never_comes_out_of_the_management_plane(rig: Rig) -> None:
    at = f"{AT['good']}/secrets/value"
    answers = [
        await rig.ask("PUT", at, {"properties": {"value": SECRET, "contentType": "text/plain"}}),
        await rig.ask("PATCH", at, {"properties": {"value": SECRET + "2"}}),
        await rig.ask("PATCH", at, {"properties": {"attributes": {"enabled": True}}, "tags": {"a": "b"}}),
        await rig.ask("PUT", at, {"properties": {"value": [SECRET]}}),
        await rig.ask("PUT", at + "!", {"properties": {"value": SECRET}}),
        await rig.ask("GET", at),
        await rig.ask("GET", f"{AT['good']}/secrets"),
        await rig.ask("GET", AT["good"]),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 400, 200, 200, 200]
    assert not any(SECRET.encode() in answer.body for answer in answers)
    assert SECRET not in rig.service.audit_path.read_text()
