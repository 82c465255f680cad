"""What strangers and owners without good manners send to certificates: refused in bounded time, in no log, and without
a way from one vault, kind or right to another (threat model, 5 to 8)."""

import base64
import json
import time
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from hsmvault.model import builtin_roles
from hsmvault.model.roles import RoleAssignment
from tests.custody.certificates import issued
from tests.wire.service import VAULTS, Answer, Service
from tests.wire.test_certificates import SELF, begin, create, invalid, merge_of, version_of

NEWEST = "?api-version=2025-07-01"
NOT_JSON = "The request body is not valid JSON."
NOT_X500 = "The subject name provided is not a valid X500 name"
TOO_MANY = "The request body has too many members."
BAD_NAME = "A subject alternative name of the certificate policy is not valid."
NOT_PEM = (
    "The specified PEM X.509 certificate content is in an unexpected format. Please check if certificate is in valid "
    "PEM format."
)
NOT_PKCS12 = (
    "The specified PKCS#12 X.509 certificate content can not be read. Please check if certificate is in valid PKCS#12 "
    "format."
)
THEIRS = "protected.vault.localhost:8443"  # another vault of the same owner
SOMEBODY = "44444444-0000-0000-0000-000000000007"
FILE_WORD = "correct-horse-battery"
ISSUER_WORD = "staple-of-an-issuer"


def policy(**parts: object) -> dict[str, object]:
    return {"policy": SELF | parts}


def named(**x509: object) -> dict[str, object]:
    return policy(x509_props={"subject": "CN=a"} | x509)


def names(kind: str, *values: str) -> dict[str, object]:
    return named(sans={kind: list(values)})


def subject(text: str) -> dict[str, object]:
    return policy(x509_props={"subject": text})


def actions(*triggers: Mapping[str, object], action: str = "AutoRenew") -> dict[str, object]:
    return policy(lifetime_actions=[{"trigger": one, "action": {"action_type": action}} for one in triggers])


REFUSED: list[tuple[object, str]] = [
    (names("dns_names", *["a.b"] * 100_000), TOO_MANY),
    (names("dns_names", *["a.b"] * 8_000), invalid("dns_names")),
    (names("dns_names", *["a.b"] * 101), invalid("dns_names")),
    (names("uris", *(f"https://{'b' * 2000}{n}" for n in range(10))), invalid("sans")),
    (names("dns_names", *["a-" * 126 + "!"] * 100), invalid("dns_names")),
    (names("emails", *["a@" + "a" * 189 + "!"] * 100), invalid("emails")),
    (names("emails", "a@b.c\r\nBcc: d@e.f"), invalid("emails")),
    (names("dns_names", "a.b\n"), invalid("dns_names")),
    (names("dns_names", "a.b\u0000"), NOT_JSON),
    (names("upns", "a b@c"), invalid("upns")),
    (names("upns", "a\u202e@b"), BAD_NAME),
    (names("upns", "a\x9b@b"), BAD_NAME),
    (names("ipAddresses", "fe80::1%eth0"), invalid("ipAddresses")),
    (names("ipAddresses", "10.0.0.0/8"), invalid("ipAddresses")),
    (subject("CN=" + "a" * 65), NOT_X500),
    (subject(",".join(["CN=a"] * 33)), NOT_X500),
    (subject("CN=a\\00b"), NOT_X500),
    (subject("CN=a\\0d\\0aBcc: b"), NOT_X500),
    (subject("CN=\\ed\\a0\\80"), NOT_X500),
    (subject("1.99.3=a"), NOT_X500),
    (named(ekus=["1.40.1"]), invalid("ekus")),
    (named(ekus=[f"1.2.{n}" for n in range(33)]), invalid("ekus")),
    (named(key_usage=["everything"]), invalid("key_usage")),
    (named(validity_months=10**30), invalid("validity_months")),
    (named(validity_months=-1), invalid("validity_months")),
    (actions({"lifetime_percentage": 80, "days_before_expiry": 3}), invalid("trigger")),
    (actions({"lifetime_percentage": 80}, {"lifetime_percentage": 70}), invalid("lifetime_actions")),
    (actions(*[{"lifetime_percentage": 80}] * 900), invalid("lifetime_actions")),
    (actions({"days_before_expiry": 325}), invalid("days_before_expiry")),
    (
        {"policy": actions({"lifetime_percentage": 80})["policy"] | {"issuer": {"name": "Unknown"}}},  # type: ignore[operator]  # a dictionary
        "The lifetime action AutoRenew needs an issuer that can enrol; the issuer is Unknown.",
    ),
    (policy(issuer={"name": "../issuers/x"}), invalid("name")),
    (policy(key_props={"kty": "RSA", "key_size": 2048, "crv": "P-256"}), invalid("crv")),
    (policy(key_props={"kty": "EC", "key_size": 384, "crv": "P-256"}), invalid("key_size")),
    (b'{"policy":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, NOT_JSON),
    (b'{"policy":{"platformManaged":' + b'{"a":' * 500 + b"1" + b"}" * 502, invalid("platformManaged")),
    (b'{"policy":{"x509_props":{"subject":"CN=\\ud800"}}}', NOT_JSON),
    (b'{"policy":{"x509_props":{"subject":"CN=\\u0000"}}}', NOT_JSON),
    (b'{"policy":{},"policy":{}}', NOT_JSON),
    (policy() | {"tags": {"a": "x" * 257}}, invalid("tags")),
]


async def test_policies_without_end_or_sense_are_refused_at_once_and_leave_nothing(service: Service) -> None:
    started = time.monotonic()
    for body, message in REFUSED:
        answer = await service.ask("POST", f"/certificates/site/create{NEWEST}", body)
        assert (answer.status, answer.code, answer.message) == (400, "BadParameter", message), repr(body)[:200]
    assert time.monotonic() - started < 5, "on an idle machine it takes a tenth of it"
    await nothing_is_left(service)


async def nothing_is_left(service: Service) -> None:
    for kind in ("certificates", "keys", "secrets"):
        assert (await service.ask("GET", f"/{kind}{NEWEST}&includePending=true")).json["value"] == []


async def test_giant_files_are_refused_at_once_and_leave_nothing(service: Service) -> None:
    leaf = issued("leaf", ca=False)
    for value, status, message in [
        ("A" * 1_000_000, 400, NOT_PKCS12),
        ("A" * 1_100_000, 413, "The request body is too large."),
        ("-----BEGIN CERTIFICATE-----\n" + "A" * 400_000 + "\n-----END CERTIFICATE-----\n", 400, NOT_PEM),
        ("-----BEGIN X-----\n-----END X-----\n" * 1500, 400, NOT_PEM),
        ((leaf.pem_key + leaf.pem * 21).decode(), 400, NOT_PEM),
        (leaf.pem_key.decode() * 2 + leaf.pem.decode(), 400, NOT_PEM),
        ("-----BEGIN " * 20_000, 400, NOT_PEM),
    ]:
        started = time.monotonic()
        answer = await service.ask("POST", "/certificates/site/import", {"value": value})
        assert (answer.status, answer.message) == (status, message), value[:60]
        assert time.monotonic() - started < 2
    await nothing_is_left(service)


async def test_a_merge_of_too_much_is_refused_and_the_operation_waits_on(service: Service) -> None:
    begun = await begin(service)
    other = base64.b64encode(issued("other", ca=False).der).decode()
    for x5c in ([], ["AA"] * 10_000, ["A" * 700_000], [""], [other] * 33, [other] * 21, [other], ["\u00e9"]):
        answer = await service.ask("POST", "/certificates/site/pending/merge", {"x5c": x5c})
        assert (answer.status, answer.code) == (400, "BadParameter"), answer.body
    merged = await service.ask("POST", "/certificates/site/pending/merge", merge_of(begun["csr"]))
    assert merged.status == 201


async def test_what_a_certificate_comes_with_is_in_no_log_no_record_and_no_refusal(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    leaf = issued("leaf", ca=False)
    protection = BestAvailableEncryption(FILE_WORD.encode())
    file = pkcs12.serialize_key_and_certificates(None, leaf.key, leaf.certificate, None, protection)
    good = {"value": base64.b64encode(file).decode(), "pwd": FILE_WORD}
    pem = {"value": (leaf.pem_key + leaf.pem).decode()}
    issuer = {"provider": "DigiCert", "credentials": {"account_id": "a", "pwd": ISSUER_WORD}}
    answers: list[Answer] = []
    for path, body in [
        ("/certificates/good/import", good),
        ("/certificates/wrong/import", good | {"pwd": FILE_WORD + "!"}),
        ("/certificates/cut/import", good | {"value": good["value"][:-8]}),
        ("/certificates/list/import", good | {"pwd": [FILE_WORD]}),
        ("/certificates/long/import", good | {"pwd": FILE_WORD * 100}),
        ("/certificates/under_score/import", good),
        ("/certificates/pem/import", pem),
        ("/certificates/crv/import", pem | {"policy": {"key_props": {"kty": "RSA"}}}),
        ("/certificates/twice/import", {"value": pem["value"] + pem["value"]}),
    ]:
        answers.append(await service.ask("POST", path, body))
    assert [answer.status for answer in answers] == [200, 400, 400, 400, 400, 400, 200, 400, 400]
    for name, body in [("good", issuer), ("wrong", issuer | {"provider": "Nobody"}), ("under_score", issuer)]:
        answers.append(await service.ask("PUT", f"/certificates/issuers/{name}", body))
    answers.append(await service.ask("PATCH", "/certificates/issuers/good", {"credentials": {"pwd": ISSUER_WORD}}))
    answers.append(await service.ask("GET", "/certificates/issuers/good"))
    answers.append(await service.ask("POST", f"/certificates/site/create{NEWEST}", policy(issuer={"name": "good"})))
    assert [answer.status for answer in answers[9:]] == [200, 400, 400, 200, 200, 400]
    value = (await service.ask("GET", "/secrets/good")).json["value"]
    converted = await service.ask("GET", f"/secrets/good{NEWEST}&outContentType=application/x-pem-file")
    assert converted.json["value"] == pem["value"], "the two who may be told are told"
    blob = (await service.ask("POST", "/certificates/good/backup")).json
    answers.append(await service.ask("POST", "/certificates/restore", blob))
    everything = [log.text, json.dumps(service.records()), *(one.raw.decode() + one.body.decode() for one in answers)]
    private = leaf.pem_key.decode().splitlines()[1:3]  # the rest of it is the public part
    words = [FILE_WORD, ISSUER_WORD, value[:40], blob["value"][200:240], private[0], private[1][:24]]
    assert [word for word in words for text in everything if word in text] == []


async def test_what_one_vault_has_is_not_there_in_another_one_of_the_same_owner(service: Service) -> None:
    bundle = await create(service)
    version = version_of(bundle)
    await service.ask("PUT", "/certificates/issuers/ca", {"provider": "Test"})
    await begin(service, "waiting")
    await service.ask("POST", "/certificates/site/create", policy(), host=THEIRS)
    for method, path, body in [
        ("GET", f"/certificates/site/{version}", None),
        ("GET", f"/keys/site/{version}", None),
        ("GET", f"/secrets/site/{version}", None),
        ("PATCH", f"/certificates/site/{version}", {"tags": {"a": "b"}}),
        ("PATCH", f"/secrets/site/{version}", {"tags": {"a": "b"}}),
        ("GET", "/certificates/waiting", None),
        ("GET", "/certificates/waiting/pending", None),
        ("PATCH", "/certificates/waiting/pending", {"cancellation_requested": True}),
        ("DELETE", "/certificates/waiting/pending", None),
        ("POST", "/certificates/waiting/pending/merge", {"x5c": [bundle["cer"]]}),
        ("GET", "/certificates/waiting/policy", None),
        ("POST", "/certificates/waiting/backup", None),
        ("GET", "/certificates/issuers/ca", None),
        ("DELETE", "/certificates/issuers/ca", None),
    ]:
        answer = await service.ask(method, path, body, host=THEIRS)
        assert answer.status == 404, (method, path, answer.body)
    refused = await service.ask("POST", "/certificates/x/create", policy(issuer={"name": "ca"}), host=THEIRS)
    assert refused.message == "The issuer 'ca' of the certificate policy was not found in this vault."
    assert (await service.ask("GET", "/certificates/waiting/pending")).json["status"] == "inProgress"


async def test_a_skip_token_is_good_for_its_own_list_alone(service: Service) -> None:
    for name in ("a", "b"):
        await create(service, name)
        await service.ask("PUT", f"/secrets/plain-{name}", {"value": "v"})
        await service.ask("PUT", f"/certificates/issuers/{name}", {"provider": "Test"})
        await create(service, f"gone-{name}")
        await service.ask("DELETE", f"/certificates/gone-{name}")
    await create(service, "a")
    versions = [f"/{kind}/a/versions" for kind in ("certificates", "keys", "secrets")]
    lists = ["/certificates", "/certificates/issuers", "/deletedcertificates", "/keys", "/deletedkeys"]
    lists += ["/secrets", "/deletedsecrets", *versions]
    tokens = {}
    for path in lists:
        link = (await service.ask("GET", f"{path}?api-version=7.4&maxresults=1")).json["nextLink"]
        tokens[path] = link.partition("&$skiptoken=")[2].partition("&")[0]
    for path in lists:
        for origin, token in tokens.items():
            answer = await service.ask("GET", f"{path}?api-version=7.4&$skiptoken={token}")
            assert answer.status == (200 if path == origin else 400), (path, origin)
        elsewhere = await service.ask("GET", f"{path}?api-version=7.4&$skiptoken={tokens[path]}", host=THEIRS)
        assert elsewhere.status == 400


async def test_a_right_to_one_certificate_is_none_to_the_issuer_of_the_same_name(service: Service) -> None:
    await create(service, "corp")
    service.directory.put(SOMEBODY)
    scope = f"{VAULTS['dev'].resource_id}/certificates/corp"
    role = builtin_roles.BY_NAME["Key Vault Certificates Officer"].id
    service.assignments.assignments.append(RoleAssignment("c", scope, role, SOMEBODY))
    token = service.token(service.claims(oid=SOMEBODY, sub=SOMEBODY, uti="of-somebody"))
    assert (await service.ask("GET", "/certificates/corp", token=token)).status == 200
    for method, body in (("PUT", {"provider": "Test"}), ("GET", None), ("PATCH", {}), ("DELETE", None)):
        answer = await service.ask(method, "/certificates/issuers/corp", body, token=token)
        assert (answer.status, answer.inner) == (403, "ForbiddenByRbac"), (method, answer.body)
    for path in ("/secrets/corp", "/keys/corp", "/certificates", "/certificates/contacts", "/certificates/other"):
        assert (await service.ask("GET", path, token=token)).status == 403, path


async def test_the_operation_of_a_deleted_certificate_is_no_way_around_its_retention(service: Service) -> None:
    """Who may update certificates may forget what is pending; a deleted one stays, under purge protection above all."""
    created = await service.ask("POST", "/certificates/site/create", policy(issuer={"name": "Unknown"}), host=THEIRS)
    assert (await service.ask("DELETE", "/certificates/site", host=THEIRS)).status == 200
    for method, path, body in [
        ("DELETE", "/certificates/site/pending", None),
        ("PATCH", "/certificates/site/pending", {"cancellation_requested": True}),
        ("POST", "/certificates/site/pending/merge", merge_of(created.json["csr"])),
    ]:
        assert (await service.ask(method, path, body, host=THEIRS)).status == 404, path
    for path in ("/deletedcertificates/site", "/deletedkeys/site", "/deletedsecrets/site"):
        assert (await service.ask("DELETE", path, host=THEIRS)).status == 403, path
    again = await service.ask("POST", "/certificates/site/create", policy(), host=THEIRS)
    assert again.inner == "ObjectIsDeletedButRecoverable"
    assert (await service.ask("POST", "/deletedcertificates/site/recover", host=THEIRS)).status == 200
    assert (await service.ask("GET", "/keys/site", host=THEIRS)).json["attributes"]["enabled"] is False
