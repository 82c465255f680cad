"""Rotation through the clients: policies as they are set and read, and new versions on demand."""

import time

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import KeyRotationLifetimeAction, KeyRotationPolicy

from tests.clients.keys import create, digest_for
from tests.clients.kinds import Kind
from tests.clients.refusals import refused
from tests.clients.vault import Vault

EC = Kind("EC-HSM", curve="P-256")
ROTATE = KeyRotationLifetimeAction("rotate", time_after_create="P18M")
NOTIFY = KeyRotationLifetimeAction("Notify", time_before_expiry="P30D")


def is_pool(vault: Vault) -> bool:
    return ".managedhsm." in vault.url


async def test_a_policy_is_kept_as_it_was_said(vault: Vault, name: str) -> None:
    key = await create(vault, name, EC)
    actions = [ROTATE] if is_pool(vault) else [ROTATE, NOTIFY]
    given = KeyRotationPolicy(lifetime_actions=actions, expires_in="P2Y")
    for policy in (await vault.update_key_rotation_policy(name, given), await vault.get_key_rotation_policy(name)):
        assert policy.id == f"{vault.url}/keys/{name}/rotationpolicy"
        assert policy.expires_in == "P2Y"
        assert [(str(one.action).lower().rpartition(".")[2]) for one in policy.lifetime_actions] == [
            str(one.action).lower() for one in actions
        ]
        assert [(one.time_after_create, one.time_before_expiry) for one in policy.lifetime_actions] == [
            (one.time_after_create, one.time_before_expiry) for one in actions
        ]
        assert policy.created_on is not None and policy.updated_on is not None
    assert (await vault.get_key(name)).id == key.id


async def test_a_policy_is_removed_by_an_empty_one(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    await vault.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[ROTATE], expires_in="P1Y"))
    removed = await vault.update_key_rotation_policy(name, KeyRotationPolicy())
    assert removed.expires_in is None
    assert "Rotate" not in [one.action for one in (await vault.get_key_rotation_policy(name)).lifetime_actions]


async def test_a_vault_answers_its_default_before_any_policy_is_set(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, EC)
    response = await sync_owner.send("GET", f"/keys/{name}/rotationpolicy")
    body = response.json()
    assert body["lifetimeActions"] == [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}]
    assert "expiryTime" not in body["attributes"]


async def test_a_rotated_key_is_a_new_version_like_the_last(vault: Vault, name: str) -> None:
    first = await create(vault, name, EC, tags={"a": "b"}, key_operations=["sign", "verify"])
    await vault.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[ROTATE], expires_in="P90D"))
    before = time.time()
    rotated = await vault.rotate_key(name)
    assert (rotated.name, rotated.key_type, rotated.key.crv) == (name, "EC-HSM", "P-256")
    assert rotated.id != first.id and rotated.key.x != first.key.x
    assert (rotated.properties.tags, rotated.key_operations) == ({"a": "b"}, ["sign", "verify"])
    assert abs(rotated.properties.expires_on.timestamp() - before - 90 * 86_400) < 60
    assert (await vault.get_key(name)).id == rotated.id
    signed = await vault.crypto(first).sign("ES256", digest_for("ES256"))
    assert (await vault.remote(first).verify("ES256", digest_for("ES256"), signed.signature)).is_valid
    assert len(await vault.items("list_properties_of_key_versions", name)) == 2


async def test_only_a_pool_does_not_rotate_without_a_policy(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    if is_pool(vault):
        with refused(400, "BadParameter"):
            await vault.rotate_key(name)
    else:
        assert (await vault.rotate_key(name)).name == name


@pytest.mark.parametrize(
    "policy",
    [
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P6D"}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P18M"}, "action": {"type": "Explode"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P18M"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "18 months"}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": 18}, "action": {"type": "Rotate"}}]},
        {"lifetimeActions": {}},
        {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P18M"}, "action": {"type": "Rotate"}}] * 17},
        {"attributes": {"expiryTime": "P27D"}},
        {"attributes": {"expiryTime": "PT48H"}},
        [],
    ],
    ids=lambda policy: str(policy)[:60],
)
async def test_a_policy_that_cannot_be_is_refused_and_changes_nothing(
    sync_owner: Vault, name: str, policy: object
) -> None:
    await create(sync_owner, name, EC)
    before = (await sync_owner.send("GET", f"/keys/{name}/rotationpolicy")).json()
    response = await sync_owner.send("PUT", f"/keys/{name}/rotationpolicy", policy)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
    assert (await sync_owner.send("GET", f"/keys/{name}/rotationpolicy")).json() == before


async def test_no_key_no_policy_and_no_rotation(vault: Vault, name: str) -> None:
    for call in (
        lambda: vault.rotate_key(name),
        lambda: vault.get_key_rotation_policy(name),
        lambda: vault.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[ROTATE])),
    ):
        with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
            await call()
