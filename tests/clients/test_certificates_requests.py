"""Signing requests that go out, and certificates of an authority elsewhere that are merged in."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.keyvault.certificates import CertificatePolicy
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.clients import reference
from tests.clients.certificates import MANUAL, PEM, PKCS12, SELF, CertificatesFace, check_identity, loaded, opened
from tests.clients.flavours import Clients
from tests.clients.keys import digest_for
from tests.clients.kinds import Kind
from tests.clients.refusals import message, refused
from tests.resources.certificate_stage import intermediate, root, signed

SLOW = pytest.mark.slow
DAYS = 3650


def manual(**settings: Any) -> CertificatePolicy:
    return CertificatePolicy("Unknown", **{"subject": "CN=www.contoso.com", "key_type": "EC", **settings})


def base64_of(der: bytes) -> bytes:
    return base64.b64encode(der)


def lines_of(der: bytes) -> bytes:
    return base64.encodebytes(der)


@pytest.mark.parametrize(
    ("kind", "content_type", "exportable", "form"),
    [
        pytest.param(Kind("EC", curve="P-256"), PKCS12, True, bytes, id="pfx"),
        pytest.param(Kind("EC", curve="P-256K"), PEM, True, base64_of, id="pem"),
        pytest.param(Kind("EC-HSM", curve="P-384"), PEM, False, lines_of, id="hard", marks=SLOW),
        pytest.param(Kind("RSA-HSM", size=3072), PKCS12, False, bytes, id="hard-RSA", marks=SLOW),
        pytest.param(Kind("RSA", size=4096), PKCS12, True, bytes, id="RSA-4096", marks=SLOW),
    ],
)
async def test_a_request_goes_out_and_the_certificate_with_its_chain_is_merged(
    clients: Clients, name: str, kind: Kind, content_type: str, exportable: bool, form: Callable[[bytes], bytes]
) -> None:
    certificates = clients.certificates
    operation = await certificates.create(
        name,
        manual(
            key_type=kind.kty,
            key_size=kind.size or None,
            key_curve_name=kind.curve or None,
            content_type=content_type,
            exportable=exportable,
        ),
        tags={"a": "b"},
    )
    assert (operation.status, operation.issuer_name, operation.target) == ("inProgress", "Unknown", None)
    assert operation.status_details
    request = x509.load_der_x509_csr(bytes(operation.csr))
    assert request.is_signature_valid
    for create in (certificates.create(name, SELF), certificates.create(name, MANUAL)):
        with refused(409, "Forbidden", kind=ResourceExistsError) as caught:
            await create
        assert message(caught.value) == (
            "A new key vault certificate can not be created or imported while a pending key vault certificate's status "
            "is inProgress."
        )
    assert (await clients.keys.get_key(name)).properties.enabled is False

    leaf = signed(bytes(operation.csr), intermediate(), days=DAYS)
    chain = [root().der, leaf, intermediate().der]  # in any order
    merged = await certificates.merge_certificate(name, [form(one) for one in chain])
    check_identity(merged)
    assert bytes(merged.cer) == leaf
    assert loaded(merged).public_key() == request.public_key()
    assert (merged.properties.tags, merged.properties.enabled) == ({"a": "b"}, True)
    held = opened(await clients.secrets.get_secret(name))
    assert held.chain == [loaded(merged), intermediate().certificate, root().certificate]
    assert (held.key is not None) == exportable
    done = await certificates.get_certificate_operation(name)
    assert (done.status, done.target) == ("completed", f"{certificates.url}/certificates/{name}")
    with refused(403, "Forbidden"):
        await certificates.merge_certificate(name, [leaf])
    remote = clients.keys.crypto(merged.key_id)
    algorithm = kind.signatures[-1]
    signature = (await remote.sign(algorithm, digest_for(algorithm))).signature
    assert reference.verifies(request.public_key(), algorithm, digest_for(algorithm), signature)


async def test_a_merge_says_what_the_version_is(certificates: CertificatesFace, name: str) -> None:
    operation = await certificates.create(name, MANUAL, tags={"a": "b"})
    merged = await certificates.merge_certificate(
        name, [signed(bytes(operation.csr), days=DAYS)], enabled=False, tags={"c": "d"}
    )
    assert (merged.properties.enabled, merged.properties.tags) == (False, {"c": "d"})


async def test_a_second_version_is_merged_while_the_first_is_in_use(clients: Clients, name: str) -> None:
    certificates = clients.certificates
    first = await certificates.create(name, SELF)
    operation = await certificates.create(name, MANUAL)
    assert operation.status == "inProgress"
    assert (await certificates.get_certificate(name)).id == first.id
    assert opened(await clients.secrets.get_secret(name)).chain == [loaded(first)]
    merged = await certificates.merge_certificate(name, [signed(bytes(operation.csr), days=DAYS)])
    assert (await certificates.get_certificate(name)).id == merged.id != first.id
    versions = await certificates.items("list_properties_of_certificate_versions", name)
    assert [one.version for one in versions] == [first.properties.version, merged.properties.version]


async def test_a_certificate_for_another_key_is_not_merged(certificates: CertificatesFace, name: str) -> None:
    operation = await certificates.create(name, MANUAL)
    other = await certificates.create(f"{name}-other", MANUAL)
    with refused(400, "BadParameter") as caught:
        await certificates.merge_certificate(name, [signed(bytes(other.csr), days=DAYS)])
    assert message(caught.value) == (
        "The public key of the end-entity certificate in the specified X.509 certificate content does not match the "
        "public part of the specified private key. Please check if certificate is valid"
    )
    for content in ([b"nonsense"], [base64.b64encode(b"nonsense")], [intermediate().der]):
        with refused(400, "BadParameter"):
            await certificates.merge_certificate(name, content)
    leaf = signed(bytes(operation.csr), days=DAYS)
    assert bytes((await certificates.merge_certificate(name, [leaf])).cer) == leaf
    with refused(404, "PendingCertificateNotFound", kind=ResourceNotFoundError):
        await certificates.merge_certificate(f"{name}-nobody", [leaf])


async def test_the_order_of_a_chain_is_kept_when_it_is_asked_for(clients: Clients, name: str) -> None:
    certificates = clients.certificates
    operation = await certificates.create(name, manual(exportable=True, content_type=PEM), preserve_order=True)
    assert operation.preserve_order is True
    leaf = signed(bytes(operation.csr), intermediate(), days=DAYS)
    merged = await certificates.merge_certificate(name, [leaf, root().der, intermediate().der])
    assert merged.properties.preserve_order is True
    held = opened(await clients.secrets.get_secret(name))
    assert [one.public_bytes(Encoding.DER) for one in held.chain] == [leaf, root().der, intermediate().der]
    assert (await certificates.get_certificate(name)).properties.preserve_order is True
