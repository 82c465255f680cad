"""The life of certificates of a whole worker, with a moved clock. After each step: the certificate, its key and its
secret, what is scheduled, what webhooks and mailboxes got, and what the audit log says."""

import base64
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12

from hsmvault.store.schedule import What
from tests.life.worker import CONTACTS, DAY, HOUR, Life, told_of


def policy_of(issuer: str, action: str, trigger: Mapping[str, int], **key: Any) -> dict[str, Any]:
    return {
        "key_props": {"kty": "EC-HSM", "crv": "P-256", "exportable": False, **key},
        "x509_props": {"subject": "CN=www.example.org", "validity_months": 12},
        "issuer": {"name": issuer},
        "lifetime_actions": [{"action": {"action_type": action}, "trigger": dict(trigger)}],
    }


def to_all(subject: str) -> list[tuple[str, str]]:
    return [(contact, subject) for contact in CONTACTS]


async def chain_of(one: Life, name: str) -> list[x509.Certificate]:
    """What the name's secret holds: no key, and the certificates in their order."""
    secret = await one.good("GET", f"/secrets/{name}")
    assert secret["contentType"] == "application/x-pkcs12"
    key, leaf, others = pkcs12.load_key_and_certificates(base64.b64decode(secret["value"]), None)
    assert key is None
    return [*([leaf] if leaf else []), *others]


async def check_whole(one: Life, bundle: Mapping[str, Any], *, length: int) -> x509.Certificate:
    """Certificate, key and secret of the latest version belong together. length: of the chain."""
    leaf = x509.load_der_x509_certificate(base64.b64decode(bundle["cer"]))
    chain = await chain_of(one, "site")
    assert chain[0] == leaf
    assert len(chain) == length
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        certificate.verify_directly_issued_by(issuer)
    key = await one.good("GET", "/keys/site")
    secret = await one.good("GET", "/secrets/site")
    numbers = leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    x, y = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (numbers[1:33], numbers[33:]))
    assert (key["key"]["x"], key["key"]["y"], key["key"]["kid"]) == (x, y, bundle["kid"])
    assert (secret["id"], secret["kid"]) == (bundle["sid"], bundle["kid"])
    for other in (key, secret):
        assert other["managed"] is True
        for member in ("enabled", "nbf", "exp"):
            assert other["attributes"][member] == bundle["attributes"][member]
    assert await one.signs("site") == "signs"
    return leaf


async def test_a_certificate_of_our_own_authority_lives_to_its_end(worker: Life) -> None:
    one = worker
    # created
    issuer = {"provider": "LocalCA", "credentials": {"account_id": "corp"}}
    await one.good("PUT", "/certificates/issuers/corp", issuer)
    policy = policy_of("corp", "AutoRenew", {"lifetime_percentage": 80})
    operation = await one.create("site", policy)
    assert operation["status"] == "completed"
    first = await one.good("GET", "/certificates/site")
    await check_whole(one, first, length=3)
    begins, ends = first["attributes"]["nbf"], first["attributes"]["exp"]
    due = begins + (ends - begins) * 8 // 10
    near = ends - 30 * DAY
    assert await one.scheduled("site") == {What.RENEW: due, What.NEAR_EXPIRY: near, What.EXPIRED: ends}
    for kind in ("keys", "secrets"):
        assert await one.scheduled("site", kind) == {What.NEAR_EXPIRY: near, What.EXPIRED: ends}
    assert one.told() == told_of(first, "NewVersionCreated", one.now())
    assert one.recorded() == [("CertificateEnroll", 200)]
    assert one.mails() == []
    # out of use for a while, and not renewed meanwhile
    await one.good("PATCH", "/certificates/site", {"attributes": {"enabled": False}})
    assert (await one.signs("site"), await one.opens("site")) == ("KeyDisabled", "SecretDisabled")
    assert What.RENEW not in await one.scheduled("site")
    await one.good("PATCH", "/certificates/site", {"attributes": {"enabled": True}})
    assert (await one.scheduled("site"))[What.RENEW] == due
    assert (await one.signs("site"), await one.opens("site")) == ("signs", "opens")
    # renewed by policy, and not before its time
    await one.move_to(due - HOUR)
    assert (one.told(), one.recorded(), one.mails()) == ([], [], [])
    await one.move_to(due + 300)
    second = await one.good("GET", "/certificates/site")
    leaf = await check_whole(one, second, length=3)
    assert second["id"] != first["id"]
    assert second["x5t"] != first["x5t"]
    assert leaf.public_key() != x509.load_der_x509_certificate(base64.b64decode(first["cer"])).public_key()
    assert one.told() == told_of(second, "NewVersionCreated", one.now())
    assert one.recorded() == [("CertificateRenew", 200)]
    for member in ("id", "kid", "sid"):
        assert (await one.good("GET", path_of(first, member)))["attributes"]["enabled"] is True
    await one.move(300)
    assert one.mails() == to_all("Certificate site in vault north was renewed")
    # a renewal that cannot be begun is tried each day, and succeeds when its cause is gone
    await one.good("PATCH", "/certificates/issuers/corp", {"attributes": {"enabled": False}})
    begins, ends = second["attributes"]["nbf"], second["attributes"]["exp"]
    due = begins + (ends - begins) * 8 // 10
    for day in range(3):
        await one.move_to(due + 300 + day * (DAY + 600))
        assert one.recorded() == [("CertificateRenew", 400)]
        assert one.mails() == to_all("Certificate site in vault north could not be renewed")
        assert (await one.good("GET", "/certificates/site"))["id"] == second["id"]
        assert one.told() == []
    body = one.mailbox.messages[-1].get_content()
    assert "Reason:      The issuer 'corp' of the certificate policy is disabled.\r\n" in body
    await one.good("PATCH", "/certificates/issuers/corp", {"attributes": {"enabled": True}})
    await one.move(DAY + 600)
    third = await one.good("GET", "/certificates/site")
    await check_whole(one, third, length=3)
    assert one.told() == told_of(third, "NewVersionCreated", one.now())
    assert one.recorded() == [("CertificateRenew", 200)]
    await one.move(300)
    assert one.mails() == to_all("Certificate site in vault north was renewed")
    assert len((await one.good("GET", "/certificates/site/versions"))["value"]) == 3
    # its owner wants to be asked from now on
    policy = policy_of("corp", "EmailContacts", {"days_before_expiry": 20})
    await one.good("PATCH", "/certificates/site/policy", policy)
    ends = third["attributes"]["exp"]
    asked = {What.EMAIL: ends - 20 * DAY, What.NEAR_EXPIRY: ends - 30 * DAY, What.EXPIRED: ends}
    assert await one.scheduled("site") == asked
    # near expiry
    await one.move_to(ends - 30 * DAY - HOUR)
    assert (one.told(), one.recorded(), one.mails()) == ([], [], [])
    await one.move_to(ends - 30 * DAY + 300)
    assert by_type(one) == told_of(third, "NearExpiry", one.now())
    assert sorted(one.recorded()) == announced("NearExpiry")
    await one.move_to(ends - 20 * DAY + 300)
    assert one.mails() == to_all("Certificate site in vault north is about to expire")
    assert third["id"].rpartition("/")[2] in one.mailbox.messages[-1].get_content()
    # expired: its key and its secret are of no use
    await one.move_to(ends - 60)
    assert (await one.signs("site"), await one.opens("site")) == ("signs", "opens")
    await one.move_to(ends + 300)
    assert (await one.signs("site"), await one.opens("site")) == ("KeyExpired", "SecretExpired")
    assert by_type(one) == told_of(third, "Expired", one.now())
    assert sorted(one.recorded()) == announced("Expired")
    for kind in ("certificates", "keys", "secrets"):
        assert await one.scheduled("site", kind) == {}
    # disabled
    await one.good("PATCH", "/certificates/site", {"attributes": {"enabled": False}})
    assert (await one.signs("site"), await one.opens("site")) == ("KeyDisabled", "SecretDisabled")
    # deleted
    deleted = await one.good("DELETE", "/certificates/site")
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == 7 * DAY
    assert [(await one.call("GET", f"/{kind}/site")).status for kind in KINDS] == [404] * 3
    assert (await one.call("GET", "/deletedcertificates/site")).status == 200
    # recovered, with all its versions
    await one.good("POST", "/deletedcertificates/site/recover")
    await one.good("PATCH", "/certificates/site", {"attributes": {"enabled": True}})
    assert (await one.signs("site"), await one.opens("site")) == ("KeyExpired", "SecretExpired")
    for kind in KINDS:
        assert len((await one.good("GET", f"/{kind}/site/versions"))["value"]) == 3
    # purged at the end of its retention, and by nobody before
    await one.good("DELETE", "/certificates/site")
    assert (await one.call("DELETE", "/deletedcertificates/site")).status == 403
    await one.move(7 * DAY - HOUR)
    assert (await one.call("GET", "/deletedcertificates/site")).status == 200
    assert one.recorded() == []
    await one.move(2 * HOUR)
    assert [(await one.call("GET", f"/deleted{kind}/site")).status for kind in KINDS] == [404] * 3
    assert one.recorded() == [("CertificatePurge", 200)]
    assert (one.told(), one.mails()) == ([], [])
    assert (await one.good("PUT", "/secrets/site", {"value": "the name is free"}))["id"]


KINDS = ("certificates", "keys", "secrets")


def path_of(bundle: Mapping[str, Any], member: str) -> str:
    return "/" + str(bundle[member]).split("/", 3)[3]


def by_type(one: Life) -> list[Any]:
    return sorted(one.told(), key=lambda told: told.type)


def announced(what: str) -> list[tuple[str, int]]:
    return [(f"{kind}{what}EventGridNotification", 200) for kind in ("Certificate", "Key", "Secret")]
