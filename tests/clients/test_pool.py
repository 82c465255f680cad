"""The pool as the clients of the keys library see it: what is made there, and who may what."""

import os

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError

from tests.clients import reference
from tests.clients.keys import KeyRing, create, digest_for, use
from tests.clients.kinds import Kind
from tests.clients.principals import Principal, principal_of
from tests.clients.refusals import message, refused
from tests.clients.test_permissions import Held, credential_of, token_for
from tests.clients.vault import OpenVault, Vault
from tests.instance import DevInstance

RSA = Kind("RSA", 2048)
EC = Kind("EC", curve="P-256")


async def test_the_life_of_a_key_in_a_pool(pool: Vault, name: str) -> None:
    key = await pool.create_rsa_key(name)
    assert (key.key_type, key.properties.vault_url) == ("RSA-HSM", pool.url)
    assert key.id == f"{pool.url}/keys/{name}/{key.properties.version}"
    assert name in [item.name for item in await pool.items("list_properties_of_keys")]
    signed = await pool.crypto(key).sign("RS256", digest_for("RS256"))
    assert reference.verifies(reference.public_key(key.key), "RS256", digest_for("RS256"), signed.signature)
    assert (await pool.remote(key).verify("RS256", digest_for("RS256"), signed.signature)).is_valid

    second = await pool.create_ec_key(name, curve="P-384")
    assert second.key_type == "EC-HSM"
    assert [one.id for one in await pool.items("list_properties_of_key_versions", name)] == [key.id, second.id]

    deleted = await pool.delete(name)
    assert deleted.recovery_id == f"{pool.url}/deletedkeys/{name}"
    assert (deleted.scheduled_purge_date - deleted.deleted_date).days == 90
    await pool.recover(name)
    await pool.delete(name)
    await pool.purge_deleted_key(name)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await pool.get_key(name)


async def test_a_key_of_a_pool_is_none_of_the_vault_and_keeps_to_itself(
    pool: Vault, sync_owner: Vault, name: str
) -> None:
    key = await create(pool, name, EC)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await sync_owner.get_key(name)
    other = await create(sync_owner, name, EC)
    assert (await pool.get_key(name)).key.x == key.key.x != other.key.x
    blob = await pool.backup_key(name)
    await sync_owner.delete(name)
    await sync_owner.purge_deleted_key(name)
    with refused(400, "BadParameter"):
        await sync_owner.restore_key_backup(blob)


@pytest.fixture
def auditor(dev_instance: DevInstance, open_pool: OpenVault) -> Vault:
    return open_pool(credential_of(principal_of(dev_instance.environment, "reader")))


@pytest.fixture
def nobody(dev_instance: DevInstance, open_pool: OpenVault) -> Vault:
    return open_pool(credential_of(principal_of(dev_instance.environment, "nobody")))


@pytest.fixture
def owner_of_pool(open_pool: OpenVault, owner: Principal) -> Vault:
    return open_pool(credential_of(owner))


async def test_an_auditor_reads_and_uses_nothing_not_even_a_public_part(
    auditor: Vault, owner_of_pool: Vault, ring: KeyRing, name: str
) -> None:
    key = await ring.get(owner_of_pool, RSA)
    assert (await auditor.get_key(key.name)).id == key.id
    assert key.name in [item.name for item in await auditor.items("list_properties_of_keys")]
    assert isinstance(await auditor.items("list_deleted_keys"), list)
    calls = {
        f"keys/create on /keys/{name}": lambda: create(auditor, name, EC),
        f"keys/import/action on /keys/{name}": lambda: auditor.import_key(name, key.key),
        f"keys/write/action on /keys/{key.name}": lambda: auditor.update_key_properties(key.name, tags={}),
        f"keys/delete on /keys/{key.name}": lambda: auditor.delete(key.name),
        f"keys/backup/action on /keys/{key.name}": lambda: auditor.backup_key(key.name),
        "keys/restore/action on /keys": lambda: auditor.restore_key_backup(b"anything"),
        f"keys/deletedKeys/delete on /keys/{key.name}": lambda: auditor.purge_deleted_key(key.name),
        f"keys/deletedKeys/recover/action on /keys/{key.name}": lambda: auditor.recover(key.name),
        **{
            f"keys/{action}/action on /keys/{key.name}": lambda operation=operation: use(auditor, key, operation)
            for action, operation in (
                ("sign", "sign"),
                ("verify", "verify"),
                ("encrypt", "encrypt"),
                ("decrypt", "decrypt"),
                ("wrap", "wrapKey"),
                ("unwrap", "unwrapKey"),
            )
        },
    }
    for action, call in calls.items():
        with refused(403, "AccessDenied") as caught:
            await call()
        assert message(caught.value) == f"Not authorized to access Microsoft.KeyVault/managedHsm/{action}"


async def test_who_has_no_local_role_may_nothing(nobody: Vault, owner_of_pool: Vault, ring: KeyRing, name: str) -> None:
    key = await ring.get(owner_of_pool, RSA)
    for call in (
        lambda: nobody.get_key(key.name),
        lambda: nobody.get_key(f"{name}-that-does-not-exist"),
        lambda: nobody.items("list_properties_of_keys"),
        lambda: create(nobody, name, EC),
        lambda: nobody.crypto(key.id).sign("RS256", bytes(32)),
        lambda: nobody.get_random_bytes(8),
    ):
        with refused(403, "AccessDenied"):
            await call()


async def test_tokens_for_a_vault_and_of_another_tenant_are_not_accepted(
    open_pool: OpenVault, dev_instance: DevInstance, owner: Principal
) -> None:
    resource = os.environ["AZURE_MANAGEDHSM_URL"].replace("devhsm.", "", 1)
    vaults = resource.replace("managedhsm", "vault")
    misled = open_pool(Held(token_for(owner, vaults)))
    with refused(401, "Unauthorized", kind=ClientAuthenticationError) as caught:
        await misled.get_key("any")
    assert message(caught.value) == f"Found token with aud={vaults}, but expected aud={resource}"
    stranger = open_pool(Held(token_for(principal_of(dev_instance.environment, "other"), resource)))
    with refused(401, "Unauthorized", kind=ClientAuthenticationError) as caught:
        await stranger.get_key("any")
    assert message(caught.value).startswith("AKV10032: Invalid issuer. Expected one of ")
