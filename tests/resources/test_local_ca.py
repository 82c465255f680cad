"""An authority of our own issues what its rules allow, under the names of the policy, and nothing else."""

import datetime
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from hsmvault.errors import BadRequest, Unavailable
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.authorities import AuthorityRules, NameConstraints, Profile
from hsmvault.model.certificate_policies import (
    AlternativeNames,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    X509Properties,
)
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.resources.authority_rules import refusal
from hsmvault.resources.certificate_issuers.local_ca import LocalCa
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Refused
from hsmvault.store import authorities as store
from tests.resources.authority_stage import (
    POLICY,
    RULES,
    authorities_of,
    authority_of,
    certificate,
    openssl,
    order,
    pem,
    public_of,
)
from tests.resources.stage import VAULT, Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

P256 = KeySpec.ec(Curve.P256)


@pytest_asyncio.fixture
async def on(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as made:
        yield made


def naming(subject: str = "CN=www.example.com", **names: tuple[str, ...]) -> CertificatePolicy:
    wanted = replace(POLICY.x509, subject=subject, alternative_names=AlternativeNames(**names))
    return replace(POLICY, x509=wanted)


def saying(**changed: object) -> CertificatePolicy:
    return replace(POLICY, x509=replace(POLICY.x509, **changed))  # type: ignore[arg-type]  # members of X509Properties


def enrolment(policy: CertificatePolicy = POLICY, account_id: str | None = "corp") -> Enrolment:
    made = order(policy)
    operation = CertificateOperation(
        VAULT.id, "www", "0" * 32, "1" * 32, Status.IN_PROGRESS, policy, made.csr, created=1, updated=1
    )
    account = Account("mine", "LocalCA", account_id)
    return Enrolment(VAULT, operation, made.spec, made.public, None, account)  # type: ignore[arg-type]  # the key is not used


# -- what is issued ---------------------------------------------------------------------------------------------------


async def test_a_certificate_verifies_for_its_names_and_for_no_other(on: Stage, tmp_path: Path) -> None:
    leaf, issuing, root = await authority_of(on).issue(order())
    now = datetime.datetime.fromtimestamp(on.clock.now(), datetime.UTC)
    builder = PolicyBuilder().store(Store([certificate(root)])).time(now)
    verified = builder.build_server_verifier(x509.DNSName("www.example.com"))
    assert len(verified.verify(certificate(leaf), [certificate(issuing)])) == 3
    builder.build_client_verifier().verify(certificate(leaf), [certificate(issuing)])
    with pytest.raises(x509.verification.VerificationError):
        other = builder.build_server_verifier(x509.DNSName("evil.example.org"))
        other.verify(certificate(leaf), [certificate(issuing)])
    anchors = "-CAfile", pem(tmp_path / "root.pem", root), "-untrusted", pem(tmp_path / "issuing.pem", issuing)
    leaf_file = pem(tmp_path / "leaf.pem", leaf)
    moment = str(int(on.clock.now()))
    openssl(
        *("verify", "-x509_strict", "-attime", moment, "-purpose", "sslserver"),
        *("-verify_hostname", "example.com", *anchors, leaf_file),
    )


async def test_only_the_public_key_is_taken_from_the_request(on: Stage) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate((await authority_of(on).issue(order(key=key)))[0])
    assert leaf.public_key() == key.public_key()
    assert leaf.subject.rfc4514_string() == "CN=www.example.com"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["www.example.com", "example.com"]


async def test_a_certificate_says_what_it_is_for_and_where_to_ask_about_it(on: Stage) -> None:
    leaf, issuing, _ = (certificate(one) for one in await authority_of(on).issue(order()))
    said = leaf.extensions
    usage = said.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not said.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = said.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not said.get_extension_for_class(x509.SubjectAlternativeName).critical
    own = issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert said.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own
    (point,) = said.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [one.value for one in point.full_name or ()] == ["http://pki.example.com/corp/issuing.crl"]
    places = {
        one.access_method: one.access_location.value
        for one in said.get_extension_for_class(x509.AuthorityInformationAccess).value
    }
    assert places == {
        AuthorityInformationAccessOID.OCSP: "http://pki.example.com/corp/ocsp",
        AuthorityInformationAccessOID.CA_ISSUERS: "http://pki.example.com/corp/issuing.cer",
    }
    assert leaf.not_valid_before_utc.timestamp() == on.clock.now() - 600
    assert leaf.not_valid_after_utc.isoformat().startswith("2026-06-15")
    assert leaf.serial_number.bit_length() == 127


async def test_every_certificate_stands_in_the_database_before_it_is_given_out(on: Stage) -> None:
    authority = authority_of(on)
    leaf = certificate((await authority.issue(order()))[0])
    async with on.database.read() as tx:
        row = await store.find(tx, "corp", f"{leaf.serial_number:032x}")
    assert row is not None
    assert (row.container_id, row.name, row.version, row.revoked_at) == (VAULT.id, "www", "0" * 32, None)
    assert row.not_after == leaf.not_valid_after_utc.timestamp()

    def full(point: str) -> None:
        if point == "commit:before":
            raise Unavailable("The disk is full.")

    on.database.fault = full
    with pytest.raises(Unavailable):
        await authority.issue(order())


async def test_a_certificate_without_a_subject_has_critical_alternative_names(on: Stage) -> None:
    leaf = certificate((await authority_of(on).issue(order(naming("", dns_names=("a.example.com",)))))[0])
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


async def test_a_subject_may_be_written_as_people_write_it(on: Stage) -> None:
    policy = naming('CN=www.example.com, O="Example, Ltd", C=DE')
    leaf = certificate((await authority_of(on).issue(order(policy)))[0])
    assert leaf.subject.rfc4514_string() == "CN=www.example.com,O=Example\\, Ltd,C=DE"


async def test_no_certificate_outlives_the_authority(on: Stage) -> None:
    authority = authority_of(on, replace(RULES, years=1, longest_months=36))
    leaf, issuing, _ = (certificate(one) for one in await authority.issue(order(saying(validity_months=36))))
    assert leaf.not_valid_after_utc == issuing.not_valid_after_utc
    on.clock.move(366 * 86_400)
    with pytest.raises(BadRequest, match="expired"):
        await authority.issue(order())


async def test_a_request_that_another_key_has_signed_is_refused(on: Stage) -> None:
    authority = authority_of(on)
    other = ec.generate_private_key(ec.SECP256R1())
    broken = bytearray(order().csr)
    broken[-1] ^= 1
    for one in (order(public=public_of(other)), order(csr=bytes(broken)), order(csr=b"0"), order(csr=b"")):
        with pytest.raises(BadRequest, match="not signed by the key"):
            await authority.issue(one)
    async with on.database.read() as tx:
        assert await store.issued(tx, "corp", after="", limit=10) == []


# -- the issuer -------------------------------------------------------------------------------------------------------


async def test_the_issuer_answers_with_the_whole_chain_at_once(on: Stage) -> None:
    issuer = LocalCa(authorities_of(on))
    asked = enrolment()
    await issuer.check(VAULT, POLICY, asked.account)
    outcome = await issuer.enrol(asked)
    assert isinstance(outcome, Issued)
    assert len(outcome.chain) == 3
    assert isinstance(await issuer.enrol(asked), Issued)
    assert (issuer.provider, issuer.enrols) == ("LocalCA", True)


async def test_an_account_names_one_of_the_authorities(on: Stage) -> None:
    rules = (RULES, replace(RULES, name="other", root_subject="CN=Other Root", subject="CN=Other CA"))
    issuer = LocalCa(authorities_of(on, *rules))
    outcome = await issuer.enrol(enrolment(account_id="other"))
    assert isinstance(outcome, Issued)
    assert certificate(outcome.chain[0]).issuer.rfc4514_string() == "CN=Other CA"
    for unknown in ("nobody", "", None, "Corp"):
        assert isinstance(await issuer.enrol(enrolment(account_id=unknown)), Refused)
        with pytest.raises(BadRequest, match="no certificate authority"):
            await issuer.check(VAULT, POLICY, Account("mine", "LocalCA", unknown))
    only = LocalCa(authorities_of(on))
    assert isinstance(await only.enrol(enrolment(account_id=None)), Issued)


async def test_what_the_rules_refuse_is_a_rejected_request(on: Stage) -> None:
    issuer = LocalCa(authorities_of(on))
    outcome = await issuer.enrol(enrolment(saying(validity_months=13)))
    assert outcome == Refused("Request rejected", "Certificates of the type 'server' are valid for at most 12 months.")
    with pytest.raises(BadRequest, match="12 months"):
        await issuer.check(VAULT, saying(validity_months=13), Account("mine", "LocalCA", "corp"))


# -- rules ------------------------------------------------------------------------------------------------------------


def refused(policy: CertificatePolicy, rules: AuthorityRules = RULES, spec: KeySpec = P256) -> str | None:
    return refusal(rules, VAULT, policy, spec)


def test_a_profile_decides_what_a_certificate_may_be_for() -> None:
    assert refused(POLICY) is None
    assert "1.3.6.1.5.5.7.3.3" in str(refused(saying(ekus=("1.3.6.1.5.5.7.3.3",))))
    assert "2.5.29.37.0" in str(refused(saying(ekus=("2.5.29.37.0",))))
    assert refused(saying(ekus=())) is not None
    assert "keyCertSign" in str(refused(saying(key_usage=("digitalSignature", "keyCertSign"))))
    assert "cRLSign" in str(refused(saying(key_usage=("cRLSign",))))
    assert refused(saying(key_usage=())) is not None
    assert "P-256K" in str(refused(POLICY, spec=KeySpec.ec(Curve.P256K)))
    assert "'upn'" in str(refused(naming(upns=("administrator@example.com",))))


def test_the_certificate_type_of_a_policy_names_the_profile() -> None:
    signing = Profile("code", frozenset({"1.3.6.1.5.5.7.3.3"}), names=frozenset(), longest_months=6)
    rules = replace(RULES, profiles={**RULES.profiles, "code": signing})
    wanted = X509Properties("CN=Example Code", ekus=("1.3.6.1.5.5.7.3.3",), validity_months=6)
    policy = CertificatePolicy(x509=wanted, issuer=IssuerParameters("mine", "code"))
    assert refused(policy, rules) is None
    assert "6 months" in str(refused(replace(policy, x509=replace(wanted, validity_months=7)), rules))
    assert refused(replace(policy, issuer=IssuerParameters("mine")), rules) is not None
    assert "'ev'" in str(refused(replace(POLICY, issuer=IssuerParameters("mine", "ev")), rules))


def test_an_authority_serves_the_vaults_that_it_is_for() -> None:
    assert refused(POLICY, replace(RULES, containers=frozenset({VAULT.name, "south"}))) is None
    assert "vault" in str(refused(POLICY, replace(RULES, containers=frozenset({"south"}))))


def test_the_key_type_of_a_policy_is_checked_before_a_key_is_made() -> None:
    small = replace(RULES, profiles={"server": Profile(key_types=frozenset({"P-256"}))})
    policy = replace(POLICY, key=KeyProperties(Family.RSA))
    assert "RSA-2048" in str(refused(policy, small, policy.key.spec))


CONSTRAINTS = NameConstraints(
    permitted_dns=("example.com", "corp.internal"),
    excluded_dns=("secret.example.com",),
    permitted_emails=("example.com", ".corp.internal", "One@example.org"),
    excluded_emails=("root@example.com",),
    permitted_addresses=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
    excluded_addresses=(ip_network("10.9.0.0/16"),),
)
CONSTRAINED = replace(
    RULES,
    constraints=CONSTRAINTS,
    profiles={"server": Profile(names=frozenset({"dns", "ip", "email", "uri", "upn"}))},
)


@pytest.mark.parametrize(
    "policy",
    [
        naming("CN=example.com"),
        naming("CN=A.EXAMPLE.com"),
        naming("CN=Alice Smith"),
        naming("CN=Dr. Alice Smith,O=example.org Ltd."),
        naming("CN=10.1.2.3"),
        naming("CN=someone@example.com"),
        naming("", dns_names=("*.corp.internal", "a.b.corp.internal", "_x.example.com")),
        naming("", ip_addresses=("10.1.2.3", "2001:db8::1")),
        naming("", emails=("a@example.com", "b@x.corp.internal", "One@example.org")),
        naming("", upns=("a@example.com",)),
        naming("", uris=("https://www.example.com/x", "https://10.1.2.3/", "https://[2001:db8::1]/")),
        naming("1.2.840.113549.1.9.1=a@example.com,CN=A B"),
    ],
    ids=lambda policy: f"{policy.x509.subject} {policy.x509.alternative_names}"[:90],
)
def test_names_within_the_constraints_are_issued(policy: CertificatePolicy) -> None:
    assert refused(policy, CONSTRAINED) is None


@pytest.mark.parametrize(
    "policy",
    [
        naming("CN=example.org"),
        naming("CN=www.example.com.evil.org"),
        naming("CN=notexample.com"),
        naming("CN=secret.example.com"),
        naming("CN=localhost"),
        naming("CN=ex\u00e4mple.com"),
        naming("CN=evil.org\\00.example.com"),
        naming("CN=evil.org\\0a"),
        naming("CN=192.0.2.1"),
        naming("CN=10.9.1.1"),
        naming("CN=root@example.com"),
        naming("CN=a@example.org"),
        naming("CN=www.example.com,CN=evil.org"),
        naming("", dns_names=("www.example.com", "evil.org")),
        naming("", dns_names=("x.secret.example.com",)),
        naming("", dns_names=("*.secret.example.com",)),
        naming("", dns_names=("*.evil.org",)),
        naming("", dns_names=("w*.example.com",)),
        naming("", dns_names=("*.*.example.com",)),
        naming("", dns_names=("*",)),
        naming("", dns_names=("a b.example.com",)),
        naming("", dns_names=(".example.com",)),
        naming("", dns_names=("www..example.com",)),
        naming("", dns_names=("www.example.com.",)),
        naming("CN=evil.org."),
        naming("", ip_addresses=("192.0.2.1",)),
        naming("", ip_addresses=("10.9.0.1",)),
        naming("", ip_addresses=("::ffff:10.1.2.3",)),
        naming("", ip_addresses=("2001:db9::1",)),
        naming("", ip_addresses=("10.0.0.0/8",)),
        naming("", emails=("a@sub.example.com",)),
        naming("", emails=("a@corp.internal",)),
        naming("", emails=("ROOT@EXAMPLE.com",)),
        naming("", emails=("a@example.org",)),
        naming("", emails=("one@example.org",)),
        naming("", emails=("example.com",)),
        naming("", emails=("@example.com",)),
        naming("", upns=("administrator@other.com",)),
        naming("", uris=("https://evil.org/www.example.com",)),
        naming("", uris=("https://www.example.com@evil.org/",)),
        naming("", uris=("https://192.0.2.1/",)),
        naming("", uris=("urn:uuid:1",)),
        naming("", uris=("https://*.example.com/",)),
        naming("1.2.840.113549.1.9.1=a@example.org,CN=A B"),
        naming("", emails=()),
    ],
    ids=lambda policy: f"{policy.x509.subject} {policy.x509.alternative_names}"[:90],
)
def test_names_outside_the_constraints_are_refused(policy: CertificatePolicy) -> None:
    reason = refused(policy, CONSTRAINED)
    assert reason is not None
    assert reason.isascii()
    assert reason.isprintable()


def test_a_wildcard_over_an_excluded_name_is_refused() -> None:
    rules = replace(RULES, constraints=NameConstraints(excluded_dns=("secret.example.com",)))
    assert refused(naming("", dns_names=("*.example.com",)), rules) is not None
    assert refused(naming("", dns_names=("*.example.org",)), rules) is None


def test_without_constraints_only_the_form_of_names_counts() -> None:
    for good in (naming("CN=anything.example"), naming("", uris=("urn:uuid:1",)), naming("CN=x\u00e4.example")):
        assert refused(good) is None
    for bad in (naming("", dns_names=("w*.example.com",)), naming("CN=a\\00b"), naming("not a name")):
        assert refused(bad) is not None


async def test_relying_parties_see_a_name_outside_the_constraints_too(on: Stage, tmp_path: Path) -> None:
    """What would be if our own check failed: the constraints are in the chain."""
    authority = authority_of(on, replace(RULES, constraints=NameConstraints(permitted_dns=("example.com",))))
    good = await authority.issue(order())
    unchecked = authority_of(on, replace(RULES, constraints=NameConstraints(permitted_dns=("example.com",))))
    unchecked.check = lambda *_: None  # type: ignore[method-assign]  # the fault
    bad = await unchecked.issue(order(naming("CN=evil.org", dns_names=("evil.org",))))
    now = datetime.datetime.fromtimestamp(on.clock.now(), datetime.UTC)
    builder = PolicyBuilder().store(Store([certificate(good[2])])).time(now)
    builder.build_client_verifier().verify(certificate(good[0]), [certificate(good[1])])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_client_verifier().verify(certificate(bad[0]), [certificate(bad[1])])
