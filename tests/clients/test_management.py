"""The life of a vault through the unmodified management client, synchronous and asynchronous, and what its data plane
makes of it."""

import os
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.keyvault.models import (
    AccessPolicyEntry,
    Action,
    IPRule,
    KeyCreateParameters,
    KeyProperties,
    LifetimeAction,
    NetworkRuleSet,
    Permissions,
    RotationPolicy,
    SecretCreateOrUpdateParameters,
    SecretPatchParameters,
    SecretPatchProperties,
    SecretProperties,
    Trigger,
    VaultAccessPolicyParameters,
    VaultAccessPolicyProperties,
    VaultCheckNameAvailabilityParameters,
    VaultPatchParameters,
    VaultPatchProperties,
)

from tests.clients.flavours import Clients
from tests.clients.management import LOCATION, all_of, done, management_client, object_id, tokens_of, vault_body
from tests.clients.principals import Tokens
from tests.instance import DevInstance

_numbers = count()


@pytest.fixture
def name() -> str:
    return f"Vault-{next(_numbers)}"


def entry(object_id: str, **permissions: list[str]) -> Any:
    return AccessPolicyEntry(
        tenant_id=os.environ["AZURE_TENANT_ID"], object_id=object_id, permissions=Permissions(**permissions)
    )


def patch(**properties: Any) -> Any:
    return VaultPatchParameters(properties=VaultPatchProperties(**properties))


@pytest.mark.parametrize("flavour", ["sync", pytest.param("async", marks=pytest.mark.slow)])
async def test_the_life_of_a_vault(management: Any, flavour: str, group: str, name: str, owner_tokens: Any) -> None:
    vaults = management.vaults
    check = VaultCheckNameAvailabilityParameters(name=name)
    assert (await done(vaults.check_name_availability(check))).name_available
    with pytest.raises(ResourceNotFoundError):
        await done(vaults.get(group, name))
    made = await done(vaults.begin_create_or_update(group, name, vault_body(tags={"team": "blue"})))
    assert (made.name, made.location, made.tags) == (name, LOCATION, {"team": "blue"})
    assert made.id.endswith(f"/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}")
    assert made.properties.provisioning_state == "Succeeded"
    assert (made.properties.enable_rbac_authorization, made.properties.soft_delete_retention_in_days) == (True, 90)
    assert (await done(vaults.get(group, name))).as_dict() == made.as_dict()
    assert (
        await done(vaults.begin_create_or_update(group, name, vault_body(tags={"team": "blue"})))
    ).as_dict() == made.as_dict()
    taken = await done(vaults.check_name_availability(check))
    assert (taken.name_available, taken.reason) == (False, "AlreadyExists")

    clients = Clients(flavour, owner_tokens[flavour], made.properties.vault_uri)
    await done(clients.secrets.client.set_secret("hidden", "value"))

    assert name in [one.name for one in await all_of(vaults.list_by_resource_group(group, top=1))]
    assert name in [one.name for one in await all_of(vaults.list_by_subscription())]
    patched = await done(vaults.update(group, name, VaultPatchParameters(tags={"team": "red"})))
    assert (patched.tags, patched.properties.as_dict()) == ({"team": "red"}, made.properties.as_dict())

    await done(vaults.delete(group, name))
    await done(vaults.delete(group, name))
    with pytest.raises(ResourceNotFoundError):
        await done(vaults.get(group, name))
    with pytest.raises(HttpResponseError):  # no host of ours any more
        await done(clients.secrets.client.get_secret("hidden"))
    with pytest.raises(ResourceExistsError) as held:
        await done(vaults.begin_create_or_update(group, name, vault_body()))
    assert held.value.error is not None
    assert held.value.error.code == "ConflictError"
    deleted = await done(vaults.get_deleted(name, LOCATION))
    assert deleted.properties.vault_id == made.id
    assert name in [one.name for one in await all_of(vaults.list_deleted())]

    recovered = await done(vaults.begin_create_or_update(group, name, vault_body(create_mode="recover")))
    assert (recovered.id, recovered.tags) == (made.id, {"team": "red"})
    assert (await done(clients.secrets.client.get_secret("hidden"))).value == "value"
    await clients.close()

    await done(vaults.delete(group, name))
    await done(vaults.begin_purge_deleted(name, LOCATION))
    with pytest.raises(ResourceNotFoundError):
        await done(vaults.get_deleted(name, LOCATION))
    assert (await done(vaults.check_name_availability(check))).name_available


async def test_policies_open_a_vault_and_close_it_at_once(
    management: Any,
    flavour: str,
    group: str,
    name: str,
    dev_instance: DevInstance,
) -> None:
    reader = tokens_of(flavour, dev_instance.environment, "reader")
    somebody = object_id(reader)
    made = await done(
        management.vaults.begin_create_or_update(
            group, name, vault_body(enable_rbac_authorization=False, sku="premium")
        )
    )
    clients = Clients(flavour, reader, made.properties.vault_uri)

    async def change(kind: str, **permissions: list[str]) -> Any:
        policies = VaultAccessPolicyProperties(access_policies=[entry(somebody, **permissions)])
        return await done(
            management.vaults.update_access_policy(group, name, kind, VaultAccessPolicyParameters(properties=policies))
        )

    async def may_set() -> bool:
        try:
            await done(clients.secrets.client.set_secret("s", "value"))
        except HttpResponseError as error:
            assert error.status_code == 403
            return False
        return True

    assert not await may_set()
    added = await change("add", secrets=["Set"], keys_property=["get"])
    assert added.properties.access_policies[0].permissions.secrets == ["set"]
    assert await may_set()
    await change("remove", secrets=["set"])
    assert not await may_set()
    await change("replace", secrets=["all"])
    assert await may_set()
    await done(management.vaults.update(group, name, patch(access_policies=[])))
    assert not await may_set()
    await clients.close()


async def test_rules_close_a_vault_and_open_it_at_once(
    management: Any, flavour: str, group: str, name: str, owner_tokens: Mapping[str, Tokens]
) -> None:
    made = await done(management.vaults.begin_create_or_update(group, name, vault_body()))
    assert made.properties.network_acls is None
    clients = Clients(flavour, owner_tokens[flavour], made.properties.vault_uri)
    await done(clients.secrets.client.set_secret("s", "value"))
    closed = NetworkRuleSet(default_action="Deny", bypass="None", ip_rules=[IPRule(value="198.51.100.7")])
    after = await done(management.vaults.update(group, name, patch(network_acls=closed)))
    assert [rule.value for rule in after.properties.network_acls.ip_rules] == ["198.51.100.7/32"]
    with pytest.raises(HttpResponseError, match="Client address is not authorized"):
        await done(clients.secrets.client.get_secret("s"))
    assert (await done(management.vaults.get(group, name))).name == name, "no firewall applies to the management plane"
    opened = NetworkRuleSet(default_action="Deny", ip_rules=[IPRule(value="127.0.0.1")])
    await done(management.vaults.update(group, name, patch(network_acls=opened)))
    assert (await done(clients.secrets.client.get_secret("s"))).value == "value"
    await done(management.vaults.update(group, name, patch(public_network_access="Disabled")))
    with pytest.raises(HttpResponseError, match="Public network access is disabled"):
        await done(clients.secrets.client.get_secret("s"))
    await clients.close()


async def test_keys_and_secrets_as_resources(
    management: Any, flavour: str, group: str, name: str, owner_tokens: Mapping[str, Tokens]
) -> None:
    await done(management.vaults.begin_create_or_update(group, name, vault_body(sku="premium")))
    keys, secrets = management.keys, management.secrets
    policy = RotationPolicy(
        lifetime_actions=[LifetimeAction(trigger=Trigger(time_after_create="P90D"), action=Action(type="rotate"))]
    )
    wanted = KeyCreateParameters(
        tags={"a": "b"}, properties=KeyProperties(kty="EC-HSM", curve_name="P-256", rotation_policy=policy)
    )
    made = await done(keys.create_if_not_exist(group, name, "k", wanted))
    assert (made.properties.kty, made.properties.key_ops) == ("EC-HSM", ["sign", "verify"])
    assert made.properties.rotation_policy.lifetime_actions[0].action.type == "rotate"
    again = await done(
        keys.create_if_not_exist(group, name, "k", KeyCreateParameters(properties=KeyProperties(kty="RSA")))
    )
    assert again.as_dict() == made.as_dict()
    [version] = await all_of(keys.list_versions(group, name, "k"))
    assert (await done(keys.get_version(group, name, "k", version.name))).properties.key_uri_with_version.endswith(
        version.name
    )
    assert [one.name for one in await all_of(keys.list(group, name))] == ["k"]
    with pytest.raises(ResourceNotFoundError):
        await done(keys.get(group, name, "none"))
    vault = (await done(management.vaults.get(group, name))).properties.vault_uri
    owner = Clients(flavour, owner_tokens[flavour], vault)
    await owner.keys.delete("k")
    with pytest.raises(HttpResponseError, match="deleted but recoverable state") as held:
        await done(keys.create_if_not_exist(group, name, "k", wanted))
    assert held.value.status_code == 409
    assert "innererror" not in held.value.response.text()
    await owner.close()

    wanted_secret = SecretCreateOrUpdateParameters(properties=SecretProperties(value="one", content_type="text"))
    first = await done(secrets.create_or_update(group, name, "s", wanted_secret))
    assert (first.properties.value, first.properties.content_type) == (None, "text")
    patched = SecretPatchParameters(properties=SecretPatchProperties(value="two"))
    second = await done(secrets.update(group, name, "s", patched))
    assert second.properties.secret_uri_with_version != first.properties.secret_uri_with_version
    assert [one.properties.value for one in await all_of(secrets.list(group, name))] == [None]


async def test_refusals_have_the_codes_of_the_resource_manager(management: Any, group: str, name: str) -> None:
    await done(management.vaults.begin_create_or_update(group, name, vault_body(enable_purge_protection=True)))
    tenant = os.environ["HSMVAULT_OTHER_TENANT_ID"]
    many = [entry(f"44444444-0000-0000-0000-{number:012}", keys_property=["get"]) for number in range(1025)]
    wrong: list[tuple[str, str, Any, int, str]] = [
        (group, "a--b", vault_body(), 400, "VaultNameNotValid"),
        ("nowhere", f"{name}-x", vault_body(), 404, "ResourceGroupNotFound"),
        (group, name, vault_body(tenant_id=tenant), 400, "BadRequest"),
        (group, name, vault_body(sku="gold"), 400, "SkuNotSupported"),
        (group, name, vault_body(enable_purge_protection=False), 400, "BadRequest"),
        (group, name, vault_body(soft_delete_retention_in_days=7), 400, "BadRequest"),
        (group, name, vault_body(access_policies=many), 400, "BadRequest"),
    ]
    for place, vault, refused, status, code in wrong:
        with pytest.raises(HttpResponseError) as error:
            await done(management.vaults.begin_create_or_update(place, vault, refused))
        assert error.value.error is not None
        assert (error.value.status_code, error.value.error.code) == (status, code)
    await done(management.vaults.delete(group, name))
    with pytest.raises(HttpResponseError, match="DeletedVaultPurge") as protected:
        await done(management.vaults.begin_purge_deleted(name, LOCATION))
    assert protected.value.status_code == 405


async def test_whoever_may_nothing_sees_nothing(
    flavour: str,
    group: str,
    dev_instance: DevInstance,
) -> None:
    tokens = tokens_of(flavour, dev_instance.environment, "nobody")
    client = management_client(flavour, tokens)
    assert await all_of(client.vaults.list_by_subscription()) == []
    assert await all_of(client.vaults.list_by_resource_group(group)) == []
    for one in ("dev", "none"):  # whether it is there or not
        with pytest.raises(HttpResponseError, match="does not have authorization"):
            await done(client.vaults.get(group, one))
    await done(client.close())
