"""What a pool's keys may be, where it differs from a vault: types, exponents, sizes, the number of versions."""

import base64
from math import gcd

import pytest
from azure.keyvault.keys import JsonWebKey, KeyRotationLifetimeAction, KeyRotationPolicy
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clients import reference
from tests.clients.keys import digest_for
from tests.clients.kinds import Kind
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault


@pytest.mark.parametrize("exponent", [17, *(pytest.param(each, marks=pytest.mark.slow) for each in (3, 65537))])
async def test_an_rsa_key_has_the_exponent_that_was_asked_for(pool: Vault, name: str, exponent: int) -> None:
    key = await pool.create_rsa_key(name, size=2048, public_exponent=exponent)
    assert (key.key_type, int.from_bytes(key.key.e)) == ("RSA-HSM", exponent)
    signed = await pool.crypto(key).sign("PS256", digest_for("PS256"))
    assert reference.verifies(reference.public_key(key.key), "PS256", digest_for("PS256"), signed.signature)
    sealed = await pool.crypto(key).encrypt("RSA-OAEP", b"text")
    assert (await pool.crypto(key).decrypt("RSA-OAEP", sealed.ciphertext)).plaintext == b"text"


async def test_an_rsa_key_with_the_exponent_17_may_come_from_outside(pool: Vault, sync_owner: Vault, name: str) -> None:
    private, jwk = _key_pair_with_17()
    key = await pool.import_key(name, jwk)
    assert (key.key_type, key.key.e) == ("RSA-HSM", b"\x11")
    signed = await pool.crypto(key).sign("RS256", digest_for("RS256"))
    assert reference.verifies(private.public_key(), "RS256", digest_for("RS256"), signed.signature)
    with refused(400, "BadParameter"):
        await sync_owner.import_key(name, jwk)


def _key_pair_with_17() -> tuple[rsa.RSAPrivateKey, JsonWebKey]:
    """The library makes none with this exponent: the primes of another key, where they fit."""
    while True:
        numbers = rsa.generate_private_key(65537, 2048).private_numbers()
        p, q = numbers.p, numbers.q
        if gcd(17, (p - 1) * (q - 1)) == 1:
            break
    d = pow(17, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(17, p * q)
    key = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()
    members = {"n": p * q, "e": 17, "d": d, "p": p, "q": q}
    return key, JsonWebKey(
        kty="RSA", **{name: value.to_bytes(-(-value.bit_length() // 8)) for name, value in members.items()}
    )


@pytest.mark.parametrize("body", [{"kty": "RSA"}, {"kty": "EC"}, {"kty": "oct"}], ids=lambda body: str(body["kty"]))
async def test_every_type_becomes_that_of_hardware(pool: Vault, name: str, body: dict[str, str]) -> None:
    response = await pool.send("POST", f"/keys/{name}/create", body)
    assert (response.status_code, response.json()["key"]["kty"]) == (200, f"{body['kty']}-HSM")
    assert "hsmPlatform" not in response.json()["attributes"]


@pytest.mark.slow
async def test_a_key_exchange_key_is_long_unless_it_is_said(pool: Vault, name: str) -> None:
    key = await pool.create_rsa_key(name, key_operations=["import"])
    assert len(key.key.n) == 512


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("7.4", None),
        ("7.6", None),
        ("2025-07-01", None),
        ("2026-03-01-preview", None),
        ("2026-04-01", 192),
        ("2026-07-01-preview", 192),
    ],
)
async def test_the_size_of_a_symmetric_key_is_shown_from_2026_04_01_on(
    pool: Vault, name: str, version: str, shown: int | None
) -> None:
    query = {"api-version": version}
    made = await pool.send("POST", f"/keys/{name}/create", {"kty": "oct-HSM", "key_size": 192}, **query)
    assert made.json()["attributes"].get("key_size") == shown
    assert set(made.json()["key"]) == {"kid", "kty", "key_ops"}
    for path in (f"/keys/{name}/", f"/keys/{name}/versions"):
        body = (await pool.send("GET", path, **query)).json()
        assert body.get("value", [body])[0]["attributes"].get("key_size") == shown


async def test_a_symmetric_key_lives_through_backup_and_rotation(pool: Vault, name: str) -> None:
    key = await pool.create_oct_key(name, size=256, hardware_protected=True)
    sealed = await pool.crypto(key).encrypt("A256GCM", b"text")
    policy = KeyRotationPolicy(lifetime_actions=[KeyRotationLifetimeAction("Rotate", time_after_create="P90D")])
    await pool.update_key_rotation_policy(name, policy)
    rotated = await pool.rotate_key(name)
    assert (rotated.key_type, rotated.key_operations) == ("oct-HSM", key.key_operations)
    blob = await pool.backup_key(name)
    await pool.delete(name)
    await pool.purge_deleted_key(name)
    assert (await pool.restore_key_backup(blob)).id == rotated.id
    opened = await pool.crypto(key).decrypt("A256GCM", sealed.ciphertext, iv=sealed.iv, authentication_tag=sealed.tag)
    assert opened.plaintext == b"text"
    with refused(400, "BadParameter"):
        await pool.crypto(rotated).decrypt("A256GCM", sealed.ciphertext, iv=sealed.iv, authentication_tag=sealed.tag)


@pytest.mark.slow
async def test_a_key_has_a_hundred_versions_and_no_more(pool: Vault, name: str) -> None:
    for _ in range(100):
        await pool.create_ec_key(name)
    for call in (
        lambda: pool.create_ec_key(name),
        lambda: pool.import_key(name, reference.key_pair(Kind("EC", curve="P-256"))[1]),
    ):
        with refused(400, "BadParameter") as caught:
            await call()
        assert message(caught.value).startswith("A key can have at most 100 versions.")
    assert len(await pool.items("list_properties_of_key_versions", name)) == 100


async def test_the_answer_of_an_encryption_names_what_a_decryption_needs(pool: Vault, name: str) -> None:
    key = await pool.create_oct_key(name, size=128, hardware_protected=True)
    path, value, iv = f"/keys/{name}/", base64.urlsafe_b64encode(bytes(16)).decode(), "A" * 22
    for body, members in (
        ({"alg": "A128GCM", "value": value, "aad": "AAAA"}, {"iv", "tag", "aad"}),
        ({"alg": "A128GCM", "value": value}, {"iv", "tag"}),
        ({"alg": "A128CBC", "value": value, "iv": iv}, {"iv"}),
        ({"alg": "A128CBCPAD", "value": value, "iv": iv}, {"iv"}),
    ):
        response = await pool.send("POST", f"{path}/encrypt", body)
        assert (response.status_code, set(response.json())) == (200, {"kid", "value", *members})
        assert response.json()["kid"] == key.id
        sealed = {name: response.json()[name] for name in ("value", *members)}
        opened = await pool.send("POST", f"{path}/decrypt", {"alg": body["alg"], **sealed})
        assert base64.urlsafe_b64decode(opened.json()["value"] + "==") == bytes(16)
    given = {"alg": "A128GCM", "value": value, "iv": "A" * 16}
    refusal = await pool.send("POST", f"{path}/encrypt", given)
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (400, "BadParameter")
    wrapped = await pool.send("POST", f"{path}/wrapkey", {"alg": "A128KW", "value": value})
    assert set(wrapped.json()) == {"kid", "value"}
