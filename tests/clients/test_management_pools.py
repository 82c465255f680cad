"""The life of a managed HSM pool through the unmodified management client, synchronous and asynchronous.

Slow: the client waits a second, as the service tells it to, before each poll of a long-running operation.
"""

import os
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.models import (
    ManagedHsm,
    ManagedHsmKeyCreateParameters,
    ManagedHsmKeyProperties,
    ManagedHsmProperties,
    ManagedHsmSku,
    MHSMIPRule,
    MHSMNetworkRuleSet,
)

from tests.clients.management import LOCATION, all_of, done, object_id
from tests.clients.principals import Principal, SyncTokens
from tests.instance import DevInstance

pytestmark = pytest.mark.slow
SETTING = "AllowKeyManagementOperationsThroughARM"


async def test_the_life_of_a_pool(
    management: Any,
    owner: Principal,
    dev_instance: DevInstance,
) -> None:
    pools, group = management.managed_hsms, os.environ["AZURE_RESOURCE_GROUP"]
    name = "life-sync" if isinstance(management, KeyVaultManagementClient) else "life-async"
    wanted: Any = ManagedHsm(
        location=LOCATION,
        sku=ManagedHsmSku(family="B", name="Standard_B1"),
        tags={"made": "by a test"},
        properties=ManagedHsmProperties(
            tenant_id=os.environ["AZURE_TENANT_ID"],
            initial_admin_object_ids=[object_id(SyncTokens(owner))],
            soft_delete_retention_in_days=7,
        ),
    )
    assert (await done(pools.check_mhsm_name_availability({"name": name}))).name_available
    made = await done(pools.begin_create_or_update(group, name, wanted))
    assert (made.name, made.properties.provisioning_state) == (name, "Succeeded")
    assert made.properties.security_domain_properties.activation_status == "NotActivated"
    assert made.properties.hsm_uri.startswith(f"https://{name}.managedhsm.")
    assert not (await done(pools.check_mhsm_name_availability({"name": name}))).name_available
    assert name in [pool.name for pool in await all_of(pools.list_by_resource_group(group))]
    assert {name, "devhsm"} <= {pool.name for pool in await all_of(pools.list_by_subscription(top=1))}
    assert [region.name for region in await all_of(management.mhsm_regions.list_by_resource(group, name))] == [LOCATION]

    rules = MHSMNetworkRuleSet(default_action="Allow", bypass="None", ip_rules=[MHSMIPRule(value="20.0.0.0/24")])
    changed = await done(
        pools.begin_update(group, name, ManagedHsm(properties=ManagedHsmProperties(network_acls=rules)))
    )
    assert [rule.value for rule in changed.properties.network_acls.ip_rules] == ["20.0.0.0/24"]
    changed.tags = {"put": "again"}
    assert (await done(pools.begin_create_or_update(group, name, changed))).tags == {"put": "again"}

    key = ManagedHsmKeyCreateParameters(properties=ManagedHsmKeyProperties(kty="RSA-HSM", key_size=2048))
    with pytest.raises(HttpResponseError, match="not activated"):
        await done(management.managed_hsm_keys.create_if_not_exist(group, name, "key", key))
    tokens = SyncTokens(owner)
    url = made.properties.hsm_uri
    assert settings_of(url, tokens) == [{"name": SETTING, "value": "false", "type": "boolean"}]
    with pytest.raises(HttpResponseError, match="Not authorized"):  # an administrator of a pool uses no keys
        KeyClient(made.properties.hsm_uri, tokens).get_key("key")
    refused = ask("GET", f"{url}providers/Microsoft.Authorization/roleDefinitions?api-version=7.6", tokens)
    assert (refused.status_code, refused.json()["error"]["innererror"]["code"]) == (403, "HsmNotActivated")

    await done(pools.begin_delete(group, name))
    with pytest.raises(ResourceNotFoundError):
        await done(pools.get(group, name))
    assert name in [pool.name for pool in await all_of(pools.list_deleted())]
    deleted = await done(pools.get_deleted(name, LOCATION))
    assert deleted.properties.mhsm_id == made.id
    wanted.properties.create_mode = "recover"
    back = await done(pools.begin_create_or_update(group, name, wanted))
    assert back.tags == {"put": "again"}
    await done(pools.begin_delete(group, name))
    await done(pools.begin_purge_deleted(name, LOCATION))
    with pytest.raises(ResourceNotFoundError):
        await done(pools.get_deleted(name, LOCATION))
    assert (await done(pools.check_mhsm_name_availability({"name": name}))).name_available


async def test_keys_of_an_active_pool_are_made_where_its_administrators_allow_it(
    management: Any, owner: Principal
) -> None:
    keys, group = management.managed_hsm_keys, os.environ["AZURE_RESOURCE_GROUP"]
    name = "arm-sync" if isinstance(management, KeyVaultManagementClient) else "arm-async"
    wanted = ManagedHsmKeyCreateParameters(
        tags={"a": "b"}, properties=ManagedHsmKeyProperties(kty="EC-HSM", curve_name="P-256", key_ops=["sign"])
    )
    tokens = SyncTokens(owner)
    url = os.environ["AZURE_MANAGEDHSM_URL"] + "/"
    assert settings_of(url, tokens) == [{"name": SETTING, "value": "false", "type": "boolean"}]
    with pytest.raises(HttpResponseError, match=SETTING):
        await done(keys.create_if_not_exist(group, "devhsm", name, wanted))
    allowed = ask("PATCH", f"{url}settings/{SETTING}?api-version=7.6", tokens, {"value": "true"})
    assert (allowed.status_code, allowed.json()["value"]) == (200, "true")
    try:
        made = await done(keys.create_if_not_exist(group, "devhsm", name, wanted))
        assert (made.properties.kty, made.properties.key_ops) == ("EC-HSM", ["sign"])
        again = await done(keys.create_if_not_exist(group, "devhsm", name, wanted))
        assert again.properties.key_uri_with_version == made.properties.key_uri_with_version
        assert name in [one.name for one in await all_of(keys.list(group, "devhsm"))]
        (version,) = await all_of(keys.list_versions(group, "devhsm", name))
        assert (await done(keys.get_version(group, "devhsm", name, version.name))).id == version.id
        assert KeyClient(url, tokens).get_key(name).key_type == "EC-HSM"
    finally:
        ask("PATCH", f"{url}settings/{SETTING}?api-version=7.6", tokens, {"value": "false"})


def ask(method: str, url: str, tokens: SyncTokens, body: Any = None) -> requests.Response:
    """A request to the data plane of a pool."""
    scope = "https://" + url.split("/")[2].partition(".")[2] + "/.default"
    headers = {"Authorization": f"Bearer {tokens.get_token(scope).token}"}
    return requests.request(method, url, json=body, headers=headers, timeout=30)


def settings_of(url: str, tokens: SyncTokens) -> Any:
    return ask("GET", f"{url}settings?api-version=7.6", tokens).json()["settings"]
