"""Keys and secrets of a vault as sub-resources."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hsmvault.resources.secrets import SecretSettings
from hsmvault.store import schedule
from hsmvault.store.schedule import What
from tests.resources.vault_stage import TENANT
from tests.wire.management.vault_rig import NORTH, VAULTS, VaultRig, vault_rig

HOST = "https://north.vault.localhost:8443"


@pytest.fixture
async def rig(tmp_path: Path, empty_database: Path) -> AsyncIterator[VaultRig]:
    async with vault_rig(tmp_path / "hsmvault.db", empty_database) as made:
        await made.made()
        yield made


def key(**properties: object) -> dict[str, Any]:
    return {"properties": {"kty": "EC", "curveName": "P-256", **properties}}


async def put_key(rig: VaultRig, name: str = "k", body: Any = None) -> Any:
    reply = await rig.call("PUT", f"{NORTH}/keys/{name}", key() if body is None else body)
    assert reply.status == 200, reply
    return reply.body


async def test_a_key_is_shown_with_the_names_of_the_management_plane(rig: VaultRig) -> None:
    policy = {
        "attributes": {"expiryTime": "P1Y"},
        "lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}],
    }
    body = key(keyOps=["sign"], attributes={"enabled": True, "exp": 4_000_000_000}, rotationPolicy=policy)
    made = await put_key(rig, "Mine", {**body, "tags": {"a": "b"}})
    properties = made["properties"]
    version = properties["keyUriWithVersion"].rpartition("/")[2]
    created = properties["attributes"]["created"]
    assert made == {
        "id": f"{NORTH}/keys/Mine",
        "name": "Mine",
        "type": "Microsoft.KeyVault/vaults/keys",
        "location": "local",
        "tags": {"a": "b"},
        "properties": {
            "attributes": {
                "enabled": True,
                "exp": 4_000_000_000,
                "created": created,
                "updated": created,
                "recoveryLevel": "Recoverable+Purgeable",
                "exportable": False,
            },
            "kty": "EC",
            "keyOps": ["sign"],
            "curveName": "P-256",
            "keyUri": f"{HOST}/keys/Mine",
            "keyUriWithVersion": f"{HOST}/keys/Mine/{version}",
            "rotationPolicy": {
                "attributes": {"created": created, "updated": created, "expiryTime": "P1Y"},
                "lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "rotate"}}],
            },
        },
    }
    assert (await rig.call("GET", f"{NORTH}/keys/mine")).body == made
    stored = await rig.stage.stored()
    assert stored is not None
    async with rig.stage.database.read() as tx:
        assert What.ROTATE in await schedule.of_object(tx, stored.id, "keys", "mine"), "the policy works from the start"


async def test_a_put_over_a_key_that_is_there_changes_nothing(rig: VaultRig) -> None:
    made = await put_key(rig)
    assert await put_key(rig, body={**key(kty="RSA", curveName=None), "tags": {"a": "b"}}) == made
    versions = (await rig.call("GET", f"{NORTH}/keys/k/versions")).body["value"]
    assert len(versions) == 1


async def test_of_many_who_make_the_same_key_one_makes_its_only_version(rig: VaultRig) -> None:
    made = await asyncio.gather(*(put_key(rig) for _ in range(5)))
    assert len({one["properties"]["keyUriWithVersion"] for one in made}) == 1
    assert len((await rig.call("GET", f"{NORTH}/keys/k/versions")).body["value"]) == 1


async def test_keys_and_versions_are_listed(rig: VaultRig) -> None:
    for name in ("alpha", "Bravo", "charlie"):
        await put_key(rig, name)
    first = (await rig.call("GET", f"{NORTH}/keys?$top=2")).body
    rest = (await rig.call("GET", first["nextLink"])).body
    assert [one["name"] for one in (*first["value"], *rest["value"])] == ["alpha", "Bravo", "charlie"]
    [version] = (await rig.call("GET", f"{NORTH}/keys/bravo/versions")).body["value"]
    assert version["type"] == "Microsoft.KeyVault/vaults/keys/versions"
    assert version["id"].startswith(f"{NORTH}/keys/Bravo/versions/")
    assert (await rig.call("GET", f"{NORTH}/keys/bravo/versions/{version['name']}")).body == version


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "InvalidRequestContent"),
        (key(kty="EC-HSM"), 400, "BadParameter"),
        (key(kty="oct-HSM"), 400, "BadParameter"),
        (key(curveName="P-192"), 400, "BadParameter"),
        (key(keySize=4096), 400, "BadParameter"),
        (key(keyOps=["dance"]), 400, "BadParameter"),
        (
            key(
                rotationPolicy={
                    "lifetimeActions": [{"trigger": {"timeAfterCreate": "P1D"}, "action": {"type": "rotate"}}]
                }
            ),
            400,
            "BadParameter",
        ),
        (key(attributes={"nbf": 20, "exp": 10}), 400, "BadParameter"),
    ],
    ids=["nothing", "hardware", "oct", "curve", "size", "operation", "policy", "times"],
)
async def test_a_wrong_key_is_not_made(rig: VaultRig, body: Any, status: int, code: str) -> None:
    reply = await rig.call("PUT", f"{NORTH}/keys/k", body)
    assert (reply.status, reply.code) == (status, code)
    assert (await rig.call("GET", f"{NORTH}/keys/k")).code == "KeyNotFound"


async def test_what_is_not_there(rig: VaultRig) -> None:
    await put_key(rig)
    missing = [
        ("keys/none", 404, "KeyNotFound"),
        ("keys/none/versions", 404, "KeyNotFound"),
        (f"keys/k/versions/{'0' * 32}", 404, "KeyNotFound"),
        ("keys/k/versions/latest", 404, "KeyNotFound"),
        ("keys/a_b", 400, "BadParameter"),
        ("secrets/none", 404, "SecretNotFound"),
        ("secrets/a_b", 400, "BadParameter"),
    ]
    for path, status, code in missing:
        reply = await rig.call("GET", f"{NORTH}/{path}")
        assert (reply.status, reply.code) == (status, code), path
    for path in ("keys", "keys/k", "secrets", "secrets/s"):
        assert (await rig.call("GET", f"{VAULTS}/south/{path}")).code == "ResourceNotFound"


async def test_the_name_of_a_deleted_key_makes_no_key(rig: VaultRig) -> None:
    await put_key(rig)
    stored = await rig.stage.stored()
    assert stored is not None
    await rig.keys.delete(stored, "k")
    reply = await rig.call("PUT", f"{NORTH}/keys/k", key())
    assert (reply.status, reply.code) == (409, "Conflict")


async def test_a_secret_goes_in_and_never_comes_out(rig: VaultRig) -> None:
    body = {
        "tags": {"a": "b"},
        "properties": {
            "value": "hidden",
            "contentType": "text",
            "attributes": {"enabled": False, "exp": 4_000_000_000},
        },
    }
    made = await rig.call("PUT", f"{NORTH}/secrets/Mine", body)
    assert made.status == 200
    version = made.body["properties"]["secretUriWithVersion"].rpartition("/")[2]
    assert made.body == {
        "id": f"{NORTH}/secrets/Mine",
        "name": "Mine",
        "type": "Microsoft.KeyVault/vaults/secrets",
        "location": "local",
        "tags": {"a": "b"},
        "properties": {
            "attributes": made.body["properties"]["attributes"],
            "secretUri": f"{HOST}/secrets/Mine",
            "secretUriWithVersion": f"{HOST}/secrets/Mine/{version}",
            "contentType": "text",
        },
    }
    assert made.body["properties"]["attributes"]["enabled"] is False
    assert (await rig.call("GET", f"{NORTH}/secrets/mine")).body == made.body, "also when it is disabled"
    assert (await rig.call("GET", f"{NORTH}/secrets")).body == {"value": [made.body]}


async def test_a_patch_changes_a_secret_and_with_a_value_makes_a_version(rig: VaultRig) -> None:
    path = f"{NORTH}/secrets/s"
    first = (await rig.call("PUT", path, {"properties": {"value": "one", "contentType": "text"}})).body
    tagged = (await rig.call("PATCH", path, {"tags": {"a": "b"}})).body
    assert tagged["tags"] == {"a": "b"}
    assert tagged["properties"]["secretUriWithVersion"] == first["properties"]["secretUriWithVersion"]
    second = (await rig.call("PATCH", path, {"properties": {"value": "two"}})).body
    assert second["properties"]["secretUriWithVersion"] != first["properties"]["secretUriWithVersion"]
    assert (second["tags"], second["properties"]["contentType"]) == ({"a": "b"}, "text")
    stored = await rig.stage.stored()
    assert stored is not None
    assert (await rig.secrets.get(stored, "s", None)).value == "two"
    assert (await rig.call("PATCH", f"{NORTH}/secrets/none", {"properties": {"value": "x"}})).code == "SecretNotFound"
    assert (await rig.call("PUT", path, {"properties": {}})).status == 400


async def test_the_data_planes_permissions_play_no_part(rig: VaultRig) -> None:
    """A vault of access policies, with none: the control actions alone decide."""
    body = {"properties": {"enableRbacAuthorization": False, "publicNetworkAccess": "Disabled", "tenantId": TENANT}}
    assert (await rig.call("PATCH", NORTH, body)).status == 200
    assert (await rig.call("PUT", f"{NORTH}/secrets/s", {"properties": {"value": "x"}})).status == 200
    stored = await rig.stage.stored()
    assert stored is not None
    await rig.secrets.set(stored, "t", "x", SecretSettings())
    assert [one["name"] for one in (await rig.call("GET", f"{NORTH}/secrets")).body["value"]] == ["s", "t"]
