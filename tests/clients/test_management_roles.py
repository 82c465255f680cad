"""Roles through the unmodified azure-mgmt-authorization, synchronous and asynchronous: given at every kind of scope,
defined, taken away again; and what the clients of keys and secrets may do at the very next request."""

import itertools
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from tests.clients.flavours import Clients
from tests.clients.management import (
    Opened,
    all_of,
    authorization_client,
    done,
    management_client,
    object_id,
    tokens_of,
    vault_body,
)
from tests.clients.principals import Tokens
from tests.instance import DevInstance

CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SCOPES = ("management group", "subscription", "group", "vault", "key")
_numbers = itertools.count(1)


@pytest.fixture
def authorization(flavour: str, owner_tokens: Mapping[str, Tokens], opened: Opened) -> Any:
    """The client of Microsoft.Authorization, for the owner of everything."""
    return opened(authorization_client(flavour, owner_tokens[flavour]))


@dataclass(frozen=True)
class Somebody:
    """A principal that has no role when a test begins."""

    tokens: Tokens
    object_id: str
    clients: Clients

    async def may(self, method: Any, *arguments: Any, **named: Any) -> bool:
        """Whether the data plane lets it do this. method: of one of its clients."""
        try:
            await done(method(*arguments, **named))
        except HttpResponseError as error:
            assert error.status_code == 403, error
            return False
        return True

    async def may_read(self, key: str) -> bool:
        return await self.may(self.clients.keys.client.get_key, key)


@pytest.fixture
def somebody(flavour: str, dev_instance: DevInstance, opened: Opened) -> Somebody:
    tokens = tokens_of(flavour, dev_instance.environment, "nobody")
    return Somebody(tokens, object_id(tokens), opened(Clients(flavour, tokens)))


@pytest.fixture
def owner_clients(flavour: str, owner_tokens: Mapping[str, Tokens], opened: Opened) -> Clients:
    return opened(Clients(flavour, owner_tokens[flavour]))


def subscription() -> str:
    return f"/subscriptions/{os.environ['AZURE_SUBSCRIPTION_ID']}"


def resource_group() -> str:
    return f"{subscription()}/resourceGroups/{os.environ['AZURE_RESOURCE_GROUP']}"


def vault() -> str:
    return f"{resource_group()}/providers/Microsoft.KeyVault/vaults/dev"


def root() -> str:
    """The management group above everything of the tenant."""
    return f"/providers/Microsoft.Management/managementGroups/{os.environ['AZURE_TENANT_ID']}"


def role(id: str) -> str:
    return f"{subscription()}/providers/Microsoft.Authorization/roleDefinitions/{id}"


def assignment(role_id: str, principal_id: str, **more: str) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": role(role_id), "principalId": principal_id, **more}}


def definition(name: str, **permissions: list[str]) -> dict[str, Any]:
    return {
        "properties": {
            "roleName": name,
            "description": "of a test",
            "permissions": [permissions],
            "assignableScopes": [subscription()],
        }
    }


async def key_of(clients: Clients) -> str:
    name = f"roles-{next(_numbers)}"
    await done(clients.keys.client.create_ec_key(name, curve="P-256"))
    return name


@pytest.mark.parametrize("flavour", ["sync", pytest.param("async", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", SCOPES)
async def test_a_role_counts_at_its_scope_and_below_from_the_next_request_on(
    authorization: Any, somebody: Somebody, owner_clients: Clients, group: str, kind: str
) -> None:
    assignments, key, other = authorization.role_assignments, await key_of(owner_clients), await key_of(owner_clients)
    scope = dict(zip(SCOPES, (root(), subscription(), resource_group(), vault(), f"{vault()}/keys/{key}"), strict=True))
    at, name = scope[kind], str(uuid.uuid4())
    assert not await somebody.may_read(key)
    made = await done(assignments.create(at, name, assignment(CRYPTO_USER, somebody.object_id, description="why")))
    assert (made.name, made.scope, made.id) == (
        name,
        at,
        f"{at}/providers/Microsoft.Authorization/roleAssignments/{name}",
    )
    assert (made.principal_id, made.principal_type) == (somebody.object_id, "ServicePrincipal")
    assert (made.description, made.role_definition_id.rpartition("/")[2]) == ("why", CRYPTO_USER)
    assert made.created_on == made.updated_on
    assert await somebody.may_read(key)
    assert await somebody.may_read(other) is (kind != "key")
    assert not await somebody.may(somebody.clients.secrets.client.get_secret, "none")
    assert (await done(assignments.get(at, name))).as_dict() == made.as_dict()
    assert (await done(assignments.get_by_id(made.id.lstrip("/")))).as_dict() == made.as_dict()
    again = assignment(CRYPTO_USER, somebody.object_id)
    with pytest.raises(ResourceExistsError) as exists:
        await done(assignments.create(at, str(uuid.uuid4()), again))
    assert exists.value.error is not None
    assert exists.value.error.code == "RoleAssignmentExists"

    of = f"assignedTo('{somebody.object_id}')"
    for listing in (
        assignments.list_for_scope(scope["key"], filter=of),
        assignments.list_for_scope(at, filter=f"atScope() and {of}"),
        assignments.list_for_subscription(filter=f"principalId eq '{somebody.object_id}'"),
        assignments.list_for_resource_group(group, filter=of),
        assignments.list_for_resource(group, "Microsoft.KeyVault", "vaults", "dev", filter=of),
    ):
        assert [one.id for one in await all_of(listing)] == [made.id]
    removed = await done(assignments.delete(at, name))
    assert removed.as_dict() == made.as_dict()
    assert not await somebody.may_read(key)
    assert await done(assignments.delete_by_id(made.id.lstrip("/"))) is None
    with pytest.raises(ResourceNotFoundError):
        await done(assignments.get(at, name))


async def test_a_vault_with_the_same_beginning_is_another_one(
    authorization: Any,
    management: Any,
    somebody: Somebody,
    owner_clients: Clients,
    group: str,
    opened: Opened,
) -> None:
    name = f"dev-{next(_numbers)}"
    made = await done(management.vaults.begin_create_or_update(group, name, vault_body()))
    owner = opened(Clients(owner_clients.flavour, owner_clients.credential, made.properties.vault_uri))
    await done(owner.secrets.client.set_secret("s", "value"))
    theirs = opened(Clients(owner_clients.flavour, somebody.tokens, made.properties.vault_uri))
    asked = assignment(SECRETS_USER, somebody.object_id)

    async def theirs_may_get() -> bool:
        return await somebody.may(theirs.secrets.client.get_secret, "s")

    given = await done(authorization.role_assignments.create_by_id(assignment_id(vault()), asked))
    assert not await theirs_may_get()
    there = await done(authorization.role_assignments.create_by_id(assignment_id(made.id), asked))
    assert await theirs_may_get()
    await done(management.vaults.delete(group, name))  # and with it what was given there
    await done(management.vaults.begin_create_or_update(group, name, vault_body(create_mode="recover")))
    with pytest.raises(ResourceNotFoundError):
        await done(authorization.role_assignments.get_by_id(there.id.lstrip("/")))
    assert not await theirs_may_get()
    await done(authorization.role_assignments.delete_by_id(given.id.lstrip("/")))
    await done(management.vaults.delete(group, name))


def assignment_id(scope: str) -> str:
    return f"{scope.lstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"


async def test_a_role_of_ones_own_gives_what_its_wildcards_say_but_for_what_they_leave_out(
    authorization: Any, flavour: str, somebody: Somebody, owner_clients: Clients, group: str, opened: Opened
) -> None:
    definitions, id, key = authorization.role_definitions, str(uuid.uuid4()), await key_of(owner_clients)
    body = definition(
        f"Keeper {id}",
        actions=["Microsoft.KeyVault/*/read", "Microsoft.Authorization/*/read", "Microsoft.KeyVault/vaults/*"],
        notActions=["Microsoft.KeyVault/vaults/write", "*/delete"],
        dataActions=["Microsoft.KeyVault/vaults/keys/*"],
        notDataActions=["Microsoft.KeyVault/vaults/keys/delete", "*/update/action"],
    )
    made = await done(definitions.create_or_update(subscription(), id, body))
    assert (made.name, made.role_name, made.role_type) == (id, f"Keeper {id}", "CustomRole")
    assert made.assignable_scopes == [subscription()]
    assert (await done(definitions.get(subscription(), id))).as_dict() == made.as_dict()
    assert (await done(definitions.get_by_id(made.id.lstrip("/")))).as_dict() == made.as_dict()
    (found,) = await all_of(definitions.list(vault(), filter=f"roleName eq 'keeper {id}'"))
    assert found.name == id
    assert id in [one.name for one in await all_of(definitions.list(subscription(), filter="type eq 'CustomRole'"))]
    given = await done(
        authorization.role_assignments.create(vault(), str(uuid.uuid4()), assignment(id, somebody.object_id))
    )

    keys = somebody.clients.keys.client
    assert await somebody.may_read(key)
    assert await somebody.may(keys.create_ec_key, f"{key}-new", curve="P-256")
    assert not await somebody.may(keys.update_key_properties, key, tags={"a": "b"})
    assert not await somebody.may(somebody.clients.keys.delete, key)
    assert not await somebody.may(somebody.clients.secrets.client.get_secret, "none")
    theirs = opened(management_client(flavour, somebody.tokens))
    assert (await done(theirs.vaults.get(group, "dev"))).name == "dev"
    assert [one.name for one in await all_of(theirs.vaults.list_by_subscription())] == ["dev"]
    for change in (
        lambda: theirs.vaults.update(group, "dev", {"tags": {}}),
        lambda: theirs.vaults.delete(group, "dev"),
    ):
        with pytest.raises(HttpResponseError, match="does not have authorization") as refused:
            await done(change())
        assert refused.value.error is not None
        assert (refused.value.status_code, refused.value.error.code) == (403, "AuthorizationFailed")

    own = opened(authorization_client(flavour, somebody.tokens))
    (block,) = await all_of(own.permissions.list_for_resource(group, "Microsoft.KeyVault", "", "vaults", "dev"))
    wanted = body["properties"]["permissions"][0]
    assert (block.actions, block.not_actions) == (wanted["actions"], wanted["notActions"])
    assert (block.data_actions, block.not_data_actions) == (wanted["dataActions"], wanted["notDataActions"])
    with pytest.raises(HttpResponseError, match="does not have authorization"):
        await all_of(own.permissions.list_for_resource_group(group))
    with pytest.raises(HttpResponseError, match="does not have authorization"):  # to see roles is not to give them
        await done(
            own.role_assignments.create(vault(), str(uuid.uuid4()), assignment(SECRETS_USER, somebody.object_id))
        )

    body["properties"]["permissions"] = [{"actions": ["Microsoft.KeyVault/vaults/read"], "notActions": []}]
    narrower = await done(definitions.create_or_update(subscription(), id, body))
    assert narrower.permissions[0].data_actions == []
    assert not await somebody.may_read(key)
    with pytest.raises(HttpResponseError) as held:
        await done(definitions.delete(subscription(), id))
    assert held.value.error is not None
    assert (held.value.status_code, held.value.error.code) == (400, "RoleDefinitionHasAssignments")
    await done(authorization.role_assignments.delete(vault(), given.name))
    assert (await done(definitions.delete(subscription(), id))).name == id
    assert await done(definitions.delete(subscription(), id)) is None
    with pytest.raises(ResourceNotFoundError):
        await done(definitions.get(subscription(), id))


async def test_what_a_group_is_given_its_members_have_and_those_of_groups_in_it(
    authorization: Any, somebody: Somebody, owner_clients: Clients, owner_tokens: Mapping[str, Tokens]
) -> None:
    key = await key_of(owner_clients)
    inner, outer = (graph(owner_tokens, "POST", "groups", group_body(name))["id"] for name in ("inner", "outer"))
    graph(owner_tokens, "POST", f"groups/{outer}/members/$ref", reference(owner_tokens, inner))
    asked = assignment(CRYPTO_USER, outer, principalType="Group")
    given = await done(authorization.role_assignments.create(vault(), str(uuid.uuid4()), asked))
    assert given.principal_type == "Group"
    assert not await somebody.may_read(key)
    graph(owner_tokens, "POST", f"groups/{inner}/members/$ref", reference(owner_tokens, somebody.object_id))
    assert await somebody.may_read(key)
    of = f"assignedTo('{somebody.object_id}')"
    listed = await all_of(authorization.role_assignments.list_for_scope(vault(), filter=of))
    assert [one.id for one in listed] == [given.id]
    graph(owner_tokens, "DELETE", f"groups/{outer}/members/{inner}/$ref")
    assert not await somebody.may_read(key)
    graph(owner_tokens, "POST", f"groups/{outer}/members/$ref", reference(owner_tokens, inner))
    assert await somebody.may_read(key)
    graph(owner_tokens, "DELETE", f"groups/{inner}")
    assert not await somebody.may_read(key)
    await done(authorization.role_assignments.delete(vault(), given.name))
    graph(owner_tokens, "DELETE", f"groups/{outer}")


def group_body(name: str) -> dict[str, Any]:
    name = f"{name}-{next(_numbers)}"
    return {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True}


def reference(tokens: Mapping[str, Tokens], id: str) -> dict[str, Any]:
    return {"@odata.id": f"{_graph()}/v1.0/directoryObjects/{id}"}


def _graph() -> str:
    return os.environ["ARM_ENDPOINT"].replace("management.", "graph.", 1)


def graph(tokens: Mapping[str, Tokens], method: str, path: str, body: Any = None) -> Any:
    """A request to the directory, as its owner."""
    headers = {"Authorization": f"Bearer {tokens['sync'].of(f'{_graph()}/.default').token}"}
    answer = requests.request(method, f"{_graph()}/v1.0/{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def test_nothing_is_denied_beside_what_is_not_given(authorization: Any, group: str) -> None:
    denials, id = authorization.deny_assignments, str(uuid.uuid4())
    for listing in (
        denials.list(filter="atScope()"),
        denials.list_for_scope(vault()),
        denials.list_for_resource_group(group),
        denials.list_for_resource(group, "Microsoft.KeyVault", "", "vaults", "dev"),
    ):
        assert await all_of(listing) == []
    for missing in (
        lambda: denials.get(vault(), id),
        lambda: denials.get_by_id(f"{vault()[1:]}/providers/Microsoft.Authorization/denyAssignments/{id}"),
    ):
        with pytest.raises(ResourceNotFoundError) as found:
            await done(missing())
        assert found.value.error is not None
        assert found.value.error.code == "DenyAssignmentNotFound"


async def test_what_cannot_be_given_is_refused(authorization: Any, somebody: Somebody, group: str) -> None:
    name, other = str(uuid.uuid4()), "44444444-0000-0000-0000-000000000001"
    good = assignment(READER, somebody.object_id)
    wrong = [
        (vault(), "a name", good, 400, "InvalidRoleAssignmentId"),
        (vault(), name, assignment(other, somebody.object_id), 404, "RoleDefinitionDoesNotExist"),
        (vault(), name, assignment(READER, other), 400, "PrincipalNotFound"),
        (vault(), name, assignment(READER, somebody.object_id, principalType="User"), 400, "UnmatchedPrincipalType"),
        (vault() + "-none", name, good, 404, "ResourceNotFound"),
        (resource_group() + "-none", name, good, 404, "ResourceGroupNotFound"),
        (f"/subscriptions/{other}", name, good, 404, "SubscriptionNotFound"),
    ]
    for scope, id, body, status, code in wrong:
        with pytest.raises(HttpResponseError) as refused:
            await done(authorization.role_assignments.create(scope, id, body))
        assert refused.value.error is not None
        assert (refused.value.status_code, refused.value.error.code) == (status, code), scope
    listed = authorization.role_assignments.list_for_scope(vault(), filter=f"principalId eq '{somebody.object_id}'")
    assert await all_of(listed) == []
    built_in = await done(authorization.role_definitions.get(vault(), READER))
    assert (built_in.role_name, built_in.role_type) == ("Reader", "BuiltInRole")
    with pytest.raises(HttpResponseError) as kept:
        await done(authorization.role_definitions.delete(subscription(), READER))
    assert kept.value.status_code == 403


ASSIGNMENT_VERSIONS = (
    *("2015-07-01", "2018-01-01-preview", "2018-09-01-preview"),
    *("2020-04-01-preview", "2020-10-01-preview", "2022-04-01"),
)


@pytest.mark.slow
@pytest.mark.parametrize("version", ASSIGNMENT_VERSIONS)
async def test_every_api_version_gives_roles_and_takes_them(
    flavour: str,
    somebody: Somebody,
    owner_clients: Clients,
    owner_tokens: Mapping[str, Tokens],
    opened: Opened,
    version: str,
) -> None:
    client = opened(authorization_client(flavour, owner_tokens[flavour], api_version=version))
    assignments, key, name = client.role_assignments, await key_of(owner_clients), str(uuid.uuid4())
    made = await done(assignments.create(vault(), name, assignment(CRYPTO_USER, somebody.object_id)))
    assert await somebody.may_read(key)
    assert (await done(assignments.get(vault(), name))).as_dict() == made.as_dict()
    everywhere = assignments.list if hasattr(assignments, "list") else assignments.list_for_subscription
    listed = await all_of(everywhere(filter=f"principalId eq '{somebody.object_id}'"))
    assert [one.name for one in listed] == [name]
    assert (await done(assignments.delete(vault(), name))).name == name
    assert not await somebody.may_read(key)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2015-07-01", "2018-01-01-preview", "2022-04-01", "2022-05-01-preview"])
async def test_every_api_version_defines_roles(
    flavour: str, owner_tokens: Mapping[str, Tokens], group: str, opened: Opened, version: str
) -> None:
    client = opened(authorization_client(flavour, owner_tokens[flavour], api_version=version))
    id = str(uuid.uuid4())
    body = definition(f"Of {version} {id}", actions=["Microsoft.KeyVault/vaults/read"])
    made = await done(client.role_definitions.create_or_update(resource_group(), id, body))
    assert (await done(client.role_definitions.get(resource_group(), id))).as_dict() == made.as_dict()
    assert id in [one.name for one in await all_of(client.role_definitions.list(resource_group()))]
    assert await all_of(client.permissions.list_for_resource_group(group)) != []
    assert (await done(client.role_definitions.delete(resource_group(), id))).name == id
