"""Every api-version that the clients of secrets and certificates know."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import azure.keyvault.certificates
import azure.keyvault.secrets
import pytest
from azure.keyvault.certificates import CertificateContact, CertificatePolicy, LifetimeAction

from tests.clients.certificates import SELF, check_identity, described, loaded, opened, policy_members
from tests.clients.flavours import Clients
from tests.clients.principals import Tokens
from tests.clients.secrets import described as described_secret
from tests.resources.certificate_stage import root, signed

QUICK = ("2016-10-01",)
VERSIONS = [version.value for version in azure.keyvault.secrets.ApiVersion]
DATED = tuple(version for version in VERSIONS if version.startswith("202"))
EACH = [
    pytest.param(
        (flavour, version),
        id=f"{flavour}-{version}",
        marks=() if flavour == "sync" and version in QUICK else pytest.mark.slow,
    )
    for flavour in ("sync", "async")
    for version in VERSIONS
]


@pytest.fixture(params=EACH)
async def versioned(
    request: pytest.FixtureRequest, owner_tokens: Mapping[str, Tokens]
) -> AsyncIterator[tuple[Clients, str]]:
    flavour, version = request.param
    opened = Clients(flavour, owner_tokens[flavour], api_version=version)
    yield opened, version
    await opened.close()


def test_both_clients_know_the_same_versions() -> None:
    assert [version.value for version in azure.keyvault.certificates.ApiVersion] == VERSIONS


async def test_a_secret_lives_in_every_api_version(versioned: tuple[Clients, str], name: str) -> None:
    secrets = versioned[0].secrets
    first = await secrets.set_secret(name, "one", content_type="text", tags={"a": "b"})
    second = await secrets.set_secret(name, "two")
    assert (await secrets.get_secret(name, first.properties.version)).value == "one"
    changed = await secrets.update_secret_properties(name, second.properties.version, tags={"c": "d"})
    assert changed.tags == {"c": "d"}
    assert name in [one.name for one in await secrets.items("list_properties_of_secrets", max_page_size=25)]
    assert len(await secrets.items("list_properties_of_secret_versions", name)) == 2
    blob = await secrets.backup_secret(name)
    assert (await secrets.delete(name)).recovery_id == f"{secrets.url}/deletedsecrets/{name}"
    assert name in [one.name for one in await secrets.items("list_deleted_secrets")]
    assert (await secrets.get_deleted_secret(name)).id == second.id
    assert (await secrets.recover(name)).id == second.id
    await secrets.delete(name)
    await secrets.purge_deleted_secret(name)
    assert (await secrets.restore_secret_backup(blob)).id == second.id
    read = await secrets.get_secret(name, first.properties.version)
    assert (read.value, described_secret(read)) == ("one", described_secret(first))


async def test_a_certificate_lives_in_every_api_version(versioned: tuple[Clients, str], name: str) -> None:
    clients, version = versioned
    certificates = clients.certificates
    policy = CertificatePolicy(
        "Self",
        subject="CN=www.contoso.com",
        san_dns_names=["www.contoso.com"],
        san_emails=["a@contoso.com"],
        key_type="EC-HSM",
        key_size=256,
        exportable=False,
        lifetime_actions=[LifetimeAction("AutoRenew", days_before_expiry=30)],
    )
    first = await certificates.create(name, policy, tags={"a": "b"})
    check_identity(first)
    sent = {member: value for member, value in policy_members(policy).items() if value not in (None, [])}
    assert sent.items() <= policy_members(first.policy).items()
    made = await certificates.create(name, SELF)
    assert made.properties.preserve_order is (False if version in DATED or version >= "7.6" else None)
    assert made.policy.key_curve_name == (None if version == "2016-10-01" else "P-256")
    assert opened(await clients.secrets.get_secret(name)).chain == [loaded(made)]
    assert described(await certificates.get_certificate_version(name, first.properties.version)) == described(first)
    changed = await certificates.update_certificate_properties(name, made.properties.version, tags={"c": "d"})
    assert changed.properties.tags == {"c": "d"}
    assert (await certificates.update_certificate_policy(name, policy)).key_type == "EC-HSM"
    assert name in [one.name for one in await certificates.items("list_properties_of_certificates", max_page_size=25)]
    assert len(await certificates.items("list_properties_of_certificate_versions", name)) == 2
    assert (await certificates.delete(name)).recovery_id == f"{certificates.url}/deletedcertificates/{name}"
    assert name in [one.name for one in await certificates.items("list_deleted_certificates")]
    assert (await certificates.get_deleted_certificate(name)).id == made.id
    assert (await certificates.recover(name)).id == made.id
    if version != "2016-10-01":  # before there were no backups
        blob = await certificates.backup_certificate(name)
        await certificates.delete(name)
        await certificates.purge_deleted_certificate(name)
        assert (await certificates.restore_certificate_backup(blob)).id == made.id


async def test_operations_issuers_and_contacts_are_served_in_every_api_version(
    versioned: tuple[Clients, str], name: str
) -> None:
    certificates: Any = versioned[0].certificates
    manual = CertificatePolicy("Unknown", subject="CN=www.contoso.com", key_type="EC", key_size=256)
    operation = await certificates.create(name, manual)
    assert operation.status == "inProgress"
    assert (await certificates.cancel_certificate_operation(name)).cancellation_requested
    await certificates.delete_certificate_operation(name)
    operation = await certificates.create(name, manual)
    leaf = signed(bytes(operation.csr), days=3650)
    assert bytes((await certificates.merge_certificate(name, [leaf, root().der])).cer) == leaf
    pem = root().pem_key + root().pem
    imported = await certificates.import_certificate(
        name, pem, policy=CertificatePolicy(content_type="application/x-pem-file")
    )
    assert loaded(imported) == root().certificate
    assert (await certificates.create_issuer(name, "GlobalSign", account_id="a")).provider == "GlobalSign"
    assert (await certificates.update_issuer(name, enabled=False)).enabled is False
    assert (await certificates.get_issuer(name)).account_id == "a"
    assert name in [one.name for one in await certificates.items("list_properties_of_issuers")]
    assert (await certificates.delete_issuer(name)).name == name
    for answer in (
        await certificates.set_contacts([CertificateContact("a@contoso.com")]),
        await certificates.get_contacts(),
        await certificates.delete_contacts(),
    ):
        assert [one.email for one in answer] == ["a@contoso.com"]
