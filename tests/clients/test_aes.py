"""AES and HMAC with the oct-HSM keys of a pool, each result judged by pyca/cryptography."""

import hashlib
import hmac
import os

import pytest
from azure.keyvault.keys import JsonWebKey, KeyRotationLifetimeAction, KeyRotationPolicy, KeyVaultKey
from cryptography.hazmat.primitives import keywrap, padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from tests.clients.keys import digest_for
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault

SIZES = (128, 192, 256)
TEXTS = (b"a", b"sixteen bytes ok", b"seventeen bytes!!", bytes(200), bytes(range(256)) * 16)
ALL_OPERATIONS = ["encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify"]
IV = bytes(range(100, 116))


def operations_of(secret: bytes) -> list[str]:
    """Everything that a key of this length can do: longer ones than those of AES serve HMAC alone."""
    return ALL_OPERATIONS if len(secret) <= 32 else ["sign", "verify"]


async def imported(vault: Vault, name: str, secret: bytes, **settings: object) -> KeyVaultKey:
    jwk = JsonWebKey(kty="oct-HSM", k=secret, key_ops=operations_of(secret))
    return await vault.import_key(name, jwk, **settings)


def cbc(secret: bytes, iv: bytes, text: bytes) -> bytes:
    encryptor = Cipher(AES(secret), CBC(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def padded(text: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    return padder.update(text) + padder.finalize()


@pytest.mark.parametrize("size", [None, *SIZES])
async def test_a_created_key_has_no_member_but_its_type(pool: Vault, name: str, size: int | None) -> None:
    key = await pool.create_oct_key(name, size=size, hardware_protected=True)
    assert (key.key_type, key.key.kty) == ("oct-HSM", "oct-HSM")
    assert key.key_operations == ["encrypt", "decrypt", "wrapKey", "unwrapKey"]
    assert {member for member, value in vars(key.key).items() if value is not None} == {"kid", "kty", "key_ops"}
    assert (await pool.get_key(name)).id == key.id
    algorithm = f"A{size or 256}GCM"
    encrypted = await pool.crypto(key).encrypt(algorithm, b"text")
    opened = await pool.crypto(key).decrypt(
        algorithm, encrypted.ciphertext, iv=encrypted.iv, authentication_tag=encrypted.tag
    )
    assert opened.plaintext == b"text"


@pytest.mark.parametrize("size", SIZES)
async def test_gcm_is_read_and_written_by_everybody(pool: Vault, name: str, size: int) -> None:
    secret = os.urandom(size // 8)
    client, algorithm = pool.crypto(await imported(pool, name, secret)), f"A{size}GCM"
    for text in TEXTS:
        for aad in (None, b"additional"):
            encrypted = await client.encrypt(algorithm, text, additional_authenticated_data=aad)
            assert (len(encrypted.iv), len(encrypted.tag), len(encrypted.ciphertext)) == (12, 16, len(text))
            assert AESGCM(secret).decrypt(encrypted.iv, encrypted.ciphertext + encrypted.tag, aad) == text
            sealed = AESGCM(secret).encrypt(IV[:12], text, aad)
            opened = await client.decrypt(
                algorithm,
                sealed[:-16],
                iv=IV[:12],
                authentication_tag=sealed[-16:],
                additional_authenticated_data=aad,
            )
            assert opened.plaintext == text


async def test_gcm_never_has_one_iv_twice(pool: Vault, name: str) -> None:
    client = pool.crypto(await pool.create_oct_key(name, size=256, hardware_protected=True))
    assert len({(await client.encrypt("A256GCM", b"same")).iv for _ in range(20)}) == 20


@pytest.mark.parametrize("size", SIZES)
async def test_cbc_fills_up_with_zeros_or_with_padding(pool: Vault, name: str, size: int) -> None:
    secret = os.urandom(size // 8)
    client = pool.crypto(await imported(pool, name, secret))
    for text in TEXTS:
        filled = text + bytes(-len(text) % 16)
        encrypted = await client.encrypt(f"A{size}CBC", text, iv=IV)
        assert (encrypted.ciphertext, encrypted.iv) == (cbc(secret, IV, filled), IV)
        assert (await client.decrypt(f"A{size}CBC", encrypted.ciphertext, iv=IV)).plaintext == filled
        encrypted = await client.encrypt(f"A{size}CBCPAD", text, iv=IV)
        assert encrypted.ciphertext == cbc(secret, IV, padded(text))
        assert (await client.decrypt(f"A{size}CBCPAD", encrypted.ciphertext, iv=IV)).plaintext == text


@pytest.mark.parametrize("size", SIZES)
async def test_keys_are_wrapped_as_the_rfcs_say(pool: Vault, name: str, size: int) -> None:
    secret = os.urandom(size // 8)
    client = pool.crypto(await imported(pool, name, secret))
    for length in (16, 24, 32, 64):
        target = os.urandom(length)
        for algorithm in (f"A{size}KW", "CKM_AES_KEY_WRAP"):
            wrapped = (await client.wrap_key(algorithm, target)).encrypted_key
            assert wrapped == keywrap.aes_key_wrap(secret, target)
            assert (await client.unwrap_key(algorithm, wrapped)).key == target
    for length in (1, 7, 8, 16, 20, 33):
        target = os.urandom(length)
        wrapped = (await client.wrap_key("CKM_AES_KEY_WRAP_PAD", target)).encrypted_key
        assert wrapped == keywrap.aes_key_wrap_with_padding(secret, target)
        assert (await client.unwrap_key("CKM_AES_KEY_WRAP_PAD", wrapped)).key == target


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 256), ("HS384", 384), ("HS512", 512), ("HS256", 512)])
async def test_a_mac_is_that_of_the_digest(pool: Vault, name: str, algorithm: str, size: int) -> None:
    secret = os.urandom(size // 8)
    client, digest = pool.crypto(await imported(pool, name, secret)), digest_for(algorithm)
    signed = await client.sign(algorithm, digest)
    assert signed.signature == hmac.digest(secret, digest, f"sha{algorithm[2:]}")
    assert (await client.verify(algorithm, digest, signed.signature)).is_valid
    changed = signed.signature[:-1] + bytes([signed.signature[-1] ^ 1])
    for signature in (changed, b"", signed.signature[:-1], signed.signature + b"\0", bytes(len(changed))):
        assert not (await client.verify(algorithm, digest, signature)).is_valid
    assert not (await client.verify(algorithm, hashlib.new(f"sha{algorithm[2:]}").digest(), signed.signature)).is_valid


@pytest.mark.parametrize("length", [16, 24, 32, 48, 64])
async def test_an_imported_secret_does_by_default_what_its_length_serves(pool: Vault, name: str, length: int) -> None:
    key = await pool.import_key(name, JsonWebKey(kty="oct", k=os.urandom(length)))
    encrypting = ["encrypt", "decrypt", "wrapKey", "unwrapKey"]
    assert (key.key_type, key.key_operations) == ("oct-HSM", encrypting if length <= 32 else ["sign", "verify"])


@pytest.mark.parametrize("size", [256, 384, 512])
async def test_a_rotated_mac_key_is_as_long_as_the_last(pool: Vault, name: str, size: int) -> None:
    secret = os.urandom(size // 8)
    old = await imported(pool, name, secret, tags={"a": "b"})
    actions = [KeyRotationLifetimeAction("Rotate", time_after_create="P90D")]
    await pool.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=actions))
    new = await pool.rotate_key(name)
    assert (new.key_type, new.key_operations, new.properties.tags) == ("oct-HSM", operations_of(secret), {"a": "b"})
    answer = await pool.send("GET", f"/keys/{name}/", **{"api-version": "2026-04-01"})
    assert (answer.json()["key"]["kid"], answer.json()["attributes"]["key_size"]) == (new.id, size)
    algorithm = f"HS{size}"
    digest = digest_for(algorithm)
    macs = [(await pool.crypto(key).sign(algorithm, digest)).signature for key in (old, new)]
    assert [len(mac) for mac in macs] == [size // 8] * 2
    assert macs[0] != macs[1]
    assert (await pool.crypto(new).verify(algorithm, digest, macs[1])).is_valid
    assert not (await pool.crypto(new).verify(algorithm, digest, macs[0])).is_valid


@pytest.mark.parametrize("size", [0, 64, 384, 512])
async def test_only_keys_for_aes_are_made_on_demand(pool: Vault, name: str, size: int) -> None:
    with refused(400, "BadParameter") as caught:
        await pool.create_key(name, "oct-HSM", size=size)
    assert message(caught.value) == f"Unsupported key size ({size}). Supported sizes are [128, 192, 256]"


async def test_a_key_of_another_size_is_refused_with_the_sizes(pool: Vault, name: str) -> None:
    client = pool.crypto(await imported(pool, name, os.urandom(16)))
    for call, text in (
        (client.encrypt("A256GCM", b"text"), "Unsupported key size (128). Supported sizes are [256]"),
        (client.wrap_key("A192KW", bytes(16)), "Unsupported key size (128). Supported sizes are [192]"),
        (client.sign("HS256", bytes(32)), "Unsupported key size (128). Supported sizes are [256, 384, 512]"),
    ):
        with refused(400, "BadParameter") as caught:
            await call
        assert message(caught.value).startswith(text)


@pytest.mark.parametrize("operation", ["encrypt", "decrypt", "wrapKey", "unwrapKey"])
async def test_a_secret_that_is_too_long_for_aes_neither_encrypts_nor_wraps(
    pool: Vault, name: str, operation: str
) -> None:
    with refused(400, "BadParameter"):
        await pool.import_key(name, JsonWebKey(kty="oct-HSM", k=bytes(64), key_ops=["sign", operation]))
    key = await imported(pool, name, os.urandom(64))
    with refused(400, "BadParameter"):
        await pool.update_key_properties(name, key_operations=[operation])
    assert (await pool.get_key(name)).key_operations == key.key_operations == ["sign", "verify"]


async def test_modes_do_not_wrap_and_key_wrap_does_not_encrypt(pool: Vault, name: str) -> None:
    key = await imported(pool, name, os.urandom(32))
    for path, body in (
        ("encrypt", {"alg": "A256KW", "value": "A" * 43}),
        ("wrapkey", {"alg": "A256GCM", "value": "AAAA"}),
        ("wrapkey", {"alg": "A256CBCPAD", "value": "AAAA", "iv": "A" * 22}),
        ("encrypt", {"alg": "RSA-OAEP", "value": "AAAA"}),
        ("sign", {"alg": "RS256", "value": "A" * 43}),
    ):
        response = await pool.send("POST", f"/keys/{key.name}//{path}", body)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter"), path


async def test_whatever_does_not_open_gets_one_answer(pool: Vault, name: str) -> None:
    secret = os.urandom(32)
    client = pool.crypto(await imported(pool, name, secret))
    good = await client.encrypt("A256GCM", b"some text", additional_authenticated_data=b"aad")
    wrapped = (await client.wrap_key("A256KW", bytes(32))).encrypted_key
    padded_wrap = (await client.wrap_key("CKM_AES_KEY_WRAP_PAD", bytes(20))).encrypted_key
    answers = set()
    for change in (
        {"ciphertext": b"some texT"},
        {"iv": bytes(12)},
        {"authentication_tag": bytes(16)},
        {"additional_authenticated_data": b"another"},
    ):
        arguments = {
            "ciphertext": good.ciphertext,
            "iv": good.iv,
            "authentication_tag": good.tag,
            "additional_authenticated_data": b"aad",
            **change,
        }
        with refused(400, "BadParameter") as caught:
            await client.decrypt("A256GCM", **arguments)
        answers.add(_bare(message(caught.value)))
    for algorithm, content in (
        ("A256KW", bytes([wrapped[0] ^ 1]) + wrapped[1:]),
        ("CKM_AES_KEY_WRAP_PAD", padded_wrap[:-1] + bytes([padded_wrap[-1] ^ 1])),
        ("CKM_AES_KEY_WRAP_PAD", wrapped),
        ("A256KW", padded_wrap),
    ):
        with refused(400, "BadParameter") as caught:
            await client.unwrap_key(algorithm, content)
        answers.add(_bare(message(caught.value)))
    bad_padding = cbc(secret, IV, bytes(16))
    with refused(400, "BadParameter") as caught:
        await client.decrypt("A256CBCPAD", bad_padding, iv=IV)
    answers.add(_bare(message(caught.value)))
    assert len(answers) == 1


@pytest.mark.parametrize(("length", "text"), [(65, "maximum size is 64"), (17, "Unsupported key size (136)")])
async def test_a_secret_of_another_length_is_not_imported(pool: Vault, name: str, length: int, text: str) -> None:
    with refused(400, "BadParameter") as caught:
        await imported(pool, name, bytes(length))
    assert text in message(caught.value)


async def test_a_vault_has_no_symmetric_keys(sync_owner: Vault, name: str) -> None:
    for hardware in (False, True):
        with refused(400, "BadParameter"):
            await sync_owner.create_oct_key(name, hardware_protected=hardware)
    with refused(400, "BadParameter"):
        await imported(sync_owner, name, bytes(32))


def _bare(text: str) -> str:
    """Without the id of the request."""
    return text.partition(" (Activity ID")[0]
