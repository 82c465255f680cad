"""What a certificate policy may say, and what it means where it says nothing."""

from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.certificate_policies import (
    Action,
    AlternativeNames,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.certificate_policy_parts import KeyParts, PolicyParts, X509Parts
from hsmvault.model.certificate_policy_rules import checked

SELF = IssuerParameters("Self")
GOOD = CertificatePolicy(x509=X509Properties("CN=a"), issuer=SELF)
UNSUPPORTED = "Unsupported key size ({}). Supported sizes are {}"


def with_x509(**members: object) -> CertificatePolicy:
    return replace(GOOD, x509=replace(GOOD.x509, **members))  # type: ignore[arg-type]  # the test says which


def with_names(**members: tuple[str, ...]) -> CertificatePolicy:
    return with_x509(alternative_names=AlternativeNames(**members))


def with_action(percentage: int | None = None, days: int | None = None, months: int = 12) -> CertificatePolicy:
    action = LifetimeAction(Action.AUTO_RENEW, percentage, days)
    return replace(with_x509(validity_months=months), actions=(action,))


BAD = {
    "an oct key": (replace(GOOD, key=KeyProperties(Family.OCT)), "kty"),
    "a curve of an RSA key": (replace(GOOD, key=KeyProperties(curve=Curve.P256)), "key size"),
    "an HSM-backed key that is exportable": (replace(GOOD, key=KeyProperties(hardware=True)), "exportable"),
    "an unknown content type": (replace(GOOD, content_type="text/plain"), "contentType"),
    "no name at all": (with_x509(subject=""), "X500"),
    "a subject that is no name": (with_x509(subject="nonsense"), "X500"),
    "an EKU that is no OID": (with_x509(ekus=("serverAuth",)), "ekus"),
    "an EKU with a bad second arc": (with_x509(ekus=("1.40.1",)), "ekus"),
    "the same EKU twice": (with_x509(ekus=("1.2.3", "1.2.3")), "ekus"),
    "too many EKUs": (with_x509(ekus=tuple(f"1.2.{number}" for number in range(33))), "ekus"),
    "an unknown key usage": (with_x509(key_usage=("sign",)), "key_usage"),
    "no month": (with_x509(validity_months=0), "validity_months"),
    "a hundred years and a month": (with_x509(validity_months=1201), "validity_months"),
    "a DNS name with a space": (with_names(dns_names=("a b",)), "dns_names"),
    "a DNS name with a wildcard in the middle": (with_names(dns_names=("a.*.example",)), "dns_names"),
    "a DNS name beyond ASCII": (with_names(dns_names=("ü.example",)), "dns_names"),
    "a DNS name with an empty label": (with_names(dns_names=("a..example",)), "dns_names"),
    "too many DNS names": (with_names(dns_names=("a",) * 101), "dns_names"),
    "an e-mail address without a domain": (with_names(emails=("a",)), "emails"),
    "an e-mail address with a line feed": (with_names(emails=("a@b\n",)), "emails"),
    "a UPN without a realm": (with_names(upns=("a",)), "upns"),
    "a relative URI": (with_names(uris=("/a",)), "uris"),
    "an address that is none": (with_names(ip_addresses=("1.2.3",)), "ipAddresses"),
    "an address with a zone": (with_names(ip_addresses=("fe80::1%eth0",)), "ipAddresses"),
    "an issuer name with a slash": (replace(GOOD, issuer=IssuerParameters("a/b")), "name"),
    "a long certificate type": (replace(GOOD, issuer=IssuerParameters("a", "x" * 129)), "cty"),
    "two triggers": (with_action(80, 10), "trigger"),
    "no trigger": (with_action(), "trigger"),
    "no percentage": (with_action(0), "lifetime_percentage"),
    "the whole lifetime": (with_action(100), "lifetime_percentage"),
    "no day": (with_action(days=0), "days_before_expiry"),
    "more days than 27 a month": (with_action(days=28, months=1), "days_before_expiry"),
    "the same action twice": (replace(GOOD, actions=(LifetimeAction(Action.AUTO_RENEW, 80),) * 2), "lifetime_actions"),
    "renewal without an issuer": (replace(with_action(80), issuer=IssuerParameters()), "AutoRenew"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_policy_that_contradicts_itself_is_refused(case: str) -> None:
    policy, named = BAD[case]
    with pytest.raises(BadRequest, match=named):
        checked(policy)


@pytest.mark.parametrize(
    "policy",
    [
        GOOD,
        with_x509(ekus=(), key_usage=()),
        with_x509(subject="", alternative_names=AlternativeNames(dns_names=("*.contoso.com", "_a.b-c.example"))),
        with_names(emails=("a.b+c@contoso.com",), upns=("jürgen@contoso.com",), uris=("spiffe://a/b?c=%20",)),
        with_names(ip_addresses=("192.0.2.1", "2001:db8::1")),
        with_action(1),
        with_action(99),
        with_action(days=27, months=1),
        with_x509(validity_months=1200, key_usage=("keyCertSign", "encipherOnly")),
        replace(GOOD, key=KeyProperties(hardware=True, exportable=False)),
        replace(GOOD, actions=(LifetimeAction(Action.AUTO_RENEW, 80), LifetimeAction(Action.EMAIL_CONTACTS, None, 10))),
        replace(with_action(80), issuer=IssuerParameters("my-ca", "OV-SSL", transparency=True)),
    ],
)
def test_everything_that_the_reference_has_may_be_said(policy: CertificatePolicy) -> None:
    assert checked(policy) is policy


def test_a_policy_that_says_only_who_it_is_for_has_the_defaults_of_the_service() -> None:
    policy = PolicyParts(x509=X509Parts("CN=a"), issuer=SELF).new(5)
    assert policy == replace(
        GOOD, actions=(LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=80),), created=5, updated=5
    )
    assert policy.key.spec == KeySpec.rsa(2048)
    assert policy.key_operations == ("sign", "verify", "wrapKey", "unwrapKey")


def test_without_an_issuer_it_is_unknown_and_the_contacts_get_mail() -> None:
    policy = PolicyParts(x509=X509Parts("CN=a")).new(5)
    assert policy.issuer.is_unknown
    assert policy.actions == (LifetimeAction(Action.EMAIL_CONTACTS, lifetime_percentage=80),)


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (KeyParts(size_bits=4096), KeyProperties(size_bits=4096)),
        (KeyParts(Family.EC, hardware=False), KeyProperties(Family.EC, size_bits=256, curve=Curve.P256)),
        (KeyParts(Family.EC, size_bits=384), KeyProperties(Family.EC, size_bits=384, curve=Curve.P384)),
        (KeyParts(Family.EC, curve=Curve.P521), KeyProperties(Family.EC, size_bits=521, curve=Curve.P521)),
        (
            KeyParts(Family.EC, size_bits=256, curve=Curve.P256K),
            KeyProperties(Family.EC, size_bits=256, curve=Curve.P256K),
        ),
        (KeyParts(Family.RSA, hardware=True), KeyProperties(hardware=True, exportable=False)),
        (KeyParts(exportable=False, reuse=True), KeyProperties(exportable=False, reuse=True)),
    ],
)
def test_missing_members_of_a_key_follow_from_the_others(parts: KeyParts, key: KeyProperties) -> None:
    assert parts.over(KeyProperties()) == key


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (KeyParts(size_bits=1024), UNSUPPORTED.format(1024, [2048, 3072, 4096])),
        (KeyParts(Family.EC, size_bits=4096), UNSUPPORTED.format(4096, [256, 384, 521])),
        (KeyParts(Family.EC, size_bits=384, curve=Curve.P256), "Property key_size has invalid value\r\n"),
        (KeyParts(Family.RSA, curve=Curve.P256), "Property crv has invalid value\r\n"),
    ],
)
def test_a_size_and_a_curve_that_no_key_has_are_refused(parts: KeyParts, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parts.over(KeyProperties())
    assert caught.value.message == message


def test_a_change_replaces_whole_parts_and_an_import_single_members() -> None:
    base = replace(GOOD, key=KeyProperties(size_bits=4096, reuse=True), x509=X509Properties("CN=a", validity_months=3))
    parts = PolicyParts(key=KeyParts(exportable=False), x509=X509Parts("CN=b"), content_type="application/x-pem-file")

    changed, imported = parts.replacing(base, 9), parts.over(base)

    assert (changed.key, changed.x509) == (KeyProperties(exportable=False), X509Properties("CN=b"))
    assert (changed.actions, changed.updated) == ((), 9)
    assert imported.key == replace(base.key, exportable=False)
    assert imported.x509 == base.x509  # the certificate is as it is
    assert imported.actions == (LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=80),)
    assert changed.content_type == imported.content_type == "application/x-pem-file"


def test_an_elliptic_curve_key_does_what_it_can_of_its_key_usage() -> None:
    policy = replace(GOOD, key=KeyProperties(Family.EC, size_bits=256, curve=Curve.P256), x509=X509Properties("CN=a"))
    assert checked(policy).key_operations == ("sign", "verify")
