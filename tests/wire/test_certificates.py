"""Certificates on the wire: every member of the answers, and what is refused."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from tests.custody.certificates import issued
from tests.pipeline.world import b64
from tests.resources.certificate_stage import signed
from tests.wire.service import Answer, Service

NOW = 1_750_000_000
YEAR_LATER = 1_781_536_000  # the same day of 2026
ORIGIN = "https://dev.vault.localhost:8443"
NEWEST = "?api-version=2025-07-01"
EC = {"kty": "EC", "crv": "P-256"}
SELF: dict[str, Any] = {"key_props": EC, "x509_props": {"subject": "CN=www.contoso.com"}, "issuer": {"name": "Self"}}
MANUAL: dict[str, Any] = SELF | {"issuer": {"name": "Unknown"}}
IN_PROGRESS = (
    "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer "
    "provider. Please check again later."
)
AWAITS_MERGE = "Pending certificate created. Please Perform Merge to complete the request."
BUSY = (
    "A new key vault certificate can not be created or imported while a pending key vault certificate's status is "
    "inProgress."
)


def invalid(name: str) -> str:
    return f"Property {name} has invalid value\r\n"


def refusal(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.code, answer.message


async def settled(service: Service, name: str = "site") -> Any:
    """The operation, when it does not go on by itself any more."""
    while True:
        answer = await service.ask("GET", f"/certificates/{name}/pending")
        assert answer.status == 200, answer.body
        if answer.json["status"] != "inProgress":
            return answer.json


async def create(service: Service, name: str = "site", policy: object = None, **more: object) -> Any:
    """A certificate that is issued at once; its bundle."""
    answer = await service.ask("POST", f"/certificates/{name}/create", {"policy": policy or SELF} | more)
    assert answer.status == 202, answer.body
    operation = await settled(service, name)
    assert operation["status"] == "completed", operation
    return (await service.ask("GET", f"/certificates/{name}")).json


async def begin(service: Service, name: str = "site", **more: object) -> Any:
    """An operation that waits for a merge."""
    answer = await service.ask("POST", f"/certificates/{name}/create", {"policy": MANUAL} | more)
    assert answer.status == 202, answer.body
    return answer.json


def merge_of(csr: str) -> dict[str, object]:
    return {"x5c": [base64.b64encode(signed(base64.b64decode(csr))).decode()]}


def version_of(bundle: Any) -> str:
    return str(bundle["id"]).rpartition("/")[2]


async def test_a_creation_is_answered_with_its_operation(service: Service) -> None:
    answer = await service.ask("POST", "/certificates/Site/create", {"policy": SELF})
    operation = answer.json
    request_id, csr = operation.pop("request_id"), operation.pop("csr")
    assert answer.status == 202
    assert operation == {
        "id": f"{ORIGIN}/certificates/Site/pending",
        "issuer": {"name": "Self"},
        "cancellation_requested": False,
        "status": "inProgress",
        "status_details": IN_PROGRESS,
    }
    assert len(request_id) == 32
    assert answer.header("location") == (f"{ORIGIN}/certificates/Site/pending?api-version=7.4&request_id={request_id}")
    request = x509.load_der_x509_csr(base64.b64decode(csr))
    assert request.subject.rfc4514_string() == "CN=www.contoso.com"
    assert request.is_signature_valid
    assert await settled(service, "Site") == {
        "id": f"{ORIGIN}/certificates/Site/pending",
        "issuer": {"name": "Self"},
        "csr": csr,
        "cancellation_requested": False,
        "status": "completed",
        "target": f"{ORIGIN}/certificates/Site",
        "request_id": request_id,
    }


async def test_a_self_signed_certificate_is_what_the_policy_says(service: Service) -> None:
    names = {"dns_names": ["www.contoso.com", "*.contoso.com"], "emails": ["a@contoso.com"], "upns": ["a@contoso.com"]}
    more = {"uris": ["https://contoso.com/"], "ipAddresses": ["192.0.2.1", "2001:db8::1"]}
    policy = {
        "key_props": {"kty": "EC", "key_size": 384},
        "secret_props": {"contentType": "application/x-pem-file"},
        "x509_props": {
            "subject": 'CN=www.contoso.com, O="Contoso, Ltd", C=US',
            "sans": names | more,
            "ekus": ["1.3.6.1.5.5.7.3.1"],
            "key_usage": ["digitalSignature", "nonRepudiation"],
            "validity_months": 3,
        },
        "lifetime_actions": [{"trigger": {"days_before_expiry": 20}, "action": {"action_type": "EmailContacts"}}],
        "issuer": {"name": "Self"},
    }
    bundle = await create(service, policy=policy, tags={"a": "1"})
    version = version_of(bundle)
    der = base64.b64decode(bundle["cer"])
    assert bundle == {
        "id": f"{ORIGIN}/certificates/site/{version}",
        "kid": f"{ORIGIN}/keys/site/{version}",
        "sid": f"{ORIGIN}/secrets/site/{version}",
        "x5t": b64(x509.load_der_x509_certificate(der).fingerprint(hashes.SHA1())),  # noqa: S303  # x5t is SHA-1
        "cer": bundle["cer"],
        "attributes": {
            "enabled": True,
            "nbf": NOW - 600,
            "exp": bundle["attributes"]["exp"],
            "created": NOW,
            "updated": NOW,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
        "tags": {"a": "1"},
        "policy": {
            "id": f"{ORIGIN}/certificates/site/policy",
            "key_props": {"exportable": True, "kty": "EC", "key_size": 384, "reuse_key": False, "crv": "P-384"},
            "secret_props": {"contentType": "application/x-pem-file"},
            "x509_props": policy["x509_props"]  # type: ignore[operator]  # the test's own
            | {"sans": names, "basic_constraints": {"ca": False}},
            "lifetime_actions": policy["lifetime_actions"],
            "issuer": {"name": "Self"},
            "attributes": {"enabled": True, "created": NOW, "updated": NOW},
        },
        "pending": {"id": f"{ORIGIN}/certificates/site/pending"},
    }
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.version is x509.Version.v3
    assert certificate.serial_number.bit_length() == 127
    assert certificate.subject.rfc4514_string() == r"CN=www.contoso.com,O=Contoso\, Ltd,C=US"
    assert int(certificate.not_valid_before_utc.timestamp()) == NOW - 600
    assert int(certificate.not_valid_after_utc.timestamp()) == bundle["attributes"]["exp"]
    assert certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%S") == "2025-09-15 15:06:40"
    assert [one.oid for one in certificate.extensions] == [
        ExtensionOID.KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ]
    assert certificate.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE).critical
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == names["dns_names"]
    assert [str(one) for one in alternative.get_values_for_type(x509.IPAddress)] == more["ipAddresses"]
    newer = (await service.ask("GET", f"/certificates/site{NEWEST}")).json
    assert newer["policy"]["x509_props"]["sans"] == names | more
    assert newer["preserveCertOrder"] is False


async def test_what_a_policy_does_not_say_has_the_defaults_of_the_service(service: Service) -> None:
    bundle = await begin(service, policy={"x509_props": {"subject": "CN=a"}, "key_props": EC})
    assert (bundle["issuer"], bundle["status_details"]) == ({"name": "Unknown"}, AWAITS_MERGE)
    policy = (await service.ask("GET", "/certificates/site/policy")).json
    assert policy == {
        "id": f"{ORIGIN}/certificates/site/policy",
        "key_props": {"exportable": True, "kty": "EC", "key_size": 256, "reuse_key": False, "crv": "P-256"},
        "secret_props": {"contentType": "application/x-pkcs12"},
        "x509_props": {
            "subject": "CN=a",
            "sans": {},
            "ekus": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
            "key_usage": ["digitalSignature", "keyEncipherment"],
            "validity_months": 12,
            "basic_constraints": {"ca": False},
        },
        "lifetime_actions": [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}],
        "issuer": {"name": "Unknown"},
        "attributes": {"enabled": True, "created": NOW, "updated": NOW},
    }


async def test_a_certificate_has_a_key_and_a_secret_of_the_same_name(service: Service) -> None:
    bundle = await create(service)
    key = (await service.ask("GET", bundle["kid"].removeprefix(ORIGIN))).json
    secret = (await service.ask("GET", bundle["sid"].removeprefix(ORIGIN))).json
    assert (key["managed"], secret["managed"], secret["kid"]) == (True, True, bundle["kid"])
    assert key["key"]["key_ops"] == ["sign", "verify"]
    assert (key["attributes"]["exp"], secret["attributes"]["exp"]) == (YEAR_LATER, YEAR_LATER)
    assert secret["contentType"] == "application/x-pkcs12"


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"x509_props": {"subject": "nonsense"}}, "The subject name provided is not a valid X500 name"),
    ({"x509_props": {}}, "The subject name provided is not a valid X500 name"),
    ({"key_props": {"kty": "oct"}}, invalid("kty")),
    ({"key_props": {"kty": "RSA", "crv": "P-256"}}, invalid("crv")),
    ({"key_props": {"kty": "EC", "crv": "P-123"}}, invalid("crv")),
    (
        {"key_props": {"kty": "EC", "key_size": 4096}},
        "Unsupported key size (4096). Supported sizes are [256, 384, 521]",
    ),
    ({"key_props": {"key_size": 1024}}, "Unsupported key size (1024). Supported sizes are [2048, 3072, 4096]"),
    (
        {"key_props": {"kty": "EC-HSM", "exportable": True}},
        "The private key of a certificate with an HSM-backed key cannot be exportable.",
    ),
    ({"secret_props": {"contentType": "text/plain"}}, invalid("contentType")),
    ({"lifetime_actions": [{"action": {"action_type": "Rotate"}}]}, invalid("action_type")),
    ({"lifetime_actions": [{"action": {"action_type": "AutoRenew"}}]}, invalid("trigger")),
    ({"platformManaged": {"certificateUsage": "x"}}, invalid("platformManaged")),
    ({"issuer": {"name": "nobody"}}, "The issuer 'nobody' of the certificate policy was not found in this vault."),
]


async def test_a_policy_that_cannot_be_is_refused_and_leaves_nothing(service: Service) -> None:
    for policy, message in REFUSED:
        answer = await service.ask("POST", "/certificates/site/create", {"policy": SELF | policy})
        assert refusal(answer) == (400, "BadParameter", message)
    for kind in ("certificates", "keys", "secrets"):
        assert (await service.ask("GET", f"/{kind}?includePending=true&api-version=7.4")).json["value"] == []


async def test_the_first_creation_needs_a_policy_and_the_next_takes_the_one_there_is(service: Service) -> None:
    assert refusal(await service.ask("POST", "/certificates/site/create", {})) == (
        400,
        "BadParameter",
        invalid("policy"),
    )
    first = await create(service)
    assert (await service.ask("POST", "/certificates/site/create", {})).status == 202
    assert (await settled(service))["status"] == "completed"
    second = (await service.ask("GET", "/certificates/site")).json
    assert version_of(second) != version_of(first)
    versions = (await service.ask("GET", "/certificates/site/versions")).json["value"]
    assert [one["id"] for one in versions] == [first["id"], second["id"]]


async def test_names_that_are_routes_are_no_names_of_certificates(service: Service) -> None:
    for name in ("contacts", "Issuers"):
        for call, body in (("create", {"policy": SELF}), ("import", {"value": "x"})):
            answer = await service.ask("POST", f"/certificates/{name}/{call}", body)
            assert refusal(answer) == (400, "BadParameter", f"The request URI contains an invalid name: {name}")


async def test_a_name_has_one_operation_at_a_time(service: Service) -> None:
    await begin(service)
    mine = issued("imported.contoso.com", ca=False)
    for call, body in (("create", {"policy": SELF}), ("import", {"value": (mine.pem_key + mine.pem).decode()})):
        answer = await service.ask("POST", f"/certificates/site/{call}", body)
        assert refusal(answer) == (409, "Forbidden", BUSY)


async def test_an_operation_is_found_by_its_request_only(service: Service) -> None:
    begun = await begin(service)
    path = "/certificates/site/pending?api-version=7.4&request_id="
    assert (await service.ask("GET", path + begun["request_id"])).json == begun
    gone = (404, "PendingCertificateNotFound", "Pending certificate not found: site")
    assert refusal(await service.ask("GET", path + "0" * 32)) == gone
    other = (404, "PendingCertificateNotFound", "Pending certificate not found: other")
    for method in ("GET", "DELETE"):
        assert refusal(await service.ask(method, "/certificates/other/pending")) == other
    body = {"cancellation_requested": True}
    assert refusal(await service.ask("PATCH", "/certificates/other/pending", body)) == other


async def test_a_pending_certificate_shows_where_it_is_asked_for(service: Service) -> None:
    begun = await begin(service, tags={"a": "1"})
    assert (await service.ask("GET", "/certificates")).json["value"] == []
    assert (await service.ask("GET", "/certificates?includePending=false&api-version=7.4")).json["value"] == []
    with_pending = "/certificates?includePending=true&api-version=7.4"
    (item,) = (await service.ask("GET", with_pending)).json["value"]
    attributes = {"enabled": False, "created": NOW, "updated": NOW}
    assert item == {
        "id": f"{ORIGIN}/certificates/site",
        "attributes": attributes,
        "subject": "",
        "tags": {"a": "1"},
    }
    for kind in ("keys", "secrets"):
        (managed,) = (await service.ask("GET", f"/{kind}")).json["value"]
        assert (managed["managed"], managed["attributes"]["enabled"]) == (True, False)
    merged = await service.ask("POST", "/certificates/site/pending/merge", merge_of(begun["csr"]))
    assert merged.status == 201
    (item,) = (await service.ask("GET", "/certificates")).json["value"]
    assert item == {
        "id": f"{ORIGIN}/certificates/site",
        "attributes": {"enabled": True, "nbf": merged.json["attributes"]["nbf"]}
        | {"exp": merged.json["attributes"]["exp"], "created": NOW, "updated": NOW},
        "subject": "CN=www.contoso.com",
        "x5t": merged.json["x5t"],
        "tags": {"a": "1"},
    }
    assert refusal(await service.ask("GET", "/certificates?includePending=maybe&api-version=7.4")) == (
        400,
        "BadParameter",
        invalid("includePending"),
    )


async def test_a_merge_is_answered_with_the_certificate_and_where_it_is(service: Service) -> None:
    begun = await begin(service)
    body = merge_of(begun["csr"]) | {"tags": {"b": "2"}, "attributes": {"enabled": False}}
    merged = await service.ask("POST", "/certificates/site/pending/merge", body)
    assert merged.status == 201
    assert merged.header("location") == f"{ORIGIN}/certificates/site?api-version=7.4"
    assert (merged.json["tags"], merged.json["attributes"]["enabled"]) == ({"b": "2"}, False)
    assert merged.json["policy"]["issuer"] == {"name": "Unknown"}
    operation = (await service.ask("GET", "/certificates/site/pending")).json
    assert (operation["status"], operation["target"]) == ("completed", f"{ORIGIN}/certificates/site")


async def test_a_merge_of_what_is_no_certificate_or_another_one_leaves_the_operation(service: Service) -> None:
    begun = await begin(service)
    other = base64.b64encode(issued("www.contoso.com").der).decode()
    mismatch = (
        "The public key of the end-entity certificate in the specified X.509 certificate content does not match the "
        "public part of the specified private key. Please check if certificate is valid"
    )
    path = "/certificates/site/pending/merge"
    assert refusal(await service.ask("POST", path, {"x5c": [other]})) == (400, "BadParameter", mismatch)
    for bad in ([], ["!"], ["AAAA"], [other] * 40):
        assert (await service.ask("POST", path, {"x5c": bad})).status == 400
    assert (await service.ask("GET", "/certificates/site/pending")).json == begun
    missing = await service.ask("POST", "/certificates/other/pending/merge", {"x5c": [other]})
    assert refusal(missing) == (404, "PendingCertificateNotFound", "Pending certificate not found: other")


async def test_an_operation_is_cancelled_and_forgotten(service: Service) -> None:
    begun = await begin(service)
    answer = await service.ask("PATCH", "/certificates/site/pending", {"cancellation_requested": True})
    assert (answer.status, answer.json) == (200, begun | {"cancellation_requested": True})
    cancelled = await settled(service)
    assert (cancelled["status"], "target" in cancelled, "error" in cancelled) == ("cancelled", False, False)
    forgotten = await service.ask("DELETE", "/certificates/site/pending")
    assert (forgotten.status, forgotten.json) == (200, cancelled)
    assert (await service.ask("GET", "/certificates/site/pending")).status == 404
    for kind in ("certificates", "keys", "secrets"):
        assert (await service.ask("GET", f"/{kind}/site")).status == 404


async def test_a_policy_is_changed_part_by_part_for_the_next_version(service: Service) -> None:
    first = await create(service)
    body = {"x509_props": {"subject": "CN=new.contoso.com"}, "attributes": {"enabled": True}, "id": "ignored"}
    service.clock.move(10)
    changed = await service.ask("PATCH", "/certificates/site/policy", body)
    assert changed.status == 200
    assert changed.json["x509_props"]["subject"] == "CN=new.contoso.com"
    assert changed.json["key_props"] == first["policy"]["key_props"]
    assert changed.json["attributes"] == {"enabled": True, "created": NOW, "updated": NOW + 10}
    assert (await service.ask("GET", "/certificates/site/policy")).json == changed.json
    bad = await service.ask("PATCH", "/certificates/site/policy", {"x509_props": {"subject": "?"}})
    assert refusal(bad) == (400, "BadParameter", "The subject name provided is not a valid X500 name")
    await service.ask("POST", "/certificates/site/create", {})
    await settled(service)
    second = (await service.ask("GET", "/certificates/site")).json
    subjects = [
        x509.load_der_x509_certificate(base64.b64decode(one["cer"])).subject.rfc4514_string() for one in (first, second)
    ]
    assert subjects == ["CN=www.contoso.com", "CN=new.contoso.com"]
    gone = await service.ask("GET", "/certificates/other/policy")
    assert (gone.status, gone.code) == (404, "CertificateNotFound")


async def test_a_certificate_is_changed_without_its_dates(service: Service) -> None:
    bundle = await create(service)
    body = {"attributes": {"enabled": False, "nbf": 1, "exp": 2}, "tags": {"c": "3"}}
    service.clock.move(10)
    changed = (await service.ask("PATCH", f"/certificates/site/{version_of(bundle)}", body)).json
    assert changed["policy"] == bundle["policy"]
    assert changed["attributes"] == bundle["attributes"] | {"enabled": False, "updated": NOW + 10}
    assert changed["tags"] == {"c": "3"}
    answer = await service.ask("GET", "/secrets/site")
    assert (answer.status, answer.inner) == (403, "SecretDisabled")
    unknown = await service.ask("PATCH", f"/certificates/site/{'0' * 32}", {"tags": {}})
    assert (unknown.status, unknown.code) == (404, "CertificateNotFound")


async def test_a_deleted_certificate_is_shown_recovered_and_purged_with_its_key_and_secret(service: Service) -> None:
    bundle = await create(service)
    deleted = await service.ask("DELETE", "/certificates/site")
    times = {"deletedDate": NOW, "scheduledPurgeDate": NOW + 90 * 86_400}
    shown = {"recoveryId": f"{ORIGIN}/deletedcertificates/site", **times}
    del bundle["pending"]
    assert (deleted.status, {**deleted.json, "pending": 0}) == (200, bundle | shown | {"pending": 0})
    assert (await service.ask("GET", "/deletedcertificates/site")).json == deleted.json
    (item,) = (await service.ask("GET", "/deletedcertificates")).json["value"]
    assert {name: item[name] for name in shown} == shown
    assert item["id"] == f"{ORIGIN}/certificates/site"
    for kind in ("certificates", "keys", "secrets"):
        assert (await service.ask("GET", f"/{kind}/site")).status == 404
    again = await service.ask("POST", "/certificates/site/create", {"policy": SELF})
    assert (again.status, again.code, again.inner) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    recovered = await service.ask("POST", "/deletedcertificates/site/recover")
    assert (recovered.status, recovered.json["id"]) == (200, bundle["id"])
    assert (await service.ask("GET", "/secrets/site")).status == 200
    await service.ask("DELETE", "/certificates/site")
    assert (await service.ask("DELETE", "/deletedcertificates/site")).status == 204
    gone = await service.ask("GET", "/deletedcertificates/site")
    assert refusal(gone) == (404, "CertificateNotFound", "Deleted Certificate not found: site")
    await create(service)


async def test_a_backup_is_restored_where_the_name_is_free(service: Service) -> None:
    bundle = await create(service, tags={"a": "1"})
    backup = (await service.ask("POST", "/certificates/site/backup")).json
    taken = await service.ask("POST", "/certificates/restore", backup)
    assert (taken.status, taken.code) == (409, "Conflict")
    await service.ask("DELETE", "/certificates/site")
    await service.ask("DELETE", "/deletedcertificates/site")
    restored = await service.ask("POST", "/certificates/restore", backup)
    assert restored.status == 200, restored.body
    for member in ("id", "kid", "sid", "cer", "x5t", "tags"):
        assert restored.json[member] == bundle[member]
    assert (await service.ask("GET", "/secrets/site")).status == 200
    assert (await service.ask("POST", "/certificates/restore", {"value": "AAAA"})).status == 400


async def test_pages_of_certificates_end_at_their_size_and_remember_what_was_asked(service: Service) -> None:
    for number in range(3):
        await begin(service, f"site-{number}")
    first = await service.ask("GET", "/certificates?includePending=true&maxresults=2&api-version=7.4")
    assert [one["id"].rpartition("/")[2] for one in first.json["value"]] == ["site-0", "site-1"]
    assert first.json["nextLink"].endswith("&maxresults=2&includePending=true")
    second = await service.ask("GET", first.json["nextLink"].removeprefix(ORIGIN))
    assert [one["id"].rpartition("/")[2] for one in second.json["value"]] == ["site-2"]
    assert second.json["nextLink"] is None


async def test_members_that_came_later_are_not_shown_before(service: Service) -> None:
    await create(service)
    oldest = (await service.ask("GET", "/certificates/site?api-version=2015-06-01")).json
    assert set(oldest["attributes"]) == {"enabled", "nbf", "exp", "created", "updated"}
    assert "crv" not in oldest["policy"]["key_props"]
    assert "preserveCertOrder" not in oldest
    newer = (await service.ask("GET", "/certificates/site/pending?api-version=7.6")).json
    assert newer["preserveCertOrder"] is False
    early = await service.ask("POST", "/certificates/site/backup?api-version=2016-10-01")
    assert early.status == 404


async def test_an_imported_certificate_is_answered_with_a_policy_of_its_own(service: Service) -> None:
    mine = issued("imported.contoso.com", ca=False)
    pem = (mine.pem_key + mine.pem).decode()
    body = {"value": pem, "policy": {"secret_props": {"contentType": "application/x-pem-file"}}, "tags": {"a": "1"}}
    answer = await service.ask("POST", "/certificates/site/import", body)
    assert answer.status == 200, answer.body
    bundle = answer.json
    assert base64.b64decode(bundle["cer"]) == mine.der
    assert (bundle["policy"]["issuer"], bundle["tags"]) == ({"name": "Unknown"}, {"a": "1"})
    assert bundle["policy"]["x509_props"]["subject"] == "CN=imported.contoso.com"
    assert (bundle["policy"]["key_props"]["kty"], bundle["policy"]["key_props"]["crv"]) == ("EC", "P-256")
    assert (await service.ask("GET", "/certificates/site/pending")).status == 404
    assert (await service.ask("GET", bundle["sid"].removeprefix(ORIGIN))).json["value"].startswith("-----BEGIN PRIVATE")


async def test_the_record_of_each_call_has_the_name_of_the_service(service: Service) -> None:
    begun = await begin(service)
    await service.ask("POST", "/certificates/site/pending/merge", merge_of(begun["csr"]))
    await service.ask("GET", "/certificates/site")
    await create(service, "other")
    found = [record["operationName"] for record in service.records()]
    assert found[:3] == ["CertificateCreate", "CertificatePendingMerge", "CertificateGet"]
    assert "CertificateEnroll" in found
    (enrolled,) = [one for one in service.records() if one["operationName"] == "CertificateEnroll"]
    assert enrolled["properties"]["id"].startswith(f"{ORIGIN}/certificates/other/")
