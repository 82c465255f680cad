"""The answers as they are on the wire: members, their order of nesting, headers. Clients overlook what is too much."""

import re
from typing import Any

import pytest

from tests.clients.keys import KeyRing, create, unique
from tests.clients.kinds import Kind, each
from tests.clients.vault import Vault

EC = Kind("EC", curve="P-256")
ATTRIBUTES = {"enabled", "created", "updated", "recoveryLevel", "recoverableDays", "exportable"}
DELETED = {"recoveryId", "deletedDate", "scheduledPurgeDate"}
JSON = "application/json; charset=utf-8"


async def body(vault: Vault, method: str, path: str, sent: object = None) -> dict[str, Any]:
    response = await vault.send(method, path, sent)
    assert (response.status_code, response.headers["Content-Type"]) == (200, JSON)
    return response.json()


def attributes(kind: Kind) -> set[str]:
    return ATTRIBUTES if kind.hardware else ATTRIBUTES | {"hsmPlatform"}


@pytest.mark.parametrize("kind", each())
async def test_a_key_bundle_has_the_members_of_its_type(sync_owner: Vault, ring: KeyRing, kind: Kind) -> None:
    key = await ring.get(sync_owner, kind)
    bundle = await body(sync_owner, "GET", f"/keys/{key.name}/")
    assert set(bundle) == {"key", "attributes"}
    assert set(bundle["attributes"]) == attributes(kind)
    assert set(bundle["key"]) == {"kid", "kty", "key_ops", *(("n", "e") if kind.is_rsa else ("crv", "x", "y"))}
    assert "=" not in "".join(str(value) for value in bundle["key"].values())
    if kind.is_rsa:
        assert bundle["key"]["e"] == "AQAB"


async def test_what_is_set_is_shown_and_what_is_not_is_left_away(sync_owner: Vault, name: str) -> None:
    sent = {"kty": "EC-HSM", "attributes": {"nbf": 100, "exp": 4000000000, "enabled": False}, "tags": {"a": "b"}}
    bundle = await body(sync_owner, "POST", f"/keys/{name}/create", sent)
    assert set(bundle) == {"key", "attributes", "tags"}
    assert set(bundle["attributes"]) == {*ATTRIBUTES, "nbf", "exp"}
    assert (bundle["attributes"]["nbf"], bundle["attributes"]["exp"]) == (100, 4000000000)
    assert (bundle["attributes"]["recoveryLevel"], bundle["attributes"]["recoverableDays"]) == (
        "Recoverable+Purgeable",
        90,
    )
    changed = await body(sync_owner, "PATCH", f"/keys/{name}", {"attributes": {"enabled": True}})
    assert changed["attributes"] == {
        **bundle["attributes"],
        "enabled": True,
        "updated": changed["attributes"]["updated"],
    }


async def test_items_of_lists_and_deleted_keys_have_their_own_members(sync_owner: Vault) -> None:
    name = unique("AAA-first-in-every-list")
    key = await create(sync_owner, name, EC, tags={"a": "b"})
    for path, kid in ((f"/keys/{name}/versions", key.id), ("/keys", f"{sync_owner.url}/keys/{name}")):
        item = (await body(sync_owner, "GET", path))["value"][0]
        assert set(item) == {"kid", "attributes", "tags"}
        assert (item["kid"], set(item["attributes"])) == (kid, attributes(EC))
    deleted = await body(sync_owner, "DELETE", f"/keys/{name}")
    assert set(deleted) == {"key", "attributes", "tags"} | DELETED
    assert await body(sync_owner, "GET", f"/deletedkeys/{name}") == deleted
    item = (await body(sync_owner, "GET", "/deletedkeys"))["value"][0]
    assert item == {
        "kid": f"{sync_owner.url}/keys/{name}",
        **{member: deleted[member] for member in ("attributes", "tags", *DELETED)},
    }
    assert deleted["scheduledPurgeDate"] == deleted["deletedDate"] + 90 * 86_400
    response = await sync_owner.send("DELETE", f"/deletedkeys/{name}")
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers


async def test_operations_answer_the_version_that_was_used(sync_owner: Vault, name: str) -> None:
    key = await create(sync_owner, name, Kind("RSA", 2048))
    for path in (f"/keys/{name}/", key.id.removeprefix(sync_owner.url)):
        signed = await body(sync_owner, "POST", f"{path}/sign", {"alg": "RS256", "value": "A" * 43})
        assert (set(signed), signed["kid"]) == ({"kid", "value"}, key.id)
        encrypted = await body(sync_owner, "POST", f"{path}/wrapkey", {"alg": "RSA-OAEP", "value": "AAAA"})
        opened = await body(sync_owner, "POST", f"{path}/unwrapkey", {"alg": "RSA-OAEP", "value": encrypted["value"]})
        assert opened == {"kid": key.id, "value": "AAAA"}
        verified = await body(
            sync_owner, "POST", f"{path}/verify", {"alg": "RS256", "digest": "A" * 43, "value": signed["value"]}
        )
        assert verified == {"value": True}
    blob = await body(sync_owner, "POST", f"/keys/{name}/backup")
    assert set(blob) == {"value"}
    assert re.fullmatch("[0-9A-Za-z_-]+", blob["value"])


async def test_every_answer_carries_the_headers_of_the_service(sync_owner: Vault, name: str) -> None:
    for path, status in (("/keys", 200), (f"/keys/{name}/", 404), ("/nowhere", 404), ("/keys/a_b/", 400)):
        response = await sync_owner.send("GET", path)
        assert response.status_code == status
        headers = response.headers
        assert headers["Cache-Control"] == "no-cache, no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        assert re.fullmatch("[0-9a-f-]{36}", headers["x-ms-request-id"])
        assert headers["x-ms-keyvault-region"]
        assert headers["x-ms-keyvault-service-version"]
        assert headers["x-ms-keyvault-network-info"] == "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"
        sent = response.request.headers["x-ms-client-request-id"]
        assert headers["x-ms-client-request-id"] == sent
