"""Certificates as they are on the wire, beside the reference: clients overlook what is too much."""

import base64
import re
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from tests.clients.keys import unique
from tests.clients.test_answers import DELETED, JSON, body
from tests.clients.vault import Vault
from tests.resources.certificate_stage import signed

SHORT = {"enabled", "nbf", "exp", "created", "updated"}  # of items
ATTRIBUTES = SHORT | {"recoveryLevel", "recoverableDays"}
BUNDLE = {"id", "kid", "sid", "x5t", "cer", "attributes", "preserveCertOrder"}
PENDING = {"id", "issuer", "csr", "cancellation_requested", "status", "request_id", "preserveCertOrder"}
DETAILS = (
    "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer "
    "provider. Please check again later."
)
POLICY: dict[str, Any] = {
    "key_props": {"exportable": True, "kty": "EC", "key_size": 256, "reuse_key": False, "crv": "P-256"},
    "secret_props": {"contentType": "application/x-pkcs12"},
    "x509_props": {
        "subject": "CN=www.contoso.com",
        "sans": {"dns_names": ["www.contoso.com"], "emails": ["a@contoso.com"], "upns": ["a@contoso.local"]},
        "ekus": ["1.3.6.1.5.5.7.3.1"],
        "key_usage": ["digitalSignature"],
        "validity_months": 6,
    },
    "lifetime_actions": [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}],
    "issuer": {"name": "Self", "cty": "OV-SSL", "cert_transparency": False},
    "attributes": {"enabled": False},
}
SMALLEST: dict[str, Any] = {"issuer": {"name": "Self"}, "x509_props": {"subject": "CN=a"}}
QUICK: dict[str, Any] = {**SMALLEST, "key_props": {"kty": "EC"}}


async def create(vault: Vault, name: str, sent: object) -> Any:
    """The response; when a test goes on the operation has come to its end."""
    response = await vault.send("POST", f"/certificates/{name}/create", sent)
    assert response.status_code == 202, response.text()
    if response.json()["issuer"]["name"] != "Unknown":
        while (await body(vault, "GET", f"/certificates/{name}/pending"))["status"] == "inProgress":
            pass
    return response


async def test_a_creation_answers_an_operation_and_says_where_it_is(sync_owner: Vault, name: str) -> None:
    response = await create(sync_owner, name, {"policy": POLICY})
    answer, place = response.json(), f"{sync_owner.url}/certificates/{name}/pending"
    assert response.headers["Content-Type"] == JSON
    assert set(answer) == PENDING | {"status_details"}
    assert (answer["id"], answer["issuer"]) == (place, POLICY["issuer"])
    assert (answer["status"], answer["status_details"]) == ("inProgress", DETAILS)
    assert (answer["cancellation_requested"], answer["preserveCertOrder"]) == (False, False)
    assert re.fullmatch("[0-9a-f]{32}", answer["request_id"])
    location = response.headers["Location"]
    base, _, query = location.partition("?")
    version = response.request.url.partition("api-version=")[2].partition("&")[0]
    assert base == place
    assert query == f"api-version={version}&request_id={answer['request_id']}"
    request = x509.load_der_x509_csr(base64.b64decode(answer["csr"], validate=True))
    assert request.is_signature_valid
    assert [(one.oid, one.critical) for one in request.extensions] == [
        (ExtensionOID.KEY_USAGE, True),
        (ExtensionOID.EXTENDED_KEY_USAGE, False),
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, False),
        (ExtensionOID.BASIC_CONSTRAINTS, False),
    ]

    done = await body(sync_owner, "GET", location.removeprefix(sync_owner.url))
    del answer["status_details"]
    assert done == {**answer, "status": "completed", "target": f"{sync_owner.url}/certificates/{name}"}
    other = await sync_owner.send("GET", f"/certificates/{name}/pending", request_id="0" * 32)
    assert (other.status_code, other.json()["error"]["code"]) == (404, "PendingCertificateNotFound")
    forgotten = await body(sync_owner, "DELETE", f"/certificates/{name}/pending")
    assert forgotten == done
    assert (await sync_owner.send("GET", f"/certificates/{name}/pending")).status_code == 404


async def test_a_bundle_has_its_members_and_its_policy_those_of_the_reference(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, {"policy": POLICY, "tags": {"a": "b"}})
    bundle = await body(sync_owner, "GET", f"/certificates/{name}/")
    assert set(bundle) == BUNDLE | {"policy", "tags", "pending"}
    assert set(bundle["attributes"]) == ATTRIBUTES
    assert (bundle["tags"], bundle["preserveCertOrder"]) == ({"a": "b"}, False)
    assert bundle["pending"] == {"id": f"{sync_owner.url}/certificates/{name}/pending"}
    version = bundle["id"].rpartition("/")[2]
    for member, kind in (("id", "certificates"), ("kid", "keys"), ("sid", "secrets")):
        assert bundle[member] == f"{sync_owner.url}/{kind}/{name}/{version}"
    certificate = x509.load_der_x509_certificate(base64.b64decode(bundle["cer"], validate=True))
    digest = certificate.fingerprint(hashes.SHA1())  # noqa: S303  # what x5t is
    assert bundle["x5t"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert bundle["attributes"]["nbf"] == int(certificate.not_valid_before_utc.timestamp())
    assert bundle["attributes"]["exp"] == int(certificate.not_valid_after_utc.timestamp())

    policy = bundle["policy"]
    times = {member: policy["attributes"].pop(member) for member in ("created", "updated")}
    assert times["created"] == times["updated"] <= bundle["attributes"]["created"]
    assert policy == {
        **POLICY,
        "id": f"{sync_owner.url}/certificates/{name}/policy",
        "x509_props": {**POLICY["x509_props"], "basic_constraints": {"ca": False}},
    }
    read = await body(sync_owner, "GET", f"/certificates/{name}/policy")
    assert read == {**policy, "attributes": {**policy["attributes"], **times}}


async def test_a_policy_of_two_members_is_filled_up(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, {"policy": SMALLEST})
    policy = await body(sync_owner, "GET", f"/certificates/{name}/policy")
    assert set(policy.pop("attributes")) == {"enabled", "created", "updated"}
    assert policy == {
        "id": f"{sync_owner.url}/certificates/{name}/policy",
        "key_props": {"exportable": True, "kty": "RSA", "key_size": 2048, "reuse_key": False},
        "secret_props": {"contentType": "application/x-pkcs12"},
        "x509_props": {
            "subject": "CN=a",
            "sans": {},
            "ekus": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
            "key_usage": ["digitalSignature", "keyEncipherment"],
            "validity_months": 12,
            "basic_constraints": {"ca": False},
        },
        "lifetime_actions": [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}],
        "issuer": {"name": "Self"},
    }


async def test_a_change_answers_the_whole_certificate(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, {"policy": QUICK})
    made = await body(sync_owner, "GET", f"/certificates/{name}/")
    sent = {"attributes": {"enabled": False, "exp": 1, "nbf": 1}, "tags": {"c": "d"}}
    changed = await body(sync_owner, "PATCH", f"/certificates/{name}/", sent)
    assert set(changed) == BUNDLE | {"tags", "policy", "pending"}
    assert changed["policy"] == made["policy"]
    updated = changed["attributes"]["updated"]
    assert changed["attributes"] == {**made["attributes"], "enabled": False, "updated": updated}  # never the dates
    path = made["id"].removeprefix(sync_owner.url)
    changed = await body(
        sync_owner, "PATCH", path, {"policy": {"secret_props": {"contentType": "application/x-pem-file"}}}
    )
    policy = (await body(sync_owner, "GET", path))["policy"]
    assert changed["policy"] == policy
    assert policy["secret_props"] == {"contentType": "application/x-pem-file"}
    assert policy["x509_props"] == made["policy"]["x509_props"]


async def test_a_change_of_a_policy_replaces_the_members_that_it_has(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, {"policy": POLICY})
    before = await body(sync_owner, "GET", f"/certificates/{name}/policy")
    sent = {"x509_props": {"subject": "CN=new"}, "attributes": {"enabled": True}}
    after = await body(sync_owner, "PATCH", f"/certificates/{name}/policy", sent)
    assert after["x509_props"] == {
        "subject": "CN=new",
        "sans": {},
        "ekus": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "validity_months": 12,
        "basic_constraints": {"ca": False},
    }
    assert after["attributes"]["enabled"] is True
    for member in ("id", "key_props", "secret_props", "lifetime_actions", "issuer"):
        assert after[member] == before[member]


async def test_items_of_lists_and_deleted_certificates_have_their_own_members(sync_owner: Vault) -> None:
    name = unique("AAA-first-in-every-list-of-certificates")
    await create(sync_owner, name, {"policy": QUICK, "tags": {"a": "b"}})
    made = await body(sync_owner, "GET", f"/certificates/{name}/")
    short = {member: value for member, value in made["attributes"].items() if member in SHORT}
    shown = {"x5t": made["x5t"], "attributes": short, "tags": {"a": "b"}, "subject": "CN=a"}
    item = (await body(sync_owner, "GET", f"/certificates/{name}/versions"))["value"][0]
    assert item == {"id": made["id"], **shown}
    item = (await body(sync_owner, "GET", "/certificates"))["value"][0]
    assert item == {"id": f"{sync_owner.url}/certificates/{name}", **shown}
    deleted = await body(sync_owner, "DELETE", f"/certificates/{name}")
    assert set(deleted) == BUNDLE | DELETED | {"policy", "tags", "pending"}
    assert {member: deleted[member] for member in made} == made
    assert deleted["recoveryId"] == f"{sync_owner.url}/deletedcertificates/{name}"
    assert deleted["scheduledPurgeDate"] == deleted["deletedDate"] + 90 * 86_400
    assert await body(sync_owner, "GET", f"/deletedcertificates/{name}") == deleted
    item = (await body(sync_owner, "GET", "/deletedcertificates"))["value"][0]
    assert item == {
        "id": f"{sync_owner.url}/certificates/{name}",
        **shown,
        **{member: deleted[member] for member in DELETED},
    }
    assert await body(sync_owner, "POST", f"/deletedcertificates/{name}/recover") == made
    await body(sync_owner, "DELETE", f"/certificates/{name}")
    response = await sync_owner.send("DELETE", f"/deletedcertificates/{name}")
    assert (response.status_code, response.content) == (204, b"")


async def test_what_is_pending_is_shown_without_a_certificate(sync_owner: Vault) -> None:
    name = unique("AAA-pending")
    begun = (await create(sync_owner, name, {"policy": {**QUICK, "issuer": {"name": "Unknown"}}})).json()
    bundle = await body(sync_owner, "GET", f"/certificates/{name}/")
    assert set(bundle) == (BUNDLE - {"x5t", "cer"}) | {"policy", "pending"}
    assert bundle["attributes"]["enabled"] is False
    for path, identifier in (("/keys", "kid"), ("/secrets", "id")):
        item = (await body(sync_owner, "GET", path))["value"][0]
        assert (item[identifier], item["managed"]) == (f"{sync_owner.url}{path}/{name}", True)
        assert item["attributes"]["enabled"] is False
    found = (await sync_owner.send("GET", "/certificates", includePending="true")).json()["value"][0]
    assert found["id"] == f"{sync_owner.url}/certificates/{name}"
    asked = await body(sync_owner, "PATCH", f"/certificates/{name}/pending", {"cancellation_requested": True})
    assert asked == {**begun, "cancellation_requested": True}
    while (ended := await body(sync_owner, "GET", f"/certificates/{name}/pending"))["status"] == "inProgress":
        pass
    del asked["status_details"]
    assert ended == {**asked, "status": "cancelled"}
    await body(sync_owner, "DELETE", f"/certificates/{name}/pending")


async def test_a_merge_answers_201_and_where_the_certificate_is(sync_owner: Vault, name: str) -> None:
    response = await create(sync_owner, name, {"policy": {**QUICK, "issuer": {"name": "Unknown"}}})
    details = "Pending certificate created. Please Perform Merge to complete the request."
    assert response.json()["status_details"] == details
    leaf = signed(base64.b64decode(response.json()["csr"]), days=3650)
    sent = {"x5c": [base64.b64encode(leaf).decode()], "tags": {"a": "b"}}
    response = await sync_owner.send("POST", f"/certificates/{name}/pending/merge", sent)
    bundle = response.json()
    version = response.request.url.partition("?")[2]
    assert response.status_code == 201
    assert response.headers["Location"] == f"{sync_owner.url}/certificates/{name}?{version}"
    assert set(bundle) == BUNDLE | {"policy", "tags", "pending"}
    assert base64.b64decode(bundle["cer"]) == leaf


async def test_an_import_answers_the_certificate_with_its_policy(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, f"{name}-source", {"policy": QUICK})
    value = (await body(sync_owner, "GET", f"/secrets/{name}-source/"))["value"]
    bundle = await body(sync_owner, "POST", f"/certificates/{name}/import", {"value": value, "preserveCertOrder": True})
    assert set(bundle) == BUNDLE | {"policy"}
    assert bundle["preserveCertOrder"] is True
    assert bundle["policy"]["issuer"] == {"name": "Unknown"}
    assert bundle["policy"]["lifetime_actions"][0]["action"] == {"action_type": "EmailContacts"}


async def test_the_key_and_the_secret_of_a_certificate_have_the_members_of_managed_ones(
    sync_owner: Vault, name: str
) -> None:
    await create(sync_owner, name, {"policy": QUICK, "tags": {"a": "b"}})
    first = await body(sync_owner, "GET", f"/certificates/{name}/")
    await create(sync_owner, name, {"policy": QUICK, "tags": {"a": "b"}})
    made = await body(sync_owner, "GET", f"/certificates/{name}/")
    key = await body(sync_owner, "GET", f"/keys/{name}/")
    assert (key["key"]["kid"], key["managed"]) == (made["kid"], True)
    assert set(key) - {"tags"} == {"key", "attributes", "managed"}
    secret = await body(sync_owner, "GET", f"/secrets/{name}/")
    assert set(secret) - {"tags"} == {"value", "id", "contentType", "attributes", "managed", "kid", "previousVersion"}
    assert (secret["id"], secret["kid"], secret["managed"]) == (made["sid"], made["kid"], True)
    assert secret["previousVersion"] == first["id"].rpartition("/")[2]
    for one in (key, secret):
        times = {member: one["attributes"][member] for member in ("enabled", "nbf", "exp")}
        assert times == {member: made["attributes"][member] for member in times}


async def test_backups_issuers_and_contacts_have_the_members_of_the_reference(sync_owner: Vault, name: str) -> None:
    await create(sync_owner, name, {"policy": QUICK})
    made = await body(sync_owner, "GET", f"/certificates/{name}/")
    blob = await body(sync_owner, "POST", f"/certificates/{name}/backup")
    assert set(blob) == {"value"}
    assert re.fullmatch("[0-9A-Za-z_-]+", blob["value"])
    await body(sync_owner, "DELETE", f"/certificates/{name}")
    await sync_owner.send("DELETE", f"/deletedcertificates/{name}")
    restored = await body(sync_owner, "POST", "/certificates/restore", blob)
    del made["pending"]
    assert restored == made

    person = {"first_name": "Ann", "last_name": "Lee", "email": "ann@contoso.com", "phone": "1"}
    sent: dict[str, Any] = {
        "provider": "GlobalSign",
        "credentials": {"account_id": "account", "pwd": "secret"},
        "org_details": {"id": "org", "admin_details": [person]},
        "attributes": {"enabled": True},
    }
    path = f"/certificates/issuers/{name}"
    issuer = await body(sync_owner, "PUT", path, sent)
    times = {member: issuer["attributes"].pop(member) for member in ("created", "updated")}
    assert set(times) == {"created", "updated"}
    assert issuer == {
        **sent,
        "id": f"{sync_owner.url}{path}",
        "credentials": {"account_id": "account"},
        "org_details": {"id": "org", "zip": 0, "admin_details": [person]},
    }
    listed = (await body(sync_owner, "GET", "/certificates/issuers"))["value"]
    assert {"id": issuer["id"], "provider": "GlobalSign"} in listed
    assert (await body(sync_owner, "DELETE", path))["id"] == issuer["id"]

    contacts = {"contacts": [{"email": "a@contoso.com", "name": "A", "phone": "1"}, {"email": "b@contoso.com"}]}
    expected = {"id": f"{sync_owner.url}/certificates/contacts", **contacts}
    assert await body(sync_owner, "PUT", "/certificates/contacts", contacts) == expected
    assert await body(sync_owner, "GET", "/certificates/contacts") == expected
    assert await body(sync_owner, "DELETE", "/certificates/contacts") == expected


@pytest.mark.parametrize(
    "sent",
    [
        *([], "x", {"policy": []}, {"policy": {**QUICK, "key_props": {"kty": "oct"}}}),
        *({"policy": {**QUICK, "x509_props": {"subject": "nonsense"}}}, {"policy": {"issuer": {"name": "Self"}}}),
        *({"policy": {**QUICK, "issuer": {"name": "a b"}}}, {"policy": {**QUICK, "issuer": {"name": "nobody"}}}),
        *({"policy": QUICK, "tags": {"a": 1}}, {"policy": QUICK, "attributes": {"enabled": 1}}),
        {"policy": {**QUICK, "x509_props": {"subject": "CN=a", "validity_months": 0}}},
        {"policy": {**QUICK, "x509_props": {"subject": "CN=a", "validity_months": "12"}}},
        {"policy": {**QUICK, "lifetime_actions": [{"trigger": {}, "action": {"action_type": "AutoRenew"}}]}},
        {"policy": {**QUICK, "lifetime_actions": [{"trigger": {"lifetime_percentage": 50}}]}},
        {"policy": {**QUICK, "secret_props": {"contentType": "text/plain"}}},
        {"policy": {**QUICK, "key_props": {"kty": "EC-HSM", "exportable": True}}},
    ],
    ids=lambda sent: str(sent)[:60],
)
async def test_a_body_that_says_nothing_possible_is_refused_and_makes_nothing(
    sync_owner: Vault, name: str, sent: object
) -> None:
    response = await sync_owner.send("POST", f"/certificates/{name}/create", sent)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
    for kind in ("certificates", "keys", "secrets"):
        assert (await sync_owner.send("GET", f"/{kind}/{name}/")).status_code == 404


@pytest.mark.parametrize("name", ["contacts", "issuers"])
async def test_words_of_the_paths_are_no_names(sync_owner: Vault, name: str) -> None:
    response = await sync_owner.send("POST", f"/certificates/{name}/create", {"policy": QUICK})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
