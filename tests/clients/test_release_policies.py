"""Exportable keys and their release policies, as the clients make, see and change them."""

import json

import pytest
from azure.keyvault.keys import JsonWebKey, KeyReleasePolicy, KeyVaultKey

from tests.clients import reference
from tests.clients.keys import create, described
from tests.clients.kinds import Kind
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault

IMMUTABLE = "AKV.SKR.1020: Immutable Key Release Policy cannot be modified."


def policy(equals: object = True, *, immutable: bool | None = None) -> KeyReleasePolicy:
    authority = {"authority": "https://attest.example/", "allOf": [{"claim": "sdk-test", "equals": equals}]}
    return KeyReleasePolicy(
        json.dumps({"version": "1.0.0", "anyOf": [authority]}).encode(),
        **({} if immutable is None else {"immutable": immutable}),
    )


def assert_has(key: KeyVaultKey, given: KeyReleasePolicy, *, immutable: bool = False) -> None:
    found = key.properties.release_policy
    assert found is not None
    assert json.loads(found.encoded_policy) == json.loads(given.encoded_policy)
    assert (found.content_type, found.immutable) == ("application/json; charset=utf-8", immutable)


async def make(vault: Vault, name: str, given: KeyReleasePolicy, **settings: object) -> KeyVaultKey:
    return await vault.create_ec_key(name, hardware_protected=True, exportable=True, release_policy=given, **settings)


async def test_an_exportable_key_has_the_policy_that_it_was_made_with(vault: Vault, name: str) -> None:
    key = await make(vault, name, policy(), key_operations=["sign", "verify", "export"])
    assert key.properties.exportable is True
    assert key.key_operations == ["sign", "verify", "export"]
    assert_has(key, policy())
    assert_has(await vault.get_key(name), policy())
    assert described(await vault.get_key(name)) == described(key)


async def test_an_exportable_key_may_come_from_outside(vault: Vault, name: str) -> None:
    _, jwk = reference.key_pair(Kind("EC-HSM", curve="P-256"))
    key = await vault.import_key(name, jwk, exportable=True, release_policy=policy("yes"))
    assert (key.properties.exportable, key.key_type) == (True, "EC-HSM")
    assert_has(key, policy("yes"))


async def test_a_symmetric_key_may_be_exportable(pool: Vault, name: str) -> None:
    made = await pool.create_oct_key(name, hardware_protected=True, exportable=True, release_policy=policy())
    assert_has(made, policy())
    jwk = JsonWebKey(kty="oct-HSM", k=bytes(32))
    brought = await pool.import_key(f"{name}-brought", jwk, exportable=True, release_policy=policy())
    assert brought.properties.exportable is True


async def test_a_policy_changes_until_it_is_immutable(vault: Vault, name: str) -> None:
    await make(vault, name, policy())
    assert_has(await vault.update_key_properties(name, release_policy=policy("other")), policy("other"))
    unchanged = await vault.update_key_properties(name, tags={"a": "b"})
    assert_has(unchanged, policy("other"))
    fixed = await vault.update_key_properties(name, release_policy=policy("last", immutable=True))
    assert_has(fixed, policy("last"), immutable=True)
    for given in (policy(), policy(immutable=True), policy("last", immutable=False)):
        with refused(400, "BadParameter") as caught:
            await vault.update_key_properties(name, release_policy=given)
        assert message(caught.value).startswith(IMMUTABLE)
    same = await vault.update_key_properties(name, release_policy=policy("last", immutable=True), tags={})
    assert_has(same, policy("last"), immutable=True)


async def test_a_policy_that_is_immutable_from_the_start_stays(vault: Vault, name: str) -> None:
    assert_has(await make(vault, name, policy(immutable=True)), policy(), immutable=True)
    with refused(400, "BadParameter") as caught:
        await vault.update_key_properties(name, release_policy=policy("other", immutable=True))
    assert message(caught.value).startswith(IMMUTABLE)


async def test_exportable_and_a_policy_come_together_or_not_at_all(vault: Vault, name: str) -> None:
    for settings, text in (
        ({"exportable": True}, "Exportable keys must have release policy"),
        ({"release_policy": policy()}, "Non-exportable keys must not have release policy"),
        ({"exportable": False, "release_policy": policy()}, "Non-exportable keys must not have release policy"),
    ):
        with refused(400, "BadParameter") as caught:
            await vault.create_ec_key(name, hardware_protected=True, **settings)
        assert message(caught.value).startswith(text)
    await create(vault, name, Kind("EC-HSM", curve="P-256"))
    with refused(400, "BadParameter") as caught:
        await vault.update_key_properties(name, release_policy=policy())
    assert message(caught.value).startswith("Non-exportable keys must not have release policy")
    with refused(400, "BadParameter"):
        await vault.update_key_properties(name, key_operations=["sign", "export"])


async def test_a_key_in_software_is_not_exportable(sync_owner: Vault, name: str) -> None:
    with refused(400, "BadParameter") as caught:
        await sync_owner.create_rsa_key(name, exportable=True, release_policy=policy())
    assert message(caught.value) == "Exportable keys must be HSM-backed."


@pytest.mark.parametrize(
    "release_policy",
    [
        {},
        {"data": None},
        {"data": ""},
        {"data": "!"},
        {"data": "e30"},
        {"data": 1},
        {"data": "e30", "contentType": "text/plain"},
        {"data": "e30", "contentType": "application/json;" + " " * 200},
        {"data": "e30", "immutable": "true"},
        [],
        "e30",
    ],
    ids=str,
)
async def test_what_is_no_policy_makes_no_key(sync_owner: Vault, name: str, release_policy: object) -> None:
    body = {"kty": "RSA-HSM", "attributes": {"exportable": True}, "release_policy": release_policy}
    response = await sync_owner.send("POST", f"/keys/{name}/create", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
    assert (await sync_owner.send("GET", f"/keys/{name}/")).status_code == 404
