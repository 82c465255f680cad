"""Delete, recover, purge, backup, restore."""

from datetime import timedelta

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from tests.clients import reference
from tests.clients.keys import create, described, digest_for
from tests.clients.kinds import Kind, representatives
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault

EC = Kind("EC-HSM", curve="P-256")
DIGEST = digest_for("ES256")
_GONE = (
    "A key with (name/id) {} was not found in this key vault. If you recently deleted this key you may be able to "
    "recover it using the correct recovery command. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125182"
)


@pytest.mark.parametrize("kind", representatives())
async def test_a_deleted_key_is_shown_with_its_dates_and_recovers_as_it_was(
    vault: Vault, name: str, kind: Kind
) -> None:
    first = await create(vault, name, kind)
    key = await create(vault, name, kind, tags={"kept": "yes"})
    signature = (await vault.crypto(key).sign(kind.signatures[0], digest_for(kind.signatures[0]))).signature

    deleted = await vault.delete(name)

    assert (deleted.name, deleted.id, vars(deleted.key)) == (name, key.id, vars(key.key))
    assert deleted.recovery_id == f"{vault.url}/deletedkeys/{name}"
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
    assert deleted.deleted_date >= key.properties.created_on
    found = await vault.get_deleted_key(name)
    assert (found.recovery_id, found.deleted_date, found.scheduled_purge_date, found.properties.tags) == (
        deleted.recovery_id,
        deleted.deleted_date,
        deleted.scheduled_purge_date,
        {"kept": "yes"},
    )
    assert described(await vault.recover(name)) == described(key)
    assert described(await vault.get_key(name, first.properties.version)) == described(first)
    verified = await vault.remote(key).verify(kind.signatures[0], digest_for(kind.signatures[0]), signature)
    assert verified.is_valid
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await vault.get_deleted_key(name)


async def test_no_normal_route_knows_a_deleted_key(vault: Vault, name: str) -> None:
    key = await create(vault, name, EC)
    version = key.properties.version
    await vault.delete(name)

    for call, shown in (
        (lambda: vault.get_key(name), name),
        (lambda: vault.get_key(name, version), f"{name}/{version}"),
        (lambda: vault.update_key_properties(name, tags={}), name),
        (lambda: vault.delete(name), name),
        (lambda: vault.backup_key(name), name),
        (lambda: vault.remote(key).sign("ES256", DIGEST), f"{name}/{version}"),
    ):
        with refused(404, "KeyNotFound", kind=ResourceNotFoundError) as caught:
            await call()
        assert message(caught.value) == _GONE.format(shown)
    assert await vault.items("list_properties_of_key_versions", name) == []
    assert name not in [each.name for each in await vault.items("list_properties_of_keys")]
    assert name in [each.name for each in await vault.items("list_deleted_keys")]


async def test_the_name_of_a_deleted_key_is_taken_until_it_is_purged(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    await vault.delete(name)

    for call in (lambda: create(vault, name, EC), lambda: vault.import_key(name, reference.key_pair(EC)[1])):
        with refused(409, "Conflict", "ObjectIsDeletedButRecoverable", kind=ResourceExistsError) as caught:
            await call()
        assert message(caught.value) == (
            f"Key {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
            "in this state, the key can only be recovered or purged."
        )
    assert await vault.purge_deleted_key(name) is None
    for call in (vault.get_deleted_key, vault.purge_deleted_key, vault.recover):
        with refused(404, "KeyNotFound", kind=ResourceNotFoundError) as caught:
            await call(name)
        assert message(caught.value) == f"Deleted Key not found: {name}"
    assert len((await create(vault, name, EC)).properties.version) == 32
    assert len(await vault.items("list_properties_of_key_versions", name)) == 1


@pytest.mark.parametrize("kind", representatives())
async def test_a_backup_brings_every_version_back_after_a_purge(vault: Vault, name: str, kind: Kind) -> None:
    algorithm = kind.signatures[0]
    old = await create(vault, name, kind, tags={"version": "1"})
    new = await create(vault, name, kind, enabled=True, key_operations=["sign", "verify"])
    before = {key.id: (await vault.remote(key).sign(algorithm, digest_for(algorithm))).signature for key in (old, new)}
    blob = await vault.backup_key(name)
    await vault.delete(name)
    await vault.purge_deleted_key(name)

    restored = await vault.restore_key_backup(blob)

    assert described(restored) == described(new)
    assert [each.id for each in await vault.items("list_properties_of_key_versions", name)] == [old.id, new.id]
    for key in (old, new):
        assert described(await vault.get_key(name, key.properties.version)) == described(key)
        signed = await vault.crypto(key).sign(algorithm, digest_for(algorithm))
        assert reference.verifies(reference.public_key(key.key), algorithm, digest_for(algorithm), signed.signature)
        assert (await vault.remote(key).verify(algorithm, digest_for(algorithm), before[key.id])).is_valid


async def test_a_restored_key_decrypts_what_was_encrypted_before(vault: Vault, name: str) -> None:
    for kty in ("RSA", "RSA-HSM"):
        private, jwk = reference.key_pair(Kind(kty, 2048))
        await vault.import_key(f"{name}-{kty}", jwk)
        ciphertext = private.public_key().encrypt(b"data", reference.encryption_padding("RSA-OAEP-256"))
        blob = await vault.backup_key(f"{name}-{kty}")
        await vault.delete(f"{name}-{kty}")
        await vault.purge_deleted_key(f"{name}-{kty}")
        key = await vault.restore_key_backup(blob)
        assert (await vault.crypto(key).decrypt("RSA-OAEP-256", ciphertext)).plaintext == b"data"


async def test_a_backup_is_not_restored_over_an_existing_name(vault: Vault, name: str) -> None:
    key = await create(vault, name, EC)
    blob = await vault.backup_key(name)
    with refused(409, "Conflict", kind=ResourceExistsError) as caught:
        await vault.restore_key_backup(blob)
    assert message(caught.value) == f"Conflict while restoring key {key.id} - key already exists or concurrent access"
    await vault.delete(name)
    with refused(409, "Conflict", kind=ResourceExistsError):
        await vault.restore_key_backup(blob)
    assert described(await vault.recover(name)) == described(key)


async def test_a_backup_with_one_changed_byte_is_refused(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    blob = await vault.backup_key(name)
    await vault.delete(name)
    await vault.purge_deleted_key(name)
    for bad in (b"", b"no backup", blob[:-1], blob[:-1] + bytes([blob[-1] ^ 1]), bytes([blob[0] ^ 1]) + blob[1:]):
        with refused(400, "BadParameter"):
            await vault.restore_key_backup(bad)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await vault.get_key(name)
