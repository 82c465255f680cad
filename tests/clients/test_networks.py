"""Network rules and private endpoints through the unmodified azure-mgmt-keyvault, and what the data plane makes of
them."""

import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
from azure.mgmt.keyvault import models

from tests.clients.management import all_of, done
from tests.clients.principals import Principal, SyncTokens

pytestmark = pytest.mark.slow

ENDPOINT = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/branch"


@pytest.fixture
async def vault(management: Any) -> AsyncIterator[Any]:
    """One of the test's own, open to everybody."""
    name = f"net-{uuid.uuid4().hex[:12]}"
    properties = models.VaultProperties(
        tenant_id=os.environ["AZURE_TENANT_ID"],
        sku=models.Sku(family="A", name="standard"),
        access_policies=[],
        enable_rbac_authorization=True,
    )
    parameters = models.VaultCreateOrUpdateParameters(location="local", properties=properties)
    group = os.environ["AZURE_RESOURCE_GROUP"]
    yield await done(management.vaults.begin_create_or_update(group, name, parameters))
    await done(management.vaults.delete(group, name))


async def test_rules_are_kept_and_count_from_the_next_request(management: Any, vault: Any, owner: Principal) -> None:
    group = os.environ["AZURE_RESOURCE_GROUP"]

    async def patch(**properties: Any) -> Any:
        change = models.VaultPatchParameters(properties=models.VaultPatchProperties(**properties))
        return await done(management.vaults.update(group, vault.name, change))

    with KeyClient(vault.properties.vault_uri, SyncTokens(owner)) as keys:
        assert list(keys.list_properties_of_keys()) == []
        rules = models.NetworkRuleSet(
            bypass="None", default_action="Deny", ip_rules=[models.IPRule(value="192.0.2.7")], virtual_network_rules=[]
        )
        shown = (await patch(network_acls=rules)).properties.network_acls
        assert (shown.bypass, shown.default_action) == ("None", "Deny")
        assert [rule.value for rule in shown.ip_rules] == ["192.0.2.7/32"]
        with pytest.raises(HttpResponseError) as caught:
            list(keys.list_properties_of_keys())
        assert "Client address is not authorized and caller is not a trusted service" in str(caught.value)
        shown.ip_rules = [*shown.ip_rules, models.IPRule(value="127.0.0.0/8")]
        await patch(network_acls=shown)
        assert list(keys.list_properties_of_keys()) == []
        closed = await patch(public_network_access="Disabled")
        assert closed.properties.public_network_access == "Disabled"
        with pytest.raises(HttpResponseError, match="Public network access is disabled"):
            list(keys.list_properties_of_keys())
        await patch(public_network_access="Enabled")
        assert list(keys.list_properties_of_keys()) == []
        for wrong in ("2001:db8::/32", "10.0.0.1/8", "everybody"):
            shown.ip_rules = [models.IPRule(value=wrong)]
            with pytest.raises(HttpResponseError) as caught:
                await patch(network_acls=shown)
            assert caught.value.error is not None
            assert (caught.value.status_code, caught.value.error.code) == (400, "BadRequest")
        kept = await done(management.vaults.get(group, vault.name))
        assert [rule.value for rule in kept.properties.network_acls.ip_rules] == ["192.0.2.7/32", "127.0.0.0/8"]


async def test_the_life_of_a_private_endpoint_connection(management: Any, vault: Any) -> None:
    where = (os.environ["AZURE_RESOURCE_GROUP"], vault.name)
    connections = management.private_endpoint_connections
    with pytest.raises(ResourceNotFoundError):
        await done(connections.get(*where, "one"))
    asked = {
        "properties": {
            "privateEndpoint": {"id": ENDPOINT},
            "privateLinkServiceConnectionState": {"status": "Pending"},
        }
    }
    made = await done(connections.put(*where, "one", asked))
    assert made.private_link_service_connection_state.status == "Pending"
    made.private_link_service_connection_state.status = "Approved"
    made.private_link_service_connection_state.description = "good"
    approved = await done(connections.put(*where, "one", made))
    assert (approved.provisioning_state, approved.private_endpoint.id) == ("Succeeded", ENDPOINT)
    (listed,) = await all_of(connections.list_by_resource(*where))
    assert listed.private_link_service_connection_state.description == "good"
    shown = (await done(management.vaults.get(*where))).properties.private_endpoint_connections
    assert [one.id for one in shown] == [f"{vault.id}/privateEndpointConnections/one"]
    gone = await done(connections.begin_delete(*where, "one"))
    assert gone.name == "one"
    assert await all_of(connections.list_by_resource(*where)) == []
    links = await done(management.private_link_resources.list_by_vault(*where))
    assert [link.group_id for link in links.value] == ["vault"]
