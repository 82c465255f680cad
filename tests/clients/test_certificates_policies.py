"""Policies through the clients: each member comes back as it was set, and stands in the request and the certificate."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from azure.keyvault.certificates import CertificatePolicy, LifetimeAction, WellKnownIssuerNames
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.clients.certificates import PEM, PKCS12, CertificatesFace, loaded, policy_members
from tests.clients.flavours import Clients
from tests.clients.refusals import refused

PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
FULL = {
    "issuer_name": "Self",
    "subject": "CN=www.contoso.com, OU=One, OU=Two, O=Contoso, L=Redmond, S=WA, C=US",
    "san_emails": ["ann@contoso.com", "bob@contoso.com"],
    "san_dns_names": ["www.contoso.com", "*.contoso.com"],
    "san_user_principal_names": ["ann@contoso.local", "jürgen@contoso.local"],
    "san_uris": ["spiffe://contoso.com/service", "https://contoso.com/a?b=c"],
    "san_ip_addresses": ["192.0.2.1", "2001:db8::1"],
    "exportable": True,
    "key_type": "EC",
    "key_size": 384,
    "reuse_key": True,
    "key_curve_name": "P-384",
    "enhanced_key_usage": ["1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2", "1.2.3.4.5"],
    "key_usage": ["digitalSignature", "keyAgreement", "decipherOnly", "nonRepudiation"],
    "content_type": PEM,
    "validity_in_months": 25,
    "lifetime_actions": [
        LifetimeAction("AutoRenew", lifetime_percentage=42),
        LifetimeAction("EmailContacts", days_before_expiry=99),
    ],
    "certificate_type": "OV-SSL",
    "certificate_transparency": False,
}
OTHER = {
    "issuer_name": "Unknown",
    "subject": "CN=other",
    "san_emails": ["other@contoso.com"],
    "san_dns_names": ["other.contoso.com"],
    "san_user_principal_names": ["other@contoso.local"],
    "san_uris": ["urn:other"],
    "san_ip_addresses": ["192.0.2.2"],
    "exportable": False,
    "key_type": "RSA-HSM",
    "key_size": 3072,
    "reuse_key": False,
    "key_curve_name": None,
    "enhanced_key_usage": ["1.3.6.1.5.5.7.3.3"],
    "key_usage": ["keyEncipherment"],
    "content_type": PKCS12,
    "validity_in_months": 3,
    "lifetime_actions": [LifetimeAction("EmailContacts", lifetime_percentage=99)],
    "certificate_type": "EV-SSL",
    "certificate_transparency": True,
}
USAGES = {
    "digitalSignature": ("digital_signature", ["sign", "verify"]),
    "nonRepudiation": ("content_commitment", ["sign", "verify"]),
    "keyEncipherment": ("key_encipherment", ["wrapKey", "unwrapKey"]),
    "dataEncipherment": ("data_encipherment", ["encrypt", "decrypt"]),
    "keyCertSign": ("key_cert_sign", ["sign", "verify"]),
    "cRLSign": ("crl_sign", ["sign", "verify"]),
}


def policy(**settings: Any) -> CertificatePolicy:
    return CertificatePolicy(settings.pop("issuer_name", "Self"), **settings)


async def test_every_member_of_a_policy_comes_back_as_it_was_set(certificates: CertificatesFace, name: str) -> None:
    wanted, other = policy(**FULL), policy(**OTHER)
    made = await certificates.create(name, wanted)
    assert policy_members(made.policy) == policy_members(wanted)
    read = await certificates.get_certificate_policy(name)
    assert policy_members(read) == policy_members(wanted)
    assert (read.enabled, read.created_on is None) == (True, False)
    changed = await certificates.update_certificate_policy(name, other)
    assert policy_members(changed) == policy_members(other)
    assert policy_members((await certificates.get_certificate(name)).policy) == policy_members(other)
    assert changed.created_on == read.created_on
    assert changed.updated_on >= read.updated_on


async def test_a_policy_that_says_little_gets_the_usual(clients: Clients, name: str) -> None:
    made = await clients.certificates.create(name, CertificatePolicy.get_default())
    assert policy_members(made.policy) == policy_members(
        policy(
            issuer_name=WellKnownIssuerNames.self,
            subject="CN=DefaultPolicy",
            exportable=True,
            key_type="RSA",
            key_size=2048,
            reuse_key=False,
            content_type=PKCS12,
            validity_in_months=12,
            enhanced_key_usage=["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
            key_usage=["digitalSignature", "keyEncipherment"],
            lifetime_actions=[LifetimeAction("AutoRenew", lifetime_percentage=80)],
        )
    )
    key = await clients.keys.get_key(name)
    assert sorted(key.key_operations) == ["sign", "unwrapKey", "verify", "wrapKey"]


@pytest.mark.parametrize("issuer", ["Self", "Unknown"])
async def test_the_request_and_the_certificate_say_what_the_policy_says(
    certificates: CertificatesFace, name: str, issuer: str
) -> None:
    actions = [LifetimeAction("EmailContacts", days_before_expiry=1)]
    wanted = policy(**FULL | {"issuer_name": issuer, "lifetime_actions": actions})
    made = await certificates.create(name, wanted)
    operation = await certificates.get_certificate_operation(name)
    request = x509.load_der_x509_csr(bytes(operation.csr))
    assert request.is_signature_valid
    found: list[x509.Certificate | x509.CertificateSigningRequest] = [request]
    if issuer == "Self":
        found.append(loaded(made))
    for one in found:
        assert [(part.oid, part.value) for part in one.subject] == [
            (NameOID.COUNTRY_NAME, "US"),
            (NameOID.STATE_OR_PROVINCE_NAME, "WA"),
            (NameOID.LOCALITY_NAME, "Redmond"),
            (NameOID.ORGANIZATION_NAME, "Contoso"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Two"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "One"),
            (NameOID.COMMON_NAME, "www.contoso.com"),
        ]
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == FULL["san_dns_names"]
        assert names.get_values_for_type(x509.RFC822Name) == FULL["san_emails"]
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == FULL["san_uris"]
        assert names.get_values_for_type(x509.IPAddress) == [ip_address("192.0.2.1"), ip_address("2001:db8::1")]
        assert [(each.type_id, each.value) for each in names.get_values_for_type(x509.OtherName)] == [
            (PRINCIPAL_NAME, b"\x0c\x11ann@contoso.local"),
            (PRINCIPAL_NAME, b"\x0c\x15" + "jürgen@contoso.local".encode()),
        ]
        usage = one.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert (usage.value.digital_signature, usage.value.content_commitment, usage.value.key_agreement) == (True,) * 3
        assert (usage.value.decipher_only, usage.value.encipher_only) == (True, False)
        assert not any((usage.value.key_encipherment, usage.value.data_encipherment, usage.value.key_cert_sign))
        extended = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert [each.dotted_string for each in extended] == FULL["enhanced_key_usage"]
    if issuer == "Self":
        check_self_signed(loaded(made), months=25)


def check_self_signed(certificate: x509.Certificate, months: int) -> None:
    """As recorded from the service."""
    assert certificate.version is x509.Version.v3
    assert certificate.issuer == certificate.subject
    assert 120 <= certificate.serial_number.bit_length() <= 127  # 16 bytes, positive
    begin, end = certificate.not_valid_before_utc + timedelta(minutes=10), certificate.not_valid_after_utc
    years, month = divmod(begin.month - 1 + months, 12)
    assert (end.year, end.month) == (begin.year + years, month + 1)
    assert end.day == begin.day or (end + timedelta(days=1)).day == 1
    assert (end.hour, end.minute, end.second) == (begin.hour, begin.minute, begin.second)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (False, None)
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    assert authority.key_identifier == own.digest


@pytest.mark.parametrize(
    ("subject", "rfc4514"),
    [
        (r'CN="a, b", O=x', r"CN=a\, b,O=x"),
        (r"CN=a\, b, O=x", r"CN=a\, b,O=x"),
        ("CN=www+OU=x, DC=contoso, DC=com", "OU=x+CN=www,DC=contoso,DC=com"),
        ("CN=Jürgen Ю 🔑", "CN=Jürgen Ю 🔑"),
        ("E=a@contoso.com, CN=a; O=y", "1.2.840.113549.1.9.1=a@contoso.com,CN=a,O=y"),
        (r"CN=\E2\82\AC, 2.5.4.97=VAT", "CN=€,2.5.4.97=VAT"),
    ],
)
@pytest.mark.slow
async def test_a_subject_is_read_as_people_write_it(
    sync_clients: Clients, name: str, subject: str, rfc4514: str
) -> None:
    certificates = sync_clients.certificates
    made = await certificates.create(name, policy(subject=subject, key_type="EC", key_curve_name="P-256"))
    assert loaded(made).subject.rfc4514_string() == rfc4514
    assert made.policy.subject == subject


@pytest.mark.parametrize(
    "names",
    [
        {"san_dns_names": ["only.contoso.com"]},
        {"san_emails": ["only@contoso.com"]},
        {"san_user_principal_names": ["only@contoso.local"]},
        {"san_uris": ["urn:only"]},
        {"san_ip_addresses": ["192.0.2.7"]},
    ],
    ids=str,
)
@pytest.mark.slow
async def test_a_certificate_may_have_alternative_names_alone(
    sync_clients: Clients, name: str, names: dict[str, list[str]]
) -> None:
    made = await sync_clients.certificates.create(name, policy(key_type="EC", key_curve_name="P-256", **names))
    loaded(made).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    (member,) = names
    assert getattr(made.policy, member) == names[member]
    assert made.policy.subject in ("", None)


async def test_the_usage_of_a_certificate_decides_what_its_key_does(sync_clients: Clients, name: str) -> None:
    """The key is made once and kept by each further version: making one of RSA takes long."""
    clients = sync_clients
    for usages in (*([usage] for usage in USAGES), ["keyEncipherment", "digitalSignature"]):
        made = await clients.certificates.create(
            name, policy(subject="CN=usage", key_type="RSA", key_size=2048, key_usage=usages, reuse_key=True)
        )
        usage = loaded(made).extensions.get_extension_for_class(x509.KeyUsage).value
        flags = {member for member, _ in USAGES.values() if getattr(usage, member)}
        assert flags == {USAGES[word][0] for word in usages}
        expected = [operation for word in usages for operation in USAGES[word][1]]
        assert (await clients.keys.get_key(name)).key_operations == expected


async def test_a_key_that_may_only_wrap_does_not_sign(sync_clients: Clients, name: str) -> None:
    clients = sync_clients
    wanted = policy(subject="CN=usage", key_type="RSA", key_size=2048, key_usage=["keyEncipherment"])
    await clients.certificates.create(name, wanted)
    remote = clients.keys.remote(await clients.keys.get_key(name))
    wrapped = (await remote.wrap_key("RSA-OAEP-256", b"key")).encrypted_key
    assert (await remote.unwrap_key("RSA-OAEP-256", wrapped)).key == b"key"
    with refused(403, "Forbidden", "KeyOperationForbidden"):
        await remote.sign("RS256", bytes(32))


@pytest.mark.parametrize(("key_type", "settings"), [("EC", {}), ("EC-HSM", {"exportable": False})])
async def test_a_renewed_certificate_keeps_its_key_when_the_policy_says_so(
    certificates: CertificatesFace, name: str, key_type: str, settings: dict[str, Any]
) -> None:
    seen = []
    for reuse in (True, True, False):
        wanted = policy(subject="CN=reuse", key_type=key_type, key_curve_name="P-256", reuse_key=reuse, **settings)
        seen.append(loaded(await certificates.create(name, wanted)))
    first, second, third = (one.public_key() for one in seen)
    assert first == second != third
    assert len({one.serial_number for one in seen}) == 3


async def test_a_policy_is_changed_member_by_member_with_the_certificate(
    certificates: CertificatesFace, name: str
) -> None:
    made = await certificates.create(name, policy(**FULL))
    expected = policy_members(made.policy) | {"content_type": PKCS12}
    changed = await certificates.update_certificate_policy(name, CertificatePolicy(content_type=PKCS12))
    assert policy_members(changed) == expected
    assert policy_members(await certificates.get_certificate_policy(name)) == expected
    actions = [LifetimeAction("EmailContacts", lifetime_percentage=50)]
    changed = await certificates.update_certificate_policy(name, CertificatePolicy(lifetime_actions=actions))
    assert policy_members(changed) == expected | {"lifetime_actions": [("EmailContacts", 50, None)]}


@pytest.mark.parametrize(
    "settings",
    [
        {"subject": "nonsense"},
        {"key_type": "EC", "key_size": 2048},
        {"key_type": "RSA", "key_size": 1024},
        {"key_type": "RSA-HSM", "exportable": True},
        {"key_type": "oct"},
        {"validity_in_months": -1},
        {"key_usage": ["nonsense"]},
        {"enhanced_key_usage": ["nonsense"]},
        {"content_type": "text/plain"},
        {"issuer_name": "nobody-knows"},
        {"lifetime_actions": [LifetimeAction("AutoRenew", lifetime_percentage=100)]},
        {"lifetime_actions": [LifetimeAction("AutoRenew", days_before_expiry=12 * 27 + 1)]},
        {"lifetime_actions": [LifetimeAction("AutoRenew")]},
        {"issuer_name": "Unknown", "lifetime_actions": [LifetimeAction("AutoRenew", days_before_expiry=1)]},
        {"san_dns_names": ["a b"]},
        {"san_ip_addresses": ["1.2.3"]},
    ],
    ids=str,
)
@pytest.mark.slow
async def test_a_policy_that_cannot_be_followed_is_refused_and_makes_nothing(
    sync_clients: Clients, name: str, settings: dict[str, Any]
) -> None:
    with refused(400, "BadParameter"):
        await sync_clients.certificates.create(name, policy(**{"subject": "CN=a", **settings}))
    for items in (
        await sync_clients.certificates.items("list_properties_of_certificate_versions", name),
        await sync_clients.keys.items("list_properties_of_key_versions", name),
        await sync_clients.secrets.items("list_properties_of_secret_versions", name),
    ):
        assert items == []
