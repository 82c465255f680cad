"""Who may what: the other principals of `hsmvault dev`, and tokens that are not for this vault."""

import os
import re
import time
from typing import Any

import azure.identity
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from tests.clients.keys import KeyRing, create, use
from tests.clients.kinds import Kind
from tests.clients.principals import Principal, principal_of
from tests.clients.refusals import message, refused
from tests.clients.vault import OpenVault, Vault
from tests.instance import DevInstance

RSA = Kind("RSA-HSM", 2048)
EC = Kind("EC", curve="P-256")
GUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Held:
    """A credential that holds one token, wherever it came from."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + 3600)

    def get_token(self, *scopes: str, **named: Any) -> AccessToken:
        return self._token


def credential_of(principal: Principal, **options: Any) -> azure.identity.ClientSecretCredential:
    return azure.identity.ClientSecretCredential(*principal, disable_instance_discovery=True, **options)


def token_for(principal: Principal, resource: str) -> str:
    with credential_of(principal) as credential:
        return credential.get_token(f"{resource}/.default").token


@pytest.fixture
def resource() -> str:
    """The audience of the vaults of this instance."""
    return os.environ["AZURE_KEYVAULT_URL"].replace("dev.", "", 1)


@pytest.fixture
def reader(dev_instance: DevInstance, open_vault: OpenVault) -> Vault:
    return open_vault(credential_of(principal_of(dev_instance.environment, "reader")))


@pytest.fixture
def nobody(dev_instance: DevInstance, open_vault: OpenVault) -> Vault:
    return open_vault(credential_of(principal_of(dev_instance.environment, "nobody")))


async def test_a_reader_reads_and_changes_nothing(reader: Vault, sync_owner: Vault, ring: KeyRing, name: str) -> None:
    key = await ring.get(sync_owner, RSA)
    assert (await reader.get_key(key.name)).id == key.id
    assert key.name in [item.name for item in await reader.items("list_properties_of_keys")]
    assert len(await reader.items("list_properties_of_key_versions", key.name)) == 1
    assert isinstance(await reader.items("list_deleted_keys"), list)
    for operation in ("encrypt", "wrapKey", "verify"):  # the public part, which a reader may have anyway
        await use(reader, key, operation)

    calls = {
        "keys/create/action": lambda: create(reader, name, EC),
        "keys/import/action": lambda: reader.import_key(name, key.key),
        "keys/update/action": lambda: reader.update_key_properties(key.name, tags={}),
        "keys/delete": lambda: reader.delete(key.name),
        "keys/backup/action": lambda: reader.backup_key(key.name),
        "keys/restore/action": lambda: reader.restore_key_backup(b"anything"),
        "keys/purge/action": lambda: reader.purge_deleted_key(key.name),
        "keys/recover/action": lambda: reader.recover(key.name),
        "keys/sign/action": lambda: use(reader, key, "sign"),
        "keys/decrypt/action": lambda: use(reader, key, "decrypt"),
        "keys/unwrap/action": lambda: use(reader, key, "unwrapKey"),
    }
    for action, call in calls.items():
        with refused(403, "Forbidden", "ForbiddenByRbac") as caught:
            await call()
        assert f"\r\nAction: 'Microsoft.KeyVault/vaults/{action}'\r\n" in message(caught.value)
    assert (await sync_owner.get_key(key.name)).properties.tags == key.properties.tags


async def test_the_refusal_names_caller_action_and_resource(
    nobody: Vault, sync_owner: Vault, ring: KeyRing, dev_instance: DevInstance
) -> None:
    key = await ring.get(sync_owner, EC)
    principal = principal_of(dev_instance.environment, "nobody")
    with refused(403, "Forbidden", "ForbiddenByRbac") as caught:
        await nobody.get_key(key.name)
    subscription, group = (dev_instance.environment[f"AZURE_{part}"] for part in ("SUBSCRIPTION_ID", "RESOURCE_GROUP"))
    issuer = re.escape(f"{dev_instance.environment['AZURE_AUTHORITY_HOST']}/{principal.tenant_id}/")
    expected = (
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, please observe propagation "
        "time.\r\n"
        f"Caller: appid={principal.client_id};oid={GUID};iss={issuer}\r\n"
        "Action: 'Microsoft.KeyVault/vaults/keys/read'\r\n"
        f"Resource: '/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.keyvault/vaults/dev/keys/"
        f"{key.name.lower()}'\r\n"
        r"Assignment: \(not found\)" + "\r\n"
        "DenyAssignmentId: null\r\n"
        "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
        "Vault: dev;location=[a-z]+\r\n"
    )
    assert re.fullmatch(expected, message(caught.value)), message(caught.value)


async def test_who_has_no_role_may_nothing(nobody: Vault, sync_owner: Vault, ring: KeyRing, name: str) -> None:
    key = await ring.get(sync_owner, RSA)
    for call in (
        lambda: nobody.get_key(key.name),
        lambda: nobody.get_key(f"{name}-that-does-not-exist"),
        lambda: nobody.items("list_properties_of_keys"),
        lambda: nobody.items("list_deleted_keys"),
        lambda: nobody.get_deleted_key(key.name),
        lambda: create(nobody, name, EC),
        lambda: nobody.crypto(key.id).sign("RS256", bytes(32)),
        lambda: nobody.crypto(key.id).encrypt("RSA-OAEP", b"data"),
        lambda: nobody.crypto(key.id).verify("RS256", bytes(32), bytes(256)),
    ):
        with refused(403, "Forbidden", "ForbiddenByRbac"):
            await call()


async def test_a_managed_identity_uses_keys_and_makes_none(
    open_vault: OpenVault, sync_owner: Vault, ring: KeyRing, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await ring.get(sync_owner, RSA)
    monkeypatch.delenv("AZURE_CLIENT_ID")
    machine = open_vault(azure.identity.ManagedIdentityCredential())
    for operation in ("sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey"):
        await use(machine, key, operation)
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        await create(machine, name, EC)


def test_an_application_of_another_tenant_does_not_even_ask_for_a_token(
    open_vault: OpenVault, dev_instance: DevInstance
) -> None:
    stranger = open_vault(credential_of(principal_of(dev_instance.environment, "other")))
    with pytest.raises(ClientAuthenticationError, match="not configured to acquire tokens for tenant"):
        stranger.client.get_key("any")


def test_an_application_of_another_tenant_is_unknown_in_this_one(
    open_vault: OpenVault, dev_instance: DevInstance
) -> None:
    principal = principal_of(dev_instance.environment, "other")
    stranger = open_vault(credential_of(principal, additionally_allowed_tenants=["*"]))
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        stranger.client.get_key("any")


async def test_a_token_of_another_tenant_is_not_accepted(
    open_vault: OpenVault, dev_instance: DevInstance, resource: str
) -> None:
    principal = principal_of(dev_instance.environment, "other")
    stranger = open_vault(Held(token_for(principal, resource)))
    with refused(401, "Unauthorized", kind=ClientAuthenticationError) as caught:
        await stranger.get_key("any")
    login = dev_instance.environment["AZURE_AUTHORITY_HOST"]
    text = message(caught.value)
    assert text.startswith("AKV10032: Invalid issuer. Expected one of ")
    assert text.endswith(f", found {login}/{principal.tenant_id}/.")
    assert f"{login}/{dev_instance.environment['AZURE_TENANT_ID']}/" in text


@pytest.mark.parametrize("plane", ["management", "managedhsm", "graph"])
async def test_a_token_for_another_service_is_not_accepted(
    open_vault: OpenVault, owner: Principal, resource: str, plane: str
) -> None:
    other = resource.replace("vault", plane)
    misled = open_vault(Held(token_for(owner, other)))
    with refused(401, "Unauthorized", kind=ClientAuthenticationError) as caught:
        await misled.get_key("any")
    assert message(caught.value) == f"AKV10022: Invalid audience. Expected {resource}, found: {other}."


async def test_a_changed_token_is_not_accepted(open_vault: OpenVault, owner: Principal, resource: str) -> None:
    header, claims, signature = token_for(owner, resource).split(".")
    for token in (
        f"{header}.{claims}.{'A' * len(signature)}",
        f"{header}.{claims[:-4]}AAAA.{signature}",
        f"eyJhbGciOiJub25lIn0.{claims}.",
        f"{header}.{claims}",
        "token",
    ):
        forger = open_vault(Held(token))
        with refused(401, "Unauthorized", kind=ClientAuthenticationError) as caught:
            await forger.get_key("any")
        assert signature not in str(caught.value)
