"""Every operation of the client of Microsoft.KeyVault, in both flavours; its lists, page by page; and every api-version
that the service has."""

import os
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.keyvault.models import (
    AccessPolicyEntry,
    KeyCreateParameters,
    KeyProperties,
    ManagedHsm,
    ManagedHsmKeyCreateParameters,
    ManagedHsmKeyProperties,
    ManagedHsmProperties,
    ManagedHsmSku,
    MHSMPrivateEndpoint,
    MHSMPrivateEndpointConnection,
    MHSMPrivateEndpointConnectionProperties,
    MHSMPrivateLinkServiceConnectionState,
    Permissions,
    PrivateEndpoint,
    PrivateEndpointConnection,
    PrivateEndpointConnectionProperties,
    PrivateLinkServiceConnectionState,
    SecretCreateOrUpdateParameters,
    SecretPatchParameters,
    SecretPatchProperties,
    SecretProperties,
    VaultAccessPolicyParameters,
    VaultAccessPolicyProperties,
    VaultCheckNameAvailabilityParameters,
    VaultPatchParameters,
)

from hsmvault.model.management import BY_NAME
from hsmvault.wire.management.versions import KEY_VAULT_STABLE
from tests.clients.management import LOCATION, Opened, all_of, done, management_client, object_id, vault_body
from tests.clients.principals import Tokens

ENDPOINT = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/branch"
RBAC_SINCE = "2026-02-01"
POOLS_SINCE = "2021-10-01"
_numbers = count()


@pytest.fixture
def name() -> str:
    return f"ops-{next(_numbers)}"


class Watched:
    """The client, and which of its operations were called. answers: of the service, one after the other."""

    def __init__(self, flavour: str, credential: Tokens, **options: Any) -> None:
        self.client = management_client(flavour, credential, raw_response_hook=self._keep, **options)
        self.called: set[str] = set()
        self.answers: list[Any] = []

    def __getattr__(self, group: str) -> "_Group":
        return _Group(self, group)

    def every_one(self) -> set[str]:
        """Of the operations of the client."""
        return {
            f"{group}.{name}"
            for group, operations in vars(self.client).items()
            if not group.startswith("_")
            for name in dir(operations)
            if not name.startswith("_") and callable(getattr(operations, name))
        }

    def _keep(self, response: Any) -> None:
        self.answers.append(response.http_response)


class _Group:
    def __init__(self, watched: Watched, name: str) -> None:
        self._watched = watched
        self._name = name

    def __getattr__(self, method: str) -> Any:
        self._watched.called.add(f"{self._name}.{method}")
        return getattr(getattr(self._watched.client, self._name), method)


def test_the_operations_of_the_client_are_those_of_the_table(owner_tokens: Mapping[str, Tokens]) -> None:
    found = {one.replace(".begin_", ".").replace(".", "_") for one in Watched("sync", owner_tokens["sync"]).every_one()}
    assert len(found) == 48
    assert found - set(BY_NAME) == {"vaults_list"}  # a request to Microsoft.Resources


@pytest.mark.slow
async def test_every_operation_answers(
    flavour: str, group: str, name: str, owner_tokens: Mapping[str, Tokens], opened: Opened, arm_keys: None
) -> None:
    client = Watched(flavour, owner_tokens[flavour])
    opened(client.client)
    assert "Microsoft.KeyVault/vaults/read" in {one.name for one in await all_of(client.operations.list())}
    await walk_vault(client, group, name, object_id(owner_tokens[flavour]))
    await walk_pool(client, group, name, object_id(owner_tokens[flavour]))
    await walk_pool_keys(client, group, name)
    assert client.called == client.every_one()
    begun = [answer for answer in client.answers if answer.status_code == 202]
    assert len(begun) >= 4
    for answer in begun:
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Location"].startswith(f"{os.environ['ARM_ENDPOINT']}/")
    for answer in client.answers:
        assert answer.headers["x-ms-request-id"]
        assert answer.headers["x-ms-correlation-request-id"]


async def walk_vault(client: Watched, group: str, name: str, owner: str) -> None:
    vaults, at = client.vaults, (group, name)
    assert (await done(vaults.check_name_availability(VaultCheckNameAvailabilityParameters(name=name)))).name_available
    made = await done(
        vaults.begin_create_or_update(*at, vault_body(enable_rbac_authorization=False, sku="premium", tags={"a": "b"}))
    )
    assert (await done(vaults.get(*at))).as_dict() == made.as_dict()
    assert (await done(vaults.update(*at, VaultPatchParameters()))).as_dict() == made.as_dict()
    for lists in (vaults.list_by_resource_group(group), vaults.list_by_subscription()):
        (listed,) = [one for one in await all_of(lists) if one.name == name]
        assert listed.as_dict() == made.as_dict()
    (resource,) = [one for one in await all_of(vaults.list()) if one.name == name]
    assert (resource.id, resource.location, resource.tags) == (made.id, LOCATION, {"a": "b"})
    policy = AccessPolicyEntry(
        tenant_id=made.properties.tenant_id, object_id=owner, permissions=Permissions(keys_property=["all"])
    )
    policies = VaultAccessPolicyParameters(properties=VaultAccessPolicyProperties(access_policies=[policy]))
    for kind, left in (("add", ["all"]), ("replace", ["all"]), ("remove", [])):
        changed = await done(vaults.update_access_policy(*at, kind, policies))
        assert changed.id.startswith(f"{made.id}/accessPolicies/")
        entries = changed.properties.access_policies
        assert [one for entry in entries for one in entry.permissions.keys_property] == left

    await walk_vault_objects(client, at)
    connections = client.private_endpoint_connections
    state = PrivateLinkServiceConnectionState(status="Approved", description="by a test")
    wanted = PrivateEndpointConnection(
        properties=PrivateEndpointConnectionProperties(
            private_endpoint=PrivateEndpoint(), private_link_service_connection_state=state
        )
    )
    with pytest.raises(ResourceNotFoundError):
        await done(connections.get(*at, "branch"))
    put = {
        "properties": {
            "privateEndpoint": {"id": ENDPOINT},  # which the model takes for read-only
            "privateLinkServiceConnectionState": {"status": "Pending"},
        }
    }
    asked = await done(connections.put(*at, "branch", put))
    assert asked.properties.private_link_service_connection_state.status == "Pending"
    approved = await done(connections.put(*at, "branch", wanted))
    assert approved.properties.private_link_service_connection_state.status == "Approved"
    assert (await done(connections.get(*at, "branch"))).as_dict() == approved.as_dict()
    assert [one.name for one in await all_of(connections.list_by_resource(*at))] == ["branch"]
    await done(connections.begin_delete(*at, "branch"))
    assert await all_of(connections.list_by_resource(*at)) == []
    links = await done(client.private_link_resources.list_by_vault(*at))
    assert [one.properties.group_id for one in links.value] == ["vault"]

    await done(vaults.delete(*at))
    deleted = await done(vaults.get_deleted(name, LOCATION))
    assert (deleted.properties.vault_id, deleted.properties.tags) == (made.id, {"a": "b"})
    assert deleted.properties.scheduled_purge_date > deleted.properties.deletion_date
    (listed,) = [one for one in await all_of(vaults.list_deleted()) if one.name == name]
    assert listed.as_dict() == deleted.as_dict()
    await done(vaults.begin_purge_deleted(name, LOCATION))
    with pytest.raises(ResourceNotFoundError):
        await done(vaults.get_deleted(name, LOCATION))


async def walk_vault_objects(client: Watched, at: tuple[str, str]) -> None:
    keys, secrets = client.keys, client.secrets
    wanted = KeyCreateParameters(properties=KeyProperties(kty="EC-HSM", curve_name="P-256", key_ops=["sign"]))
    made = await done(keys.create_if_not_exist(*at, "k", wanted))
    assert (await done(keys.get(*at, "k"))).as_dict() == made.as_dict()
    assert [one.name for one in await all_of(keys.list(*at))] == ["k"]
    (version,) = await all_of(keys.list_versions(*at, "k"))
    one = await done(keys.get_version(*at, "k", version.name))
    assert one.properties.key_uri_with_version == made.properties.key_uri_with_version
    value = SecretCreateOrUpdateParameters(properties=SecretProperties(value="hidden"))
    kept = await done(secrets.create_or_update(*at, "s", value))
    assert (await done(secrets.get(*at, "s"))).as_dict() == kept.as_dict()
    typed = SecretPatchParameters(properties=SecretPatchProperties(content_type="text"))
    assert (await done(secrets.update(*at, "s", typed))).properties.content_type == "text"
    assert [one.properties.value for one in await all_of(secrets.list(*at))] == [None]


async def walk_pool(client: Watched, group: str, name: str, owner: str) -> None:
    pools, at = client.managed_hsms, (group, name)
    assert (await done(pools.check_mhsm_name_availability({"name": name}))).name_available
    wanted = ManagedHsm(
        location=LOCATION,
        sku=ManagedHsmSku(family="B", name="Standard_B1"),
        properties=ManagedHsmProperties(
            tenant_id=os.environ["AZURE_TENANT_ID"], initial_admin_object_ids=[owner], soft_delete_retention_in_days=7
        ),
    )
    made = await done(pools.begin_create_or_update(*at, wanted))
    assert (await done(pools.get(*at))).as_dict() == made.as_dict()
    for lists in (pools.list_by_resource_group(group), pools.list_by_subscription()):
        (listed,) = [one for one in await all_of(lists) if one.name == name]
        assert listed.as_dict() == made.as_dict()
    changed = await done(pools.begin_update(*at, ManagedHsm(tags={"team": "red"})))
    assert changed.as_dict() == {
        **made.as_dict(),
        "tags": {"team": "red"},
        "systemData": changed.as_dict()["systemData"],
    }
    (region,) = await all_of(client.mhsm_regions.list_by_resource(*at))
    assert (region.name, region.is_primary) == (LOCATION, True)
    links = await done(client.mhsm_private_link_resources.list_by_mhsm_resource(*at))
    assert [one.properties.group_id for one in links.value] == ["managedhsm"]

    connections = client.mhsm_private_endpoint_connections
    put = {
        "properties": {
            "privateEndpoint": {"id": ENDPOINT},
            "privateLinkServiceConnectionState": {"status": "Pending"},
        }
    }
    await done(connections.put(*at, "branch", put))
    state = MHSMPrivateLinkServiceConnectionState(status="Rejected", description="unknown")
    answer = MHSMPrivateEndpointConnection(
        properties=MHSMPrivateEndpointConnectionProperties(
            private_endpoint=MHSMPrivateEndpoint(), private_link_service_connection_state=state
        )
    )
    rejected = await done(connections.put(*at, "branch", answer))
    assert rejected.properties.private_link_service_connection_state.status == "Rejected"
    assert (await done(connections.get(*at, "branch"))).as_dict() == rejected.as_dict()
    (shown,) = (await done(pools.get(*at))).properties.private_endpoint_connections
    assert shown.id == rejected.id
    assert [one.name for one in await all_of(connections.list_by_resource(*at))] == ["branch"]
    await done(connections.begin_delete(*at, "branch"))
    assert await all_of(connections.list_by_resource(*at)) == []

    await done(pools.begin_delete(*at))
    deleted = await done(pools.get_deleted(name, LOCATION))
    assert (deleted.properties.mhsm_id, deleted.properties.tags) == (made.id, {"team": "red"})
    assert name in [one.name for one in await all_of(pools.list_deleted())]
    await done(pools.begin_purge_deleted(name, LOCATION))
    with pytest.raises(ResourceNotFoundError):
        await done(pools.get_deleted(name, LOCATION))


@pytest.fixture
def arm_keys(owner_tokens: Mapping[str, Tokens]) -> Iterator[None]:
    """The pool `devhsm` lets keys be made through the resource manager."""
    scope = os.environ["AZURE_MANAGEDHSM_URL"].replace("devhsm.", "", 1) + "/.default"

    def allow(value: str) -> None:
        answer = requests.patch(
            f"{os.environ['AZURE_MANAGEDHSM_URL']}/settings/AllowKeyManagementOperationsThroughARM?api-version=7.6",
            json={"value": value},
            headers={"Authorization": f"Bearer {owner_tokens['sync'].of(scope).token}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text

    allow("true")
    yield
    allow("false")


async def walk_pool_keys(client: Watched, group: str, name: str) -> None:
    keys, at = client.managed_hsm_keys, (group, "devhsm")
    wanted = ManagedHsmKeyCreateParameters(properties=ManagedHsmKeyProperties(kty="EC-HSM", curve_name="P-384"))
    made = await done(keys.create_if_not_exist(*at, name, wanted))
    assert (await done(keys.get(*at, name))).as_dict() == made.as_dict()
    assert name in [one.name for one in await all_of(keys.list(*at))]
    (version,) = await all_of(keys.list_versions(*at, name))
    one = await done(keys.get_version(*at, name, version.name))
    assert one.properties.key_uri_with_version == made.properties.key_uri_with_version


@pytest.mark.slow
async def test_lists_come_in_pages_of_the_size_that_was_asked_for(management: Any, group: str, name: str) -> None:
    made = await done(management.vaults.begin_create_or_update(group, name, vault_body()))
    other = await done(management.vaults.begin_create_or_update(group, f"{name}-b", vault_body()))
    for number in range(3):
        value = SecretCreateOrUpdateParameters(properties=SecretProperties(value="hidden"))
        await done(management.secrets.create_or_update(group, name, f"s{number}", value))
    found = await pages(management.secrets.list(group, name, top=2))
    assert [[one.name for one in page] for page in found] == [["s0", "s1"], ["s2"]]
    for listing in (management.vaults.list_by_subscription, management.vaults.list):
        found = await pages(listing(top=1))
        assert all(len(page) <= 1 for page in found)  # the last one may be empty
        ids = [one.id for page in found for one in page]
        assert {made.id, other.id} <= set(ids)
        assert len(ids) == len(set(ids))
    everything = [one.id for one in await all_of(management.vaults.list_by_resource_group(group))]
    found = await pages(management.vaults.list_by_resource_group(group, top=2))
    assert [one.id for page in found for one in page] == everything
    assert {len(page) for page in found[:-1]} <= {2}
    links = management.vaults.list_by_resource_group(group, top=1).by_page()
    await next_page(links)
    with pytest.raises(HttpResponseError) as refused:  # a token that nobody gave out
        await next_page(management.vaults.list_by_subscription().by_page(links.continuation_token + "x"))
    assert refused.value.error is not None
    assert (refused.value.status_code, refused.value.error.code) == (400, "InvalidSkipToken")
    for vault in (name, f"{name}-b"):
        await done(management.vaults.delete(group, vault))


async def pages(listing: Any) -> list[list[Any]]:
    """Of a paged list of either flavour."""
    by_page = listing.by_page()
    if hasattr(by_page, "__aiter__"):
        return [[one async for one in page] async for page in by_page]
    return [list(page) for page in by_page]


async def next_page(by_page: Any) -> Any:
    return await by_page.__anext__() if hasattr(by_page, "__anext__") else next(by_page)


@pytest.mark.parametrize("flavour", ["sync", pytest.param("async", marks=pytest.mark.slow)])
@pytest.mark.parametrize("version", KEY_VAULT_STABLE)
async def test_every_api_version_makes_reads_and_lists(
    flavour: str, group: str, name: str, version: str, owner_tokens: Mapping[str, Tokens], opened: Opened
) -> None:
    client = opened(management_client(flavour, owner_tokens[flavour], api_version=version))
    made = await done(client.vaults.begin_create_or_update(group, name, vault_body(sku="premium")))
    assert (made.properties.enable_rbac_authorization or False) is (version >= RBAC_SINCE)
    assert (await done(client.vaults.get(group, name))).as_dict() == made.as_dict()
    assert name in [one.name for one in await all_of(client.vaults.list_by_resource_group(group))]
    if version >= "2016-10-01":
        patched = await done(client.vaults.update(group, name, VaultPatchParameters(tags={"made": version})))
        assert patched.tags == {"made": version}
    if version >= POOLS_SINCE:
        assert (await done(client.managed_hsms.get(group, "devhsm"))).name == "devhsm"
        assert "devhsm" in [one.name for one in await all_of(client.managed_hsms.list_by_subscription())]
    else:
        with pytest.raises(HttpResponseError) as refused:
            await done(client.managed_hsms.get(group, "devhsm"))
        assert refused.value.error is not None
        assert (refused.value.status_code, refused.value.error.code) == (400, "InvalidApiVersionParameter")
    await done(client.vaults.delete(group, name))
