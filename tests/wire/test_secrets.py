"""Secrets on the wire: every member of the answers, what is refused, and what a warm read costs."""

import json
from typing import Any

import pytest

from hsmvault.store.database import Transaction
from hsmvault.store.keys import KEYS
from tests.custody.doubles import SoftwareSystemKey
from tests.managed import VERSION as MANAGED_VERSION
from tests.managed import made_managed, managed_secret
from tests.wire.service import VAULTS, Answer, Service

NOW = 1_750_000_000
DAY = 86_400
ORIGIN = "https://dev.vault.localhost:8443"
SINCE_CONVERSION = "?api-version=2025-07-01"
TOO_LONG = "The value of a secret can have at most 25600 bytes in UTF-8, and this one has "
NOT_JSON = "The request body is not valid JSON."


def invalid(name: str) -> str:
    return f"Property {name} has invalid value\r\n"


def fresh(**more: object) -> dict[str, object]:
    """Attributes of what was made just now."""
    return {
        "enabled": True,
        **more,
        "created": NOW,
        "updated": NOW,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    }


async def put(service: Service, name: str = "secret", value: str = "value", **members: object) -> str:
    """Returns the version."""
    answer = await service.ask("PUT", f"/secrets/{name}", {"value": value} | members)
    assert answer.status == 200, answer.body
    return str(answer.json["id"]).rpartition("/")[2]


async def value_of(service: Service, path: str) -> Any:
    answer = await service.ask("GET", f"/secrets/{path}")
    assert answer.status == 200, answer.body
    return answer.json["value"]


async def test_a_secret_is_answered_with_every_member_that_was_given(service: Service) -> None:
    attributes = {"enabled": True, "nbf": 1, "exp": NOW + DAY, "created": 1, "recoveryLevel": "Purgeable"}
    body = {"value": "pass word", "contentType": "password", "tags": {"a": "1", "b": ""}, "attributes": attributes}
    made = await service.ask("PUT", "/secrets/Mixed-Case", body | {"managed": True, "kid": "x", "id": "y"})
    version = made.json["id"].rpartition("/")[2]
    expected = {
        "value": "pass word",
        "id": f"{ORIGIN}/secrets/Mixed-Case/{version}",
        "attributes": fresh(nbf=1, exp=NOW + DAY),
        "contentType": "password",
        "tags": {"a": "1", "b": ""},
    }
    assert (made.status, made.json) == (200, expected)
    for path in ("mixed-CASE", "Mixed-Case/", f"mixed-case/{version}", f"mixed-case/{version.upper()}"):
        assert (await service.ask("GET", f"/secrets/{path}")).json == expected
    plain = await service.ask("PUT", "/secrets/plain", {"value": "v"})
    assert set(plain.json) == {"value", "id", "attributes"}
    assert plain.json["attributes"] == fresh()


async def test_a_new_version_inherits_nothing_and_the_old_one_stays(service: Service) -> None:
    first = await put(service, value="one", contentType="text", tags={"a": "b"}, attributes={"exp": NOW + DAY})
    second = await put(service, "SECRET", value="one")
    assert first != second
    latest = await service.ask("GET", "/secrets/secret")
    assert latest.json == {"value": "one", "id": f"{ORIGIN}/secrets/secret/{second}", "attributes": fresh()}
    assert await value_of(service, f"secret/{first}") == "one"
    listed = await service.ask("GET", "/secrets/secret/versions")
    assert [one["id"].rpartition("/")[2] for one in listed.json["value"]] == [first, second]
    assert listed.json["value"][0] == {
        "id": f"{ORIGIN}/secrets/secret/{first}",
        "attributes": fresh(exp=NOW + DAY),
        "contentType": "text",
        "tags": {"a": "b"},
    }


async def test_an_update_changes_what_it_names_and_answers_no_value(service: Service) -> None:
    version = await put(service, contentType="text", tags={"a": "b"}, attributes={"nbf": 5, "exp": NOW})
    service.clock.move(10)
    changes = {"contentType": "other", "attributes": {"enabled": False, "exp": NOW + 5}, "tags": {}, "value": "other"}
    changed = await service.ask("PATCH", f"/secrets/secret/{version}", changes)
    attributes = {**fresh(nbf=5, exp=NOW + 5), "enabled": False, "updated": NOW + 10}
    expected = {"id": f"{ORIGIN}/secrets/secret/{version}", "attributes": attributes, "contentType": "other"}
    assert (changed.status, changed.json) == (200, expected)
    unchanged = await service.ask("PATCH", "/secrets/secret/", {"tags": None, "contentType": None})
    assert unchanged.json == expected
    for path in ("secret", f"secret/{version}"):
        refused = await service.ask("GET", f"/secrets/{path}")
        assert (refused.status, refused.code, refused.inner) == (403, "Forbidden", "SecretDisabled")
        assert refused.message == "Operation get is not allowed on a disabled secret."
    newer = await put(service, value="newer")
    assert await value_of(service, "secret") == "newer"
    await service.ask("PATCH", f"/secrets/secret/{newer}", {"attributes": {"enabled": False}})
    assert (await service.ask("GET", "/secrets/secret")).status == 403  # no older version takes its place
    await service.ask("PATCH", f"/secrets/secret/{version}", {"attributes": {"enabled": True}})
    assert await value_of(service, f"secret/{version}") == "value"


async def test_times_are_for_information(service: Service) -> None:
    await put(service, "past", attributes={"exp": 1})
    await put(service, "future", attributes={"nbf": NOW + DAY})
    assert [await value_of(service, name) for name in ("past", "future")] == ["value", "value"]


VALUES = {
    "empty": "",
    "nul": "a\0b",
    "controls": "".join(map(chr, range(32))) + "\x7f\x85\u2028",
    "beyond-the-plane": "🔑" * 6400,
    "longest": "x" * 25_600,
    "longest-escaped": "я" * 12_800,
    "longest-controls": "\x01" * 25_600,
    "longest-commas": "\\," * 12_800,
    "not-normalised": "e\u0301\u00e9",
    "byte-order": "\ufeffvalue ",
}


async def test_every_text_of_25_kilobytes_comes_back_as_it_was(service: Service) -> None:
    for name, value in VALUES.items():
        await put(service, name, value, tags={str(n): "я" * 512 for n in range(15)} if "longest" in name else {})
        assert await value_of(service, name) == value, name
        service.sealer.forget()
        assert await value_of(service, name) == value, name


REFUSED: list[tuple[object, str]] = [
    (b"", NOT_JSON),
    (b"{", NOT_JSON),
    (b"[]", NOT_JSON),
    (b'{"value":"a","value":"b"}', NOT_JSON),
    (b'{"value":"\\ud800"}', NOT_JSON),
    (b'{"value":"\\udc00\\ud800"}', NOT_JSON),
    (b'{"value":"\x00"}', NOT_JSON),
    (b'{"value":"\xff"}', NOT_JSON),
    ({}, invalid("")),
    ({"value": None}, invalid("")),
    ({"value": 1}, invalid("")),
    ({"value": ["a"]}, invalid("")),
    ({"value": "v", "tags": {"a": 1}}, invalid("")),
    ({"value": "v", "tags": {"a": "\0"}}, invalid("tags")),
    ({"value": "v", "tags": {"a": "x" * 513}}, invalid("tags")),
    ({"value": "v", "tags": {"x" * 513: ""}}, invalid("tags")),
    ({"value": "v", "tags": {str(n): "" for n in range(16)}}, invalid("tags")),
    ({"value": "v", "contentType": "x" * 256}, invalid("contentType")),
    ({"value": "v", "contentType": "\0"}, invalid("contentType")),
    ({"value": "v", "attributes": {"exp": -1}}, invalid("exp")),
    ({"value": "v", "attributes": {"nbf": 2, "exp": 1}}, invalid("exp")),
    ({"value": "v", "attributes": {"nbf": 253_402_300_800}}, invalid("nbf")),
    (
        {"value": "x" * 25_601},
        TOO_LONG + "25601.",
    ),
    (
        {"value": "я" * 12_801},
        TOO_LONG + "25602.",
    ),
    ({"value": "\0" * 100_000}, "The request body is too large for a secret."),
    (b'{"value":"v","x":[' + b"0," * 70_000 + b"0]}", "The request body has too many members."),
]


async def test_what_is_no_secret_is_refused_and_nothing_is_kept(service: Service) -> None:
    for body, message in REFUSED:
        answer = await service.ask("PUT", "/secrets/secret", body)
        assert (answer.status, answer.code, answer.message) == (400, "BadParameter", message), repr(body)[:100]
    assert (await service.ask("GET", "/secrets")).json["value"] == []


async def test_limits_are_met_exactly_and_an_update_has_the_same(service: Service) -> None:
    tags = {"x" * 509 + f"{n:03}": "я" * 512 for n in range(15)}
    await put(service, contentType="x" * 255, tags=tags, attributes={"nbf": 7, "exp": 7})
    for body, member in [
        ({"contentType": "x" * 256}, "contentType"),
        ({"tags": {"a": "x" * 513}}, "tags"),
        ({"attributes": {"exp": 6}}, "exp"),
    ]:
        answer = await service.ask("PATCH", "/secrets/secret/", body)
        assert (answer.status, answer.message) == (400, invalid(member))
    assert (await service.ask("PATCH", "/secrets/secret/", b'{"contentType":"\\u0000"}')).message == NOT_JSON
    assert (await service.ask("GET", "/secrets/secret")).json["tags"] == tags


async def test_what_is_not_there_is_not_found_by_any_operation(service: Service) -> None:
    await put(service)
    for method, path, shown in [
        ("GET", "/secrets/none", "none"),
        ("GET", f"/secrets/secret/{'0' * 32}", f"secret/{'0' * 32}"),
        ("GET", "/secrets/secret/latest", "secret/latest"),
        ("PATCH", f"/secrets/secret/{'0' * 32}", f"secret/{'0' * 32}"),
        ("DELETE", "/secrets/none", "none"),
        ("POST", "/secrets/none/backup", "none"),
    ]:
        answer = await service.ask(method, path, {} if method in ("PATCH", "POST") else None)
        assert (answer.status, answer.code) == (404, "SecretNotFound")
        assert answer.message.startswith(f"A secret with (name/id) {shown} was not found in this key vault. If you")
    for method, path in (
        ("GET", "/deletedsecrets/secret"),
        ("DELETE", "/deletedsecrets/secret"),
        ("POST", "/deletedsecrets/secret/recover"),
    ):
        answer = await service.ask(method, path)
        assert (answer.status, answer.code) == (404, "SecretNotFound")
        assert answer.message == "Deleted Secret not found: secret"
    assert (await service.ask("GET", "/secrets/none/versions")).json == {"value": [], "nextLink": None}
    assert (await service.ask("GET", "/secrets/under_score")).status == 400


async def test_a_deleted_secret_is_seen_recovered_and_purged(service: Service) -> None:
    first = await put(service, "Secret", "one", contentType="text", tags={"a": "b"})
    second = await put(service, "secret", "two")
    deleted = await service.ask("DELETE", "/secrets/secret")
    deletion = {
        "recoveryId": f"{ORIGIN}/deletedsecrets/Secret",
        "deletedDate": NOW,
        "scheduledPurgeDate": NOW + 90 * DAY,
    }
    bundle = {"id": f"{ORIGIN}/secrets/Secret/{second}", "attributes": fresh()}
    assert (deleted.status, deleted.json) == (200, bundle | deletion)
    assert (await service.ask("GET", "/deletedsecrets/SECRET")).json == deleted.json
    assert (await service.ask("GET", "/deletedsecrets")).json == {
        "value": [{"id": f"{ORIGIN}/secrets/Secret", "attributes": fresh()} | deletion],
        "nextLink": None,
    }
    for path in ("secret", f"secret/{first}"):
        assert (await service.ask("GET", f"/secrets/{path}")).status == 404
    assert (await service.ask("GET", "/secrets")).json["value"] == []
    assert (await service.ask("GET", "/secrets/secret/versions")).json["value"] == []
    refused = await service.ask("PUT", "/secrets/secret", {"value": "three"})
    assert (refused.status, refused.code, refused.inner) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    assert refused.message.startswith("Secret Secret is currently in a deleted but recoverable state, and its name")

    recovered = await service.ask("POST", "/deletedsecrets/secret/recover")
    assert (recovered.status, recovered.json) == (200, bundle)
    assert [await value_of(service, path) for path in ("secret", f"secret/{first}")] == ["two", "one"]

    await service.ask("DELETE", "/secrets/secret")
    purged = await service.ask("DELETE", "/deletedsecrets/secret")
    assert (purged.status, purged.body) == (204, b"")
    assert (await service.ask("GET", "/deletedsecrets/secret")).status == 404
    await put(service, "secret", "anew")
    assert len((await service.ask("GET", "/secrets/secret/versions")).json["value"]) == 1


async def test_a_deleted_secret_that_was_disabled_is_listed_and_not_shown(service: Service) -> None:
    await put(service, attributes={"enabled": False})
    assert (await service.ask("DELETE", "/secrets/secret")).status == 200
    refused = await service.ask("GET", "/deletedsecrets/secret")
    assert (refused.status, refused.inner) == (403, "AccessDenied")
    assert refused.message == "Operation get is not permitted on this object."
    assert len((await service.ask("GET", "/deletedsecrets")).json["value"]) == 1
    assert (await service.ask("POST", "/deletedsecrets/secret/recover")).json["attributes"]["enabled"] is False


async def test_nothing_is_purged_under_purge_protection(service: Service) -> None:
    host = "protected.vault.localhost:8443"
    await service.ask("PUT", "/secrets/secret", {"value": "v"}, host=host)
    await service.ask("DELETE", "/secrets/secret", host=host)
    refused = await service.ask("DELETE", "/deletedsecrets/secret", host=host)
    assert (refused.status, refused.message[:17]) == (403, 'Operation "purge"')
    assert (await service.ask("POST", "/deletedsecrets/secret/recover", host=host)).status == 200


async def test_pages_follow_each_other_and_belong_to_their_list(service: Service) -> None:
    for number in range(30):
        await put(service, f"s-{number:02}", contentType="text")
    await put(service, "s-00", "again", attributes={"enabled": False})
    found: list[dict[str, Any]] = []
    link = "/secrets?api-version=7.4&maxresults=7"
    for _ in range(5):
        page = (await service.ask("GET", link)).json
        found += page["value"]
        link = str(page["nextLink"]).removeprefix(ORIGIN)
    assert link == "None"
    assert [one["id"] for one in found] == [f"{ORIGIN}/secrets/s-{number:02}" for number in range(30)]
    assert found[0] == {"id": f"{ORIGIN}/secrets/s-00", "attributes": fresh() | {"enabled": False}}
    assert found[1] == {"id": f"{ORIGIN}/secrets/s-01", "attributes": fresh(), "contentType": "text"}
    link = (await service.ask("GET", "/secrets")).json["nextLink"].removeprefix(ORIGIN)
    assert len((await service.ask("GET", link)).json["value"]) == 5
    for other in ("/keys", "/deletedsecrets", "/secrets/s-00/versions"):
        refused = await service.ask("GET", link.replace("/secrets", other))
        assert (refused.status, refused.message) == (400, "The skip token is not valid.")


async def test_a_backup_restores_every_version_elsewhere_and_nothing_over_a_name(service: Service) -> None:
    first = await put(service, "Secret", "one", contentType="text", tags={"a": "b"}, attributes={"exp": NOW + DAY})
    second = await put(service, "secret", "two", attributes={"enabled": False})
    backup = await service.ask("POST", "/secrets/secret/backup")
    assert (backup.status, list(backup.json)) == (200, ["value"])
    other = "empty.vault.localhost:8443"
    assert (await service.ask("POST", "/secrets/restore", backup.json, host=other)).status == 403
    conflict = await service.ask("POST", "/secrets/restore", backup.json)
    assert (conflict.status, conflict.code) == (409, "Conflict")
    expected = f"Conflict while restoring secret {ORIGIN}/secrets/Secret/{second} - secret already exists or concurrent"
    assert conflict.message == f"{expected} access"
    await service.ask("DELETE", "/secrets/secret")
    assert (await service.ask("POST", "/secrets/restore", backup.json)).status == 409
    await service.ask("DELETE", "/deletedsecrets/secret")
    restored = await service.ask("POST", "/secrets/restore", backup.json)
    assert (restored.status, restored.json["id"]) == (200, f"{ORIGIN}/secrets/Secret/{second}")
    assert "value" not in restored.json
    assert restored.json["attributes"]["enabled"] is False
    old = (await service.ask("GET", f"/secrets/secret/{first}")).json
    assert (old["value"], old["contentType"], old["tags"]) == ("one", "text", {"a": "b"})
    bad = await service.ask("POST", "/secrets/restore", {"value": backup.json["value"][:-8] + "AAAAAAAA"})
    assert (bad.status, bad.message) == (400, "The backup blob is not valid for this vault.")
    key = await service.create_ec("ec")
    assert key
    blob = (await service.ask("POST", "/keys/ec/backup")).json
    assert (await service.ask("POST", "/secrets/restore", blob)).message == bad.message


async def test_the_secret_of_a_certificate_is_read_and_not_touched(service: Service) -> None:
    row = await managed_secret(service.database, service.sealer, VAULTS["dev"], expires=NOW + DAY)
    kid = f"{ORIGIN}/keys/site/{MANAGED_VERSION}"
    read = (await service.ask("GET", "/secrets/site")).json
    assert read == {
        "value": "value",
        "id": f"{ORIGIN}/secrets/site/{MANAGED_VERSION}",
        "attributes": fresh(exp=NOW + DAY) | {"created": 5, "updated": 5},
        "contentType": "application/x-pkcs12",
        "managed": True,
        "kid": kid,
        "previousVersion": row.previous_version,
    }
    assert (await service.ask("GET", "/secrets")).json["value"][0]["managed"] is True
    assert (await service.ask("GET", "/secrets/site/versions")).json["value"][0]["managed"] is True
    for operation, method, path, body in [
        ("set", "PUT", "/secrets/Site", {"value": "v"}),
        ("update", "PATCH", "/secrets/site/", {"tags": {}}),
        ("update", "PATCH", f"/secrets/site/{MANAGED_VERSION}", {"attributes": {"enabled": False}}),
        ("delete", "DELETE", "/secrets/site", None),
        ("backup", "POST", "/secrets/site/backup", None),
    ]:
        refused = await service.ask(method, path, body)
        assert (refused.status, refused.code, refused.inner) == (403, "Forbidden", "SecretManagedByKeyVault")
        expected = f'Operation "{operation}" is not allowed as this object\'s lifetime is managed by Key Vault.'
        assert refused.message == expected
    service.clock.move(DAY)
    expired = await service.ask("GET", "/secrets/site")
    assert (expired.status, expired.inner) == (403, "SecretExpired")
    assert expired.message == "Operation get is not allowed on an expired secret."


async def test_the_deleted_secret_of_a_certificate_comes_back_with_that_alone(service: Service) -> None:
    await managed_secret(service.database, service.sealer, VAULTS["dev"], deleted_at=NOW, purge_at=NOW + DAY)
    assert (await service.ask("GET", "/deletedsecrets/site")).json["managed"] is True
    for operation, method, path in [
        ("recover", "POST", "/deletedsecrets/site/recover"),
        ("purge", "DELETE", "/deletedsecrets/site"),
    ]:
        refused = await service.ask(method, path)
        assert (refused.status, refused.inner) == (403, "SecretManagedByKeyVault")
        assert refused.message.startswith(f'Operation "{operation}" is not allowed as')
    assert (await service.ask("PUT", "/secrets/site", {"value": "v"})).status == 409


async def test_the_key_of_a_certificate_is_not_touched_either(service: Service) -> None:
    await service.create_ec("own")
    async with service.database.read() as tx:
        own = await KEYS.version(tx, VAULTS["dev"].id, "own", None)
    assert own is not None
    await made_managed(service.database, own)
    policy = {"lifetimeActions": []}
    jwk = {"kty": "EC", "crv": "P-256"}
    for operation, method, path, body in [
        ("create", "POST", "/keys/site/create", jwk),
        ("update", "PATCH", "/keys/site/", {"tags": {}}),
        ("delete", "DELETE", "/keys/site", None),
        ("backup", "POST", "/keys/site/backup", None),
        ("rotate", "POST", "/keys/site/rotate", None),
        ("setrotationpolicy", "PUT", "/keys/site/rotationpolicy", policy),
    ]:
        refused = await service.ask(method, path, body)
        assert (refused.status, refused.code, refused.inner) == (403, "Forbidden", "KeyManagedByKeyVault"), path
        assert refused.message.startswith(f'Operation "{operation}" is not allowed as this object')
    assert (await service.ask("GET", "/keys/site")).json["managed"] is True
    async with service.database.write() as tx:
        at_name = await KEYS.name(tx, VAULTS["dev"].id, "site")
        assert at_name is not None
        await KEYS.mark_deleted(tx, at_name, NOW, NOW + DAY)
    for method, path in (("POST", "/deletedkeys/site/recover"), ("DELETE", "/deletedkeys/site")):
        refused = await service.ask(method, path)
        assert (refused.status, refused.inner) == (403, "KeyManagedByKeyVault")


async def test_the_key_of_an_expired_certificate_does_nothing(service: Service) -> None:
    """Others may still verify and decrypt."""
    await service.create_ec("own", attributes={"exp": NOW + DAY})
    async with service.database.read() as tx:
        own = await KEYS.version(tx, VAULTS["dev"].id, "own", None)
    assert own is not None
    await made_managed(service.database, own, expires=NOW + DAY)
    body = {"alg": "ES256", "digest": "A" * 43, "value": "A" * 86}
    for name in ("own", "site"):
        assert (await service.ask("POST", f"/keys/{name}//verify", body)).json == {"value": False}
    service.clock.move(DAY)
    assert (await service.ask("POST", "/keys/own//verify", body)).status == 200
    refused = await service.ask("POST", "/keys/site//verify", body)
    assert (refused.status, refused.inner) == (403, "KeyExpired")
    released = await service.ask("POST", "/keys/site//release?api-version=7.4", {"target": "t"})
    assert (released.status, released.inner) == (403, "KeyOperationForbidden")


async def test_a_format_is_asked_for_by_its_name_since_it_came(service: Service) -> None:
    await put(service)
    for wanted in ("application/x-pem-file", "application/x-pkcs12", "application/X-PEM-file"):
        answer = await service.ask("GET", f"/secrets/secret{SINCE_CONVERSION}&outContentType={wanted}")
        assert (answer.status, answer.json["value"]) == (200, "value")  # no certificate: as it is
    for wanted in ("", "application/json", "pem"):
        answer = await service.ask("GET", f"/secrets/secret{SINCE_CONVERSION}&outContentType={wanted}")
        assert (answer.status, answer.message) == (400, invalid("outContentType"))
        assert (await service.ask("GET", f"/secrets/secret?api-version=7.6&outContentType={wanted}")).status == 200


async def test_a_warm_read_asks_neither_the_database_nor_the_hsm(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await put(service, f"s{number}")
    asked: list[str] = []
    run, use = Transaction._outcome, SoftwareSystemKey._use

    def counted(self: Transaction, *arguments: Any) -> Any:
        asked.append("sql")
        return run(self, *arguments)

    def used(self: SoftwareSystemKey) -> None:
        asked.append("hsm")
        use(self)

    monkeypatch.setattr(Transaction, "_outcome", counted)
    monkeypatch.setattr(SoftwareSystemKey, "_use", used)
    paths = ["/secrets/s1", "/secrets/S1/", "/secrets?api-version=7.4&maxresults=2", "/secrets"]
    cold = [await service.ask("GET", path) for path in paths]
    assert asked.count("sql") >= 3
    asked.clear()
    for _ in range(3):
        warm = [await service.ask("GET", path) for path in paths]
        assert [one.json["value"] for one in warm] == [one.json["value"] for one in cold]
    assert asked == []
    await put(service, "s1", "changed")
    assert await value_of(service, "s1") == "changed"


async def test_a_value_is_in_no_log_no_record_and_no_refusal(service: Service, log: pytest.LogCaptureFixture) -> None:
    value = "correct-horse-battery"
    await put(service, "secret", value)
    await value_of(service, "secret")
    refusals: list[Answer] = []
    for body in (
        {"value": [value]},
        {"value": value, "tags": value},
        {"value": value * 2000},
        {"value": value, "x": 1},
    ):
        refusals.append(await service.ask("PUT", "/secrets/under_score", body))
        refusals.append(await service.ask("PUT", "/secrets/secret", body | {"attributes": {"exp": -1}}))
    backup = await service.ask("POST", "/secrets/secret/backup")
    refusals.append(await service.ask("POST", "/secrets/restore", backup.json))
    assert {one.status for one in refusals} == {400, 409}
    everything = [log.text, json.dumps(service.records()), *(one.raw.decode() + one.body.decode() for one in refusals)]
    assert not [text for text in everything if "correct-horse" in text]
    names = [record["operationName"] for record in service.records()]
    assert {"SecretSet", "SecretGet", "SecretBackup", "SecretRestore"} <= set(names)
