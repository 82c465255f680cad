"""Rotation through the clients: policies as they are set and read, and new versions on demand."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import KeyRotationLifetimeAction, KeyRotationPolicy

from tests.clients import reference
from tests.clients.keys import create, digest_for, import_pair
from tests.clients.kinds import Kind, each
from tests.clients.refusals import refused
from tests.clients.releases import policy_of
from tests.clients.vault import Vault

EC = Kind("EC-HSM", curve="P-256")
ROTATE = KeyRotationLifetimeAction("rotate", time_after_create="P18M")
NOTIFY = KeyRotationLifetimeAction("Notify", time_before_expiry="P30D")


async def test_a_policy_is_kept_as_it_was_said(vault: Vault, name: str) -> None:
    key = await create(vault, name, EC)
    actions = [ROTATE] if vault.is_pool else [ROTATE, NOTIFY]
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


async def with_policy(vault: Vault, name: str) -> None:
    await vault.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[ROTATE], expires_in="P2Y"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", each())
async def test_every_kind_of_key_rotates_to_its_own_kind(vault_and_pool: Vault, name: str, kind: Kind) -> None:
    """And the old version goes on with what was encrypted or signed by it."""
    vault = vault_and_pool
    old = await import_pair(vault, name, kind)
    await with_policy(vault, name)
    new = await vault.rotate_key(name)
    assert (new.key_type, new.key.crv) == (old.key_type, old.key.crv) == (vault.made(kind).kty, kind.curve or None)
    assert new.key_operations == kind.operations
    if kind.is_rsa:
        assert (len(new.key.n), new.key.e) == (kind.size // 8, old.key.e)
        assert new.key.n != old.key.n
    for algorithm in kind.signatures:
        digest = digest_for(algorithm)
        for key in (old, new):
            signed = await vault.remote(key).sign(algorithm, digest)
            assert reference.verifies(reference.public_key(key.key), algorithm, digest, signed.signature)
        assert not (await vault.remote(old).verify(algorithm, digest, signed.signature)).is_valid
    for algorithm in kind.encryptions:
        for key in (old, new):
            sealed = reference.public_key(key.key).encrypt(b"data", reference.encryption_padding(algorithm))
            assert (await vault.remote(key).decrypt(algorithm, sealed)).plaintext == b"data"


@pytest.mark.slow
async def test_an_rsa_key_keeps_its_exponent_when_it_rotates(sync_owner: Vault, name: str) -> None:
    await sync_owner.import_key(name, reference.key_pair(Kind("RSA-HSM", 2048), exponent=3)[1])
    assert (await sync_owner.rotate_key(name)).key.e == b"\x03"


async def test_a_key_that_is_disabled_or_expired_rotates_to_one_that_is_not(vault: Vault, name: str) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    await create(vault, name, EC, enabled=False, expires_on=past)
    await with_policy(vault, name)
    rotated = await vault.rotate_key(name)
    assert rotated.properties.enabled
    assert rotated.properties.expires_on > datetime.now(UTC) + timedelta(days=700)
    assert (await vault.crypto(name_of(vault, name)).sign("ES256", digest_for("ES256"))).key_id == rotated.id


def name_of(vault: Vault, name: str) -> str:
    """The id that stands for the newest version."""
    return f"{vault.url}/keys/{name}"


async def test_an_exportable_key_passes_its_policy_on(vault: Vault, name: str) -> None:
    release_policy = policy_of("https://attest.example", {"anyOf": [{"claim": "a", "equals": 1}]}, immutable=True)
    await import_pair(vault, name, EC, exportable=True, release_policy=release_policy)
    await with_policy(vault, name)
    rotated = await vault.rotate_key(name)
    assert rotated.properties.exportable
    assert rotated.properties.release_policy.encoded_policy == release_policy.encoded_policy
    assert rotated.properties.release_policy.immutable


async def test_a_policy_lives_and_dies_with_its_key(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    await with_policy(vault, name)
    await create(vault, name, EC)  # a new version changes nothing about the name's policy
    blob = await vault.backup_key(name)
    await vault.delete(name)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await vault.get_key_rotation_policy(name)
    await vault.recover(name)
    assert (await vault.get_key_rotation_policy(name)).expires_in == "P2Y"
    await vault.delete(name)
    await vault.purge_deleted_key(name)
    await vault.restore_key_backup(blob)
    assert (await vault.get_key_rotation_policy(name)).expires_in == "P2Y"
    await vault.delete(name)
    await vault.purge_deleted_key(name)
    await create(vault, name, EC)
    assert (await vault.get_key_rotation_policy(name)).expires_in is None


async def test_a_pool_has_nobody_to_notify(pool: Vault, name: str) -> None:
    await create(pool, name, EC)
    with refused(400, "BadParameter"):
        await pool.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[NOTIFY], expires_in="P2Y"))


async def test_only_a_pool_does_not_rotate_without_a_policy(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    if vault.is_pool:
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
