"""Issuers and contacts of a vault, on the wire."""

from typing import Any

from hsmvault.custody.protocols import Binding
from hsmvault.store import certificate_issuers
from tests.wire.service import VAULTS, Answer, Service

NOW = 1_750_000_000
ORIGIN = "https://dev.vault.localhost:8443"
ADMINISTRATOR = {"first_name": "Ann", "last_name": "Lee", "email": "ann@contoso.com", "phone": "1"}
ISSUER: dict[str, Any] = {
    "provider": "DigiCert",
    "credentials": {"account_id": "account", "pwd": "pass word"},
    "org_details": {"id": "org", "admin_details": [ADMINISTRATOR]},
}
CONTACTS = {"contacts": [{"email": "a@contoso.com", "name": "A", "phone": "1"}, {"email": "b@contoso.com"}]}
SELF = {"x509_props": {"subject": "CN=a"}, "key_props": {"kty": "EC"}}


def refusal(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.code, answer.message


async def test_an_issuer_is_answered_without_its_password(service: Service) -> None:
    answer = await service.ask("PUT", "/certificates/issuers/My-CA", ISSUER)
    shown = {
        "id": f"{ORIGIN}/certificates/issuers/My-CA",
        "provider": "DigiCert",
        "credentials": {"account_id": "account"},
        "org_details": {"id": "org", "zip": 0, "admin_details": [ADMINISTRATOR]},
        "attributes": {"enabled": True, "created": NOW, "updated": NOW},
    }
    assert (answer.status, answer.json) == (200, shown)
    assert (await service.ask("GET", "/certificates/issuers/my-ca")).json == shown
    listed = await service.ask("GET", "/certificates/issuers")
    assert listed.json == {"value": [{"id": shown["id"], "provider": "DigiCert"}], "nextLink": None}
    assert (await service.ask("DELETE", "/certificates/issuers/my-ca")).json == shown
    gone = await service.ask("GET", "/certificates/issuers/my-ca")
    assert refusal(gone) == (404, "CertificateIssuerNotFound", "Issuer not found")


async def test_a_password_lies_sealed_for_its_row(service: Service) -> None:
    await service.ask("PUT", "/certificates/issuers/My-CA", ISSUER)
    vault = VAULTS["dev"]
    async with service.database.read() as tx:
        row = await certificate_issuers.find(tx, vault.id, "my-ca")
    assert row is not None
    assert row.password is not None
    assert b"pass word" not in row.password
    assert await service.sealer.open(row.password, Binding(vault.id, "issuer", "my-ca", "")) == b"pass word"


async def test_a_change_of_an_issuer_leaves_what_it_does_not_say(service: Service) -> None:
    before = (await service.ask("PUT", "/certificates/issuers/ca", ISSUER)).json
    service.clock.move(5)
    body = {"credentials": {"account_id": "other"}, "attributes": {"enabled": False}}
    changed = (await service.ask("PATCH", "/certificates/issuers/ca", body)).json
    assert changed == before | {
        "credentials": {"account_id": "other"},
        "attributes": {"enabled": False, "created": NOW, "updated": NOW + 5},
    }
    replaced = (await service.ask("PUT", "/certificates/issuers/ca", {"provider": "globalsign"})).json
    assert replaced == {
        "id": before["id"],
        "provider": "GlobalSign",
        "attributes": {"enabled": True, "created": NOW, "updated": NOW + 5},
    }
    for method in ("PATCH", "DELETE"):
        gone = await service.ask(method, "/certificates/issuers/other", {})
        assert refusal(gone) == (404, "CertificateIssuerNotFound", "Issuer not found")


BAD: list[tuple[str, dict[str, object], str]] = [
    ("ca", {}, "BadParameter"),
    ("ca", {"provider": "Nobody"}, "BadArgument"),
    ("Self", ISSUER, "BadParameter"),
    ("unknown", ISSUER, "BadParameter"),
    ("ca", ISSUER | {"credentials": {"pwd": "x" * 1025}}, "BadParameter"),
    ("ca", ISSUER | {"org_details": {"admin_details": [{}] * 33}}, "BadParameter"),
]


async def test_an_issuer_that_cannot_be_is_refused(service: Service) -> None:
    for name, body, code in BAD:
        answer = await service.ask("PUT", f"/certificates/issuers/{name}", body)
        assert (answer.status, answer.code) == (400, code)
    assert (await service.ask("GET", "/certificates/issuers")).json["value"] == []


async def test_a_provider_out_of_reach_says_so_before_anything_is_made(service: Service) -> None:
    for provider in ("DigiCert", "GlobalSign", "Test"):
        await service.ask("PUT", "/certificates/issuers/ca", ISSUER | {"provider": provider})
        answer = await service.ask("POST", "/certificates/site/create", {"policy": SELF | {"issuer": {"name": "CA"}}})
        assert (answer.status, answer.code) == (400, "BadParameter")
        assert f"'{provider}' cannot be reached from this installation" in answer.message
    for kind in ("certificates", "keys", "secrets"):
        assert (await service.ask("GET", f"/{kind}?includePending=true&api-version=7.4")).json["value"] == []


async def test_a_disabled_issuer_issues_nothing(service: Service) -> None:
    await service.ask("PUT", "/certificates/issuers/ca", ISSUER | {"attributes": {"enabled": False}})
    answer = await service.ask("POST", "/certificates/site/create", {"policy": SELF | {"issuer": {"name": "ca"}}})
    assert refusal(answer) == (400, "BadParameter", "The issuer 'ca' of the certificate policy is disabled.")


async def test_issuers_come_in_pages(service: Service) -> None:
    for number in range(3):
        await service.ask("PUT", f"/certificates/issuers/ca-{number}", ISSUER)
    first = (await service.ask("GET", "/certificates/issuers?maxresults=2&api-version=7.4")).json
    second = (await service.ask("GET", first["nextLink"].removeprefix(ORIGIN))).json
    names = [one["id"].rpartition("/")[2] for one in first["value"] + second["value"]]
    assert (names, len(first["value"]), second["nextLink"]) == (["ca-0", "ca-1", "ca-2"], 2, None)


async def test_contacts_are_set_as_a_whole_and_answered_when_they_go(service: Service) -> None:
    path = "/certificates/contacts"
    for method in ("GET", "DELETE"):
        assert refusal(await service.ask(method, path)) == (404, "ContactsNotFound", "Contacts not found")
    shown = {"id": ORIGIN + path} | CONTACTS
    assert (await service.ask("PUT", path, CONTACTS)).json == shown
    assert (await service.ask("GET", path)).json == shown
    other = {"contacts": [{"email": "c@contoso.com"}]}
    assert (await service.ask("PUT", path, other)).json == {"id": ORIGIN + path} | other
    deleted = await service.ask("DELETE", path)
    assert (deleted.status, deleted.json) == (200, {"id": ORIGIN + path} | other)
    assert (await service.ask("GET", path)).status == 404


async def test_contacts_whom_no_mail_reaches_are_refused(service: Service) -> None:
    bad: tuple[list[dict[str, str]], ...] = (
        [],
        [{"name": "a"}],
        [{"email": "no address"}],
        [{"email": "a@b\r\nBcc: c@d"}],
        [{"email": "a@b"}] * 101,
    )
    for contacts in bad:
        answer = await service.ask("PUT", "/certificates/contacts", {"contacts": contacts})
        assert (answer.status, answer.code) == (400, "BadParameter")
    assert (await service.ask("GET", "/certificates/contacts")).status == 404


async def test_vaults_do_not_see_each_others_issuers_and_contacts(service: Service) -> None:
    await service.ask("PUT", "/certificates/issuers/ca", ISSUER)
    await service.ask("PUT", "/certificates/contacts", CONTACTS)
    host = "protected.vault.localhost:8443"
    assert (await service.ask("GET", "/certificates/issuers/ca", host=host)).status == 404
    assert (await service.ask("GET", "/certificates/contacts", host=host)).status == 404
