"""BYOK through the clients: a key that its owner wraps to a key-exchange key is opened by the HSM alone."""

import base64
import hmac
import json
import os
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import JsonWebKey, KeyReleasePolicy, KeyVaultKey
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.clients import reference
from tests.clients.keys import KeyRing, digest_for, import_pair
from tests.clients.kinds import CURVES, KINDS, Kind
from tests.clients.refusals import message, refused
from tests.clients.test_aes import operations_of
from tests.clients.vault import Vault

OAEP_SHA1 = OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303  # the algorithm's own


async def exchange_key(vault: Vault, name: str) -> KeyVaultKey:
    """One that the test may change."""
    return await vault.create_rsa_key(f"{name}-kek", hardware_protected=True, key_operations=["import"])


def transfer(exchange: KeyVaultKey, target: bytes, *, aes_bytes: int = 32, **header: str) -> bytes:
    """The blob that the tool of an HSM's vendor makes."""
    key = os.urandom(aes_bytes)
    wrapped_key = reference.public_key(exchange.key).encrypt(key, OAEP_SHA1)
    blob = {
        "schema_version": "1.0.0",
        "header": {"kid": exchange.id, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP", **header},
        "ciphertext": base64url(wrapped_key + keywrap.aes_key_wrap_with_padding(key, target)),
        "generator": "tests",
    }
    return json.dumps(blob).encode()


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def pkcs8(private: Any) -> bytes:
    encoded: bytes = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encoded


async def bring(
    vault: Vault, name: str, kty: str, blob: bytes, curve: str | None = None, **more: object
) -> KeyVaultKey:
    jwk = JsonWebKey(kty=kty, crv=curve, key_ops=more.pop("key_ops", None), t=blob)
    return await vault.import_key(name, jwk, **more)


@pytest.mark.parametrize("aes_bytes", [16, 24, 32])
async def test_an_rsa_key_that_was_wrapped_works_like_any_other(
    vault: Vault, ring: KeyRing, name: str, aes_bytes: int
) -> None:
    private = reference.private_key(2048, "")
    exchange = await ring.exchange_key(vault)
    assert exchange.key_operations == ["import"]
    key = await bring(vault, name, "RSA-HSM", transfer(exchange, pkcs8(private), aes_bytes=aes_bytes), tags={"a": "b"})
    assert (key.key_type, key.properties.tags) == ("RSA-HSM", {"a": "b"})
    assert reference.public_key(key.key).public_numbers() == private.public_key().public_numbers()
    signed = await vault.crypto(key).sign("PS256", digest_for("PS256"))
    assert reference.verifies(private.public_key(), "PS256", digest_for("PS256"), signed.signature)


@pytest.mark.parametrize("curve", CURVES)
async def test_an_ec_key_that_was_wrapped_has_the_public_part_of_its_owner(
    vault: Vault, ring: KeyRing, name: str, curve: str
) -> None:
    private = reference.private_key(0, curve)
    exchange = await ring.exchange_key(vault)
    key = await bring(vault, name, "EC-HSM", transfer(exchange, pkcs8(private)), curve)
    assert reference.public_key(key.key).public_numbers() == private.public_key().public_numbers()
    algorithm = CURVES[curve][0]
    signed = await vault.crypto(key).sign(algorithm, digest_for(algorithm))
    assert reference.verifies(private.public_key(), algorithm, digest_for(algorithm), signed.signature)


@pytest.mark.parametrize("length", [16, 24, 32])
async def test_a_symmetric_key_that_was_wrapped_opens_what_its_owner_sealed(
    pool: Vault, ring: KeyRing, name: str, length: int
) -> None:
    secret = os.urandom(length)
    key = await bring(pool, name, "oct-HSM", transfer(await ring.exchange_key(pool), secret))
    sealed = AESGCM(secret).encrypt(bytes(12), b"text", None)
    opened = await pool.crypto(key).decrypt(
        f"A{8 * length}GCM", sealed[:-16], iv=bytes(12), authentication_tag=sealed[-16:]
    )
    assert opened.plaintext == b"text"


@pytest.mark.slow
@pytest.mark.parametrize("aes_bytes", [16, 32])
@pytest.mark.parametrize("size", [2048, 3072, 4096])
async def test_every_key_comes_in_under_an_exchange_key_of_every_size(
    vault_and_pool: Vault, ring: KeyRing, name: str, size: int, aes_bytes: int
) -> None:
    vault = vault_and_pool
    exchange = await ring.exchange_key(vault, size)
    assert len(exchange.key.n) == size // 8
    for kind in (each for each in KINDS if each.hardware):
        private = reference.private_key(kind.size, kind.curve)
        blob = transfer(exchange, pkcs8(private), aes_bytes=aes_bytes)
        key = await bring(vault, f"{name}-{kind.id}", kind.kty, blob, kind.curve or None)
        assert key.key_operations == kind.operations
        assert reference.public_key(key.key).public_numbers() == private.public_key().public_numbers()
        for algorithm in kind.signatures:
            signed = await vault.remote(key).sign(algorithm, digest_for(algorithm))
            assert reference.verifies(private.public_key(), algorithm, digest_for(algorithm), signed.signature)
        for algorithm in kind.encryptions:
            sealed = private.public_key().encrypt(b"data", reference.encryption_padding(algorithm))
            assert (await vault.remote(key).decrypt(algorithm, sealed)).plaintext == b"data"


@pytest.mark.slow
@pytest.mark.parametrize("aes_bytes", [16, 32])
@pytest.mark.parametrize("size", [2048, 3072, 4096])
async def test_every_secret_comes_in_under_an_exchange_key_of_every_size(
    pool: Vault, ring: KeyRing, name: str, size: int, aes_bytes: int
) -> None:
    exchange = await ring.exchange_key(pool, size)
    for length in (16, 24, 32, 48, 64):
        secret = os.urandom(length)
        blob = transfer(exchange, secret, aes_bytes=aes_bytes)
        key = await bring(pool, f"{name}-{length}", "oct-HSM", blob, key_ops=operations_of(secret))
        if length <= 32:
            wrapped = await pool.crypto(key).wrap_key(f"A{8 * length}KW", bytes(range(32)))
            assert wrapped.encrypted_key == keywrap.aes_key_wrap(secret, bytes(range(32)))
        if length >= 32:
            mac = await pool.crypto(key).sign(f"HS{8 * length}", digest_for(f"HS{8 * length}"))
            assert mac.signature == hmac.digest(secret, digest_for(f"HS{8 * length}"), f"sha{8 * length}")


async def test_a_wrapped_key_may_be_exportable(vault: Vault, ring: KeyRing, name: str) -> None:
    exchange, target = await ring.exchange_key(vault), pkcs8(reference.private_key(0, "P-256"))
    text = b'{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"a","equals":1}]}]}'
    policy = KeyReleasePolicy(text)
    more = {"exportable": True, "release_policy": policy}
    key = await bring(vault, name, "EC-HSM", transfer(exchange, target), "P-256", **more)
    assert (key.properties.exportable, key.properties.release_policy.encoded_policy) == (True, text)
    with refused(400, "BadParameter"):
        await bring(vault, name, "EC-HSM", transfer(exchange, target), "P-256", exportable=True)


async def test_a_blob_in_plain_base64_is_taken_too(sync_owner: Vault, ring: KeyRing, name: str) -> None:
    blob = transfer(await ring.exchange_key(sync_owner), pkcs8(reference.private_key(2048, "")))
    body = {"key": {"kty": "RSA-HSM", "key_hsm": base64.b64encode(blob).decode()}}
    response = await sync_owner.send("PUT", f"/keys/{name}", body)
    assert (response.status_code, response.json()["key"]["kty"]) == (200, "RSA-HSM")


async def test_a_key_exchange_key_does_nothing_else_and_stays_what_it_is(
    vault: Vault, ring: KeyRing, name: str
) -> None:
    exchange = await ring.exchange_key(vault)
    remote = vault.remote(exchange)
    for call in (
        lambda: remote.sign("RS256", digest_for("RS256")),
        lambda: remote.unwrap_key("RSA-OAEP", bytes(256)),
        lambda: remote.encrypt("RSA-OAEP", b"x"),
    ):
        with refused(403, "Forbidden", "KeyOperationForbidden"):
            await call()
    with refused(400, "BadParameter"):
        await vault.update_key_properties(exchange.name, key_operations=["unwrapKey"])
    ordinary = await import_pair(vault, name, Kind("RSA-HSM", 2048))
    with refused(400, "BadParameter"):
        await vault.update_key_properties(ordinary.name, key_operations=["import"])


@pytest.mark.parametrize("body", [{"kty": "RSA"}, {"kty": "EC-HSM"}, {"kty": "EC"}])
async def test_only_an_rsa_key_in_hardware_is_for_exchange(sync_owner: Vault, name: str, body: dict[str, str]) -> None:
    response = await sync_owner.send("POST", f"/keys/{name}/create", {**body, "key_ops": ["import"]})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")


async def test_a_key_exchange_key_is_made_and_never_imported(sync_owner: Vault, name: str) -> None:
    _, jwk = reference.key_pair(Kind("RSA-HSM", 2048))
    jwk.key_ops = ["import"]
    with refused(400, "BadParameter"):
        await sync_owner.import_key(name, jwk)


async def test_what_was_wrapped_wrongly_gets_one_answer_and_no_key(sync_owner: Vault, ring: KeyRing, name: str) -> None:
    exchange = await ring.exchange_key(sync_owner)
    rsa, ec = pkcs8(reference.private_key(2048, "")), pkcs8(reference.private_key(0, "P-256"))
    good = json.loads(transfer(exchange, rsa))
    content = base64.urlsafe_b64decode(good["ciphertext"] + "==")
    changed = [
        content[:-1] + bytes([content[-1] ^ 1]),
        bytes([content[0] ^ 1]) + content[1:],
        content[:-8],
        b"",
        content[:256],
    ]
    blobs = [json.dumps({**good, "ciphertext": base64url(one)}).encode() for one in changed]
    blobs += [transfer(exchange, ec), transfer(exchange, b"no key at all"), transfer(exchange, rsa, aes_bytes=16)[:-1]]
    answers = set()
    for blob in blobs[:-1]:
        with refused(400, "BadParameter") as caught:
            await bring(sync_owner, name, "RSA-HSM", blob)
        answers.add(message(caught.value))
    assert len(answers) == 1
    with refused(400, "BadParameter"):
        await bring(sync_owner, name, "RSA-HSM", blobs[-1])
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await sync_owner.get_key(name)


async def test_the_exchange_key_has_to_be_one_and_to_be_usable(sync_owner: Vault, name: str) -> None:
    target = pkcs8(reference.private_key(2048, ""))
    exchange = await exchange_key(sync_owner, name)
    ordinary = await import_pair(sync_owner, f"{name}-ordinary", Kind("RSA-HSM", 2048))
    with refused(403, "Forbidden", "KeyOperationForbidden") as caught:
        await bring(sync_owner, name, "RSA-HSM", transfer(ordinary, target))
    assert message(caught.value) == "Operation import is not permitted on this key."
    unknown = exchange.id[:-32] + "0" * 32
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await bring(sync_owner, name, "RSA-HSM", transfer(exchange, target, kid=unknown))
    with refused(400, "BadParameter"):
        await bring(sync_owner, name, "RSA-HSM", transfer(exchange, target, kid=exchange.id.replace("dev.", "other.")))
    await sync_owner.update_key_properties(exchange.name, enabled=False)
    with refused(403, "Forbidden", "KeyDisabled"):
        await bring(sync_owner, name, "RSA-HSM", transfer(exchange, target))


async def test_a_wrapped_key_goes_into_hardware_and_has_no_member_in_the_clear(
    sync_owner: Vault, ring: KeyRing, name: str
) -> None:
    private, jwk = reference.key_pair(Kind("RSA", 2048))
    blob = transfer(await ring.exchange_key(sync_owner), pkcs8(private))
    with refused(400, "BadParameter"):
        await bring(sync_owner, name, "RSA", blob)
    assert (await bring(sync_owner, name, "RSA", blob, hardware_protected=True)).key_type == "RSA-HSM"
    jwk.t, jwk.kty = blob, "RSA-HSM"
    with refused(400, "BadParameter"):
        await sync_owner.import_key(name, jwk)
