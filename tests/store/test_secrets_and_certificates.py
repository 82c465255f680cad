"""Secrets, certificates, their operations, issuers and contacts; pending versions."""

from dataclasses import replace

import pytest

from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.certificate_policies import (
    PEM,
    Action,
    AlternativeNames,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.certificates import (
    AdministratorDetails,
    CertificateIssuer,
    CertificateName,
    CertificateOperation,
    CertificateVersion,
    Contact,
    Organization,
    Status,
)
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.store import certificate_issuers, certificate_operations
from hsmvault.store.certificates import CERTIFICATES, set_policy
from hsmvault.store.database import Conflicted, Database
from hsmvault.store.secrets import SECRETS

from .samples import OTHER_VAULT, VAULT

POLICY = CertificatePolicy(
    key=KeyProperties(Family.EC, hardware=True, size_bits=384, curve=Curve.P384, exportable=False, reuse=True),
    content_type=PEM,
    x509=X509Properties(
        "CN=a, O=Größe", AlternativeNames(("a.example",), ("m@a",), ("u@a",), ("urn:a",), ("::1",)), (), ("cRLSign",), 3
    ),
    actions=(
        LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=80),
        LifetimeAction(Action.EMAIL_CONTACTS, days_before_expiry=9),
    ),
    issuer=IssuerParameters("our-ca", "server", transparency=False),
    enabled=False,
    created=1,
    updated=2,
)
SECRET = SecretVersion(
    container_id=VAULT.id,
    name="Pass-Word",
    version="0" * 31 + "1",
    sequence=1,
    sealed=b"\x01sealed",
    created=3,
    updated=4,
    enabled=False,
    not_before=0,
    expires=5,
    content_type="text/plain; größe",
    managed=True,
    previous_version="f" * 32,
    tags={"b": "1", "a": ""},
)
CERTIFICATE = CertificateVersion(
    container_id=VAULT.id,
    name="Web",
    version="0" * 31 + "1",
    sequence=1,
    created=6,
    updated=7,
    not_before=1,
    expires=9,
    subject="CN=a",
    thumbprint=b"t" * 20,
    preserve_order=True,
    tags={"z": ""},
    certificate=b"\x30\x00",
)
OPERATION = CertificateOperation(
    container_id=VAULT.id,
    name="Web",
    version="0" * 31 + "1",
    request_id="a" * 32,
    status=Status.IN_PROGRESS,
    policy=POLICY,
    csr=b"\x30\x01",
    created=1,
    updated=2,
    enabled=False,
    tags={"t": "1"},
    preserve_order=True,
    is_renewal=True,
    cancellation_requested=True,
    details="waiting",
    error_code="Request rejected",
    error_message="no",
    state=b"\x00state",
    attempts=3,
    retry_at=50,
)
ISSUER = CertificateIssuer(
    VAULT.id,
    "Our-CA",
    "LocalCA",
    created=1,
    updated=2,
    account_id="dev-ca",
    password=b"\x01sealed",
    organization=Organization("o", (AdministratorDetails("a", "b", "c@d", "1"), AdministratorDetails())),
    enabled=False,
)


def _name(version: SecretVersion) -> SecretName:
    return SecretName(version.container_id, version.name, version.version, version.sequence + 1, 3, revision=1)


def _certificate_name(version: CertificateVersion, policy: CertificatePolicy = POLICY) -> CertificateName:
    return CertificateName(
        version.container_id, version.name, version.version, version.sequence + 1, 3, revision=1, policy=policy
    )


async def test_a_secret_comes_back_as_it_was_stored(database: Database) -> None:
    async with database.write() as tx:
        await SECRETS.insert_name(tx, _name(SECRET), SECRET)
    async with database.read() as tx:
        assert await SECRETS.version(tx, VAULT.id, "PASS-word", None) == SECRET
        assert await SECRETS.name(tx, VAULT.id, "pass-word") == _name(SECRET)
        assert await SECRETS.version(tx, OTHER_VAULT.id, "pass-word", None) is None


async def test_pages_do_not_read_what_is_sealed(database: Database) -> None:
    async with database.write() as tx:
        await SECRETS.insert_name(tx, _name(SECRET), SECRET)
        await CERTIFICATES.insert_name(tx, _certificate_name(CERTIFICATE), CERTIFICATE)
    async with database.read() as tx:
        assert await SECRETS.page(tx, VAULT.id, None, 5) == [replace(SECRET, sealed=b"")]
        assert await SECRETS.version_page(tx, VAULT.id, "pass-word", None, 5) == [replace(SECRET, sealed=b"")]
        assert await CERTIFICATES.page(tx, VAULT.id, None, 5) == [replace(CERTIFICATE, certificate=b"")]


async def test_a_certificate_comes_back_with_its_policy(database: Database) -> None:
    async with database.write() as tx:
        await CERTIFICATES.insert_name(tx, _certificate_name(CERTIFICATE), CERTIFICATE)
    async with database.read() as tx:
        name = await CERTIFICATES.name(tx, VAULT.id, "WEB")
        assert name == _certificate_name(CERTIFICATE)
        assert await CERTIFICATES.version(tx, VAULT.id, "web", CERTIFICATE.version) == CERTIFICATE
    changed = replace(POLICY, actions=())
    async with database.write() as tx:
        await set_policy(tx, name, changed)
    async with database.read() as tx:
        found = await CERTIFICATES.name(tx, VAULT.id, "web")
    assert found is not None and (found.policy, found.revision) == (changed, 2)


async def test_a_pending_version_is_not_the_latest_until_it_is_published(database: Database) -> None:
    pending = replace(
        CERTIFICATE, version="2" * 32, sequence=2, enabled=False, thumbprint=b"", certificate=b"", subject=""
    )
    async with database.write() as tx:
        await CERTIFICATES.insert_name(tx, _certificate_name(CERTIFICATE), CERTIFICATE)
    async with database.write() as tx:
        await CERTIFICATES.add_version(tx, pending, _certificate_name(CERTIFICATE), pending=True)
    async with database.read() as tx:
        assert await CERTIFICATES.version(tx, VAULT.id, "web", None) == CERTIFICATE
        assert await CERTIFICATES.version(tx, VAULT.id, "web", pending.version) == pending
        name = await CERTIFICATES.name(tx, VAULT.id, "web")
    assert name is not None and pending.is_pending
    published = replace(pending, enabled=True, thumbprint=b"u" * 20, certificate=b"\x30\x02", expires=99)
    async with database.write() as tx:
        await CERTIFICATES.publish(tx, published, name)
    async with database.read() as tx:
        assert await CERTIFICATES.version(tx, VAULT.id, "web", None) == published


async def test_a_pending_version_can_be_removed_and_the_latest_cannot(database: Database) -> None:
    pending = replace(SECRET, version="2" * 32, sequence=2)
    async with database.write() as tx:
        await SECRETS.insert_name(tx, _name(SECRET), SECRET)
    async with database.write() as tx:
        await SECRETS.add_version(tx, pending, _name(SECRET), pending=True)
    async with database.read() as tx:
        name = await SECRETS.name(tx, VAULT.id, SECRET.name)
    assert name is not None
    async with database.write() as tx:
        with pytest.raises(ValueError, match="latest"):
            await SECRETS.remove_version(tx, name, SECRET.version)
        await SECRETS.remove_version(tx, name, pending.version)
    async with database.read() as tx:
        assert await SECRETS.all_versions(tx, VAULT.id, SECRET.name) == [SECRET]


async def test_a_name_that_never_came_to_be_is_removed_as_a_whole(database: Database) -> None:
    async with database.write() as tx:
        await SECRETS.insert_name(tx, _name(SECRET), SECRET)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await SECRETS.remove(tx, replace(_name(SECRET), revision=7))
    async with database.write() as tx:
        await SECRETS.remove(tx, _name(SECRET))
    async with database.read() as tx:
        assert await SECRETS.name(tx, VAULT.id, SECRET.name) is None
        assert await SECRETS.all_versions(tx, VAULT.id, SECRET.name) == []


async def test_an_operation_comes_back_and_is_changed_by_one_writer(database: Database) -> None:
    async with database.write() as tx:
        await CERTIFICATES.insert_name(tx, _certificate_name(CERTIFICATE), CERTIFICATE)
        await certificate_operations.begin(tx, OPERATION)
    async with database.read() as tx:
        assert await certificate_operations.find(tx, VAULT.id, "web") == OPERATION
        assert await certificate_operations.find(tx, OTHER_VAULT.id, "web") is None
    done = replace(OPERATION, status=Status.COMPLETED, retry_at=None, state=b"")
    async with database.write() as tx:
        await certificate_operations.update(tx, done)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await certificate_operations.update(tx, OPERATION)
    async with database.read() as tx:
        assert await certificate_operations.find(tx, VAULT.id, "web") == replace(done, revision=2)


async def test_an_operation_that_was_replaced_meanwhile_takes_no_change(database: Database) -> None:
    async with database.write() as tx:
        await CERTIFICATES.insert_name(tx, _certificate_name(CERTIFICATE), CERTIFICATE)
        await certificate_operations.begin(tx, OPERATION)
        await certificate_operations.begin(tx, replace(OPERATION, request_id="b" * 32))
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await certificate_operations.update(tx, OPERATION)


async def test_operations_are_due_when_their_time_has_come_of_deleted_names_too(database: Database) -> None:
    name = _certificate_name(CERTIFICATE)
    async with database.write() as tx:
        await CERTIFICATES.insert_name(tx, name, CERTIFICATE)
        await certificate_operations.begin(tx, OPERATION)
    async with database.read() as tx:
        assert await certificate_operations.due(tx, 49, 9) == []
        assert await certificate_operations.due(tx, 50, 9) == [OPERATION]
        assert await certificate_operations.next_due(tx) == 50
    async with database.write() as tx:
        await CERTIFICATES.mark_deleted(tx, name, 60, 70)
    async with database.read() as tx:
        assert await certificate_operations.due(tx, 99, 9) == [OPERATION]
        assert await certificate_operations.find(tx, VAULT.id, "web") is None
        assert await certificate_operations.find_any(tx, VAULT.id, "web") == OPERATION


async def test_issuers_come_back_by_name_and_by_page(database: Database) -> None:
    other = CertificateIssuer(VAULT.id, "a", "DigiCert", created=1, updated=1)
    async with database.write() as tx:
        await certificate_issuers.insert(tx, ISSUER)
        await certificate_issuers.insert(tx, other)
        await certificate_issuers.insert(tx, replace(ISSUER, container_id=OTHER_VAULT.id))
    async with database.read() as tx:
        assert await certificate_issuers.find(tx, VAULT.id, "our-ca") == ISSUER
        assert await certificate_issuers.page(tx, VAULT.id, None, 1) == [other]
        assert await certificate_issuers.page(tx, VAULT.id, "A", 9) == [ISSUER]
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await certificate_issuers.insert(tx, replace(ISSUER, name="OUR-ca"))


async def test_an_issuer_is_changed_and_deleted_by_one_writer(database: Database) -> None:
    async with database.write() as tx:
        await certificate_issuers.insert(tx, ISSUER)
        await certificate_issuers.update(tx, replace(ISSUER, account_id=None, password=None, organization=None))
    for act in (certificate_issuers.update, certificate_issuers.delete):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await act(tx, ISSUER)
    async with database.write() as tx:
        found = await certificate_issuers.find(tx, VAULT.id, "our-ca")
        assert found == replace(ISSUER, account_id=None, password=None, organization=None, revision=2)
        await certificate_issuers.delete(tx, found)
        assert await certificate_issuers.find(tx, VAULT.id, "our-ca") is None


async def test_contacts_are_replaced_as_a_whole(database: Database) -> None:
    first, second = (Contact("a@b", "A", "1"), Contact("c@d")), (Contact("e@f"),)
    async with database.write() as tx:
        assert await certificate_issuers.contacts(tx, VAULT.id) == ()
        await certificate_issuers.set_contacts(tx, VAULT.id, first)
        assert await certificate_issuers.contacts(tx, VAULT.id) == first
        await certificate_issuers.set_contacts(tx, VAULT.id, second)
        assert await certificate_issuers.contacts(tx, VAULT.id) == second
        assert await certificate_issuers.contacts(tx, OTHER_VAULT.id) == ()
        await certificate_issuers.delete_contacts(tx, VAULT.id)
        assert await certificate_issuers.contacts(tx, VAULT.id) == ()
