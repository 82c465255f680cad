"""Certificates through the unmodified clients, both flavours: their lives, issuers and contacts, every poller."""

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.keyvault.certificates import AdministratorContact, CertificateContact, CertificatePolicy, LifetimeAction
from cryptography import x509

from tests.clients.certificates import (
    MANUAL,
    PEM,
    SELF,
    CertificatesFace,
    check_identity,
    described,
    loaded,
    opened,
    policy_members,
)
from tests.clients.flavours import Clients
from tests.clients.keys import unique
from tests.clients.refusals import message, refused
from tests.clients.secrets import SecretsFace

COUNT = 27  # one page of 25, and more
QUICK = CertificatePolicy("Self", subject="CN=quick", key_type="EC", key_curve_name="P-256", reuse_key=True)


async def test_a_certificate_is_created_read_and_changed(
    certificates: CertificatesFace, secrets: SecretsFace, name: str
) -> None:
    policy = CertificatePolicy(
        "Self",
        subject='CN=www.contoso.com, O="Contoso, Ltd"',
        san_dns_names=["www.contoso.com", "contoso.com"],
        san_ip_addresses=["192.0.2.1"],
        key_type="EC",
        key_curve_name="P-256",
        exportable=True,
        key_usage=["digitalSignature"],
        enhanced_key_usage=["1.3.6.1.5.5.7.3.1"],
        content_type=PEM,
        validity_in_months=6,
        lifetime_actions=[LifetimeAction("EmailContacts", days_before_expiry=10)],
    )
    made = await certificates.create(name, policy, tags={"a": "b"})
    check_identity(made)
    x = loaded(made)
    x.verify_directly_issued_by(x)
    assert (made.name, made.properties.tags, made.properties.enabled) == (name, {"a": "b"}, True)
    assert (made.properties.not_before, made.properties.expires_on) == (x.not_valid_before_utc, x.not_valid_after_utc)
    assert x.subject.rfc4514_string() == r"CN=www.contoso.com,O=Contoso\, Ltd"
    found = opened(await secrets.get_secret(name))
    assert (found.chain, found.key.public_key()) == ([x], x.public_key())

    version = made.properties.version
    for read in (await certificates.get_certificate(name), await certificates.get_certificate_version(name, version)):
        assert (described(read), policy_members(read.policy)) == (described(made), policy_members(made.policy))
    changed = await certificates.update_certificate_properties(name, version, enabled=False, tags={"c": "d"})
    assert (changed.properties.enabled, changed.properties.tags) == (False, {"c": "d"})
    newer = await certificates.create(name, SELF)
    check_identity(newer)
    assert loaded(newer).public_key() != x.public_key()
    versions = await certificates.items("list_properties_of_certificate_versions", name)
    assert [(one.version, one.enabled, one.x509_thumbprint) for one in versions] == [
        (version, False, made.properties.x509_thumbprint),
        (newer.properties.version, True, newer.properties.x509_thumbprint),
    ]
    (listed,) = [one for one in await certificates.items("list_properties_of_certificates") if one.name == name]
    assert (listed.id, listed.enabled) == (f"{certificates.url}/certificates/{name}", True)
    assert listed.x509_thumbprint == newer.properties.x509_thumbprint
    assert described(await certificates.get_certificate(name)) == described(newer)

    operation = await certificates.get_certificate_operation(name)
    assert (operation.status, operation.target) == ("completed", f"{certificates.url}/certificates/{name}")
    assert (operation.issuer_name, operation.status_details, operation.error) == ("Self", None, None)
    assert x509.load_der_x509_csr(bytes(operation.csr)).public_key() == loaded(newer).public_key()


async def test_key_and_secret_of_a_certificate_are_read_only_and_follow_it(clients: Clients, name: str) -> None:
    certificates, secrets, keys = clients.certificates, clients.secrets, clients.keys
    made = await certificates.create(name, SELF, tags={"a": "b"})
    key, secret = await keys.get_key(name), await secrets.get_secret(name)
    assert (key.id, secret.id) == (made.key_id, made.secret_id)
    times = (made.properties.not_before, made.properties.expires_on)
    for properties in (key.properties, secret.properties):
        assert (properties.managed, properties.enabled) == (True, True)
        assert (properties.not_before, properties.expires_on) == times
    assert (secret.properties.key_id, secret.properties.content_type) == (made.key_id, "application/x-pkcs12")
    for call in (keys.delete(name), keys.update_key_properties(name, enabled=False), keys.backup_key(name)):
        with refused(403, "Forbidden", "KeyManagedByKeyVault"):
            await call
    for call in (
        secrets.delete(name),
        secrets.update_secret_properties(name, enabled=False),
        secrets.set_secret(name, ""),
        secrets.backup_secret(name),
    ):
        with refused(403, "Forbidden", "SecretManagedByKeyVault"):
            await call
    await certificates.update_certificate_properties(name, enabled=False)
    with refused(403, "Forbidden", "SecretDisabled"):
        await secrets.get_secret(name)
    with refused(403, "Forbidden", "KeyDisabled"):
        await keys.remote(key).sign("ES256", bytes(32))
    await certificates.update_certificate_properties(name, enabled=True)
    assert (await secrets.get_secret(name)).value == secret.value
    await keys.remote(key).sign("ES256", bytes(32))


async def test_key_and_secret_of_a_deleted_certificate_come_back_and_go_with_it_alone(
    clients: Clients, name: str
) -> None:
    certificates, secrets, keys = clients.certificates, clients.secrets, clients.keys
    made = await certificates.create(name, SELF)
    for call in (keys.create_ec_key(name), keys.rotate_key(name)):
        with refused(403, "Forbidden", "KeyManagedByKeyVault"):
            await call
    await certificates.delete(name)
    assert (await keys.get_deleted_key(name)).id == made.key_id
    assert (await secrets.get_deleted_secret(name)).id == made.secret_id
    assert name in [one.name for one in await keys.items("list_deleted_keys")]
    assert name in [one.name for one in await secrets.items("list_deleted_secrets")]
    for call in (keys.purge_deleted_key(name), keys.recover(name)):
        with refused(403, "Forbidden", "KeyManagedByKeyVault"):
            await call
    for call in (secrets.purge_deleted_secret(name), secrets.recover(name)):
        with refused(403, "Forbidden", "SecretManagedByKeyVault"):
            await call
    for call in (keys.create_ec_key(name), secrets.set_secret(name, "value")):
        with refused(409, "Conflict", "ObjectIsDeletedButRecoverable", kind=ResourceExistsError):
            await call
    await certificates.recover(name)
    assert (await keys.get_key(name)).id == made.key_id


async def test_a_certificate_takes_no_name_that_a_key_or_a_secret_has(clients: Clients, name: str) -> None:
    await clients.keys.create_ec_key(f"{name}-key")
    await clients.secrets.set_secret(f"{name}-secret", "value")
    await clients.secrets.set_secret(f"{name}-deleted", "value")
    await clients.secrets.delete(f"{name}-deleted")
    for kind, inner in (("key", None), ("secret", None), ("deleted", "ObjectIsDeletedButRecoverable")):
        with refused(409, "Conflict", inner, kind=ResourceExistsError):
            await clients.certificates.create(f"{name}-{kind}", SELF)
        with refused(404, "CertificateNotFound", kind=ResourceNotFoundError):
            await clients.certificates.get_certificate(f"{name}-{kind}")


async def test_a_name_is_the_same_in_either_case_and_shown_as_it_was_made(clients: Clients, name: str) -> None:
    made = await clients.certificates.create(f"{name}-Mixed", SELF)
    read = await clients.certificates.get_certificate(f"{name}-mIXED".upper())
    assert (described(read), read.name) == (described(made), f"{name}-Mixed")
    assert (await clients.secrets.get_secret(f"{name}-mixed")).id == made.secret_id
    assert (await clients.certificates.create(f"{name}-MIXED", SELF)).name == f"{name}-Mixed"
    assert (await clients.certificates.create(unique(name + "x" * 127)[-127:].strip("-"), SELF)).properties.enabled
    for bad in ("a_b", "x" * 128, "contacts", "issuers"):
        with refused(400, "BadParameter") as caught:
            await clients.certificates.create(bad, SELF)
        assert message(caught.value) == f"The request URI contains an invalid name: {bad}"


async def test_a_certificate_can_be_made_not_enabled(certificates: CertificatesFace, name: str) -> None:
    made = await certificates.create(name, SELF, enabled=False, tags={"a": "b"})
    assert (made.properties.enabled, made.properties.tags) == (False, {"a": "b"})
    assert loaded(made).subject.rfc4514_string() == "CN=www.contoso.com"


async def test_the_poller_of_a_creation_tells_how_far_it_is(sync_clients: Clients, name: str) -> None:
    client: Any = sync_clients.certificates.client
    poller = client.begin_create_certificate(name, SELF, _polling_interval=0)
    poller.wait()
    assert (poller.done(), poller.status()) == (True, "completed")
    assert (poller.result().name, poller.result().properties.enabled) == (name, True)
    waiting = client.begin_create_certificate(f"{name}-manual", MANUAL, _polling_interval=0)
    assert waiting.result().status == "inProgress"  # nobody but a caller can go on: the client does not wait
    deletion = client.begin_delete_certificate(name)
    deletion.wait()
    assert (deletion.done(), deletion.status(), deletion.result().name) == (True, "finished", name)
    recovery = client.begin_recover_deleted_certificate(name)
    recovery.wait()
    assert (recovery.done(), recovery.status(), recovery.result().name) == (True, "finished", name)


async def test_an_operation_is_cancelled_and_forgotten(certificates: CertificatesFace, name: str) -> None:
    await certificates.create(name, MANUAL)
    pending = await certificates.items("list_properties_of_certificates", include_pending=True)
    assert name in [one.name for one in pending]
    assert name not in [one.name for one in await certificates.items("list_properties_of_certificates")]
    assert (await certificates.cancel_certificate_operation(name)).cancellation_requested is True
    while (status := (await certificates.get_certificate_operation(name)).status) == "inProgress":
        pass
    assert status == "cancelled"
    assert (await certificates.delete_certificate_operation(name)).status == "cancelled"
    for call in (
        certificates.get_certificate_operation(name),
        certificates.cancel_certificate_operation(name),
        certificates.delete_certificate_operation(name),
    ):
        with refused(404, "PendingCertificateNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == f"Pending certificate not found: {name}"
    with refused(404, "CertificateNotFound", kind=ResourceNotFoundError):
        await certificates.get_certificate(name)
    await certificates.create(name, SELF)


async def test_a_certificate_is_deleted_recovered_and_purged(
    certificates: CertificatesFace, secrets: SecretsFace, name: str
) -> None:
    made = await certificates.create(name, SELF, tags={"a": "b"})
    deleted = await certificates.delete(name)
    assert (deleted.name, deleted.recovery_id) == (name, f"{certificates.url}/deletedcertificates/{name}")
    assert deleted.scheduled_purge_date - deleted.deleted_on == timedelta(days=90)
    assert (described(deleted), policy_members(deleted.policy)) == (described(made), policy_members(made.policy))
    seen = await certificates.get_deleted_certificate(name)
    assert (described(seen), seen.deleted_on) == (described(made), deleted.deleted_on)
    (listed,) = [one for one in await certificates.items("list_deleted_certificates") if one.name == name]
    assert (listed.id, listed.recovery_id) == (f"{certificates.url}/certificates/{name}", deleted.recovery_id)
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable", kind=ResourceExistsError) as caught:
        await certificates.create(name, SELF)
    assert message(caught.value).startswith(f"Certificate {name} is currently in a deleted but recoverable state")
    for call in (certificates.get_certificate(name), certificates.get_certificate_policy(name)):
        with refused(404, "CertificateNotFound", kind=ResourceNotFoundError):
            await call
    with pytest.raises(ResourceNotFoundError):
        await secrets.get_secret(name)
    assert described(await certificates.recover(name)) == described(made)
    assert (await secrets.get_secret(name)).properties.key_id == made.key_id
    await certificates.delete(name)
    await certificates.purge_deleted_certificate(name)
    with refused(404, "CertificateNotFound", kind=ResourceNotFoundError) as caught:
        await certificates.get_deleted_certificate(name)
    assert message(caught.value) == f"Deleted Certificate not found: {name}"
    for call in (secrets.get_secret(name), secrets.get_deleted_secret(name)):
        with pytest.raises(ResourceNotFoundError):
            await call
    assert (await certificates.create(name, SELF)).properties.version != made.properties.version


async def test_a_backup_brings_every_version_back(clients: Clients, name: str) -> None:
    certificates, secrets = clients.certificates, clients.secrets
    policy = CertificatePolicy("Self", subject="CN=b", key_type="EC-HSM", key_curve_name="P-256", exportable=False)
    first = await certificates.create(name, policy)
    made = await certificates.create(name, SELF, tags={"a": "b"})
    await certificates.update_certificate_properties(name, first.properties.version, enabled=False)
    first = await certificates.get_certificate_version(name, first.properties.version)
    value = (await secrets.get_secret(name)).value
    blob = await certificates.backup_certificate(name)
    with refused(409, "Conflict", kind=ResourceExistsError) as caught:
        await certificates.restore_certificate_backup(blob)
    assert message(caught.value).endswith("- certificate already exists or concurrent access")
    await certificates.delete(name)
    await certificates.purge_deleted_certificate(name)
    assert described(await certificates.restore_certificate_backup(blob)) == described(made)
    assert described(await certificates.get_certificate_version(name, first.properties.version)) == described(first)
    assert len(await certificates.items("list_properties_of_certificate_versions", name)) == 2
    assert (await secrets.get_secret(name)).value == value
    assert policy_members(await certificates.get_certificate_policy(name)) == policy_members(made.policy)
    await certificates.update_certificate_properties(name, first.properties.version, enabled=True)
    for one, public in ((first, loaded(first).public_key()), (made, loaded(made).public_key())):
        key = await clients.keys.get_key(name, one.properties.version)
        signature = (await clients.keys.remote(key).sign("ES256", bytes(32))).signature
        assert (await clients.keys.crypto(key).verify("ES256", bytes(32), signature)).is_valid
        assert public.public_numbers().x == int.from_bytes(key.key.x)


@pytest.mark.slow
async def test_pages_hold_every_certificate_once_and_no_more_than_was_asked(
    certificates: CertificatesFace, name: str
) -> None:
    names = [f"{name}-{number:02}" for number in range(COUNT)]
    for one in names[:-1]:
        await certificates.create(one, QUICK)
    await certificates.create(names[-1], MANUAL)
    for pending in (True, False):
        for size in (None, 7):
            options = {} if size is None else {"max_page_size": size}
            pages = await certificates.pages("list_properties_of_certificates", include_pending=pending, **options)
            found = [one.name for page in pages for one in page]
            assert [one for one in found if one in names] == (names if pending else names[:-1])
            assert len(found) == len(set(found))
            assert all(len(page) == (size or 25) for page in pages[:-1])
    for one in names:
        await certificates.delete(one)
    for pending in (True, False):
        pages = await certificates.pages("list_deleted_certificates", include_pending=pending, max_page_size=7)
        found = [one.name for page in pages for one in page]
        assert [one for one in found if one in names] == (names if pending else names[:-1])
        assert all(len(page) == 7 for page in pages[:-1])
    for one in names:
        await certificates.purge_deleted_certificate(one)


@pytest.mark.slow
async def test_the_versions_of_a_certificate_come_in_pages(certificates: CertificatesFace, name: str) -> None:
    made = [(await certificates.create(name, QUICK)).properties.version for _ in range(COUNT)]
    for size in (4, 25):
        pages = await certificates.pages("list_properties_of_certificate_versions", name, max_page_size=size)
        assert all(len(page) == size for page in pages[:-1])
        assert [one.version for page in pages for one in page] == made
    assert await certificates.items("list_properties_of_certificate_versions", f"{name}-none") == []


async def test_issuers_are_kept_without_showing_their_password(certificates: CertificatesFace, name: str) -> None:
    contacts = [
        AdministratorContact(first_name="Ann", last_name="Lee", email="ann@contoso.com", phone="1"),
        AdministratorContact(email="bob@contoso.com"),
    ]
    made = await certificates.create_issuer(
        name, "DigiCert", account_id="account", password="secret", organization_id="org", admin_contacts=contacts
    )
    assert (made.id, made.name) == (f"{certificates.url}/certificates/issuers/{name}", name)
    assert (made.provider, made.account_id, made.password) == ("DigiCert", "account", None)
    assert (made.organization_id, made.enabled) == ("org", True)
    assert [(one.first_name, one.last_name, one.email, one.phone) for one in made.admin_contacts] == [
        ("Ann", "Lee", "ann@contoso.com", "1"),
        (None, None, "bob@contoso.com", None),
    ]
    changed = await certificates.update_issuer(name, enabled=False)
    assert (changed.enabled, changed.account_id, changed.organization_id) == (False, "account", "org")
    assert len(changed.admin_contacts) == 2
    read = await certificates.get_issuer(name)
    assert (read.updated_on, read.created_on) == (changed.updated_on, made.created_on)
    (listed,) = [one for one in await certificates.items("list_properties_of_issuers") if one.name == name]
    assert (listed.id, listed.provider) == (made.id, "DigiCert")
    await certificates.update_issuer(name, enabled=True)
    with refused(400, "BadParameter"):
        await certificates.create(name, CertificatePolicy(name, subject="CN=a", key_type="EC"))
    assert (await certificates.delete_issuer(name)).name == name
    for call in (
        certificates.get_issuer(name),
        certificates.delete_issuer(name),
        certificates.update_issuer(name, enabled=True),
    ):
        with refused(404, "CertificateIssuerNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == "Issuer not found"


@pytest.mark.slow
async def test_issuers_come_in_pages(certificates: CertificatesFace, name: str) -> None:
    names = [f"{name}-{number:02}" for number in range(COUNT)]
    for one in names:
        await certificates.create_issuer(one, "GlobalSign")
    pages = await certificates.pages("list_properties_of_issuers")
    assert [one.name for page in pages for one in page if one.name in names] == names
    assert all(len(page) == 25 for page in pages[:-1])
    for one in names:
        await certificates.delete_issuer(one)


async def test_contacts_are_set_read_and_deleted(certificates: CertificatesFace) -> None:
    contacts = [CertificateContact("a@contoso.com", "A", "1"), CertificateContact("b@contoso.com")]
    expected = [("a@contoso.com", "A", "1"), ("b@contoso.com", None, None)]
    await certificates.set_contacts([CertificateContact("other@contoso.com")])
    for answer in (
        await certificates.set_contacts(contacts),
        await certificates.get_contacts(),
        await certificates.delete_contacts(),
    ):
        assert [(one.email, one.name, one.phone) for one in answer] == expected
    for call in (certificates.get_contacts(), certificates.delete_contacts()):
        with refused(404, "ContactsNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == "Contacts not found"


async def test_what_is_not_there_is_said_in_the_words_of_the_service(certificates: CertificatesFace, name: str) -> None:
    for call, named in (
        (certificates.get_certificate(name), name),
        (certificates.get_certificate_version(name, "0" * 32), f"{name}/versions/{'0' * 32}"),
    ):
        with refused(404, "CertificateNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == (
            f"A certificate with (name/id) {named} was not found in this key vault. If you recently deleted this "
            "certificate you may be able to recover it using the correct recovery command. For help resolving this "
            "issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
        )
    for call in (
        certificates.get_certificate_policy(name),
        certificates.update_certificate_policy(name, SELF),
        certificates.update_certificate_properties(name, enabled=False),
        certificates.backup_certificate(name),
        certificates.delete(name),
    ):
        with refused(404, "CertificateNotFound", kind=ResourceNotFoundError):
            await call
    for call in (
        certificates.get_deleted_certificate(name),
        certificates.purge_deleted_certificate(name),
        certificates.recover(name),
    ):
        with refused(404, "CertificateNotFound", kind=ResourceNotFoundError) as caught:
            await call
        assert message(caught.value) == f"Deleted Certificate not found: {name}"
