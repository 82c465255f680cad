"""Certificates of a vault whose hardware keys never leave the token."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.certificates import CertificatePolicy
from cryptography import x509

from tests.clients.certificates import PEM, check_identity, loaded, opened
from tests.clients.flavours import Clients
from tests.clients.kinds import Kind
from tests.clients.refusals import refused
from tests.clients.test_certificates_kinds import check_key
from tests.isolation.node import Credential, Node
from tests.resources.certificate_stage import intermediate, root, signed

pytestmark = pytest.mark.slow

KINDS = [Kind("EC-HSM", curve="P-256"), Kind("EC-HSM", curve="P-521"), Kind("RSA-HSM", size=2048)]


@pytest.fixture
async def resident_clients(resident_node: Node) -> AsyncIterator[Clients]:
    north = resident_node.north
    clients = Clients(
        "sync", Credential(north), resident_node.url(north), connection_verify=str(resident_node.certificate)
    )
    yield clients
    await clients.close()


def policy(kind: Kind, issuer: str = "Self", **settings: Any) -> CertificatePolicy:
    settings |= {"key_curve_name": kind.curve} if kind.curve else {"key_size": kind.size}
    usage = ["digitalSignature", *(["keyEncipherment", "dataEncipherment"] if kind.is_rsa else [])]
    return CertificatePolicy(
        issuer, subject="CN=resident", key_type=kind.kty, key_usage=usage, content_type=PEM, **settings
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
async def test_certificates_of_keys_that_stay_are_made_renewed_deleted_and_purged(
    resident_clients: Clients, name: str, kind: Kind
) -> None:
    certificates = resident_clients.certificates
    seen = [await certificates.create(name, policy(kind)) for _ in range(2)]
    for made in seen:
        check_identity(made)
        x = loaded(made)
        x.verify_directly_issued_by(x)
        await check_key(resident_clients, made, kind)
    assert loaded(seen[0]).public_key() != loaded(seen[1]).public_key()
    held = opened(await resident_clients.secrets.get_secret(name))
    assert (held.key, held.chain) == (None, [loaded(seen[1])])
    with refused(400, "BadParameter"):
        await certificates.backup_certificate(name)
    with refused(400, "BadParameter"):  # the key of the version before cannot be bound to another
        await certificates.create(name, policy(kind, reuse_key=True))
    await certificates.delete(name)
    assert (await certificates.recover(name)).id == seen[1].id
    await check_key(resident_clients, seen[0], kind)
    await certificates.delete(name)
    await certificates.purge_deleted_certificate(name)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await resident_clients.keys.get_key(name)


async def test_a_request_of_a_key_that_stays_is_merged(resident_clients: Clients, name: str) -> None:
    operation = await resident_clients.certificates.create(name, policy(KINDS[0], "Unknown"))
    assert x509.load_der_x509_csr(bytes(operation.csr)).is_signature_valid
    leaf = signed(bytes(operation.csr), intermediate(), days=3650)
    merged = await resident_clients.certificates.merge_certificate(name, [leaf, intermediate().der, root().der])
    await check_key(resident_clients, merged, KINDS[0])
    assert len(opened(await resident_clients.secrets.get_secret(name)).chain) == 3


async def test_a_key_that_comes_with_its_certificate_stays_from_then_on(resident_clients: Clients, name: str) -> None:
    kind = Kind("EC-HSM", curve="P-384")
    pem = root().pem_key + root().pem
    with refused(400, "BadParameter"):  # it is a key of another curve
        await resident_clients.certificates.import_certificate(name, pem, policy=policy(kind))
    certificate = await resident_clients.certificates.import_certificate(
        name, pem, policy=CertificatePolicy(key_type="EC-HSM", content_type=PEM)
    )
    assert certificate.policy.exportable is False
    assert opened(await resident_clients.secrets.get_secret(name)).key is None
    await check_key(resident_clients, certificate, Kind("EC-HSM", curve="P-256"))
