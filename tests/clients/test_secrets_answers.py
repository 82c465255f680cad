"""Secrets as they are on the wire, beside what was recorded from the service: clients overlook what is too much."""

import re
from typing import Any

import pytest

from tests.clients.keys import unique
from tests.clients.test_answers import DELETED, JSON, body
from tests.clients.vault import Vault

ATTRIBUTES = {"enabled", "created", "updated", "recoveryLevel", "recoverableDays"}
SENT: dict[str, Any] = {
    "value": "Sekret",
    "tags": {"foo": "created tag"},
    "contentType": "password",
    "attributes": {"enabled": True, "nbf": 1422864000, "exp": 2527401600},
}
CHANGED: dict[str, Any] = {
    "contentType": "text/plain",
    "attributes": {"enabled": False, "exp": 2524723200},
    "tags": {"foo": "updated tag"},
}


async def test_the_recorded_life_of_a_secret_has_the_recorded_members(sync_owner: Vault, name: str) -> None:
    api = {"api-version": "7.1"}
    response = await sync_owner.send("PUT", f"/secrets/{name}", SENT, **api)
    assert (response.status_code, response.headers["Content-Type"]) == (200, JSON)
    made = response.json()
    assert set(made) == {"value", "contentType", "id", "attributes", "tags"}
    assert re.fullmatch(f"{re.escape(sync_owner.url)}/secrets/{name}/[0-9a-f]{{32}}", made["id"])
    assert {member: made[member] for member in ("value", "contentType", "tags")} == {
        member: SENT[member] for member in ("value", "contentType", "tags")
    }
    created = made["attributes"]["created"]
    assert made["attributes"] == {
        **SENT["attributes"],
        "created": created,
        "updated": created,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    }
    path = made["id"].removeprefix(sync_owner.url)
    assert (await sync_owner.send("GET", path, **api)).json() == made

    changed = (await sync_owner.send("PATCH", path, CHANGED, **api)).json()
    updated = changed["attributes"]["updated"]
    assert changed == {
        "contentType": "text/plain",
        "id": made["id"],
        "attributes": {**made["attributes"], "enabled": False, "exp": 2524723200, "updated": updated},
        "tags": {"foo": "updated tag"},
    }
    assert updated >= created

    deleted = (await sync_owner.send("DELETE", f"/secrets/{name}", **api)).json()
    assert deleted == {
        **changed,
        "recoveryId": f"{sync_owner.url}/deletedsecrets/{name}",
        "deletedDate": deleted["deletedDate"],
        "scheduledPurgeDate": deleted["deletedDate"] + 90 * 86_400,
    }
    refusal = await sync_owner.send("GET", f"/deletedsecrets/{name}", **api)
    assert (refusal.status_code, refusal.json()["error"]["innererror"]) == (403, {"code": "AccessDenied"})
    recovered = (await sync_owner.send("POST", f"/deletedsecrets/{name}/recover", **api)).json()
    assert recovered == changed
    response = await sync_owner.send("DELETE", f"/secrets/{name}", **api)
    response = await sync_owner.send("DELETE", f"/deletedsecrets/{name}", **api)
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers


async def test_what_is_not_set_is_left_away(sync_owner: Vault, name: str) -> None:
    for sent in (
        {"value": "x"},
        {"value": "x", "tags": None, "contentType": None, "attributes": None},
        {"value": "x", "tags": {}, "attributes": {"nbf": None, "exp": None, "enabled": None}},
    ):
        made = await body(sync_owner, "PUT", f"/secrets/{name}", sent)
        assert set(made) == {"value", "id", "attributes"}
        assert set(made["attributes"]) == ATTRIBUTES
        assert await body(sync_owner, "GET", f"/secrets/{name}/") == made


async def test_items_of_lists_and_deleted_secrets_have_their_own_members(sync_owner: Vault) -> None:
    name = unique("AAA-first-in-every-list-of-secrets")
    sent = {"value": "x", "contentType": "text", "tags": {"a": "b"}}
    made = await body(sync_owner, "PUT", f"/secrets/{name}", sent)
    for path, identifier in (
        (f"/secrets/{name}/versions", made["id"]),
        ("/secrets", f"{sync_owner.url}/secrets/{name}"),
    ):
        page = await body(sync_owner, "GET", path)
        assert set(page) == {"value", "nextLink"}
        assert page["value"][0] == {
            "id": identifier,
            **{member: made[member] for member in ("attributes", "tags", "contentType")},
        }
    deleted = await body(sync_owner, "DELETE", f"/secrets/{name}")
    assert set(deleted) == {"id", "attributes", "tags", "contentType"} | DELETED
    assert await body(sync_owner, "GET", f"/deletedsecrets/{name}") == deleted
    item = (await body(sync_owner, "GET", "/deletedsecrets"))["value"][0]
    assert item == {**deleted, "id": f"{sync_owner.url}/secrets/{name}"}
    assert (await sync_owner.send("DELETE", f"/deletedsecrets/{name}")).status_code == 204


async def test_a_backup_is_one_member_and_a_restore_answers_no_value(sync_owner: Vault, name: str) -> None:
    made = await body(sync_owner, "PUT", f"/secrets/{name}", {"value": "x", "contentType": "text"})
    blob = await body(sync_owner, "POST", f"/secrets/{name}/backup")
    assert set(blob) == {"value"}
    assert re.fullmatch("[0-9A-Za-z_-]+", blob["value"])
    assert (await sync_owner.send("POST", "/secrets/restore", blob)).status_code == 409
    await body(sync_owner, "DELETE", f"/secrets/{name}")
    await sync_owner.send("DELETE", f"/deletedsecrets/{name}")
    restored = await body(sync_owner, "POST", "/secrets/restore", blob)
    assert restored == {member: made[member] for member in ("id", "attributes", "contentType")}


@pytest.mark.parametrize(
    "sent",
    [
        *([], "x", {}, {"value": None}, {"value": 1}, {"value": ["x"]}, {"value": "x", "tags": {"a": 1}}),
        *({"value": "x", "attributes": {"nbf": "1"}}, {"value": "x", "attributes": {"exp": 1.5}}),
        *({"value": "x", "attributes": {"enabled": "true"}}, {"value": "x", "contentType": "x" * 256}),
        *({"value": "x", "tags": {str(number): "" for number in range(16)}}, {"value": "x", "tags": {"a": "b" * 513}}),
        {"value": "x", "attributes": {"nbf": 20, "exp": 10}},
    ],
    ids=lambda sent: str(sent)[:40],
)
async def test_a_body_that_says_nothing_possible_is_refused(sync_owner: Vault, name: str, sent: object) -> None:
    response = await sync_owner.send("PUT", f"/secrets/{name}", sent)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "BadParameter")
    assert (await sync_owner.send("GET", f"/secrets/{name}/")).status_code == 404
