"""Sequences of the client's own tests (azure-keyvault-keys, tests/), which the real service has answered: what they do
there has to work here, in its order."""

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import (
    JsonWebKey,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
    KeyType,
    KeyVaultKey,
)
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clients import reference
from tests.clients.keys import KeyRing, described, digest_for, import_pair
from tests.clients.kinds import CURVES, Kind
from tests.clients.vault import Vault

PLAINTEXT = b"5063e6aaa845f150200547944fd199679c98ed6f99da0a0b2dafeaf1f4684496fd532c1c229968cb9dee44957fcef7ccef59ceda"
IV = bytes.fromhex("89b8adbfb07345e3598932a09c517441")
AAD = b"test"
COUNT = 7


async def test_keys_are_made_changed_and_deleted(vault: Vault, name: str) -> None:
    """test_key_crud_operations"""
    hardware = vault.is_pool
    tags = {"purpose": "unit test", "test name": "CreateECKeyTest"}
    made = await vault.create_ec_key(f"{name}-ec", enabled=True, hardware_protected=hardware, tags=tags)
    assert (made.properties.enabled, made.properties.tags, made.key.crv) == (True, tags, "P-256")
    key = await import_pair(vault, name, Kind("RSA-HSM" if hardware else "RSA", 2048), tags=tags)
    assert (await vault.get_key(name, key.properties.version)).properties.version == key.properties.version
    updated = await vault.update_key_properties(
        name, key_operations=["decrypt", "encrypt"], tags={"foo": "updated tag"}
    )
    assert (updated.id, updated.properties.tags) == (key.id, {"foo": "updated tag"})
    assert sorted(updated.key_operations) == ["decrypt", "encrypt"]
    deleted = await vault.delete(name)
    assert (deleted.id, deleted.key.n, deleted.key.e) == (key.id, key.key.n, key.key.e)
    assert deleted.recovery_id and deleted.deleted_date and deleted.scheduled_purge_date
    assert (await vault.get_deleted_key(name)).id == key.id


async def test_seven_keys_are_listed_deleted_recovered_and_purged(vault: Vault, name: str) -> None:
    """test_key_list, test_list_versions, test_list_deleted_keys, test_recover, test_purge"""
    keys = {f"{name}-{number}": await vault.create_ec_key(f"{name}-{number}") for number in range(COUNT)}
    listed = {item.name: item for item in await vault.items("list_properties_of_keys", max_page_size=COUNT - 1)}
    for key in keys.values():
        item = listed[key.name]
        assert (item.tags, item.created_on, item.updated_on) == (
            key.properties.tags,
            key.properties.created_on,
            key.properties.updated_on,
        )
        assert (item.enabled, item.vault_url, item.recovery_level) == (
            True,
            vault.url,
            key.properties.recovery_level,
        )
    versions = {(await vault.create_ec_key(f"{name}-0")).id for _ in range(COUNT - 1)} | {keys[f"{name}-0"].id}
    found = await vault.items("list_properties_of_key_versions", f"{name}-0", max_page_size=COUNT - 1)
    assert {item.id for item in found} == versions
    for each in keys:
        await vault.delete(each)
    assert keys.keys() <= {item.name for item in await vault.items("list_deleted_keys")}
    recovered = await vault.recover(f"{name}-1")
    assert described(recovered) == described(keys[f"{name}-1"])
    for each in keys.keys() - {f"{name}-1"}:
        await vault.purge_deleted_key(each)
        with pytest.raises(ResourceNotFoundError):
            await vault.get_deleted_key(each)
    assert keys.keys().isdisjoint({item.name for item in await vault.items("list_deleted_keys")})


async def test_a_rotation_policy_goes_round(sync_owner: Vault, name: str) -> None:
    """test_key_rotation, test_key_rotation_policy"""
    vault = sync_owner
    key = await vault.create_ec_key(name)
    rotated = await vault.rotate_key(name)
    assert key.id != rotated.id and key.key.x != rotated.key.x

    def action_of(policy: KeyRotationPolicy, wanted: KeyRotationPolicyAction) -> tuple[str | None, str | None]:
        (found,) = (each for each in policy.lifetime_actions if each.action == wanted)
        return found.time_after_create, found.time_before_expiry

    def facts(policy: KeyRotationPolicy) -> tuple[object, ...]:
        return policy.id, policy.expires_in, policy.created_on, policy.updated_on, len(policy.lifetime_actions)

    await vault.update_key_rotation_policy(name, KeyRotationPolicy())
    actions = [KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P2M")]
    updated = await vault.update_key_rotation_policy(name, KeyRotationPolicy(), lifetime_actions=actions)
    fetched = await vault.get_key_rotation_policy(name)
    assert updated.expires_in is None
    assert facts(updated) == facts(fetched)
    for policy in (updated, fetched):
        assert action_of(policy, KeyRotationPolicyAction.rotate) == ("P2M", None)

    new = await vault.update_key_rotation_policy(name, policy=updated, expires_in="P90D")
    assert new.expires_in == "P90D"
    assert action_of(new, KeyRotationPolicyAction.rotate) == ("P2M", None)

    actions = [KeyRotationLifetimeAction(KeyRotationPolicyAction.notify, time_before_expiry="P60D")]
    newest = await vault.update_key_rotation_policy(name, policy=new, lifetime_actions=actions)
    fetched = await vault.get_key_rotation_policy(name)
    assert newest.expires_in == "P90D"
    assert facts(newest) == facts(fetched)
    for policy in (newest, fetched):
        assert action_of(policy, KeyRotationPolicyAction.notify) == (None, "P60D")


async def test_a_cryptography_client_comes_from_the_key_client(vault: Vault, ring: KeyRing) -> None:
    """test_get_cryptography_client"""
    key = await ring.get(vault, Kind("RSA-HSM", 2048))
    for version in (key.properties.version, None):
        client = vault.client.get_cryptography_client(key.name, key_version=version)
        assert client._client == vault.client._client
        face = vault.face(client)
        sealed = await face.encrypt("RSA-OAEP", PLAINTEXT)
        assert sealed.key_id == key.id
        opened = await face.decrypt(sealed.algorithm, sealed.ciphertext)
        assert (opened.key_id, opened.algorithm, opened.plaintext) == (key.id, "RSA-OAEP", PLAINTEXT)


async def test_the_public_key_alone_works_without_the_service(vault: Vault, ring: KeyRing) -> None:
    """test_encrypt_local_from_jwk, test_wrap_local_from_jwk, test_rsa_verify_local_from_jwk and their like"""
    key = await ring.get(vault, Kind("RSA-HSM", 2048))
    with CryptographyClient.from_jwk(key.key) as local:
        service = vault.crypto(key)
        for algorithm in (each for each in EncryptionAlgorithm if each.startswith("RSA")):
            sealed = local.encrypt(algorithm, PLAINTEXT[:100])
            assert sealed.key_id == key.id
            assert (await service.decrypt(algorithm, sealed.ciphertext)).plaintext == PLAINTEXT[:100]
        for algorithm in (each for each in KeyWrapAlgorithm if each.startswith("RSA")):
            wrapped = local.wrap_key(algorithm, PLAINTEXT[:100])
            assert (await service.unwrap_key(algorithm, wrapped.encrypted_key)).key == PLAINTEXT[:100]
        for algorithm in (each for each in SignatureAlgorithm if each[:2] in {"RS", "PS"}):
            signed = await service.sign(algorithm, digest_for(algorithm))
            assert local.verify(algorithm, digest_for(algorithm), signed.signature).is_valid
    for curve, (algorithm, _) in CURVES.items():
        key = await ring.get(vault, Kind("EC-HSM", curve=curve))
        with CryptographyClient.from_jwk(key.key) as local:
            signed = await vault.crypto(key).sign(algorithm, digest_for(algorithm))
            assert local.verify(SignatureAlgorithm(algorithm), digest_for(algorithm), signed.signature).is_valid


async def with_material(pool: Vault, name: str) -> KeyVaultKey:
    """_import_symmetric_test_key: the service never answers `k`, so that the test puts it in."""
    material = bytes.fromhex("e27ed0c84512bbd55b6af434d237c11feba311870f80f2c2e3364260f31c82c8")
    jwk = JsonWebKey(kty="oct-HSM", key_ops=["encrypt", "decrypt", "wrapKey", "unwrapKey"], k=material)
    jwk.kid = (await pool.import_key(name, jwk)).id
    return KeyVaultKey(key_id=jwk.kid, jwk=vars(jwk))


async def test_symmetric_keys_take_everything_that_the_client_sends(pool: Vault, name: str) -> None:
    """test_symmetric_encrypt_and_decrypt, test_symmetric_wrap_and_unwrap: with an aad beside CBC, too"""
    key = await with_material(pool, name)
    remote = pool.remote(key)
    for algorithm in (each for each in EncryptionAlgorithm if each.startswith("A256")):
        if algorithm.endswith("GCM"):
            sealed = await remote.encrypt(algorithm, PLAINTEXT, additional_authenticated_data=AAD)
            more = {"authentication_tag": sealed.tag, "additional_authenticated_data": AAD}
        else:
            sealed = await remote.encrypt(algorithm, PLAINTEXT, iv=IV, additional_authenticated_data=AAD)
            assert sealed.iv == IV
            more = {}
        assert sealed.key_id == key.id
        opened = await remote.decrypt(algorithm, sealed.ciphertext, iv=sealed.iv, **more)
        assert (opened.key_id, opened.algorithm) == (key.id, algorithm)
        filling = bytes(-len(PLAINTEXT) % 16) if algorithm.endswith("CBC") else b""
        assert opened.plaintext == PLAINTEXT + filling
    wrapped = await remote.wrap_key(KeyWrapAlgorithm.aes_256, PLAINTEXT)
    assert wrapped.encrypted_key == keywrap.aes_key_wrap(key.key.k, PLAINTEXT)
    assert (await remote.unwrap_key(wrapped.algorithm, wrapped.encrypted_key)).key == PLAINTEXT


async def test_what_the_client_encrypts_by_itself_the_service_opens_and_the_other_way_round(
    pool: Vault, name: str
) -> None:
    """test_symmetric_encrypt_local, test_symmetric_decrypt_local"""
    key = await with_material(pool, name)
    remote, algorithm = pool.remote(key), EncryptionAlgorithm.a256_cbcpad
    with CryptographyClient.from_jwk(key.key) as local:
        sealed = local.encrypt(algorithm, PLAINTEXT, iv=IV, additional_authenticated_data=AAD)
        opened = await remote.decrypt(algorithm, sealed.ciphertext, iv=sealed.iv, additional_authenticated_data=AAD)
        assert (opened.key_id, opened.plaintext) == (key.id, PLAINTEXT)
        sealed = await remote.encrypt(algorithm, PLAINTEXT, iv=IV, additional_authenticated_data=AAD)
        opened = local.decrypt(algorithm, sealed.ciphertext, iv=sealed.iv, additional_authenticated_data=AAD)
        assert opened.plaintext == PLAINTEXT


async def test_the_key_objects_of_the_client_stand_in_for_those_of_pyca(sync_owner: Vault, ring: KeyRing) -> None:
    """KeyVaultRSAPrivateKey and KeyVaultRSAPublicKey (test_managed_key_ops of the library)"""
    key = await ring.get(sync_owner, Kind("RSA-HSM", 2048))
    client = sync_owner.crypto(key).client
    private, public = client.create_rsa_private_key(), client.create_rsa_public_key()
    sha1 = hashes.SHA1()  # noqa: S303 - RSA-OAEP
    for used in (padding.OAEP(padding.MGF1(sha1), sha1, None), padding.PKCS1v15()):
        assert private.decrypt(public.encrypt(PLAINTEXT, used), used) == PLAINTEXT
        assert private.decrypt(reference.public_key(key.key).encrypt(PLAINTEXT, used), used) == PLAINTEXT
    for function in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        for used in (padding.PKCS1v15(), padding.PSS(padding.MGF1(function), padding.PSS.DIGEST_LENGTH)):
            signature = private.sign(PLAINTEXT, used, function)
            public.verify(signature, PLAINTEXT, used, function)
            reference.public_key(key.key).verify(signature, PLAINTEXT, used, function)
    shown = [
        one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in (public, private.public_key())
    ]
    assert shown == [reference.public_key(key.key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)] * 2
    assert private.key_size == public.key_size == 2048


async def test_a_key_type_is_understood_however_it_is_written(vault: Vault, name: str) -> None:
    """test_case_insensitive_key_type, test_example_key_crud_operations"""
    key = await vault.create_key(name, KeyType.ec_hsm, curve="P-384")
    assert KeyType(key.key_type.lower()) is KeyType.ec_hsm
    assert (await vault.get_key(name)).key_type == KeyType.ec_hsm


async def test_five_times_random_bytes_are_five_times_others(pool: Vault) -> None:
    """test_get_random_bytes"""
    found = [await pool.get_random_bytes(count=8) for _ in range(5)]
    assert [len(each) for each in found] == [8] * 5
    assert len(set(found)) == 5


async def test_what_was_purged_stays_away(vault: Vault, name: str) -> None:
    """test_backup_restore"""
    key = await vault.create_ec_key(name)
    blob = await vault.backup_key(name)
    await vault.delete(name)
    await vault.purge_deleted_key(name)
    with pytest.raises(HttpResponseError):
        await vault.get_key(name)
    assert described(await vault.restore_key_backup(blob)) == described(key)
